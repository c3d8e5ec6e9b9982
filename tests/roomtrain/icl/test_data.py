"""The data of a training: features of each second against torchaudio's, what is left out, and what is refused in one line."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.nn import functional

import roomgen
from roomgen.run.generate import generate
from roomtrain.errors import RoomtrainError
from roomtrain.paper import Place
from roomtrain.papers.icl.data import IclData
from tests.roomtrain.conftest import Said
from tests.roomtrain.damage import edit_manifest, poison
from tests.roomtrain.icl.made import SCENES, SEEN, icl_folder, shared_folder, tau_tree
from tests.roomtrain.icl.test_mel import reference

Roomtrain = Callable[..., Said]
CPU = Place(torch.device("cpu"), workers=1)
FS_HZ = 32_000


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_folder(tmp_path_factory)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A copy, to do with as the test likes."""
    return Path(shutil.copytree(made, tmp_path / "data"))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scene of 10 s by device A, and by all in the test; of the first recording of the test, pieces 2 and 7 are silent."""
    root = tmp_path_factory.mktemp("long")
    tree = tau_tree(root / "tree", places=(2, 1), scenes=("bus",), heard=("A",), seconds=10, fs_hz=FS_HZ)
    for piece in (2, 7):
        soundfile.write(tree / f"audio/bus-lyon-2-2-{piece}-a.wav", np.zeros(FS_HZ), FS_HZ, subtype="PCM_24")
    nearly = np.zeros(FS_HZ)
    nearly[20_000] = 2.0**-14  # two steps of the 16 bits that datasets have
    soundfile.write(tree / "audio/bus-lyon-2-2-5-a.wav", nearly, FS_HZ, subtype="PCM_24")
    return icl_folder(root / "data", tree, seconds=10)


def audio_of(root: Path, split: str) -> dict[str, np.ndarray[Any, Any]]:
    """By key, in the manifest's order: (time,) as roomgen reads it."""
    dataset = roomgen.open(root / "scenes")
    rows = dataset.table()
    return {key: np.asarray(dataset[key].audio)[0] for key in rows["key"][rows["split"] == split]}


def test_windows_are_the_features_of_every_second(made: Path) -> None:
    data, audio = IclData(made, CPU), audio_of(made, "test")
    windows, recordings = data.windows("test"), data.recordings("test")
    assert recordings.keys.tolist() == list(audio)
    assert list(zip(windows.recording, windows.second, strict=True)) == [(r, s) for r in range(len(audio)) for s in range(2)]
    seconds = torch.from_numpy(np.stack([own.reshape(2, FS_HZ) for own in audio.values()])).flatten(0, 1).float()
    torch.testing.assert_close(windows.log.float(), reference(seconds, 15_500.0), rtol=1e-3, atol=2e-3)


def test_some_of_each_lie_in_the_middle_of_equal_parts(long: Path) -> None:
    data = IclData(long, CPU)
    windows, whole = data.windows("val", of_each=3), data.windows("val")
    assert windows.second.tolist() == [1, 5, 8]  # of thirds of 10 s: 1.7, 5 and 8.3
    assert torch.equal(windows.log, whole.log[[1, 5, 8]])
    assert data.windows("val", of_each=1).second.tolist() == [5]
    for more in (10, 25):
        assert data.windows("val", of_each=more).second.tolist() == list(range(10))


def test_digital_silence_is_left_out_and_nothing_else(long: Path) -> None:
    data = IclData(long, CPU)
    windows, recordings = data.windows("test"), data.recordings("test")
    (silent,) = (row for row in range(len(recordings)) if data.devices[recordings.device[row]] == "A")
    left_out = {(silent, 2), (silent, 7)}
    expected = [(r, s) for r in range(len(recordings)) for s in range(10) if (r, s) not in left_out]
    assert list(zip(windows.recording, windows.second, strict=True)) == expected
    audio = list(audio_of(long, "test").values())
    seconds = torch.from_numpy(np.stack([audio[r][s * FS_HZ : (s + 1) * FS_HZ] for r, s in expected])).float()
    torch.testing.assert_close(windows.log.float(), reference(seconds, 15_500.0), rtol=1e-3, atol=2e-3)


