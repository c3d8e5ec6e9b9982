"""Energy absorption of wall materials per octave band, from pyroomacoustics' database (M. Vorländer, "Auralization", 2008).

The database has seven octaves (125 Hz - 8 kHz) for about half of its materials and six for the others. Bands that it lacks
hold the value of the nearest band that it has. (pyroomacoustics continues the last slope instead, which drives five of its
materials to an absorption of exactly 0 or 1 at 8 kHz.)
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import RoomgenError, suggest

Bands = tuple[tuple[float, ...], tuple[float, ...]]
"""Centres of octave bands in Hz, and a coefficient for each."""


@lru_cache(maxsize=2)
def database(kind: Literal["absorption", "scattering"] = "absorption") -> dict[str, Bands]:
    """Return every material (or scattering surface): its name, and the bands that it is known in."""
    # The JSON file is read without importing pyroomacoustics, which takes longer than the rest of a start-up.
    spec = importlib.util.find_spec("pyroomacoustics")
    if spec is None or spec.origin is None:
        raise RoomgenError("pyroomacoustics is not installed: its material database is needed. Run: pip install pyroomacoustics")
    data = json.loads((Path(spec.origin).parent / "data" / "materials.json").read_text(encoding="utf-8"))
    centers = [float(c) for c in data["center_freqs"]]
    table = {}
    for group in data[kind].values():
        for name, entry in group.items():
            values = tuple(float(v) for v in entry["coeffs"])
            table[name] = (tuple(float(c) for c in entry.get("center_freqs", centers[: len(values)])), values)
    return table


def material_names() -> tuple[str, ...]:
    """Return the names of all materials, sorted, so that an index into them means the same everywhere."""
    return tuple(sorted(database()))


def material_absorption(name: str, centers_hz: Sequence[float]) -> NDArray[np.float64]:
    """Return the energy absorption of one material.

    Args:
        name: a name of the database, or a number in [0, 1] written as text for an absorption that is equal in all bands.
        centers_hz: octave-band centres in Hz.

    Returns:
        (band,) energy absorption in [0, 1].

    Raises:
        RoomgenError: no such material, or a number outside [0, 1].
    """
    value = as_number(name)
    if value is not None:
        if not 0.0 <= value <= 1.0:
            raise RoomgenError(f"absorption {name} is outside 0…1 (the share of energy that a wall takes away).")
        return np.full(len(centers_hz), value)
    table = database()
    if name not in table:
        raise RoomgenError(f"unknown material {name!r}.{suggest(name, table)} `roomgen materials` lists all {len(table)} names.")
    return at_octaves(table[name], centers_hz)


def as_number(text: str) -> float | None:
    """Return the number that a text is, or None where it is a name."""
    try:
        return float(text)
    except ValueError:
        return None


def at_octaves(known: Bands, centers_hz: Sequence[float]) -> NDArray[np.float64]:
    """Return (band,) coefficients at octave centres; beyond the bands that are known the nearest one holds."""
    # Interpolation over log-frequency is exact at the bands that the material has and holds the ends outside.
    return np.interp(np.log2(centers_hz), np.log2(known[0]), known[1])
