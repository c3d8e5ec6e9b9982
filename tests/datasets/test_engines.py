"""All engines stand in one registry, and where a dataset was simulated does not matter to who makes it again."""

from pathlib import Path

import numpy as np
import pytest

import roomgen
from roomgen.acoustics import engine as engines
from roomgen.acoustics.images.sources import image_source
from roomgen.acoustics.images.sources_gpu import ImageSourcesOnGpu
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import make_scene
from roomgen.datasets.rooms.presets import load_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify

SMALL = {"rooms.count": 3, "place.rirs_per_room": 2, "signal.fs_hz": 8000, "signal.duration": 0.2, "splits.shares": {"train": 1.0}}


class WithoutGpu(ImageSourcesOnGpu):
    """The GPU's sums, by torch on the CPU."""

    device = "cpu"


def test_a_dataset_made_on_a_gpu_is_made_again_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    with monkeypatch.context() as patched:
        patched.setattr(engines, "engine_class", lambda name, device="cpu": WithoutGpu if device == "cuda" else None)
        patched.setattr("roomgen.datasets.rooms.plan.engine_class", lambda name, device="cpu": WithoutGpu)
        generate(load_settings("mixed", {**SMALL, "engine.device": "cuda"}), tmp_path / "a", workers=0, progress=False)
    dataset = roomgen.open(tmp_path / "a")
    assert dataset.info["settings"]["engine"]["device"] == "cuda"
    for item in dataset:
        comparison = compare_again(dataset, item)
        assert comparison.same, comparison.text
    assert verify(tmp_path / "a", deep=True) == []


def test_an_engine_answers_scenes_in_their_order() -> None:
    scenes = [
        make_scene(Shoebox((size, 4.0, 3.0), absorption=0.4), sources=[[1, 1, 1]], mics=[[2, 3, 2]], fs_hz=8000, duration_s=0.05)
        for size in (3.0, 5.0, 7.0)
    ]
    found = list(engines.get_engine("image").simulate(iter(scenes)))
    for scene, response in zip(scenes, found, strict=True):
        np.testing.assert_array_equal(response.rir, image_source(scene).rir)


def test_what_there_is_not_is_said() -> None:
    with pytest.raises(RoomgenError, match=r"unknown engine 'imag'\. Did you mean 'image'"):
        engines.get_engine("imag")
    with pytest.raises(RoomgenError, match="'reference' runs on the CPU, not on 'cuda'"):
        engines.get_engine("reference", "cuda")
