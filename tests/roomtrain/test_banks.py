"""Banks: what the dataset holds, the same from memory and from a mapped file, and a clear word where it is not what it says."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

import roomgen
from roomgen.datasets.rooms.presets import load_settings
from roomgen.errors import DatasetError
from roomgen.run.generate import generate
from roomgen.store.folder import TEMPORARY_PREFIX
from roomgen.store.lock import CannotLock
from roomtrain.banks import Bank, MappedBank, build, load_bank, map_bank, memory, open_bank, opening, source
from roomtrain.banks.halves import from_halves, to_halves
from roomtrain.errors import RoomtrainError
from tests.roomtrain.damage import edit_manifest, poison

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setenv(build.CACHE, str(tmp_path / "cache"))
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def rirs(goetz_made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(goetz_made / "downstream-rirs", tmp_path / "downstream-rirs"))


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Responses of four microphones, of different lengths."""
    overrides = {
        "rooms.count": 4,
        "place.rirs_per_room": 3,
        "signal.rt60_s": None,
        "signal.duration": "auto",
        "walls.absorption": 0.8,
        "array.geometry": "circular4:0.05",
        "shard_size": 5,
        "splits.shares": {"train": 0.5, "test": 0.5},
    }
    root = tmp_path_factory.mktemp("arrays") / "arrays"
    generate(load_settings("mc-simclr", overrides), root, workers=0, progress=False)
    return root


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("this must not be called")


def all_of(bank: Bank | MappedBank) -> torch.Tensor:
    return bank.rows(np.arange(len(bank)))


def assert_as_halves(rows: torch.Tensor, expected: torch.Tensor) -> None:
    """Compare with what float16 promises: 2⁻¹¹ of each value, or 2⁻³⁹ of its sample's peak."""
    peaks = expected.abs().amax(dim=(1, 2), keepdim=True)
    assert rows.shape == expected.shape
    assert bool(((rows - expected).abs() <= torch.maximum(2.0**-11 * expected.abs(), 2.0**-39 * peaks)).all())
    assert not torch.equal(rows, expected)


# What a bank holds


@pytest.mark.parametrize("split", [None, "train", "val"])
def test_a_bank_holds_the_samples_of_the_split_in_order(goetz_made: Path, split: str | None) -> None:
    dataset = roomgen.open(goetz_made / "downstream-rirs")
    bank = load_bank(dataset, split=split)
    items = [item for item in dataset if split is None or item.row["split"] == split]
    assert len(bank) == len(items) > 0
    assert bank.fs_hz == 16_000
    assert bank.table["key"].tolist() == [item.key for item in items]
    assert bank.audio.shape == (len(items), 1, max(item.audio.shape[1] for item in items))
    for row, item in zip(bank.audio.numpy(), items, strict=True):
        n = item.audio.shape[1]
        np.testing.assert_array_equal(row[:, :n], item.audio)
        assert not row[:, n:].any()


@pytest.mark.parametrize(("channels", "expected"), [(1, 1), (3, 3), (4, 4), (None, 4)])
def test_the_first_channels_are_read(arrays: Path, channels: int | None, expected: int) -> None:
    dataset = roomgen.open(arrays)
    bank = load_bank(dataset, channels=channels)
    assert bank.n_channels == expected
    assert len(set(bank.table["n_samples"])) > 1  # else padding would not be seen
    for row, item in zip(bank.audio.numpy(), dataset, strict=True):
        n = item.audio.shape[1]
        np.testing.assert_array_equal(row[:, :n], item.audio[:expected])
        assert not row[:, n:].any()


def test_channels_that_are_not_there_name_dataset_and_sample(goetz_made: Path) -> None:
    dataset = roomgen.open(goetz_made / "downstream-rirs")
    with pytest.raises(RoomtrainError, match=rf"downstream-rirs: sample {dataset[0].key} has 1 channel, where 2 are needed"):
        load_bank(dataset, channels=2)
    with pytest.raises(RoomtrainError, match="channels = 0: give 1 or more"):
        load_bank(dataset, channels=0)


def test_all_channels_must_be_equally_many(rirs: Path) -> None:
    def edit(columns: dict[str, list[Any]]) -> None:
        columns["n_channels"][3] = 2

    edit_manifest(rirs, edit)
    with pytest.raises(RoomtrainError, match=r"samples of 1 to 2 channels: give channels = 1"):
        load_bank(roomgen.open(rirs), channels=None)
    with pytest.raises(DatasetError, match=r"has \d+ values at 16000 Hz, where its manifest says 2 channels of \d+ values"):
        load_bank(roomgen.open(rirs))


