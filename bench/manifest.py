"""The manifest of a large dataset: written by the store, read with pandas and through :class:`~roomgen.store.dataset.Dataset`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from bench.effort import Effort
from bench.timing import best_s
from bench.writer import ready_samples
from roomgen.store.columns import ROOMS
from roomgen.store.dataset import Dataset
from roomgen.store.folder import DATA_FOLDER, MANIFEST_FILE, Folder
from roomgen.store.manifest import write_manifest
from roomgen.store.schema import arrow_schema, parquet_writer, table_of
from roomgen.text import table

COLUMNS = ("key", "rt60_s", "c50_db", "volume_m3")
_SHARD_ROWS = 10_000


def run(effort: Effort) -> dict[str, Any]:
    """Return seconds to write a manifest of so many rows, and to read it in two ways."""
    schema, rows = arrow_schema("0" * 16, ROOMS), effort.manifest_rows
    few = table_of([{**s.row, "shard": "train-000000.tar", "offset": 512, "nbytes": 1} for s in ready_samples(20)], schema)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        stems = _write_shards(root, few, rows)
        (write_s,) = best_s(1, lambda: write_manifest(Folder(root), stems, schema))
        path = root / MANIFEST_FILE
        read_s, table_s, all_s = best_s(
            effort.repeats,
            lambda: _long_rooms(path),
            lambda: Dataset(root).table(COLUMNS),
            lambda: Dataset(root).table(),
        )
        return {
            "rows": len(Dataset(root)),
            "found": len(_long_rooms(path)),
            "megabytes": path.stat().st_size / 1e6,
            "write_s": write_s,
            "pandas_filter_s": read_s,
            "table_s": table_s,
            "table_all_columns_s": all_s,
        }


def text(result: dict[str, Any]) -> str:
    """Return the times as a table."""
    rows = [
        ["write it from the shards' Parquet files", f"{result['write_s']:.2f}"],
        [f"pandas: 4 columns, filtered ({result['found']} rows)", f"{result['pandas_filter_s']:.2f}"],
        ["Dataset.table: 4 columns", f"{result['table_s']:.2f}"],
        ["Dataset.table: all columns", f"{result['table_all_columns_s']:.2f}"],
    ]
    return f"A manifest of {result['rows']} rows, {result['megabytes']:.0f} MB\n{table(['', 's'], rows)}"


def _long_rooms(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path, columns=list(COLUMNS), filters=[("rt60_s", ">", 0.5)])


def _write_shards(root: Path, few: pa.Table, rows: int) -> list[str]:
    """Write the rows of shards without their tars, and return the shards' names: keys counted through, real numbers varied."""
    (root / DATA_FOLDER).mkdir()
    rng = np.random.default_rng(0)
    stems: list[str] = []
    for start in range(0, rows, _SHARD_ROWS):
        number = np.arange(start, min(start + _SHARD_ROWS, rows))
        part = few.take(pa.array(number % len(few)))
        keys = pa.array([f"room{n // 10:06d}-{n % 10:06d}" for n in number])
        part = part.set_column(part.schema.get_field_index("key"), part.schema.field("key"), keys)
        part = pa.table([_varied(part[f.name].combine_chunks(), rng) for f in part.schema], schema=part.schema)
        stems.append(f"train-{len(stems):06d}")
        with parquet_writer(root / DATA_FOLDER / f"{stems[-1]}.parquet", part.schema) as writer:
            writer.write_table(part)
    return stems


def _varied(values: pa.Array, rng: np.random.Generator) -> pa.Array:
    """Return real numbers, alone or in lists, times random factors: what repeats would be compressed to nothing."""
    kind = values.type
    if pa.types.is_floating(kind):
        return pa.array(values.to_numpy(zero_copy_only=False) * rng.uniform(0.5, 1.5, len(values)).astype(np.float32), kind)
    if pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type):
        return pa.FixedSizeListArray.from_arrays(_varied(values.flatten(), rng), type=kind)
    if pa.types.is_list(kind) and pa.types.is_floating(kind.value_type):
        return pa.ListArray.from_arrays(values.offsets, _varied(values.values, rng), type=kind)
    return values
