"""Banks of audio: what the dataset holds, and a clear word where it is not what it says."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import roomgen
from roomgen.errors import DatasetError
from roomtrain.data import check_disjoint, fingerprint, load_bank, open_part
from roomtrain.errors import RoomtrainError


def edit_manifest(root: Path, edit: Callable[[dict[str, list[Any]]], None]) -> None:
    """Change columns of a manifest, which keeps its schema."""
    path = root / "manifest.parquet"
    table = pq.read_table(path)
    columns = {name: table[name].to_pylist() for name in table.schema.names}
    edit(columns)
    pq.write_table(pa.table([pa.array(columns[f.name], type=f.type) for f in table.schema], schema=table.schema), path)


def poison(root: Path, key: str, value: float) -> None:
    """Overwrite one value of a sample's WAV of float32 in its shard."""
    row = roomgen.open(root)[key].row
    with open(root / "data" / row["shard"], "r+b") as file:
        file.seek(row["offset"] + row["nbytes"] - 400)
        file.write(np.float32(value).tobytes())


@pytest.fixture
def rirs(goetz_made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(goetz_made / "downstream-rirs", tmp_path / "downstream-rirs"))


@pytest.mark.parametrize("split", [None, "train", "val"])
def test_a_bank_holds_the_samples_of_the_split_in_order(goetz_made: Path, split: str | None) -> None:
    dataset = roomgen.open(goetz_made / "downstream-rirs")
    bank = load_bank(dataset, split=split)
    items = [item for item in dataset if split is None or item.row["split"] == split]
    assert len(bank) == len(items) > 0
    assert bank.fs_hz == 16_000
    assert bank.table["key"].tolist() == [item.key for item in items]
    assert bank.audio.shape == (len(items), max(item.audio.shape[1] for item in items))
    for row, item in zip(bank.audio.numpy(), items, strict=True):
        n = item.audio.shape[1]
        np.testing.assert_array_equal(row[:n], item.audio[0])
        assert not row[n:].any()


def test_threads_change_nothing(goetz_made: Path) -> None:
    one, many = (load_bank(roomgen.open(goetz_made / "upstream-speech"), split="train", workers=n) for n in (1, 5))
    assert torch.equal(one.audio, many.audio)
    assert one.table.equals(many.table)


def test_columns_and_codes(goetz_made: Path) -> None:
    bank = load_bank(roomgen.open(goetz_made / "downstream-rirs"))
    assert bank.column("rt60_s").dtype == torch.float32
    assert bank.column("rt60_s").tolist() == bank.table["rt60_s"].tolist()
    codes, rooms = bank.codes("room_id"), bank.table["room_id"].astype(str).to_numpy()
    assert ((codes[:, None] == codes[None]) == (rooms[:, None] == rooms[None])).all()
    assert sorted(set(codes)) == list(range(10))


def test_an_empty_split_is_named(goetz_made: Path) -> None:
    with pytest.raises(RoomtrainError, match=r"nothing in the split 'tset'; its splits: test, train, val"):
        load_bank(roomgen.open(goetz_made / "downstream-rirs"), split="tset")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_names_its_sample(rirs: Path, value: float) -> None:
    key = roomgen.open(rirs)[17].key
    poison(rirs, key, value)
    with pytest.raises(DatasetError, match=f"sample {key} holds values that are not finite") as raised:
        load_bank(roomgen.open(rirs))
    assert raised.value.exit_code == 1


def test_a_shard_that_was_cut_short_is_named(rirs: Path) -> None:
    tar = rirs / "data" / "val-000000.tar"
    tar.write_bytes(tar.read_bytes()[:20_000])
    with pytest.raises(DatasetError, match=r"val-000000\.tar ends before sample .*roomgen verify"):
        load_bank(roomgen.open(rirs))


@pytest.mark.parametrize(("column", "value"), [("n_samples", 50), ("n_samples", 10**5), ("fs_hz", 8000)])
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


def test_the_fingerprint_follows_the_shards(rirs: Path, goetz_made: Path) -> None:
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
