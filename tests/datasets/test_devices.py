"""Datasets of device responses: made, imported, divided by microphone, and made again from their rows."""

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from roomgen.acoustics.magnitude import magnitude_db
from roomgen.cli import app
from roomgen.datasets.devices.family import DevicesJob, DevicesPlan, devices_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

FEW = {"count": 4, "angles_deg": (0.0, 90.0, 180.0), "distances_m": (0.5, 5.0), "shard_size": 7}


def make(root, kind="microphones", folder=None, csv=None, workers=0, max_broken=0.0, **overrides):
    values = {key.replace("__", "."): value for key, value in overrides.items()}
    settings, inputs = devices_settings(kind, folder, values, csv=csv)
    generate(settings, root, workers=workers, progress=False, inputs=inputs, max_broken=max_broken)
    return Dataset(root)


def bytes_of(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("devices") / "made"
    make(root, **FEW)
    return root


@pytest.fixture
def tree(tmp_path):
    """Two microphones at three angles; quieter from the side, and one twice as loud as the other."""
    folder = tmp_path / "tree"
    for loudness, microphone in ((1.0, "SM57"), (0.5, "NT2-A")):
        for angle, gain in ((0, 0.5), (90, 0.25), (180, 0.05)):
            samples = np.zeros(3000)
            samples[500:503] = np.array([1.0, 0.5, 0.25]) * gain * loudness
            path = folder / microphone / f"{microphone}_50cm_{angle:03d}deg.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, samples, 48000, subtype="PCM_24")
    soundfile.write(folder / "sweep.wav", np.ones(100), 48000)
    return folder


def test_every_microphone_from_every_place(made):
    table = Dataset(made).table()
    assert len(table) == 4 * 3 * 2
    assert table["key"].is_unique
    assert not table["key"].str.contains(r"\.").any()
    assert set(zip(table["angle_deg"], table["distance_m"], strict=True)) == {(a, d) for a in (0, 90, 180) for d in (0.5, 5.0)}
    assert (table["n_samples"] == 1024).all()
    assert (table["fs_hz"] == 32000).all()
    assert (table["drc_ratio"] == 1.0).all()


def test_splits_divide_microphones(made):
    table = Dataset(made).table(["split", "microphone"])
    assert (table.groupby("microphone", observed=True)["split"].nunique() == 1).all()
    assert set(table["split"]) == {"train", "val", "test"}


def test_conditioning_is_what_the_columns_say(made):
    for item in list(Dataset(made))[::5]:
        row, values = item.row, item.row["conditioning"]
        assert len(values) == 12
        assert values[("omni", "cardioid", "supercardioid", "bidirectional").index(row["directivity"])] == 1
        assert values[4 + ("condenser", "moving_coil", "ribbon").index(row["transducer"])] == 1
        assert sum(values[:7]) == 2
        assert values[7:10] == [row["diaphragm_count"] == "dual", row["diaphragm_size"] == "large", row["address"] == "side"]
        assert np.hypot(*values[10:]) == pytest.approx(row["distance_m"])
        assert np.rad2deg(np.arctan2(values[11], values[10])) % 360 == pytest.approx(row["angle_deg"], abs=1e-4)


def test_the_same_bytes_for_any_workers_and_after_an_interruption(made, tmp_path):
    expected = bytes_of(made)
    make(tmp_path / "two", workers=2, **FEW)
    assert bytes_of(tmp_path / "two") == expected
    for name in ("train-000001.json", "val-000000.json"):
        (tmp_path / "two" / "data" / name).unlink()
    make(tmp_path / "two", **FEW)
    assert bytes_of(tmp_path / "two") == expected
    make(tmp_path / "other", seed=1, **FEW)
    assert bytes_of(tmp_path / "other") != expected


def test_a_sample_is_made_again_to_the_last_bit(made):
    assert verify(made, deep=True) == []
    dataset = Dataset(made)
    assert all(compare_again(dataset, item).identical for item in dataset)


@pytest.mark.parametrize("level", ["keep", "energy", "axis"])
def test_levels(tmp_path, level):
    dataset = make(tmp_path / "out", level=level, **{**FEW, "splits__shares": {"train": 1.0}})
    energies = {(i.row["microphone"], i.row["distance_m"], i.row["angle_deg"]): i.row["energy_db"] for i in dataset}
    for (microphone, distance_m, angle_deg), value in energies.items():
        if level == "energy" or (level == "axis" and angle_deg == 0):
            assert value == pytest.approx(0.0, abs=1e-4)
        elif level == "axis":
            assert value < 0.5, (microphone, distance_m, angle_deg)
    if level == "keep":
        assert len({round(value, 2) for value in energies.values()}) > 12
    assert verify(tmp_path / "out", deep=True) == []


def test_recorders_are_the_same_device_in_every_split(tmp_path):
    root = tmp_path / "recorders"
    dataset = make(root, "recorders", recorders={"train": ("A", "S1"), "test": ("A", "S1", "S4")})
    assert [item.key for item in dataset] == ["train-A", "train-S1", "test-A", "test-S1", "test-S4"]
    np.testing.assert_array_equal(dataset["train-S1"].audio, dataset["test-S1"].audio)
    assert dataset["train-A"].row["drc_ratio"] == 1.0
    assert dataset["test-S4"].row["drc_ratio"] > 1.0
    assert dataset["test-S4"].row["conditioning"] == []
    assert np.isnan(dataset["test-S4"].row["angle_deg"])
    assert verify(root, deep=True) == []


def test_micirp_is_imported(shared_data, tmp_path):
    dataset = make(tmp_path / "out", "folder", shared_data / "MicIRP")
    table = dataset.table()
    assert len(table) == 66
    assert table["microphone"].nunique() == 66
    assert table["source_fs_hz"].value_counts().to_dict() == {44100: 61, 48000: 5}
    np.testing.assert_allclose(table["energy_db"], 0.0, atol=1e-3)
    assert (table["peak_s"] <= 0.0011).all()
    assert (table["kind"] == "measured").all()
    assert verify(tmp_path / "out", deep=True) == []
    # What is heard is the file's: its spectrum up to one gain, apart from what rings on after 32 ms.
    item = next(item for item in dataset if item.row["microphone"] == "Beyer_M260")
    original, fs_hz = soundfile.read(shared_data / "MicIRP" / "Beyer_M260.wav", dtype="float32")
    hz = np.array([200.0, 500.0, 1000.0, 3000.0, 6000.0])
    difference = magnitude_db(item.audio[0], hz, fs_hz=32000) - magnitude_db(original, hz, fs_hz=fs_hz)
    assert np.ptp(difference) < 0.7


def test_a_multi_angle_folder_is_imported(tree, tmp_path):
    dataset = make(tmp_path / "out", "multi-angle", tree, splits__shares={"train": 0.5, "test": 0.5})
    assert len(dataset) == 6
    levels = {(i.row["microphone"], i.row["angle_deg"]): i.row["energy_db"] for i in dataset}
    for microphone in ("SM57", "NT2-A"):
        assert levels[microphone, 0.0] == pytest.approx(0.0, abs=1e-3)
        assert levels[microphone, 90.0] == pytest.approx(20 * np.log10(0.5), abs=0.01)
        assert levels[microphone, 180.0] == pytest.approx(20 * np.log10(0.1), abs=0.02)
    assert {i.row["peak_s"] for i in dataset} == {np.float32(32 / 32000)}
    assert verify(tmp_path / "out", deep=True) == []
    by_pattern = make(tmp_path / "pattern", "multi-angle", tree, pattern=r"(?P<mic>[^/_]+)_(?P<distance>\d+cm)_(?P<angle>\d+)deg",
                      splits__shares={"train": 0.5, "test": 0.5})  # fmt: skip
    assert [i.key for i in by_pattern] == [i.key for i in dataset]


def test_a_list_says_what_files_are_and_makes_conditioning(tree, tmp_path):
    header = "file,microphone,angle_deg,distance_m,directivity,transducer,diaphragm_size,diaphragm_count,address"
    rows = ["SM57/SM57_50cm_000deg.wav,SM57,0,0.5,cardioid,moving_coil,small,single,end", "sweep.wav,X,45,1,,,,,"]
    (tmp_path / "list.csv").write_text("\n".join([header, *rows]))
    dataset = make(tmp_path / "out", "multi-angle", tree, tmp_path / "list.csv", splits__shares={"train": 1.0})
    rows = {item.row["microphone"]: item.row for item in dataset}
    assert rows["SM57"]["conditioning"] == [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0.5, 0.0]
    assert rows["X"]["conditioning"] == []
    assert verify(tmp_path / "out", deep=True) == []


def test_what_cannot_be_read_is_left_out_and_counted(tree, tmp_path):
    (tree / "SM57" / "SM57_50cm_090deg.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(RoomgenError, match=r"1 of 6 input files cannot be read.*SM57_50cm_090deg\.wav: not readable"):
        make(tmp_path / "strict", "multi-angle", tree, splits__shares={"train": 1.0})
    dataset = make(tmp_path / "out", "multi-angle", tree, splits__shares={"train": 1.0}, max_broken=0.2)
    assert len(dataset) == 5
    assert verify(tmp_path / "out", deep=True) == []


def test_files_that_changed_are_noticed(tree, tmp_path):
    settings, inputs = devices_settings("multi-angle", tree, {"splits.shares": {"train": 1.0}})
    soundfile.write(tree / "SM57" / "SM57_50cm_090deg.wav", np.ones(99), 48000)
    with pytest.raises(RoomgenError, match="have changed since"):
        generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs)


def test_a_listing_says_what_would_be_read_and_writes_nothing(tree, tmp_path):
    command = ["devices", "multi-angle", "--root", str(tree), "--dry-run", "--out", str(tmp_path / "out"), "--splits", "train=1"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "SM57/SM57_50cm_090deg.wav: SM57 90° 0.5 m (3000 samples at 48000 Hz)" in result.output
    assert "not read: sweep.wav" in result.output
    assert "6 responses, 1 files not read" in result.output
    assert not (tmp_path / "out").exists()
    made = DevicesPlan(devices_settings("microphones", None, FEW)[0], {}).listing()
    assert len(made["responses"]) == 24
    assert made["unmatched"] == []
    assert {entry["split"] for entry in made["responses"]} == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("kind", "overrides", "words"),
    [
        ("gramophones", {}, "unknown kind of devices 'gramophones'"),
        ("folder", {}, "needs --root DIR"),
        ("recorders", {"recorders": {"train": ("Z",)}}, "unknown device 'Z'"),
        ("recorders", {"count": 3}, "count is for microphones, not for recorders"),
        ("recorders", {"splits.shares": {"train": 1.0}}, "--set recorders="),
        ("microphones", {"pattern": "x"}, "pattern is for multi-angle"),
        ("microphones", {"angles_deg": (0.0, 360.0)}, "none twice"),
        ("microphones", {"distances_m": (0.0,)}, "distances_m"),
        ("microphones", {"n_samples": 64, "lead_samples": 32}, "lead_samples is for folder and multi-angle"),
        ("microphones", {"n_sample": 64}, "unknown setting 'n_sample'"),
    ],
)
def test_wrong_use_is_explained(kind, overrides, words):
    with pytest.raises(RoomgenError, match=words) as error:
        devices_settings(kind, None, overrides)
    assert error.value.exit_code == 2


def test_too_few_microphones_for_the_splits():
    settings, _ = devices_settings("microphones", None, {**FEW, "count": 2})
    with pytest.raises(RoomgenError, match="2 microphones cannot be divided"):
        DevicesPlan(settings, {})


def test_a_folder_whose_names_say_nothing(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.ones(100), 48000)
    with pytest.raises(RoomgenError, match="by their names none of 1 audio files"):
        devices_settings("multi-angle", tmp_path, {})
    with pytest.raises(RoomgenError, match="is not a folder"):
        devices_settings("folder", tmp_path / "a.wav", {})
    with pytest.raises(RoomgenError, match="--csv is for multi-angle"):
        devices_settings("folder", tmp_path, {}, csv=tmp_path / "list.csv")


def test_measured_columns_are_those_of_the_audio():
    audio = np.zeros((1, 1024), np.float32)
    audio[0, 64] = -2.0
    settings, _ = devices_settings("microphones", None, {})
    found = DevicesJob(settings).measured({}, audio)
    assert found == {"energy_db": pytest.approx(20 * np.log10(2)), "peak_s": 64 / 32000}


def test_levels_in_figures_are_those_of_the_response():
    hz = np.array([100.0, 1000.0, 10000.0])
    np.testing.assert_allclose(magnitude_db(np.eye(1, 1024)[0] * 0.5, hz, fs_hz=32000), 20 * np.log10(0.5), atol=1e-3)
    low_pass = np.convolve([0.5, 0.5], np.eye(1, 500)[0])
    expected = 20 * np.log10(np.cos(np.pi * hz / 32000))
    np.testing.assert_allclose(magnitude_db(low_pass, hz, fs_hz=32000), expected, atol=0.05)
