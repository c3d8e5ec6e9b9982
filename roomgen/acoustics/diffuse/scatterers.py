"""Scattering coefficients of surfaces per octave band, from pyroomacoustics' database (M. Vorländer, "Auralization", 2008).

A scattering coefficient (ISO 17497-1) is the share of the reflected energy that does not leave like light from a mirror. The
database has five to seven octaves from 125 Hz up; bands that it lacks hold the value of the nearest band that it has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.materials import Bands, as_number, at_octaves, database
from roomgen.errors import RoomgenError, suggest


def scatterers() -> dict[str, Bands]:
    """Return every surface: its name, and the bands that it is known in."""
    return database("scattering")


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
    value = as_number(name)
    if value is not None:
        if not 0.0 <= value <= 1.0:
            raise RoomgenError(f"scattering {name} is outside 0…1 (the share of the reflected energy that is scattered).")
        return np.full(len(centers_hz), value)
    table = scatterers()
    if name not in table:
        raise RoomgenError(f"unknown scattering surface {name!r}.{suggest(name, table)} Surfaces: {', '.join(sorted(table))}.")
    return at_octaves(table[name], centers_hz)
