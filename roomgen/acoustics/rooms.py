"""The shoebox room: its size, its six walls, and what follows from them alone.

Axes are right-handed with the origin in a corner: x along the length, y along the width, z along the height. The walls stand
in pyroomacoustics' order: west (x = 0), east (x = L), south (y = 0), north (y = W), floor (z = 0), ceiling (z = H).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.bands import LOWEST_CENTER_HZ, octave_centers
from roomgen.acoustics.diffuse.scatterers import surface_scattering
from roomgen.acoustics.materials import material_absorption
from roomgen.errors import RoomgenError, suggest

WALLS = ("west", "east", "south", "north", "floor", "ceiling")

Absorption = float | str | Mapping[str, "float | str"] | Sequence["float | str"] | NDArray[np.float64]
"""What a wall may be given as: an energy absorption in [0, 1], a material's name, one of either per wall (by name or in the
order of :data:`WALLS`), or an array (wall, band) from 125 Hz up."""

Scattering = Absorption
"""What walls may scatter, said in the same ways: the share of the reflected energy, in [0, 1], that does not leave as from a
mirror. Names are those of :func:`~roomgen.acoustics.diffuse.scatterers.scatterers`."""


@dataclass(frozen=True, eq=False, init=False)
class Shoebox:
    """A rectangular room; ``scatters`` tells whether any of its walls scatters anything.

    Args:
        size_m: length, width, height in metres.
        absorption: energy absorption of the walls, see :data:`Absorption`. ``0.2`` makes all walls equal;
            ``{"floor": "carpet_cotton", "ceiling": 0.6}`` leaves out walls, which is an error: every wall must be named.
        scattering: of the walls, see :data:`Scattering`: image sources lose that share of their energy at each reflection,
            and what they lose is heard as a diffuse field. 0, the default, leaves mirrors.
        scale: a factor on all absorptions; the product is cut at 1. This is how a room gets the RT60 that was asked for.

    Raises:
        RoomgenError: sizes that are not three positive finite numbers, an absorption or scattering outside [0, 1], an unknown
            material or wall, or a missing wall.
    """

    size_m: tuple[float, float, float]
    materials: tuple[str, ...] | None
    scale: float
    _table: NDArray[np.float64] | None
    _scattering: tuple[str, ...] | NDArray[np.float64]
    scatters: bool

    def __init__(
        self, size_m: Sequence[float], *, absorption: Absorption = 0.2, scattering: Scattering = 0.0, scale: float = 1.0
    ) -> None:
        size = tuple(float(v) for v in size_m)
        if len(size) != 3 or not all(np.isfinite(size)) or min(size) <= 0:
            raise RoomgenError(f"room size {tuple(size_m)} is not three positive lengths in metres (length, width, height).")
        if not (np.isfinite(scale) and scale >= 0):
            raise RoomgenError(f"absorption scale {scale} must be a finite number that is not negative.")
        table, names = None, None
        if isinstance(absorption, np.ndarray) and absorption.ndim == 2:
            table = _checked_table(absorption, "an absorption", "the share of energy that a wall takes away")
        else:
            names = _wall_values(absorption, "absorption", "material")
            for name in names:
                material_absorption(name, (1000.0,))  # unknown names and numbers outside [0, 1] fail here, not later
        scattered = _checked_scattering(scattering)
        fields = {"size_m": size, "materials": names, "scale": float(scale), "_table": table}
        for field, value in {**fields, "_scattering": scattered, "scatters": _any_scatters(scattered)}.items():
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
            alpha = _in_bands(self._table, centers, fs_hz, "absorption")
        else:
            assert self.materials is not None  # one of the two is always set
            alpha = _materials_in_bands(self.materials, centers)
        return np.minimum(alpha * self.scale, 1.0)

    def scattering(self, fs_hz: float) -> NDArray[np.float64]:
        """Return the scattering coefficient of every wall in every octave band up to Nyquist.

        Returns:
            (wall, band) values in [0, 1]. The absorption scale does not touch them.

        Raises:
            RoomgenError: as for :meth:`absorption`.
        """
        centers = octave_centers(fs_hz)
        if isinstance(self._scattering, np.ndarray):
            return _in_bands(self._scattering, centers, fs_hz, "scattering")
        return _surfaces_in_bands(self._scattering, centers)

    def scaled(self, scale: float) -> Shoebox:
        """Return the same room with all absorptions multiplied by ``scale`` (in place of any earlier scale)."""
        source = self._table if self._table is not None else self.materials
        assert source is not None
        return Shoebox(self.size_m, absorption=source, scattering=self._scattering, scale=scale)

    def with_absorption(self, absorption: Absorption) -> Shoebox:
        """Return a room of the same size and scattering with other absorption, scale 1."""
        return Shoebox(self.size_m, absorption=absorption, scattering=self._scattering)

    def contains(self, points_m: ArrayLike) -> NDArray[np.bool_]:
        """Tell for each of (…, 3) points whether it lies strictly inside the room."""
        points = np.asarray(points_m, dtype=np.float64)
        inside: NDArray[np.bool_] = np.all((points > 0) & (points < np.asarray(self.size_m)), axis=-1)
        return inside

    def __repr__(self) -> str:
        walls = "array" if self.materials is None else ", ".join(self.materials)
        size = " × ".join(f"{v:g}" for v in self.size_m)
        return f"Shoebox({size} m, {walls}, scale {self.scale:g}{self._scattering_text()})"

    def _scattering_text(self) -> str:
        if not self.scatters:
            return ""
        if isinstance(self._scattering, np.ndarray):
            return ", scattering array"
        values = dict.fromkeys(self._scattering) if len(set(self._scattering)) == 1 else self._scattering
        return f", scattering {', '.join(values)}"


def _wall_values(given: Absorption, what: str, kind: str) -> tuple[str, ...]:
    """Return one name, or one number as text, for each of the six walls."""
    if isinstance(given, str):
        return (given,) * 6
    if isinstance(given, Mapping):
        for wall in given:
            if wall not in WALLS:
                raise RoomgenError(f"unknown wall {wall!r}.{suggest(str(wall), WALLS)} Walls are {', '.join(WALLS)}.")
        missing = [wall for wall in WALLS if wall not in given]
        if missing:
            raise RoomgenError(f"no {what} for {', '.join(missing)}: name all of {', '.join(WALLS)}.")
        return tuple(_as_text(given[wall], what, kind) for wall in WALLS)
    values = np.atleast_1d(np.asarray(given, dtype=object))
    if values.shape == (1,):
        return (_as_text(values[0], what, kind),) * 6
    if values.shape != (6,):
        raise RoomgenError(
            f"{what} of shape {values.shape} fits no room: give one value, six (for {', '.join(WALLS)}), "
            "a mapping of wall name to value, or an array (6, band)."
        )
    return tuple(_as_text(value, what, kind) for value in values)


def _as_text(value: object, what: str, kind: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        return repr(float(value))
    raise RoomgenError(f"{what} {value!r} is neither a number in 0…1 nor the name of a {kind}.")


def _checked_scattering(given: Scattering) -> tuple[str, ...] | NDArray[np.float64]:
    if isinstance(given, np.ndarray) and given.ndim == 2:
        return _checked_table(given, "a scattering", "the share of the reflected energy that is scattered")
    names = _wall_values(given, "scattering", "scattering surface")
    for name in dict.fromkeys(names):
        surface_scattering(name, (1000.0,))  # unknown names and numbers outside [0, 1] fail here, not later
    return names


def _any_scatters(scattering: tuple[str, ...] | NDArray[np.float64]) -> bool:
    if isinstance(scattering, np.ndarray):
        return bool(np.any(scattering > 0.0))
    return any(np.any(surface_scattering(name, (1000.0,)) > 0.0) for name in dict.fromkeys(scattering))


@lru_cache(maxsize=64)  # an engine asks more than once
def _materials_in_bands(names: tuple[str, ...], centers_hz: tuple[float, ...]) -> NDArray[np.float64]:
    alpha = np.stack([material_absorption(name, centers_hz) for name in names])
    alpha.setflags(write=False)
    return alpha


@lru_cache(maxsize=64)
def _surfaces_in_bands(names: tuple[str, ...], centers_hz: tuple[float, ...]) -> NDArray[np.float64]:
    scattering = np.stack([surface_scattering(name, centers_hz) for name in names])
    scattering.setflags(write=False)
    return scattering


def _in_bands(table: NDArray[np.float64], centers_hz: tuple[float, ...], fs_hz: float, what: str) -> NDArray[np.float64]:
    """Return a table (wall, band) with as many bands as a sampling rate has."""
    if table.shape[1] not in (1, len(centers_hz)):
        raise RoomgenError(
            f"the {what} array has {table.shape[1]} bands, but {fs_hz:g} Hz has {len(centers_hz)}: "
            f"{LOWEST_CENTER_HZ:g}…{centers_hz[-1]:g} Hz. Give one column per band, or a single column for all."
        )
    return np.broadcast_to(table, (6, len(centers_hz)))


def _checked_table(values: NDArray[np.float64], what: str, share: str) -> NDArray[np.float64]:
    table = np.array(values, dtype=np.float64)
    if table.shape[0] != 6 or table.shape[1] == 0:
        raise RoomgenError(f"{what} array must be (6 walls, bands); this one is {table.shape}.")
    if not (np.isfinite(table).all() and (table >= 0).all() and (table <= 1).all()):
        raise RoomgenError(f"{what} array must hold finite values in 0…1 ({share}).")
    table.setflags(write=False)
    return table
