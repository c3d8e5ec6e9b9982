"""The torch engine, without a GPU: the CPU engine's numbers, and the same bytes whatever is computed beside a scene."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from roomgen.acoustics.air import Air
from roomgen.acoustics.directivity import Directivity
from roomgen.acoustics.images.sources import image_source
from roomgen.acoustics.images.sources_gpu import simulate_batch
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions, Scene, make_scene
from roomgen.errors import RoomgenError

torch = pytest.importorskip("torch")

CARDIOID = Directivity.named("cardioid", azimuth_deg=30)
EIGHT = Directivity.named("bidirectional", elevation_deg=-20)
MATERIALS = ["brickwork", "carpet_cotton", "plasterboard", "hard_surface", "ceramic_tiles", "ceiling_plasterboard"]

CASES: dict[str, dict[str, object]] = {
    "materials": {},
    "one lane": {"absorption": 0.3},
    "dead walls": {"absorption": [1, 1, 0.2, 0.2, 1, 0.1]},
    "air": {"air": Air(humidity_pct=20)},
    "air in a flat room": {"absorption": 0.3, "air": Air()},
    "48 kHz": {"fs_hz": 48000, "duration_s": 0.06},
    "16 lanes": {"fs_hz": 96000, "duration_s": 0.04},
    "odd length": {"duration_s": 0.12345},
    "directivities": {"source_directivity": CARDIOID, "mic_directivity": [EIGHT, CARDIOID]},
    "order": {"options": ImageOptions(max_order=5)},
    "moved": {"options": ImageOptions(randomize_m=0.08, seed=7)},
    "moved, negative seed, order, directive": {
        "options": ImageOptions(randomize_m=0.05, seed=-3, max_order=6),
        "mic_directivity": CARDIOID,
    },
    "high-pass": {"options": ImageOptions(highpass_hz=20)},
    "scattering": {"scattering": 0.3},
    "scattering, one lane": {"absorption": 0.3, "scattering": 0.2, "options": ImageOptions(seed=-5)},
    "scattering, directive, air": {"scattering": 0.4, "mic_directivity": CARDIOID, "source_directivity": EIGHT, "air": Air()},
    "fast": {"options": ImageOptions(tail_after_s=0.08, seed=3), "sources": [[1.1, 2.0, 1.3], [3.0, 0.7, 2.0]]},
    "fast and scattering": {"scattering": 0.1, "options": ImageOptions(tail_after_s=0.05)},
    "two sources": {"sources": [[1.1, 2.0, 1.3], [3.0, 0.7, 2.0]]},
}


def scene(**changes: object) -> Scene:
    given = {
        "size_m": (4.7, 3.6, 2.9),
        "absorption": MATERIALS,
        "sources": [[1.1, 2.0, 1.3]],
        "mics": [[3.3, 1.2, 1.6], [3.4, 1.2, 1.6]],
        "duration_s": 0.2,
        **changes,
    }
    room = Shoebox(given.pop("size_m"), absorption=given.pop("absorption"), scattering=given.pop("scattering", 0.0))  # type: ignore[arg-type]
    return make_scene(room, **given)  # type: ignore[arg-type]


def error_db(given: np.ndarray, wanted: np.ndarray) -> float:
    return float(10 * np.log10(np.sum((given - wanted) ** 2.0) / np.sum(wanted**2.0) + 1e-30))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [scene(**changes) for changes in CASES.values()]


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_cpu_engine(case: str) -> None:
    given = scene(**CASES[case])
    (response,) = simulate_batch([given], device="cpu")
    wanted = image_source(given)
    assert response.rir.dtype == np.float32
    assert response.rir.shape == wanted.rir.shape
    assert error_db(response.rir, wanted.rir) < -100
    assert response.drr_db is not None
    np.testing.assert_allclose(response.drr_db, wanted.drr_db, atol=1e-3)


def test_no_reflections_have_an_infinite_ratio() -> None:
    (response,) = simulate_batch([scene(absorption=1.0)], device="cpu")
    assert response.drr_db is not None
    assert np.all(response.drr_db == np.inf)


def test_company_in_the_batch_changes_no_byte(scenes: list[Scene]) -> None:
    together = [r.rir.tobytes() for r in simulate_batch(scenes, device="cpu")]
    backwards = [r.rir.tobytes() for r in simulate_batch(scenes[::-1], device="cpu")][::-1]
    alone = [simulate_batch([s], device="cpu")[0].rir.tobytes() for s in scenes]
    assert together == backwards == alone


@pytest.mark.parametrize("in_flight", [37, 1000, 1 << 19])
def test_chunks_change_no_byte(scenes: list[Scene], in_flight: int) -> None:
    some = [s for s in scenes if s.n_samples < 3000] if in_flight < 100 else scenes
    usual = simulate_batch(some, device="cpu", drr=False)
    chunked = simulate_batch(some, device="cpu", drr=False, max_images_in_flight=in_flight)
    assert [r.rir.tobytes() for r in usual] == [r.rir.tobytes() for r in chunked]


def test_memory_is_bounded_by_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    adding = torch.Tensor.index_add_

    def watched(grid: object, dim: int, index: "torch.Tensor", source: "torch.Tensor") -> object:
        nonlocal largest
        largest = max(largest, source.numel() * source.element_size())
        return adding(grid, dim, index, source)

    monkeypatch.setattr(torch.Tensor, "index_add_", watched)
    for duration in (0.1, 0.4):
        simulate_batch([scene(duration_s=duration)] * 2, device="cpu", drr=False, max_images_in_flight=5000)
        assert largest == 5000 * 8 * 8  # lanes of eight bytes


def test_an_empty_batch_is_empty() -> None:
    assert simulate_batch([], device="cpu") == []


def test_what_it_cannot_do_it_says() -> None:
    with pytest.raises(RoomgenError, match="unknown device 'gpu'"):
        simulate_batch([scene()], device="gpu")
    with pytest.raises(RoomgenError, match="'mps' is not supported"):
        simulate_batch([scene()], device="mps")
    with pytest.raises(RoomgenError, match="CUDA devices only"):
        simulate_batch([scene()], device="cpu", kernel="triton")
    with pytest.raises(RoomgenError, match="at least 1"):
        simulate_batch([scene()], device="cpu", max_images_in_flight=0)


def test_without_cuda_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(RoomgenError, match="torch sees 0 CUDA devices"):
        simulate_batch([scene()])


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RoomgenError, match=r"pip install 'roomgen\[train\]'"):
        simulate_batch([scene()], device="cpu")


def test_fused_kernel_adds_the_same_images() -> None:
    # Triton decides when it is imported whether it interprets its kernels, so this runs in a process of its own.
    code = """