def test_a_split_of_which_nothing_is_heard_is_one_error(tmp_path: Path) -> None:
    tree = tau_tree(tmp_path / "tree", places=(2, 1), scenes=("bus",), heard=("A",), fs_hz=FS_HZ)
    for path in (tree / "audio").glob("bus-lyon-2-2-1-*"):
        soundfile.write(path, np.zeros(FS_HZ), FS_HZ)
    data = IclData(icl_folder(tmp_path / "data", tree), CPU)
    assert len(data.windows("test")) == 9
    with pytest.raises(RoomtrainError, match="nothing but digital silence in the split 'test'"):
        data.windows("test", of_each=1)


def test_spectra_are_exact_but_for_bfloat16(made: Path) -> None:
    found = IclData(made, CPU).spectra("train")
    audio = torch.from_numpy(np.stack(list(audio_of(made, "train").values()))).float()
    emphasised = functional.conv1d(audio[:, None], torch.tensor([[[-0.97, 1.0]]]))[:, 0]
    window = torch.hann_window(800, periodic=False)
    exact = torch.stft(emphasised, 1024, hop_length=320, win_length=800, center=True, window=window, return_complex=True)
    assert found.dtype == torch.bfloat16
    assert found.shape == (54, 200, 513)
    power = exact.abs().square().transpose(1, 2)
    torch.testing.assert_close(found.float(), power, rtol=2**-8 + 1e-4, atol=1e-6 * float(power.max()))


def test_names_are_in_order_and_devices_of_training_come_first(made: Path) -> None:
    data = IclData(made, CPU)
    assert data.scenes == SCENES
    assert data.seen == SEEN
    assert data.devices == (*SEEN, "S4", "S5", "S6")
    rows = data.dataset.table()
    rows = rows[rows["split"] == "test"]
    found = data.recordings("test")
    assert [data.scenes[i] for i in found.scene] == rows["class_name"].tolist()
    assert [data.devices[i] for i in found.device] == rows["device"].tolist()
    assert found.groups.tolist() == rows["group"].tolist()
    assert found.seconds.tolist() == [2] * len(rows)
    # A run has scenes of its own, in its order.
    turned = data.recordings("test", scenes=("tram", "park", "bus", "airport"))
    assert [("tram", "park", "bus", "airport")[i] for i in turned.scene] == rows["class_name"].tolist()


def set_all(column: str, value: Any, *, where: str = "") -> Callable[[dict[str, list[Any]]], None]:
    """Return an edit of a manifest: a column of all rows, or of those of a split."""

    def edit(columns: dict[str, list[Any]]) -> None:
        columns[column] = [value if where in ("", s) else v for s, v in zip(columns["split"], columns[column], strict=True)]

    return edit


def set_first(column: str, value: Any, *, where: str) -> Callable[[dict[str, list[Any]]], None]:
    def edit(columns: dict[str, list[Any]]) -> None:
        columns[column][columns["split"].index(where)] = value

    return edit


WRONG: dict[str, tuple[Callable[[dict[str, list[Any]]], None], str]] = {
    "no validation": (set_all("split", "train", where="val"), "has no split 'val', only test, train"),
    "no test": (set_all("split", "train", where="test"), "has no split 'test'"),
    "a place in two splits": (set_first("group", "lyon-4", where="train"), "train and test share places lyon-4"),
    "no scene": (set_first("class_name", "", where="test"), "without a scene (column class_name)"),
    "no device": (set_all("device", ""), "without a device (column device)"),
    "another rate": (set_all("fs_hz", 44_100), "recordings at 44100 Hz; this paper's network takes 32000 Hz"),
    "two rates": (set_first("fs_hz", 16_000, where="val"), "recordings at 16000, 32000 Hz"),
    "too short": (set_first("n_samples", 31_999, where="train"), "less than a second"),
    "a scene of the test alone": (set_first("class_name", "metro", where="test"), "the scene 'metro' in validation or test"),
}


@pytest.mark.parametrize("what", WRONG)
def test_data_that_cannot_be_are_one_line(roomtrain: Roomtrain, copy: Path, tmp_path: Path, what: str) -> None:
    edit, names = WRONG[what]
    edit_manifest(copy / "scenes", edit)
    assert_refused(roomtrain, copy, tmp_path / "run", names=names)
    assert not (tmp_path / "run" / "settings.json").exists()


