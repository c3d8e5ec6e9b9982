"""Shards: written whole and once, whoever else writes the same one, and found out where they are no longer what was written."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from roomgen.errors import DatasetError, RoomgenError
from roomgen.store.columns import COMMON, Column
from roomgen.store.folder import Folder
from roomgen.store.samples import Sample
from roomgen.store.schema import arrow_schema
from roomgen.store.shard import Mark, ShardWriter, check_files, iterate_tar, read_mark

COLUMNS = (*COMMON, Column("n_samples", "int32", "", "length in samples"))
SCHEMA = arrow_schema("0" * 16, COLUMNS)
STEM = "train-000000"


def sample(number: int, key: str = "", value: int = 0) -> Sample:
    key = key or f"sample-{number:04d}"
    row = {"key": key, "split": "train", "seed_index": number, "n_samples": number}
    return Sample(key, {"json": b"{}", "wav": bytes([value or number % 251]) * (700 + number)}, row)


def writer(root: Path) -> ShardWriter:
    store = Folder(root)
    store.make()
    return ShardWriter(store, STEM, schema=SCHEMA, settings_hash="0" * 16, split="train", audio_member="wav")


def write(root: Path, count: int = 60, value: int = 0) -> Mark:
    with writer(root) as shard:
        for number in range(count):
            shard.add(sample(number, value=value))
    return shard.mark


def bytes_of(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "data").iterdir())}


OTHER = """
import sys, time
from pathlib import Path
from tests.store.test_shard import sample, writer
with writer(Path(sys.argv[1])) as shard:
    for number in range(10):
        shard.add(sample(number))
    print("open", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_of_a_shard_that_is_killed_does_it_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "alone")
    with writer(tmp_path / "both") as shard:
        for number in range(40):
            shard.add(sample(number))
        other = subprocess.Popen([sys.executable, "-c", OTHER, str(tmp_path / "both")], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        other.send_signal(signal.SIGKILL)
        other.communicate()
        for number in range(40, 60):
            shard.add(sample(number))
    check_files(Folder(tmp_path / "both"), STEM, shard.mark, contents=True)
    left = [name for name in bytes_of(tmp_path / "both") if name.startswith(".roomgen-tmp-")]
    assert left  # of the one that was killed
    Folder(tmp_path / "both").clear()
    assert bytes_of(tmp_path / "both") == bytes_of(tmp_path / "alone")


def test_the_second_to_commit_finds_the_mark_and_discards_its_own(tmp_path: Path) -> None:
    with writer(tmp_path) as second:
        for number in range(60):
            second.add(sample(number))
        first = write(tmp_path)
        before = {path: path.stat().st_ino for path in (tmp_path / "data").iterdir() if not path.name.startswith(".")}
    assert second.mark == first
    assert {path: path.stat().st_ino for path in (tmp_path / "data").iterdir()} == before


def test_another_that_committed_something_else_is_an_error_and_its_shard_stays(tmp_path: Path) -> None:
    def meet_another() -> None:
        with writer(tmp_path) as second:
            second.add(sample(0))
            write(tmp_path, value=7)

    with pytest.raises(DatasetError, match="other contents"):
        meet_another()
    mark = read_mark(tmp_path, STEM)
    assert mark is not None
    assert mark.samples == 60
    check_files(Folder(tmp_path), STEM, mark, contents=True)
    assert len(bytes_of(tmp_path)) == 3


def test_many_writers_at_once_leave_one_right_shard(tmp_path: Path) -> None:
    marks: list[Mark] = []
    threads = [threading.Thread(target=lambda: marks.append(write(tmp_path))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(marks) == 6
    assert len(set(map(str, marks))) == 1
    check_files(Folder(tmp_path), STEM, marks[0], contents=True)
    assert len(bytes_of(tmp_path)) == 3


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_created_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # as file systems without links answer

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    store = Folder(tmp_path)
    store.make()
    name = f"data/{STEM}.json"
    assert store.create(name, b"one")
    assert not store.create(name, b"two")
    assert store.read(name) == b"one"
    assert [path.name for path in (tmp_path / "data").iterdir()] == [f"{STEM}.json"]


def test_offsets_and_rows_are_those_of_the_tar_whatever_the_length_of_keys(tmp_path: Path) -> None:
    keys = ["short", "k" * 97, "k" * 96, "l" * 200, "m" * 300, "last"]
    with writer(tmp_path) as shard:
        for number, key in enumerate(keys):
            shard.add(sample(number, key))
    data = (tmp_path / "data" / f"{STEM}.tar").read_bytes()
    rows = pq.read_table(tmp_path / "data" / f"{STEM}.parquet").to_pylist()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for row, key in zip(rows, keys, strict=True):
            audio = tar.extractfile(f"{key}.wav")
            assert audio is not None
            assert data[row["offset"] : row["offset"] + row["nbytes"]] == audio.read()
    found = [(key, ending) for key, ending, _, _ in iterate_tar(tmp_path / "data" / f"{STEM}.tar")]
    assert found == [(key, ending) for key in keys for ending in ("json", "wav")]


def test_short_keys_make_the_bytes_of_plain_ustar(tmp_path: Path) -> None:
    write(tmp_path, 3)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(3):
            one = sample(number)
            for ending, data in one.members.items():
                info = tarfile.TarInfo(f"{one.key}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    assert (tmp_path / "data" / f"{STEM}.tar").read_bytes() == file.getvalue()


def test_a_full_disk_in_the_middle_of_a_shard_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    """``/dev/full`` refuses what is flushed, when the file is closed at last too."""

    def fill() -> None:
        with writer(tmp_path) as shard, open("/dev/full", "wb") as full:
            os.dup2(full.fileno(), shard._file._file.fileno())
            for number in range(200):
                shard.add(sample(number))

    with pytest.raises(RoomgenError, match=f"{STEM}.tar: the disk is full") as error:
        fill()
    assert ".roomgen-tmp" not in str(error.value)
    assert bytes_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("damage", "words"), [("cut", "in place of"), ("zero", "holds other bytes than were written"), ("remove", "is missing")]
)
@pytest.mark.parametrize("ending", ["tar", "parquet"])
def test_what_is_no_longer_what_was_written_is_found(tmp_path: Path, damage: str, words: str, ending: str) -> None:
    mark = write(tmp_path)
    path = tmp_path / "data" / f"{STEM}.{ending}"
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-7] if damage == "cut" else bytes(path.stat().st_size))
    with pytest.raises(DatasetError, match=rf"{STEM}\.{ending} .*{words}.*Delete {STEM}\.json"):
        check_files(Folder(tmp_path), STEM, mark, contents=True)