import torch
from roomgen.acoustics.images.kernels_torch import Job, Tables, add_rows, find_rows
from roomgen.acoustics.images import kernels_triton as image_kernels_triton
from tests.acoustics.test_gpu import scene
for changes in ({}, {"absorption": 0.3}):
    jobs = [Job.of(i, scene(duration_s=t, **changes)) for i, t in enumerate((0.03, 0.02))]
    cpu = torch.device("cpu")
    tables = Tables.of(jobs, cpu)
    grids = torch.zeros((2, sum(j.pairs * j.grid_rows for j in jobs), jobs[0].kind[0]), dtype=torch.int64)
    for rows in find_rows(jobs, tables, cpu, 1 << 16):
        add_rows(grids[0], tables, rows, jobs[0].kind, 1 << 16)
        image_kernels_triton.add_rows(grids[1], tables, rows)
    plain, fused = grids.double()
    assert ((plain - fused) ** 2).sum() < 1e-12 * (plain**2).sum()
"""
    pytest.importorskip("triton")
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "TRITON_INTERPRET": "1"}, cwd=Path(__file__).parents[2]
    )


@pytest.fixture
def on_cuda() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return "cuda"


def test_cuda_agrees_and_repeats_itself(on_cuda: str, scenes: list[Scene]) -> None:
    first = simulate_batch(scenes, device=on_cuda)
    again = simulate_batch(scenes[::-1], device=on_cuda, max_images_in_flight=10_000)[::-1]
    for given, one, two in zip(scenes, first, again, strict=True):
        assert one.rir.tobytes() == two.rir.tobytes()
        assert error_db(one.rir, image_source(given).rir) < -100


def test_fused_kernel_on_cuda_agrees_and_repeats_itself(on_cuda: str, scenes: list[Scene]) -> None:
    first = simulate_batch(scenes, device=on_cuda, kernel="triton")
    again = simulate_batch(scenes[::-1], device=on_cuda, kernel="triton", max_images_in_flight=10_000)[::-1]
    for given, one, two in zip(scenes, first, again, strict=True):
        assert one.rir.tobytes() == two.rir.tobytes()
        assert error_db(one.rir, image_source(given).rir) < -100
