"""The walls of a room: drawn as the settings say, stored in a row, and made again from it.

A row says what a room's walls are in either of two ways: six materials and a factor on their absorption, or an absorption for every
wall and octave band (``absorption_bands``). Then its materials are those that come nearest, so that a view shows what absorbs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.air import Air
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.furnishing import USES, draw_furnished
from roomgen.acoustics.materials import material_names
from roomgen.acoustics.measured_spectra import draw_relative, draw_spectrum, hold
from roomgen.acoustics.prediction.octave_absorption import absorption_for
from roomgen.acoustics.rooms import WALLS, Absorption, Scattering, Shoebox
from roomgen.acoustics.surfaces import ROLE_SCATTERING, nearest_materials
from roomgen.datasets.rooms.settings import DatasetSettings, FamilySettings
from roomgen.errors import RoomgenError

_SOLVED_WITHIN = 0.02  # of the T30 of every octave: less than what positions make of it
_FLAT_DIGITS = 4  # of an absorption that is written as text


def draw_walls(
    settings: DatasetSettings,
    family: FamilySettings,
    rng: np.random.Generator,
    size_m: Sequence[float],
    *,
    rt60_s: float = np.nan,
    air: Air | None = None,
) -> Shoebox:
    """Return a room of a family and of that size with walls by the model of the settings.

    Args:
        rt60_s: T_mid that the room shall have; NaN: the model draws it, where it does. Only "measured" goes by it.

    Raises:
        RoomgenError: the walls that were drawn cannot exist; others may.
    """
    scattering = scattering_of(settings)
    return Shoebox(
        size_m, absorption=_draw_absorption(settings, family, rng, size_m, scattering, rt60_s, air), scattering=scattering
    )


def scattering_of(settings: DatasetSettings) -> Scattering:
    """Return the scattering coefficients of the walls of the settings, exact in float32: 0, or (wall, band)."""
    given, n_bands = settings.walls.scattering, len(octave_centers(settings.signal.fs_hz))
    values = ROLE_SCATTERING if isinstance(given, str) else np.broadcast_to(np.asarray(given), (len(WALLS), 7))
    return _exact(hold(values, n_bands)) if values.any() else 0.0


def as_stored(room: Shoebox, fs_hz: float) -> Shoebox:
    """Return a room as a row holds it: where it has an absorption per band, with its scale taken into that and in float32."""
    scattering: Scattering = _exact(room.scattering(fs_hz)) if room.scatters else 0.0
    if room.materials is not None:
        return Shoebox(room.size_m, absorption=room.materials, scattering=scattering, scale=room.scale)
    return Shoebox(room.size_m, absorption=_exact(room.absorption(fs_hz)), scattering=scattering)


def materials_of(room: Shoebox, fs_hz: float) -> tuple[str, ...]:
    """Return what the walls of a room are made of, or those materials that absorb most nearly as they do."""
    return nearest_materials(room.absorption(fs_hz), fs_hz) if room.materials is None else room.materials


def band_columns(room: Shoebox, fs_hz: float) -> dict[str, list[float]]:
    """Return the columns of absorption and scattering per wall and octave band; empty where materials and nothing hold."""
    return {
        "absorption_bands": [] if room.materials is not None else room.absorption(fs_hz).ravel().tolist(),
        "scattering_bands": room.scattering(fs_hz).ravel().tolist() if room.scatters else [],
    }


def shoebox_of(row: Mapping[str, Any], fs_hz: float) -> Shoebox:
    """Return the room of a row of a manifest or plan at a sampling rate; bands that the row lacks are as its highest one.

    Raises:
        RoomgenError: the row describes no room.
    """
    scale = row.get("absorption_scale")
    size = (float(row["length_m"]), float(row["width_m"]), float(row["height_m"]))
    bands = (tuple(map(float, _given(row, "absorption_bands"))), tuple(map(float, _given(row, "scattering_bands"))))
    return _shoebox(size, tuple(row["materials"]), *bands, 1.0 if scale is None else float(scale), fs_hz)


# The samples of a room stand together: all of them get one object, and what engines know of a room is computed once.
@lru_cache(maxsize=64)
def _shoebox(
    size_m: tuple[float, float, float],
    materials: tuple[str, ...],
    absorption: tuple[float, ...],
    scattering: tuple[float, ...],
    scale: float,
    fs_hz: float,
) -> Shoebox:
    return Shoebox(
        size_m,
        absorption=_table(absorption, "absorption_bands", fs_hz, list(materials)),
        scattering=_table(scattering, "scattering_bands", fs_hz, 0.0),
        scale=scale,
    )


def looks_of(row: Mapping[str, Any]) -> Shoebox:
    """Return the room of a row as it is seen: of its materials, whatever else its walls absorb."""
    scale = 1.0 if row.get("absorption_scale") is None else float(row["absorption_scale"])
    return Shoebox((row["length_m"], row["width_m"], row["height_m"]), absorption=list(row["materials"]), scale=scale)


def _draw_absorption(
    settings: DatasetSettings,
    family: FamilySettings,
    rng: np.random.Generator,
    size_m: Sequence[float],
    scattering: Scattering,
    rt60_s: float,
    air: Air | None,
) -> Absorption:
    walls, fs_hz = settings.walls, settings.signal.fs_hz
    if isinstance(walls.absorption, Mapping):
        return {wall: walls.absorption[wall] for wall in WALLS}
    if not walls.are_drawn:
        return walls.absorption
    if walls.model == "flat":
        return round(float(np.exp(rng.uniform(*np.log(walls.flat)))), _FLAT_DIGITS)
    if walls.model == "random":
        names = walls.materials or material_names()
        return [names[i] for i in rng.integers(len(names), size=len(WALLS))]
    n_bands = len(octave_centers(fs_hz))
    if walls.model == "materials":
        return _exact(hold(draw_furnished(rng, size_m, USES[family.use], light=walls.light), n_bands))
    share = rng.random()
    if not np.isfinite(rt60_s):
        assert walls.rt60_limits_s is not None  # the settings see to it
        low, high = np.log(walls.rt60_limits_s)
        rt60_s = float(np.exp(low + (high - low) * share))
    spectrum = draw_spectrum(rng, rt60_s, n_bands=n_bands, medians=walls.spectrum, spreads=walls.spectrum_spread)
    relative = draw_relative(rng, n_bands=n_bands, spread=walls.wall_spread, band_spread=walls.wall_band_spread)
    return absorption_for(
        size_m, spectrum, fs_hz=fs_hz, air=air, relative=relative, scattering=scattering, tolerance=_SOLVED_WITHIN
    )


def _given(row: Mapping[str, Any], name: str) -> Sequence[float]:
    values = row.get(name)
    return () if values is None else values


def _table(values: tuple[float, ...], name: str, fs_hz: float, otherwise: Any) -> Any:
    if not values:
        return otherwise
    if len(values) % len(WALLS):
        raise RoomgenError(f"{name} has {len(values)} values: give as many for each of {', '.join(WALLS)}.")
    return hold(np.asarray(values, dtype=np.float64).reshape(len(WALLS), -1), len(octave_centers(fs_hz)))


def _exact(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float32).astype(np.float64)
