"""The numbers that sum a dataset up, from its manifest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from roomgen.datasets.family import Family
from roomgen.store.folder import MANIFEST_FILE, Store


def totals_of(store: Store, family: Family) -> dict[str, Any]:
    """Return what a dataset holds: samples, splits, seconds of audio, and what its family counts and spreads.

    Spreads are ``{"min", "median", "max", "unmeasured"}``; values that could not be measured (NaN) are counted apart, and
    where none could, the others are None.
    """
    columns = ["split", "n_samples", "fs_hz", *family.counts, *family.spreads]
    with store.stream(MANIFEST_FILE) as file:
        table = pq.read_table(file, columns=columns)
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
