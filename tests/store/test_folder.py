"""The one place that reads and writes the files of datasets: ranges, names that lead nowhere else, writes that are whole."""

import errno
import os
from pathlib import Path

import pytest

from roomgen.errors import DatasetError, RoomgenError
from roomgen.store.folder import DATASET_FILE, Folder


def made(root: Path) -> Folder:
    store = Folder(root)
    store.make()
    return store


def test_what_is_put_is_read_in_ranges_and_listed(tmp_path: Path) -> None:
    store = made(tmp_path)
    store.put("data/train-000000.tar", bytes(range(100)))
    with store.scratch("data/train-000001.tar") as path:
        path.write_bytes(b"second")
        assert list(store.names()) == ["data/train-000000.tar"]  # scratch is no file of the dataset
        store.put("data/train-000001.tar", path)
    store.put(DATASET_FILE, b"{}")
    assert store.read("data/train-000000.tar", 10, 5) == bytes(range(10, 15))
    assert store.read("data/train-000000.tar", 98, 10) == bytes([98, 99])
    assert store.read("data/train-000001.tar") == b"second"
    with store.stream("data/train-000000.tar") as file:
        file.seek(50)
        assert file.read(1) == bytes([50])
    assert list(store.names()) == ["data/train-000000.tar", "data/train-000001.tar", DATASET_FILE]
    assert list(store.names("data/train-000001")) == ["data/train-000001.tar"]
    assert store.size("data/train-000000.tar") == 100
    store.remove("data/train-000000.tar")
    store.remove("data/train-000000.tar")
    assert store.size("data/train-000000.tar") is None
    with pytest.raises(FileNotFoundError):
        store.read("data/train-000000.tar")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["train-000001.tar"]


@pytest.mark.parametrize("name", ["notes.txt", "../dataset.json", "/etc/passwd", "data/../x.tar", "data/", "", "data/a/b.tar"])
def test_no_name_leads_to_another_file(tmp_path: Path, name: str) -> None:
    store = made(tmp_path)
    for call in (store.read, store.stream, store.size, store.remove):
        with pytest.raises(DatasetError):
            call(name)
    with pytest.raises(DatasetError):
        store.put(name, b"")
    with pytest.raises(DatasetError):
        store.create(name, b"")


def test_two_attempts_have_two_scratches_which_vanish(tmp_path: Path) -> None:
    store = made(tmp_path)
    with store.scratch(DATASET_FILE) as one, store.scratch(DATASET_FILE) as other:
        assert one != other
        one.write_bytes(b"")
    assert not one.exists()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EIO, "input/output error"),
        (errno.EROFS, "read-only"),
        (errno.ENAMETOOLONG, "longer than the file system allows"),
        (errno.EDQUOT, "quota"),
        (errno.EBUSY, "Device or resource busy"),
    ],
)
def test_what_the_system_refuses_is_one_line_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    store = made(tmp_path)
    store.put(DATASET_FILE, b"before")

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(RoomgenError, match=words) as error:
        store.put(DATASET_FILE, b"after")
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 1
    assert store.read(DATASET_FILE) == b"before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [DATASET_FILE]


def test_new_is_a_folder_that_holds_nothing_of_others(tmp_path: Path) -> None:
    store = made(tmp_path)
    (tmp_path / ".roomgen-lock").touch()
    (tmp_path / "data" / ".roomgen-tmp-1-2-train-000000.tar").touch()
    assert store.is_new()
    for strange in (tmp_path / "thesis.tex", tmp_path / "data" / "speech.tar", tmp_path / ".hidden"):
        strange.touch()
        assert not store.is_new()
        strange.unlink()
    store.clear()
    assert list((tmp_path / "data").iterdir()) == []
