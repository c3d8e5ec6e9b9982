"""Datasets that are not what they say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import roomgen


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
