"""Whatever is done to the files of a dataset, reading it ends in a clear error or a listed problem, and verify finds it."""

import json
import math
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roomgen.errors import RoomgenError
from roomgen.run.summary import dataset_text, row_text
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset
from roomgen.store.folder import sha256_of
from roomgen.store.info import write_info

MANIFEST, ROWS, TAR, MARK, INFO = "manifest.parquet", "data/train-000000.parquet", "data/train-000000.tar", "mark", "dataset.json"
PATHS = {MARK: "data/train-000000.json"}
WRONG = (None, True, -1, 0, 2**70, 1.5, math.nan, "", "x", "../x", "\x1b[2J", [], [1], [[]], {}, {"a": 1}, [None, None])


def read_all(root: Path) -> list[str]:
    """Read a dataset in every way there is, and return the errors; others than RoomgenError are not caught."""
    errors = []

    def listed() -> None:
        errors.extend(verify(root))

    def opened() -> None:
        dataset = Dataset(root)
        keys = dataset.table()["key"]
        dataset.table(["key", "split"], split="train")
        for item in dataset:
            row_text(item.row)
        for key in (dataset[0].key, str(keys.iloc[-1])):
            assert dataset[key].key == key
            dataset.member(key, "json")

    def inspected() -> None:
        dataset_text(Dataset(root).info)

    def followed() -> None:
        assert Dataset(root).inputs is not None

    for way in (listed, opened, inspected, followed):
        try:
            way()
        except RoomgenError as error:
            errors.append(str(error))
    assert not any("\n" in error for error in errors)
    return errors


def change_bytes(path: Path, choose: random.Random) -> None:
    data = bytearray(path.read_bytes())
    kind, place = choose.randrange(4), choose.randrange(len(data))
    if kind == 0:
        del data[place:]
    elif kind == 1:
        data[place : place + 64] = bytes(len(data[place : place + 64]))
    elif kind == 2:
        data[place:place] = choose.randbytes(choose.randrange(1, 20))
    else:
        for _ in range(choose.randrange(1, 5)):
            data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    path.write_bytes(data)


def change_table(path: Path, choose: random.Random) -> None:
    table = pq.read_table(path, partitioning=None)
    common = ["key", "split", "shard", "offset", "nbytes", "fs_hz", "n_samples", "n_channels"]
    place = table.schema.get_field_index(choose.choice([*common, *table.schema.names]))
    field, values = table.schema.field(place), table.column(place).to_pylist()
    kind = choose.randrange(5)
    if kind == 0:
        table = table.remove_column(place)
    elif kind == 1:
        table = table.append_column(field, pa.array(values, type=field.type))
    elif kind == 2:
        other = choose.choice([[None] * len(values), [b"\xff\xfe"] * len(values), [[v] for v in values], np.zeros(len(values))])
        table = table.set_column(place, field.name, pa.array(other))
    elif kind == 3:
        values[choose.randrange(len(values))] = None
        table = table.set_column(place, field.with_nullable(True), pa.array(values, type=field.type))
    else:
        table = table.set_column(place, field, pa.array(strange(values, field.type, choose), type=field.type))
    pq.write_table(table, path)


def strange(values: list[object], kind: pa.DataType, choose: random.Random) -> list[object]:
    if pa.types.is_integer(kind):
        other: object = choose.choice([-1, 0, 1, 2**31 - 1 if kind.bit_width == 32 else 2**63 - 1])
    elif pa.types.is_floating(kind):
        other = choose.choice([math.nan, math.inf, -1.0, 3e38])
    elif isinstance(values[0], str):
        other = choose.choice(["", ".", "../../x", "/etc/passwd", "a" * 300, "a\0b", "\x1b[2J", values[0]])
    else:
        other = choose.choice([values[0], [*values[0]][::-1]])  # type: ignore[misc]
    values[choose.randrange(len(values))] = other
    return values


def change_json(path: Path, choose: random.Random) -> None:
    tree = json.loads(path.read_text())
    node = tree
    while True:
        key = choose.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if choose.random() < 0.4 or not isinstance(node[key], dict | list) or not node[key]:
            break
        node = node[key]
    if choose.random() < 0.25:
        del node[key]
    else:
        node[key] = choose.choice(WRONG)
    path.write_text(json.dumps(tree))


def sign(root: Path) -> None:
    """Bring all sums into line with what lies there, as far as what should hold them still can."""
    try:
        mark = json.loads((root / "data" / "train-000000.json").read_text())
        info = json.loads((root / "dataset.json").read_text())
        for ending in ("tar", "parquet"):
            path = root / "data" / f"train-000000.{ending}"
            mark |= {f"{ending}_bytes": path.stat().st_size, f"{ending}_sha256": sha256_of(path)}
        (root / "data" / "train-000000.json").write_text(json.dumps(mark))
        (shard,) = (shard for shard in info["shards"] if shard["name"] == "train-000000.tar")
        shard |= {"bytes": mark["tar_bytes"], "sha256": mark["tar_sha256"]}
        info["files"] = {name: sha256_of(root / name) for name in info["files"]}
        write_info(root, info)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass


def content(data: bytes) -> object:
    """What a mark says, however it is laid out and with what is left out where it is empty; the bytes of all others."""
    try:
        return {"broken": [], **json.loads(data)} if b"tar_sha256" in data else data
    except ValueError:
        return data


CASES = [
    (change_bytes, MANIFEST, 16),
    (change_bytes, ROWS, 10),
    (change_bytes, TAR, 8),
    (change_bytes, MARK, 8),
    (change_bytes, INFO, 12),
    (change_table, MANIFEST, 24),
    (change_table, ROWS, 14),
    (change_json, INFO, 30),
    (change_json, MARK, 14),
]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("change", "name", "count"), CASES)
def test_damage_is_told_and_ends_nothing(made_once, tmp_path, change, name, count, signed):
    """With ``signed``, by somebody who brings the sums into line: then a change may be as good as what was there."""
    root = Path(shutil.copytree(made_once, tmp_path / "shards"))
    choose, path = random.Random(f"{change.__name__} {name} {signed}"), root / PATHS.get(name, name)
    kept = {other: other.read_bytes() for other in (path, root / INFO, root / PATHS[MARK])}
    for number in range(count):
        change(path, choose)
        same = content(path.read_bytes()) == content(kept[path])
        if signed:
            sign(root)
        errors = read_all(root)
        assert errors or same or signed, f"change {number} is not found"
        for other, data in kept.items():
            other.write_bytes(data)
    assert read_all(root) == []