def train(roomtrain: Roomtrain, data: Path, out: Path, *more: object) -> Said:
    return roomtrain("train", "icl", "--preset", "smoke", "--device", "cpu", "--log", "none", "--data", data, "--out", out, *more)


def assert_refused(roomtrain: Roomtrain, data: Path, out: Path, *more: object, names: str) -> None:
    """One line on stderr, an exit code, and no results."""
    said = train(roomtrain, data, out, *more)
    assert said.code in (1, 2)
    (line,) = said.err.splitlines()
    assert line.startswith("roomtrain: ")
    assert names in line
    assert said.out == ""
    assert not (out / "results.json").exists()


def test_a_shard_that_is_cut_short_or_gone_is_one_line(roomtrain: Roomtrain, copy: Path, tmp_path: Path) -> None:
    shard = next((copy / "scenes" / "data").glob("train-*.tar"))
    with open(shard, "r+b") as file:
        file.truncate(shard.stat().st_size // 2)
    for bank in ("spectra", "memory", "mapped-16"):
        assert_refused(roomtrain, copy, tmp_path / bank, "--set", f"train.bank={bank!r}", names="roomgen verify")
    shard.unlink()
    assert_refused(roomtrain, copy, tmp_path / "gone", names=f"{shard.name}: it is missing")


def test_audio_that_is_no_numbers_is_one_line(roomtrain: Roomtrain, copy: Path, tmp_path: Path) -> None:
    response = roomgen.open(copy / "vintage-dirs").table()["key"][1]
    poison(copy / "vintage-dirs", response, np.nan)
    vintage = ("--set", 'augment.responses="vintage"')
    assert_refused(roomtrain, copy, tmp_path / "nan", *vintage, names=f"sample {response} holds values that are not finite")


def test_compressed_audio_with_other_bytes_is_one_line(roomtrain: Roomtrain, copy: Path, tmp_path: Path) -> None:
    key = next(iter(audio_of(copy, "val")))
    poison(copy / "scenes", key, np.nan)
    assert_refused(roomtrain, copy, tmp_path / "flac", names=f"sample {key} in val-000000.tar is not readable as audio")


def test_what_is_missing_or_another_kind_is_one_line(roomtrain: Roomtrain, copy: Path, tmp_path: Path) -> None:
    multi = ("--set", 'augment.responses="multi"')
    shutil.rmtree(copy / "multi-dirs")
    assert_refused(roomtrain, copy, tmp_path / "a", *multi, names="has no dataset multi-dirs/")
    shutil.copytree(copy / "scenes", copy / "multi-dirs")
    assert_refused(roomtrain, copy, tmp_path / "b", *multi, names="holds sources, where devices are needed")
    assert_refused(roomtrain, copy / "scenes", tmp_path / "c", names="is a dataset, where a folder with all datasets")
    shutil.copytree(copy / "vintage-dirs", copy / "scenes-by-device")
    assert_refused(roomtrain, copy, tmp_path / "d", names="holds devices, where renders are needed")
    (tmp_path / "empty").mkdir()
    assert_refused(roomtrain, tmp_path / "empty", tmp_path / "e", names="roomgen paper")


def test_responses_of_another_rate_are_one_line(roomtrain: Roomtrain, copy: Path, tmp_path: Path) -> None:
    from roomgen.datasets.devices.family import devices_settings

    shutil.rmtree(copy / "vintage-dirs")
    drawn = {"count": 3, "angles_deg": (0.0,), "distances_m": (0.5,), "fs_hz": 48_000}
    settings, inputs = devices_settings("microphones", None, drawn)
    generate(settings, copy / "vintage-dirs", workers=0, progress=False, inputs=inputs)
    vintage = ("--set", 'augment.responses="vintage"')
    assert_refused(roomtrain, copy, tmp_path / "run", *vintage, names="responses at 48000 Hz, and scenes at 32000 Hz")


def test_more_microphones_than_there_are_is_one_line(roomtrain: Roomtrain, made: Path, tmp_path: Path) -> None:
    few = ("--set", 'augment.responses="multi"', "--set", "augment.microphones=9")
    assert_refused(roomtrain, made, tmp_path / "run", *few, names="augment.microphones = 9")
