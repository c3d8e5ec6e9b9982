"""The manifest: one Parquet file over the rows of all shards, and the numbers that sum a dataset up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from roomgen.datasets.family import Family
from roomgen.store.folder import MANIFEST_FILE, atomic, inside_data
from roomgen.store.schema import parquet_writer

ROWS_A_GROUP = 100_000


def write_manifest(root: Path, stems: Sequence[str], schema: pa.Schema) -> None:
    """Write ``manifest.parquet`` from the shards' own Parquet files, a group of rows at a time."""
    with atomic(root / MANIFEST_FILE) as temporary, parquet_writer(temporary, schema) as writer:
        waiting: list[pa.Table] = []
        rows = 0
        for stem in stems:
            waiting.append(pq.read_table(inside_data(root, f"{stem}.parquet"), schema=schema))
            rows += len(waiting[-1])
            if rows >= ROWS_A_GROUP:
                writer.write_table(_merge(waiting), row_group_size=ROWS_A_GROUP)
                waiting, rows = [], 0
        if waiting:
            writer.write_table(_merge(waiting), row_group_size=ROWS_A_GROUP)


def _merge(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def summarize(root: Path, family: Family) -> dict[str, Any]:
    """Return what a dataset holds: samples, splits, seconds of audio, and what its family counts and spreads.

    Spreads are ``{"min", "median", "max", "unmeasured"}``; values that could not be measured (NaN) are counted apart, and
    where none could, the others are None.
    """
    table = pq.read_table(root / MANIFEST_FILE, columns=["split", "n_samples", "fs_hz", *family.counts, *family.spreads])
    seconds = np.asarray(table["n_samples"]) / np.asarray(table["fs_hz"])
    splits = pc.value_counts(table["split"].cast(pa.string())).to_pylist()
    distinct = {plural: _distinct(table[name]) for name, plural in family.counts.items()}
    return {
        "samples": len(table),
        **distinct,
        "splits": {item["values"]: item["counts"] for item in splits},
        "audio_s": round(float(seconds.sum()), 3),
        **{name: _spread(np.asarray(table[name])) for name in family.spreads},
    }


def _distinct(column: pa.ChunkedArray) -> int:
    """Return how many values there are, not counting the empty text (none)."""
    values = set(column.unique().to_pylist()) if pa.types.is_dictionary(column.type) else set(column.to_pylist())
    return len(values - {""})


def _spread(values: NDArray[np.float32]) -> dict[str, float | int | None]:
    known = values[np.isfinite(values)]
    low, middle, high = (round(float(v), 4) for v in np.quantile(known, [0, 0.5, 1])) if len(known) else (None,) * 3
    return {"min": low, "median": middle, "max": high, "unmeasured": int(len(values) - len(known))}
