"""The shoebox room: its size, its six walls, and what follows from them alone.

Axes are right-handed with the origin in a corner: x along the length, y along the width, z along the height. The walls stand
in pyroomacoustics' order: west (x = 0), east (x = L), south (y = 0), north (y = W), floor (z = 0), ceiling (z = H).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.bands import LOWEST_CENTER_HZ, octave_centers
from roomgen.acoustics.materials import material_absorption
from roomgen.errors import RoomgenError, suggest

WALLS = ("west", "east", "south", "north", "floor", "ceiling")

Absorption = float | str | Mapping[str, "float | str"] | Sequence["float | str"] | NDArray[np.float64]
"""What a wall may be given as: an energy absorption in [0, 1], a material's name, one of either per wall (by name or in the
order of :data:`WALLS`), or an array (wall, band) from 125 Hz up."""


@dataclass(frozen=True, eq=False, init=False)
class Shoebox:
    """A rectangular room.

    Args:
        size_m: length, width, height in metres.
        absorption: energy absorption of the walls, see :data:`Absorption`. ``0.2`` makes all walls equal;
            ``{"floor": "carpet_cotton", "ceiling": 0.6}`` leaves out walls, which is an error: every wall must be named.
        scale: a factor on all absorptions; the product is cut at 1. This is how a room gets the RT60 that was asked for.

    Raises:
        RoomgenError: sizes that are not three positive finite numbers, an absorption outside [0, 1], an unknown material
            or wall, or a missing wall.
    """

    size_m: tuple[float, float, float]
    materials: tuple[str, ...] | None
    scale: float
    _table: NDArray[np.float64] | None

    def __init__(self, size_m: Sequence[float], *, absorption: Absorption = 0.2, scale: float = 1.0) -> None:
        size = tuple(float(v) for v in size_m)
        if len(size) != 3 or not all(np.isfinite(size)) or min(size) <= 0:
            raise RoomgenError(f"room size {tuple(size_m)} is not three positive lengths in metres (length, width, height).")
        if not (np.isfinite(scale) and scale >= 0):
            raise RoomgenError(f"absorption scale {scale} must be a finite number that is not negative.")
        table, names = None, None
        if isinstance(absorption, np.ndarray) and absorption.ndim == 2:
            table = _checked_table(absorption)
        else:
            names = _wall_materials(absorption)
            for name in names:
                material_absorption(name, (1000.0,))  # unknown names and numbers outside [0, 1] fail here, not later
        for field, value in (("size_m", size), ("materials", names), ("scale", float(scale)), ("_table", table)):
            object.__setattr__(self, field, value)

    @property
    def volume_m3(self) -> float:
        length, width, height = self.size_m
        return length * width * height

    @property
    def surface_m2(self) -> float:
        length, width, height = self.size_m
        return 2.0 * (length * width + length * height + width * height)

    @property
    def wall_areas_m2(self) -> NDArray[np.float64]:
        """(wall,) areas in the order of :data:`WALLS`."""
        length, width, height = self.size_m
        return np.repeat([width * height, length * height, length * width], 2)

    def absorption(self, fs_hz: float) -> NDArray[np.float64]:
        """Return the energy absorption of every wall in every octave band up to Nyquist, scale included.

        Returns:
            (wall, band) values in [0, 1].

        Raises:
            RoomgenError: the room was given an array whose number of bands is neither 1 nor that of this sampling rate.
        """
        centers = octave_centers(fs_hz)
        if self._table is not None:
            if self._table.shape[1] not in (1, len(centers)):
                raise RoomgenError(
                    f"the absorption array has {self._table.shape[1]} bands, but {fs_hz:g} Hz has {len(centers)}: "
                    f"{LOWEST_CENTER_HZ:g}…{centers[-1]:g} Hz. Give one column per band, or a single column for all."
                )
            alpha = np.broadcast_to(self._table, (6, len(centers)))
        else:
            assert self.materials is not None  # one of the two is always set
            alpha = np.stack([material_absorption(name, centers) for name in self.materials])
        return np.minimum(alpha * self.scale, 1.0)

    def scaled(self, scale: float) -> Shoebox:
        """Return the same room with all absorptions multiplied by ``scale`` (in place of any earlier scale)."""
        source = self._table if self._table is not None else self.materials
        assert source is not None
        return Shoebox(self.size_m, absorption=source, scale=scale)

    def contains(self, points_m: ArrayLike) -> NDArray[np.bool_]:
        """Tell for each of (…, 3) points whether it lies strictly inside the room."""
        points = np.asarray(points_m, dtype=np.float64)
        inside: NDArray[np.bool_] = np.all((points > 0) & (points < np.asarray(self.size_m)), axis=-1)
        return inside

    def __repr__(self) -> str:
        walls = "array" if self.materials is None else ", ".join(self.materials)
        return f"Shoebox({self.size_m[0]:g} × {self.size_m[1]:g} × {self.size_m[2]:g} m, {walls}, scale {self.scale:g})"


def _wall_materials(absorption: Absorption) -> tuple[str, ...]:
    """Return one material (a name, or a number as text) for each of the six walls."""
    if isinstance(absorption, str):
        return (absorption,) * 6
    if isinstance(absorption, Mapping):
        for wall in absorption:
            if wall not in WALLS:
                raise RoomgenError(f"unknown wall {wall!r}.{suggest(str(wall), WALLS)} Walls are {', '.join(WALLS)}.")
        missing = [wall for wall in WALLS if wall not in absorption]
        if missing:
            raise RoomgenError(f"no absorption for {', '.join(missing)}: name all of {', '.join(WALLS)}.")
        return tuple(_material_text(absorption[wall]) for wall in WALLS)
    values = np.atleast_1d(np.asarray(absorption, dtype=object))
    if values.shape == (1,):
        return (_material_text(values[0]),) * 6
    if values.shape != (6,):
        raise RoomgenError(
            f"absorption of shape {values.shape} fits no room: give one value, six (for {', '.join(WALLS)}), "
            "a mapping of wall name to value, or an array (6, band)."
        )
    return tuple(_material_text(value) for value in values)


def _material_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        return repr(float(value))
    raise RoomgenError(f"absorption {value!r} is neither a number in 0…1 nor the name of a material.")


def _checked_table(values: NDArray[np.float64]) -> NDArray[np.float64]:
    table = np.array(values, dtype=np.float64)
    if table.shape[0] != 6 or table.shape[1] == 0:
        raise RoomgenError(f"an absorption array must be (6 walls, bands); this one is {table.shape}.")
    if not (np.isfinite(table).all() and (table >= 0).all() and (table <= 1).all()):
        raise RoomgenError("an absorption array must hold finite values in 0…1 (the share of energy a wall takes away).")
    table.setflags(write=False)
    return table
