"""Scattering coefficients of surfaces per octave band, from pyroomacoustics' database (M. Vorländer, "Auralization", 2008).

A scattering coefficient (ISO 17497-1) is the share of the reflected energy that does not leave like light from a mirror. The
database has five to seven octaves from 125 Hz up; bands that it lacks hold the value of the nearest band that it has.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import RoomgenError, suggest


@lru_cache(maxsize=1)
def scatterers() -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Return every surface: its name, and (centres in Hz, scattering coefficients) of the bands it is known in."""
    spec = importlib.util.find_spec("pyroomacoustics")
    if spec is None or spec.origin is None:
        raise RoomgenError(
            "pyroomacoustics is not installed: its scattering coefficients are needed. Run: pip install pyroomacoustics"
        )
    data = json.loads((Path(spec.origin).parent / "data" / "materials.json").read_text(encoding="utf-8"))
    centers = tuple(float(c) for c in data["center_freqs"])
    table = {}
    for group in data["scattering"].values():
        for name, entry in group.items():
            values = tuple(float(v) for v in entry["coeffs"])
            table[name] = (centers[: len(values)], values)
    return table


def surface_scattering(name: str, centers_hz: Sequence[float]) -> NDArray[np.float64]:
    """Return the scattering coefficients of one surface.

    Args:
        name: a name of the database, or a number in [0, 1] written as text for a coefficient that is equal in all bands.
        centers_hz: octave-band centres in Hz.

    Returns:
        (band,) coefficients in [0, 1].

    Raises:
        RoomgenError: no such surface, or a number outside [0, 1].
    """
    try:
        value = float(name)
    except ValueError:
        pass
    else:
        if not 0.0 <= value <= 1.0:
            raise RoomgenError(f"scattering {name} is outside 0…1 (the share of the reflected energy that is scattered).")
        return np.full(len(centers_hz), value)
    table = scatterers()
    if name not in table:
        raise RoomgenError(f"unknown scattering surface {name!r}.{suggest(name, table)} Surfaces: {', '.join(sorted(table))}.")
    known_hz, values = table[name]
    return np.interp(np.log2(centers_hz), np.log2(known_hz), values)
