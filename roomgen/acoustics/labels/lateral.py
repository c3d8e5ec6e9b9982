"""Lateral energy fraction: how much of the early sound comes from the sides (ISO 3382-1, annex A.2.4).

A figure-eight microphone stands beside an omnidirectional one, its null towards the source: J_LF is its energy from 5 to 80 ms over
that of the other from 0 to 80 ms. Both are taken to have the same sensitivity along the axis of the eight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.labels.bands import BandKind, band_of, label_bands
from roomgen.acoustics.labels.block_energy import BlockEnergy, block_energy
from roomgen.acoustics.labels.decay_curve import find_onset
from roomgen.errors import RoomgenError

Floats = NDArray[np.float64]

_FROM_S, _TO_S = 0.005, 0.08
_LISTENED_HZ = (125.0, 250.0, 500.0, 1000.0)  # ISO 3382-1, table A.1: the octaves that the single number is the mean of


@dataclass(frozen=True)
class Lateral:
    """What :func:`measure_lateral` found.

    Args:
        lf: mean of the lateral energy fractions of the octaves of 125 to 1000 Hz; nan where one is.
        band_hz: (band,) nominal centres of the bands in Hz. lf_bands: (band,) their lateral energy fractions.
    """

    lf: float
    band_hz: Floats
    lf_bands: Floats


def measure_lateral(
    omni: ArrayLike,
    eight: ArrayLike,
    *,
    fs_hz: float,
    bands: BandKind = "octave",
    bands_hz: tuple[float, ...] | None = None,
    onset_s: float | None = None,
) -> Lateral:
    """Measure the lateral energy fraction.

    Args:
        omni, eight: (time,) responses of an omnidirectional and a figure-eight microphone at the same place.
        bands, bands_hz: as for :func:`~roomgen.acoustics.labels.measure.measure`.
        onset_s: arrival time of the direct sound; None: that of ``omni``.

    Raises:
        RoomgenError: responses of different length, samples that are no numbers, or bands that do not fit.
    """
    signals = np.asarray(omni, dtype=np.float64), np.asarray(eight, dtype=np.float64)
    if signals[0].ndim != 1 or signals[0].shape != signals[1].shape or not signals[0].size:
        raise RoomgenError(f"omni and eight have the shapes {signals[0].shape} and {signals[1].shape}: (time,) twice is needed.")
    if not (np.isfinite(signals[0]).all() and np.isfinite(signals[1]).all()):
        raise RoomgenError("omni and eight hold samples that are nan or infinite.")
    centers, filters = label_bands(bands, None if bands_hz is None else tuple(bands_hz), fs_hz)
    octaves = tuple(band_of(f, 1) for f in _LISTENED_HZ if f <= fs_hz / 2.0)
    if (signals[0] == signals[0][0]).all():
        return Lateral(np.nan, np.array(centers), np.full(len(centers), np.nan))
    onset = find_onset(signals[0]) if onset_s is None else round(onset_s * fs_hz)
    all_of_them = (*filters, *octaves)
    around, sides = (block_energy(s, onset=onset, fs_hz=fs_hz, bands=all_of_them) for s in signals)
    to = _until(around, _TO_S, fs_hz)
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = (_until(sides, _TO_S, fs_hz) - _until(sides, _FROM_S, fs_hz)) / (to + around.before)
    fraction = np.where(np.isfinite(fraction), fraction, np.nan)[1:]
    mean = float(fraction[len(filters) :].mean()) if len(octaves) == len(_LISTENED_HZ) else np.nan
    return Lateral(mean, np.array(centers), fraction[: len(filters)])


def _until(blocks: BlockEnergy, time_s: float, fs_hz: float) -> NDArray[Any]:
    """Return the (signal,) energy from the onset to a time after it; nan where the response is shorter."""
    block, part = divmod(time_s * fs_hz / blocks.hop, 1.0)
    at = int(block)
    if at >= blocks.energy.shape[1]:
        return np.full(len(blocks.energy), np.nan)
    return np.asarray(blocks.energy[:, :at].sum(axis=1) + part * blocks.energy[:, at])