@pytest.mark.parametrize("part", ["upstream-speech", "downstream-rirs"])
def test_threads_and_parts_change_nothing(goetz_made: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = load_bank(roomgen.open(goetz_made / part), split="train", workers=1)
    monkeypatch.setattr(source, "_CHUNK_SAMPLES", 3)
    many = load_bank(roomgen.open(goetz_made / part), split="train", workers=5)
    assert torch.equal(one.audio, many.audio)
    pd.testing.assert_frame_equal(one.table, many.table)


def test_responses_are_read_without_a_decoder_as_a_decoder_reads_them(arrays: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(source, "decode_audio", never)
        plain = load_bank(roomgen.open(arrays), channels=None)
    monkeypatch.setattr(source, "_as_written", lambda *_: None)
    assert torch.equal(plain.audio, load_bank(roomgen.open(arrays), channels=None).audio)


def test_columns_and_codes(goetz_made: Path) -> None:
    dataset = roomgen.open(goetz_made / "downstream-rirs")
    for bank in (load_bank(dataset), map_bank(dataset)):
        assert bank.column("rt60_s").dtype == torch.float32
        assert bank.column("rt60_s").tolist() == bank.table["rt60_s"].tolist()
        codes, rooms = bank.codes("room_id"), bank.table["room_id"].astype(str).to_numpy()
        assert ((codes[:, None] == codes[None]) == (rooms[:, None] == rooms[None])).all()
        assert sorted(set(codes)) == list(range(10))


# Rows and parts, from memory and from files


@pytest.mark.parametrize("kind", ["memory", "mapped-32", "mapped-16"])
def test_rows_are_those_asked_for(arrays: Path, kind: opening.Kind) -> None:
    bank = open_bank(roomgen.open(arrays), channels=None, kind=kind)
    assert (len(bank), bank.n_channels, bank.fs_hz, bank.device) == (12, 4, 16_000, torch.device("cpu"))
    expected = load_bank(roomgen.open(arrays), channels=None).audio
    assert bank.n_samples == expected.shape[2]
    wanted = np.array([7, 0, 7, 11])
    for indices in (wanted, torch.as_tensor(wanted), wanted.astype(np.int32)):
        rows = bank.rows(indices)
        assert (rows.dtype, rows.device.type, rows.shape) == (torch.float32, "cpu", (4, *expected.shape[1:]))
        if kind == "mapped-16":
            assert_as_halves(rows, expected[wanted])
        else:
            assert torch.equal(rows, expected[wanted])
    assert bank.rows(np.arange(0)).shape == (0, *expected.shape[1:])


@pytest.mark.parametrize("kind", ["memory", "mapped-32"])
@pytest.mark.parametrize(
    ("indices", "words"), [([0, 12], "sample 12 of a bank of 12"), ([-1], "sample -1"), ([0.5], "list of whole numbers")]
)
def test_rows_that_are_not_there_are_refused(arrays: Path, kind: opening.Kind, indices: list[Any], words: str) -> None:
    with pytest.raises(RoomtrainError, match=words):
        open_bank(roomgen.open(arrays), kind=kind).rows(np.array(indices))


@pytest.mark.parametrize("kind", ["memory", "mapped-32"])
def test_a_part_is_as_long_as_its_longest_sample(arrays: Path, kind: opening.Kind) -> None:
    bank = open_bank(roomgen.open(arrays), channels=2, kind=kind)
    lengths = bank.table["n_samples"].to_numpy()
    shorter = lengths < lengths.max()
    part = bank.part(shorter)
    assert part.n_samples == lengths[shorter].max() < bank.n_samples
    assert part.table["key"].tolist() == bank.table["key"][shorter].tolist()
    torch.testing.assert_close(all_of(part), all_of(bank)[shorter, :, : part.n_samples], rtol=0, atol=0)
    again = part.part(torch.tensor([2, 0]))
    torch.testing.assert_close(all_of(again), all_of(part)[[2, 0], :, : again.n_samples], rtol=0, atol=0)
    assert again.table["key"].tolist() == part.table["key"].iloc[[2, 0]].tolist()
    if isinstance(bank, MappedBank) and isinstance(again, MappedBank):
        assert again.records is bank.records
    for wrong, words in ((np.zeros(12, dtype=bool), "must hold a sample"), (np.ones(3, dtype=bool), "as many booleans")):
        with pytest.raises(RoomtrainError, match=words):
            bank.part(wrong)


def test_threads_read_a_mapped_bank_side_by_side(goetz_made: Path) -> None:
    bank = map_bank(roomgen.open(goetz_made / "downstream-rirs"))
    expected, random = all_of(bank), np.random.default_rng(0)
    asked = [random.integers(len(bank), size=17) for _ in range(50)]
    with ThreadPoolExecutor(4) as pool:
        for indices, rows in zip(asked, pool.map(bank.rows, asked), strict=True):
            assert torch.equal(rows, expected[indices])


# float16


def halved(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    into = torch.empty(audio.shape)
    from_halves(*to_halves(audio), into=into)
    return into.numpy().astype(np.float64)


@pytest.mark.parametrize("gain", [1.0, 1e-6, 3e4])
def test_a_decay_in_float16_is_as_faithful_at_its_end_as_at_its_beginning(gain: float) -> None:
    """Each 10 ms are right to −70 dB of their own level, from the first to the last, 150 dB below."""
    random, time_s = np.random.default_rng(0), np.arange(16_000) / 16_000
    audio = (gain * random.standard_normal((3, 2, 16_000)) * 10 ** (-7.5 * time_s)).astype(np.float32)
    blocks = audio.astype(np.float64).reshape(3, 2, 100, 160)
    errors = (halved(audio) - audio).reshape(blocks.shape)
    ratios_db = 10 * np.log10((errors**2).mean(axis=-1) / (blocks**2).mean(axis=-1))
    assert ratios_db.max() < -70
    assert ratios_db.mean() == pytest.approx(-74, abs=1.0)


def test_single_values_in_float16_err_by_no_more_than_the_format_does() -> None:
    random = np.random.default_rng(1)
    audio = (random.uniform(0.5, 1, size=(64, 1, 500)) * 10 ** random.uniform(-13, 0, size=(64, 1, 500))).astype(np.float32)
    peaks = np.abs(audio).max(axis=(1, 2), keepdims=True).astype(np.float64)
    errors = np.abs(halved(audio) - audio)
    assert (errors <= np.maximum(2.0**-11 * np.abs(audio), 2.0**-39 * peaks)).all()
    assert (errors[audio > 2.0**-28 * peaks] <= (2.0**-11 * np.abs(audio))[audio > 2.0**-28 * peaks]).all()


@pytest.mark.parametrize("peak", [0.0, 1e-45, 1e-38, 1.0, np.nextafter(np.float32(2), np.float32(0)), 3.4e38])
def test_peaks_of_any_size_stay_finite(peak: float) -> None:
    audio = np.array([[[peak, -peak / 3, 0.0]]], dtype=np.float32)
    np.testing.assert_allclose(halved(audio), audio, rtol=2.0**-11, atol=1e-40)


# What is wrong with a dataset


def test_an_empty_split_is_named(goetz_made: Path) -> None:
    with pytest.raises(RoomtrainError, match=r"nothing in the split 'tset'; its splits: test, train, val"):
        load_bank(roomgen.open(goetz_made / "downstream-rirs"), split="tset")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_names_its_sample(rirs: Path, value: float, cache: Path) -> None:
    key = roomgen.open(rirs)[17].key
    poison(rirs, key, value)
    for opened in (load_bank, map_bank):
        with pytest.raises(DatasetError, match=f"sample {key} holds values that are not finite") as raised:
            opened(roomgen.open(rirs))
        assert raised.value.exit_code == 1
    assert list(cache.iterdir()) == []


def test_a_shard_that_was_cut_short_or_is_missing_is_named(rirs: Path) -> None:
    tar = rirs / "data" / "val-000000.tar"
    tar.write_bytes(tar.read_bytes()[:20_000])
    with pytest.raises(DatasetError, match=r"val-000000\.tar ends before sample .*roomgen verify"):
        load_bank(roomgen.open(rirs))
    tar.unlink()
    with pytest.raises(DatasetError, match=r"val-000000\.tar is missing: run `roomgen verify"):
        load_bank(roomgen.open(rirs))


@pytest.mark.parametrize(("column", "value"), [("n_samples", 50), ("n_samples", 10**5), ("fs_hz", 8000), ("n_channels", 3)])
def test_audio_that_its_manifest_contradicts_is_named(rirs: Path, column: str, value: int) -> None:
    def edit(columns: dict[str, list[Any]]) -> None:
        columns[column] = [value] * len(columns[column])

    edit_manifest(rirs, edit)
    with pytest.raises(DatasetError, match=f"where its manifest says .*{value}"):
        load_bank(roomgen.open(rirs))


def test_more_than_one_rate_is_an_error(rirs: Path) -> None:
    def edit(columns: dict[str, list[Any]]) -> None:
        columns["fs_hz"][0] = 8000

    edit_manifest(rirs, edit)
    with pytest.raises(DatasetError, match=r"samples of \[8000, 16000\] Hz"):
        load_bank(roomgen.open(rirs))


# What fits


@pytest.mark.parametrize(("processes", "share", "fits"), [(1, 0.79, True), (1, 0.81, False), (2, 0.41, False)])
def test_a_bank_that_does_not_fit_is_refused_before_anything_is_read(
    goetz_made: Path, monkeypatch: pytest.MonkeyPatch, processes: int, share: float, fits: bool
) -> None:
    dataset = roomgen.open(goetz_made / "downstream-rirs")
    needed = 4 * load_bank(dataset).audio.numel()
    monkeypatch.setattr(memory, "free_bytes", lambda _: int(needed / share))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    if fits:
        assert len(load_bank(dataset)) == 100
        return
    monkeypatch.setattr(opening, "read", never)
    for opened in (load_bank, open_bank):
        with pytest.raises(RoomtrainError, match=r"audio of .*downstream-rirs takes .* GB.* free, .*use a mapped bank") as raised:
            opened(dataset)
        assert raised.value.exit_code == 1


def test_the_free_memory_of_this_machine_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    free = memory.free_bytes(torch.device("cpu"))
    assert 1e7 < free < 1e15
    monkeypatch.setattr(memory, "Path", lambda _: Path("/there-is-no-such-file"))
    assert 1e7 < memory.free_bytes(torch.device("cpu")) < 1e15


def test_a_disk_that_is_too_small_is_told_before_anything_is_read(goetz_made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    monkeypatch.setattr(opening, "read", never)
    with pytest.raises(RoomtrainError, match=r"1e-09 GB free, and a mapped bank of .* shall lie there: make room, or set ROOM"):
        map_bank(roomgen.open(goetz_made / "downstream-rirs"))


def test_a_cache_that_cannot_be_written_or_locked_is_one_clear_line(
    goetz_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = roomgen.open(goetz_made / "downstream-rirs")

    def cannot_lock(*_: Any, **__: Any) -> None:
        raise CannotLock("there are no locks.")

    with monkeypatch.context() as patch:
        patch.setattr(build, "locked", cannot_lock)
        with pytest.raises(RoomtrainError, match=r"there are no locks\. Set ROOMTRAIN_CACHE to a folder on a local disk"):
            map_bank(dataset)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(RoomtrainError, match=r"cannot write .* \(No space left on device\): make room there, or set ROOM"):
            map_bank(dataset)
    (tmp_path / "file").touch()
    monkeypatch.setenv(build.CACHE, str(tmp_path / "file"))
    with pytest.raises(RoomtrainError, match=r"cannot write .*: make room there, or set ROOMTRAIN_CACHE"):
        map_bank(dataset)


# The mapped file


def test_a_mapped_file_is_built_once_and_then_only_mapped(goetz_made: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = roomgen.open(goetz_made / "downstream-rirs")
    built = {half: map_bank(dataset, split="train", half=half) for half in (True, False)}
    files = {path.name: path.stat() for path in cache.iterdir()}
    assert len(files) == 2  # and no lock, nothing temporary
    assert all(name.endswith(".npy") for name in files)
    monkeypatch.setattr(opening, "read", never)
    for half, bank in built.items():
        again = map_bank(roomgen.open(goetz_made / "downstream-rirs"), split="train", half=half)
        assert torch.equal(all_of(again), all_of(bank))
        assert again.table["key"].equals(bank.table["key"])
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == {n: s.st_mtime_ns for n, s in files.items()}
    sizes = sorted(stat.st_size for stat in files.values())
    assert sizes[0] < 0.52 * sizes[1]


def test_numpy_reads_the_file(goetz_made: Path, cache: Path) -> None:
    bank = map_bank(roomgen.open(goetz_made / "downstream-rirs"))
    records = np.load(next(cache.iterdir()), mmap_mode="r", allow_pickle=False)
    audio = records["scale"][:, None, None] * records["audio"].astype(np.float32)
    np.testing.assert_array_equal(audio, all_of(bank).numpy())


def test_files_of_other_content_have_other_names(rirs: Path, arrays: Path, cache: Path) -> None:
    def in_other_order(columns: dict[str, list[Any]]) -> None:
        for values in columns.values():
            values[4], values[5] = values[5], values[4]

    for number, opened in enumerate(
        (
            lambda: map_bank(roomgen.open(rirs)),
            lambda: map_bank(roomgen.open(rirs), half=False),
            lambda: map_bank(roomgen.open(rirs), split="val"),
            lambda: map_bank(roomgen.open(arrays)),
            lambda: map_bank(roomgen.open(arrays), channels=2),
            lambda: (edit_manifest(rirs, in_other_order), map_bank(roomgen.open(rirs)))[1],
        ),
        start=1,
    ):
        opened()
        assert len(list(cache.iterdir())) == number
    expected = load_bank(roomgen.open(rirs)).audio
    assert_as_halves(all_of(map_bank(roomgen.open(rirs))), expected)


def cut_short(data: bytes) -> bytes:
    return data[:-1]


def too_long(data: bytes) -> bytes:
    return data + b"\0"


def other_header(data: bytes) -> bytes:
    return data.replace(b"'<f2'", b"'<i2'", 1)


def empty(_: bytes) -> bytes:
    return b""


def pickled(data: bytes) -> bytes:
    return pickle.dumps(data)


@pytest.mark.parametrize("damage", [cut_short, too_long, other_header, empty, pickled])
def test_a_file_that_was_damaged_is_built_anew(goetz_made: Path, cache: Path, damage: Callable[[bytes], bytes]) -> None:
    dataset = roomgen.open(goetz_made / "downstream-rirs")
    map_bank(dataset)
    path = next(cache.iterdir())
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert len(path.read_bytes()) != len(whole) or path.read_bytes() != whole
    map_bank(dataset)
    assert path.read_bytes() == whole
    assert list(cache.iterdir()) == [path]


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.roomtrain.built", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_two_processes_one_builds_and_both_map(goetz_made: Path, tmp_path: Path, cache: Path) -> None:
    log = tmp_path / "decoded"
    both = [start(goetz_made / "downstream-rirs", log) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0] != ""
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1
    assert [path.suffix for path in cache.iterdir()] == [".npy"]


def test_after_a_kill_while_building_the_next_one_builds(goetz_made: Path, tmp_path: Path, cache: Path) -> None:
    killed = start(goetz_made / "downstream-rirs", tmp_path / "decoded", 3)
    assert killed.wait(timeout=120) == -signal.SIGKILL, killed.communicate()
    left = sorted(path.name for path in cache.iterdir())
    assert [name.startswith((".lock-", TEMPORARY_PREFIX)) for name in left] == [True, True]
    dataset = roomgen.open(goetz_made / "downstream-rirs")
    assert_as_halves(all_of(map_bank(dataset)), load_bank(dataset).audio)
    assert [path.suffix for path in cache.iterdir()] == [".npy"]


# One entry for all kinds


def test_processes_side_by_side_decode_banks_in_memory_once(arrays: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_bank(roomgen.open(arrays), channels=None)
    monkeypatch.setattr(opening, "_COPIED", 5)
    for name, opened in (("LOCAL_WORLD_SIZE", open_bank), ("WORLD_SIZE", load_bank)):
        monkeypatch.setenv(name, "2")
        bank = opened(roomgen.open(arrays), channels=None)
        assert isinstance(bank, Bank)
        assert torch.equal(bank.audio, expected.audio)
        assert bank.table["key"].equals(expected.table["key"])
        monkeypatch.setattr(opening, "read", never)  # the second one finds the file
        monkeypatch.delenv(name)


def test_a_kind_that_is_none_is_named(arrays: Path) -> None:
    with pytest.raises(RoomtrainError, match=r"kind 'mapped16'. Did you mean 'mapped-16'\? Kinds: memory, mapped-16, mapped-32"):
        open_bank(roomgen.open(arrays), kind="mapped16")  # type: ignore[arg-type]
