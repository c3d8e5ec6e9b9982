"""`roomgen devices generated`: responses of a trained generator as a dataset, the same bytes whoever makes them."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch.nn import functional
from typer.testing import CliRunner

from roomgen.cli import app
from roomgen.datasets.devices.family import devices_settings
from roomgen.datasets.devices.plan import DevicesPlan
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset
from roomtrain.claims import claim
from roomtrain.fabric import start_fabric
from roomtrain.paper import Place, get_paper
from roomtrain.papers.icl.generator.conditions import DISTANCES_M
from roomtrain.papers.icl.generator.data import generator_data
from roomtrain.papers.icl.generator.generate import drawn_codes
from roomtrain.papers.icl.generator.load import load_generator
from roomtrain.papers.icl.generator.settings import FS_HZ, N_SAMPLES
from roomtrain.papers.icl.generator.task import Generation
from roomtrain.plans import settings_of
from roomtrain.run import Command, folders_of, train
from tests.roomtrain.icl.test_generator import toy_bank
from tests.roomtrain.made import trained

ANGLES = tuple(float(angle) for angle in range(0, 360, 12))
FEW: dict[str, Any] = {"count": 4, "angles_deg": ANGLES, "distances_m": (0.5, 5.0), "shard_size": 37}
KINDS = {
    "directivity": ("omni", "cardioid", "supercardioid", "bidirectional"),
    "transducer": ("condenser", "moving_coil", "ribbon"),
    "diaphragm_count": ("dual",),
    "diaphragm_size": ("large",),
    "address": ("side",),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has trained its generator, until it answers differently to what differs, and nothing else yet. Read only."""
    out, paper = tmp_path_factory.mktemp("runs") / "generated", get_paper("icl")
    values = {"norm": "none", "scale": "envelope", "hidden": 16, "fit.max_epochs": 30, "fit.learning_rate": 5e-3}
    generator = {f"generator.{name}": value for name, value in values.items()}
    settings = settings_of(paper, "smoke", {"augment.responses": "generated", **generator})
    claim(out, settings, cell="generated", data={}, root=out)
    stages = paper.stages(settings, None, Place(torch.device("cpu")))
    folder = folders_of(stages, out, None)["generator"]
    task = Generation(settings.generator, generator_data(toy_bank(n_train=6)))
    trained(task, folder, **settings.generator.fit.model_dump())
    (folder / "stage.json").write_text("{}")
    weights = load_file(weights_of(out))
    # The toy's microphones of one kind are all alike, and so would new ones be.
    save_file({**weights, "codes.weight": 30 * weights["codes.weight"]}, weights_of(out))
    return out


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to do with as the test likes."""
    return Path(shutil.copytree(run, tmp_path / "run"))


@pytest.fixture(scope="module")
def made(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("devices") / "made"
    make(root, run, **FEW)
    return root


def make(root: Path, run: Path, *, workers: int = 0, **values: Any) -> Dataset:
    overrides = {key.replace("__", "."): value for key, value in values.items()}
    settings, inputs = devices_settings("generated", None, overrides, model=run)
    generate(settings, root, workers=workers, progress=False, inputs=inputs)
    return Dataset(root)


def audio_of(dataset: Dataset) -> dict[str, bytes]:
    return {item.key: item.audio.tobytes() for item in dataset}


def shards_of(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "data").iterdir())}


def weights_of(run: Path) -> Path:
    return next(run.glob("generator-*")) / "best.safetensors"


def by_hand(run: Path, row: dict[str, Any], code: NDArray[np.float32]) -> NDArray[np.float64]:
    """The response of a row, step by step from the weights of a run."""
    w = load_file(weights_of(run))

    angle = np.deg2rad(row["angle_deg"])
    places = [np.cos(angle), np.sin(angle), 2 * np.log10(row["distance_m"] / 0.5) - 1]  # ±1 at 5 and 0.5 m
    yes = [1.0 if row[column] == name else -1.0 for column, names in KINDS.items() for name in names]
    x = torch.tensor([[*yes, *places, *code]], dtype=torch.float32)
    x = functional.linear(x, w["generator.condition.0.weight"], w["generator.condition.0.bias"])
    x = functional.prelu(x, w["generator.condition.1.weight"])
    x = functional.linear(x, w["generator.start.0.weight"], w["generator.start.0.bias"])
    x = functional.prelu(x, w["generator.start.2.weight"]).view(1, -1, 16)
    for number in range(3):
        x = functional.conv_transpose1d(x, w[f"generator.longer.{number}.weight"], stride=4, padding=19, output_padding=1)
        x = functional.prelu(x, w[f"generator.after.{number}.1.weight"])
    x = torch.tanh(functional.conv1d(x, w["generator.last.weight"], w["generator.last.bias"], padding=20))
    response = (x[0, 0] * w["scale"]).double().numpy()
    return np.asarray(response / np.sqrt(band_power(response)))


def band_power(response: NDArray[np.floating]) -> float:
    power = np.abs(np.fft.rfft(response.astype(np.float64))) ** 2
    return float(power[16:321].mean())  # bins are 31.25 Hz apart: 500 Hz to 10 kHz


def test_responses_are_those_of_the_trained_network(run: Path, made: Path) -> None:
    networks = load_generator(run).networks
    items = list(Dataset(made))[::23]
    assert np.ptp([item.audio[0] for item in items], axis=0).max() > 0.02  # they differ, so that a wrong condition would show
    for item in items:
        number = np.array([int(item.row["microphone"].removeprefix("gen"))])
        expected = by_hand(run, item.row, drawn_codes(networks, number, seed=0)[0].numpy())
        np.testing.assert_allclose(item.audio[0], expected, rtol=0, atol=2e-5 * np.abs(expected).max())
        assert band_power(item.audio[0]) == pytest.approx(1.0, abs=1e-5)


def test_rows_say_what_is_heard_from_where(made: Path) -> None:
    dataset = Dataset(made)
    table = dataset.table()
    assert len(table) == 4 * 30 * 2
    assert table["key"].is_unique
    assert set(table["kind"]) == {"generated"}
    assert set(table["microphone"]) == {"gen000", "gen001", "gen002", "gen003"}
    assert (table.groupby("microphone", observed=True)["split"].nunique() == 1).all()
    assert set(table["split"]) == {"train", "val", "test"}
    places = set(zip(table["angle_deg"], table["distance_m"], strict=True))
    assert places == {(angle, distance) for angle in ANGLES for distance in (0.5, 5.0)}
    assert set(table["n_samples"]) == {1024}
    assert set(table["fs_hz"]) == {32000}
    for item in list(dataset)[::29]:
        values = item.row["conditioning"]
        assert sum(values[:7]) == 2
        assert np.hypot(*values[10:]) == pytest.approx(item.row["distance_m"])


def test_constructions_and_compression_are_those_of_parametric_microphones(run: Path, tmp_path: Path) -> None:
    asked = {"count": 26, "angles_deg": (0.0,), "distances_m": (0.5,), "compress": 0.5}
    settings, _ = devices_settings("microphones", None, asked)
    generate(settings, tmp_path / "drawn", workers=0, progress=False)
    ours = make(tmp_path / "made", run, **asked)
    tables = [dataset.table().sort_values("microphone").reset_index(drop=True) for dataset in (ours, Dataset(tmp_path / "drawn"))]
    of_design = [name for name in tables[0] if name.startswith("drc_") or name in KINDS]
    pd.testing.assert_frame_equal(tables[0][of_design], tables[1][of_design])
    assert tables[0]["drc_ratio"].gt(1).any()
    # The 26th is of the first one's construction, and another microphone.
    alike = {item.row["microphone"]: item for item in ours if item.row["microphone"] in ("gen000", "gen025")}
    assert alike["gen000"].row["conditioning"] == alike["gen025"].row["conditioning"]
    assert np.abs(alike["gen000"].audio - alike["gen025"].audio).max() > 1e-3


def test_the_same_bytes_for_any_workers_and_after_an_interruption(run: Path, made: Path, tmp_path: Path) -> None:
    expected = shards_of(made)
    make(tmp_path / "two", run, workers=2, **FEW)
    assert shards_of(tmp_path / "two") == expected
    for path in sorted((tmp_path / "two" / "data").glob("train-00000[13].*")):
        path.unlink()
    make(tmp_path / "two", run, **FEW)
    assert shards_of(tmp_path / "two") == expected
    assert audio_of(make(tmp_path / "other", run, **{**FEW, "seed": 1})) != audio_of(Dataset(made))


def test_what_else_is_made_changes_no_bit(run: Path, made: Path, tmp_path: Path) -> None:
    before, expected = torch.get_num_threads(), audio_of(Dataset(made))
    torch.set_num_threads(2)
    try:
        others = audio_of(make(tmp_path / "others", run, **{**FEW, "count": 3, "distances_m": (5.0, 1.25), "shard_size": 1000}))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    common = sorted(set(others) & set(expected))
    assert len(common) == 3 * 30
    assert all(others[key] == expected[key] for key in common)


def test_a_sample_is_made_again_to_the_last_bit(made: Path) -> None:
    assert verify(made, deep=True) == []
    dataset = Dataset(made)
    assert all(compare_again(dataset, dataset[number]).identical for number in range(len(dataset) - 1, 0, -7))


def test_the_card_says_that_nothing_was_measured(run: Path, made: Path) -> None:
    text = (made / "README.md").read_text(encoding="utf-8")
    assert "# Generated microphones: impulse responses" in text
    assert "Generated: by a network trained on" in text
    assert "not measured" in text
    assert load_generator(run).fingerprint in text


@pytest.mark.parametrize("level", ["keep", "energy", "axis"])
def test_levels(run: Path, tmp_path: Path, level: str) -> None:
    angles = (24.0, 90.0)  # without the axis, which is made for its level alone
    dataset = make(
        tmp_path / "out", run, level=level, count=1, angles_deg=angles, distances_m=(0.5,), splits__shares={"train": 1.0}
    )
    alone = make(tmp_path / "all", run, count=3, angles_deg=(0.0, *angles), distances_m=(0.5,))
    plain = {item.row["angle_deg"]: item.audio for item in alone if item.row["microphone"] == "gen000"}
    for item in dataset:
        own, axis = plain[item.row["angle_deg"]], plain[0.0]
        gain = {"keep": 1.0, "energy": 1.0 / np.linalg.norm(own), "axis": 1.0 / np.linalg.norm(axis)}[level]
        np.testing.assert_allclose(item.audio, own * gain, rtol=0, atol=1e-5 * np.abs(own * gain).max())
    assert verify(tmp_path / "out", deep=True) == []


def test_commands_list_make_show_and_replay(run: Path, tmp_path: Path) -> None:
    command = ["devices", "generated", "--model", str(run), "--n", "3", "--out", str(tmp_path / "out"), "--workers", "0"]
    command += ["--set", "angles_deg=[0.0, 90.0]"]
    listed = CliRunner().invoke(app, [*command, "--dry-run"])
    assert listed.exit_code == 0, listed.output
    assert "gen001-1p25m-90deg: gen001 90° 1.25 m (omni condenser)" in listed.output
    assert "18 responses, 0 files not read" in listed.output
    assert not (tmp_path / "out").exists()
    said = [CliRunner().invoke(app, command)]
    for asked in (["inspect"], ["verify", "--deep"]):
        said.append(CliRunner().invoke(app, [*asked, str(tmp_path / "out")]))
    said.append(CliRunner().invoke(app, ["replay", str(tmp_path / "out"), "gen001-1p25m-90deg"]))
    assert [one.exit_code for one in said] == [0] * 4, [one.output for one in said]
    assert "18 (train" in said[1].output
    assert str(run.name) in said[1].output
    assert "the same to the last bit" in said[3].output


def test_a_generator_that_changed_is_noticed(copied: Path, tmp_path: Path) -> None:
    few = {"count": 3, "angles_deg": (0.0,), "distances_m": (0.5,)}
    settings, inputs = devices_settings("generated", None, few, model=copied)
    make(tmp_path / "out", copied, **few)
    weights = load_file(weights_of(copied))
    save_file({**weights, "codes.weight": 2 * weights["codes.weight"]}, weights_of(copied))
    with pytest.raises(RoomgenError, match="has changed since the dataset was begun") as error:
        generate(settings, tmp_path / "new", workers=0, progress=False, inputs=inputs)
    assert error.value.exit_code == 1
    assert not (tmp_path / "new").exists()
    with pytest.raises(RoomgenError, match=f'other settings: fingerprint: "{settings.fingerprint}" →'):
        make(tmp_path / "out", copied, **few)


def test_a_row_of_the_paper_is_a_run_of_one(icl_made: Path, tmp_path: Path) -> None:
    paper, few = get_paper("icl"), {"train.steps": 1, "train.fit.max_epochs": 1, "probe.fit.max_epochs": 1}
    settings = settings_of(paper, "smoke", {"augment.responses": "generated", **few})
    command = Command(start_fabric("cpu"), shared=tmp_path)
    train(paper, settings, cell="generated", root=icl_made, out=tmp_path / "generated", command=command)
    make(tmp_path / "out", tmp_path / "generated", count=3, angles_deg=(0.0, 30.0))
    assert verify(tmp_path / "out", deep=True) == []


def test_a_generator_may_lie_beside_the_run(run: Path, copied: Path) -> None:
    folder = weights_of(copied).parent
    folder.rename(copied.parent / folder.name)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    assert load_generator(copied).fingerprint == load_generator(run).fingerprint
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"fs_hz": 16000}, "fs_hz 16000 and n_samples 1024 cannot be generated: the network gives 1024 samples at 32000 Hz"),
        ({"n_samples": 512}, "fs_hz 32000 and n_samples 512 cannot be generated"),
        ({"distances_m": (0.5, 2.0)}, r"distances_m 2 cannot be generated: the network has heard 0\.5, 1\.25, 5 m"),
        ({"lead_samples": 8}, "lead_samples is for folder and multi-angle, not for generated"),
        ({"recorders": {"train": ("A",)}}, "recorders is for recorders, not for generated"),
        ({"fingerprint": "0" * 16}, "has changed since"),
    ],
)
def test_what_cannot_be_generated_is_refused(run: Path, overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(RoomgenError, match=words):
        DevicesPlan(*devices_settings("generated", None, overrides, model=run))


def test_settings_allow_what_the_generator_gives(run: Path) -> None:
    settings, _ = devices_settings("generated", None, {}, model=run)
    assert (settings.fs_hz, settings.n_samples, settings.distances_m) == (FS_HZ, N_SAMPLES, DISTANCES_M)
    assert settings.level == "band"


def test_runs_without_a_generator_are_refused(run: Path, copied: Path, tmp_path: Path) -> None:
    def refused(model: Path | None, words: str, *, code: int, kind: str = "generated") -> None:
        with pytest.raises(RoomgenError, match=words) as error:
            devices_settings(kind, None, {}, model=model)
        assert error.value.exit_code == code
        assert "\n" not in str(error.value)

    refused(None, "needs --model RUN", code=2)
    refused(run, "--model is for generated; microphones has no use for it", code=2, kind="microphones")
    refused(tmp_path / "none", "is not a run", code=2)
    goetz = get_paper("goetz")
    claim(tmp_path / "soft", settings_of(goetz, "smoke", {}), cell="soft", data={}, root=tmp_path)
    refused(tmp_path / "soft", "is a run of goetz soft, which has no generator", code=2)
    with pytest.raises(RoomgenError, match="needs --model RUN"):
        DevicesPlan(devices_settings("generated", None, {}, model=run)[0], {})
    weights = weights_of(copied)
    cut = load_file(weights)
    save_file({**cut, "scale": cut["scale"][:5].clone()}, weights)
    refused(copied, "does not fit", code=1)
    weights.write_bytes(b"nothing")
    refused(copied, "cannot be read", code=1)
    (weights.parent / "stage.json").unlink()
    refused(copied, "not trained to its end", code=1)
    said = (copied / "settings.json").read_text(encoding="utf-8")
    (copied / "settings.json").write_text(said.replace('"responses": "generated"', '"responses": "none"'), encoding="utf-8")
    refused(copied, "is a run of icl generated, which has no generator", code=2)


def test_tables_and_networks_that_give_no_response_are_named(run: Path, copied: Path) -> None:
    kind = dict(zip(KINDS, ("omni", "ribbon", "dual", "small", "end"), strict=True))
    table = pd.DataFrame([{"key": "x", **kind, "angle_deg": 0.0, "distance_m": 0.5}] * 2)
    generator = load_generator(run)
    made = generator.respond(table, [3, 4], seed=0)
    assert made.shape == (2, 1024)
    assert not np.array_equal(made[0], made[1])
    np.testing.assert_array_equal(*generator.respond(table, 3, seed=0))
    for rows, microphone in ((table, [1, 2, 3]), (table[:0], 1)):
        with pytest.raises(RoomgenError, match="give at least one row, and one number for all or each"):
            generator.respond(rows, microphone, seed=0)
    weights = load_file(weights_of(copied))
    for factor in (float("nan"), 0.0):
        save_file({**weights, "scale": factor * weights["scale"]}, weights_of(copied))
        with pytest.raises(RoomgenError, match="answers with silence, or with what is no number") as error:
            load_generator(copied).respond(table, 1, seed=0)
        assert error.value.exit_code == 1


def test_without_torch_only_this_kind_is_missing() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from roomgen.datasets.devices.family import devices_settings\n"
        "from roomgen.errors import RoomgenError\n"
        "devices_settings('microphones', None, {})\n"
        "assert not any(name.startswith('roomtrain') for name in sys.modules)\n"
        "try: devices_settings('generated', None, {}, model=Path('run'))\n"
        "except RoomgenError as error: print(error.exit_code, error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "1 devices generated needs torch, which is not installed: pip install 'roomgen[train]'.\n"
