"""A paper's datasets: opened by name, told apart by their shards, and disjoint where they must be."""

import shutil
from pathlib import Path

import pytest

import roomgen
from roomgen.errors import DatasetError
from roomtrain.datasets import check_disjoint, fingerprint, open_part
from roomtrain.errors import RoomtrainError


def test_parts_that_are_missing_or_of_another_kind(goetz_made: Path) -> None:
    assert len(open_part(goetz_made, "upstream-rirs", family="rooms")) == 80
    with pytest.raises(RoomtrainError, match=r"no dataset nothing/: make all that the paper needs with `roomgen paper"):
        open_part(goetz_made, "nothing", family="rooms")
    with pytest.raises(RoomtrainError, match="holds sources, where rooms are needed"):
        open_part(goetz_made, "upstream-speech", family="rooms")


def test_groups_that_two_parts_share_are_named() -> None:
    check_disjoint("rooms", {"train": ["a", "a", "b"], "val": ["c"], "test": []})
    with pytest.raises(RoomtrainError, match=r"train and test share rooms b, c: .* disjoint by room\.") as raised:
        check_disjoint("rooms", {"train": ["a", "b", "c"], "val": ["d"], "test": ["c", "b"]})
    assert raised.value.exit_code == 1
    with pytest.raises(RoomtrainError, match=r"share speakers 0, 1, 2, 3, 4 and 3 more"):
        check_disjoint("speakers", {"train": list("01234567"), "val": list("76543210")})


def test_the_fingerprint_follows_the_shards(goetz_made: Path, tmp_path: Path) -> None:
    rirs = Path(shutil.copytree(goetz_made / "downstream-rirs", tmp_path / "downstream-rirs"))
    before = fingerprint(roomgen.open(goetz_made / "downstream-rirs"))
    assert fingerprint(roomgen.open(rirs)) == before
    assert before["samples"] == 100
    path = rirs / "dataset.json"
    sha256 = roomgen.open(rirs).info["shards"][0]["sha256"]
    path.write_text(path.read_text(encoding="utf-8").replace(sha256, "0" * 64), encoding="utf-8")
    assert fingerprint(roomgen.open(rirs))["sha256"] != before["sha256"]
    path.write_text(path.read_text(encoding="utf-8").replace('"sha256"', '"md5"'), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"dataset\.json lists no shards"):
        fingerprint(roomgen.open(rirs))
