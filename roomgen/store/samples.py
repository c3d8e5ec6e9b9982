"""A finished sample: the bytes that go into the shard, and its row in the manifest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from roomgen.store.columns import Column
from roomgen.text import check_key


@dataclass(frozen=True)
class Sample:
    """One finished sample.

    Args:
        key: its name.
        members: file ending to bytes, sorted: ``json`` and the audio, at least.
        row: its columns in the manifest, less those that only the shard knows (shard, offset, nbytes).
    """

    key: str
    members: dict[str, bytes]
    row: dict[str, Any]


def sample_of(row: Mapping[str, Any], members: Mapping[str, bytes], columns: Sequence[Column]) -> Sample:
    """Return the sample of a finished row and its members, to which the JSON member is added.

    Raises:
        DatasetError: its key, which may begin with one of a foreign manifest, is none (:func:`roomgen.text.check_key`).
    """
    everything = {**members, "json": json.dumps(json_row(row, columns), ensure_ascii=False, allow_nan=False).encode()}
    return Sample(check_key(str(row["key"])), dict(sorted(everything.items())), dict(row))


def json_row(row: Mapping[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """Return what the JSON member of a sample says.

    Every sample has the same keys with the same types: real numbers are floats, rounded to the shortest text that is the
    same float32 (what the manifest holds), and those that are not finite (what cannot be measured) are null, which JSON has.
    """
    result: dict[str, Any] = {}
    for column in columns:
        if column.in_json:
            value = row[column.name]
            if column.kind == "float":
                value = _short(value)
            elif column.kind in ("xyz", "floats"):
                value = [_short(v) for v in value]
            result[column.name] = value
    return result


def _short(value: float) -> float | None:
    return float(str(np.float32(value))) if math.isfinite(value) else None
