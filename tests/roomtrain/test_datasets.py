"""A paper's datasets: opened by name, told apart by their shards, and disjoint where they must be."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import roomgen
from roomgen.errors import DatasetError
from roomgen.store.info import read_info, write_info
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


def unfinished(root: Path) -> None:
    edit_info(root, lambda info: info.update(complete=False))


def of_other_settings(root: Path) -> None:
    edit_info(root, lambda info: info.update(settings_hash="0" * 16))


def with_a_shard_less(root: Path) -> None:
    edit_info(root, lambda info: info["shards"].pop())


def without_a_tar(root: Path) -> None:
    next((root / "data").glob("*.tar")).unlink()


def with_a_tar_cut_short(root: Path) -> None:
    path = next((root / "data").glob("*.tar"))
    path.write_bytes(path.read_bytes()[:-1024])


def with_rows_less(root: Path) -> None:
    path = root / "manifest.parquet"
    pq.write_table(pq.read_table(path).slice(0, 7), path)


def edit_info(root: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    info = read_info(root)
    edit(info)
    write_info(root, info)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (unfinished, r"is not finished: run the command that began it again"),
        (of_other_settings, r"are not of one dataset"),
        (with_a_shard_less, r"100 rows .* are not of one dataset"),
        (with_rows_less, r"7 rows .* 100 samples .* are not of one dataset"),
        (without_a_tar, r"1 of \d+ shards are missing or not whole \(\w+-000000\.tar: it is missing\)"),
        (with_a_tar_cut_short, r"1 of \d+ shards are missing or not whole \(\w+-000000\.tar: it was cut short\)"),
    ],
)
def test_a_part_that_is_not_whole_trains_nothing(
    goetz_made: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    part = Path(shutil.copytree(goetz_made / "downstream-rirs", tmp_path / "downstream-rirs"))
    assert len(open_part(tmp_path, "downstream-rirs", family="rooms")) == 100
    damage(part)
    with pytest.raises(DatasetError, match=words) as raised:
        open_part(tmp_path, "downstream-rirs", family="rooms")
    assert "\n" not in str(raised.value)
