"""The bands of labels: octaves or third octaves whose energies add up to that of the response.

The amplitude weights are J. Antoni's ("Orthogonal-like fractional-octave-band filters", JASA 127, 2010, eq. 18-19 with slope 1):
-3 dB at the edges, and squares that add up to one. Decay times agree with those of IEC 61260 Butterworth filters within 1 %, and
the ringing falls by 60 dB in 6.5 periods, where slope 0 takes 18. The engine's own weights
(:mod:`roomgen.acoustics.bands`) add up as amplitudes, so that band signals can be put together again; -6 dB at the edges make
them too narrow for labels: their T30 is off by 2-3 % in low bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import octave_centers
from roomgen.errors import RoomgenError

BandKind = Literal["octave", "third"]
Noise = Literal["auto", "none"]
"""Whether a response has a noise floor to look for."""
Floats = NDArray[np.float64]

_ROUNDED = 0.02  # nominal centres are rounded by less
_ZERO = 1e-9  # cos(π/2) in floating point is not 0
_PER_OCTAVE = {"octave": 1, "third": 3}
_NOMINAL_HZ = (
    50.0, 63.0, 80.0, 100.0, 125.0, 160.0, 200.0, 250.0, 315.0, 400.0, 500.0, 630.0, 800.0, 1000.0, 1250.0, 1600.0, 2000.0, 2500.0,
    3150.0, 4000.0, 5000.0, 6300.0, 8000.0, 10000.0, 12500.0, 16000.0, 20000.0,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Band:
    """A band-pass. There is one object of each, see :func:`band_of`.

    Args:
        center_hz: its centre. low_hz, high_hz: its edges, where it is 3 dB down.
        overlap: half the width of a cross-fade relative to its edge: below that a band is 0, above it 1.
    """

    center_hz: float
    low_hz: float
    high_hz: float
    overlap: float

    @property
    def period_s(self) -> float:
        """What a filter's ringing is counted in: the period of an octave's centre, three times that of a third of an octave."""
        return float(np.sqrt(0.5) / (self.high_hz - self.low_hz))  # the width of an octave is sqrt(0.5) of its centre

    def width_hz(self, fs_hz: float) -> float:
        """Return the distance of its edges, as far as there are samples enough for them."""
        return min(self.high_hz, fs_hz / 2.0) - self.low_hz

    def weights(self, freq_hz: Floats) -> Floats:
        """Return the (freq,) amplitude weights."""
        weights = np.sin(_quarter_turn(freq_hz, self.low_hz, self.overlap))
        weights *= np.cos(_quarter_turn(freq_hz, self.high_hz, self.overlap))
        return np.where(weights > _ZERO, weights, 0.0)


def _quarter_turn(freq_hz: Floats, edge_hz: float, overlap: float) -> Floats:
    """Return the phase of a cross-fade at an edge: from 0 to π/2, without a kink at either end."""
    place = np.clip((freq_hz / edge_hz - 1.0) / overlap, -1.0, 1.0)
    return np.asarray(np.pi / 4.0 * (1.0 + np.sin(np.pi / 2.0 * place)))


@cache
def band_of(center_hz: float, per_octave: int) -> Band:
    """Return the band of 1/``per_octave`` octave about a centre; cross-fades reach from centre to centre."""
    edge = 2.0 ** (0.5 / per_octave)
    return Band(center_hz, center_hz / edge, center_hz * edge, 1.0 - 1.0 / edge)


# The octaves of 125 Hz to 8 kHz: an offset, rumble, mains hum and what a sampling rate of 96 kHz adds are in no broadband label, be
# there noise or not. The edges are those of these octaves.
BROADBAND = Band(125.0, band_of(125.0, 1).low_hz, band_of(8000.0, 1).high_hz, band_of(125.0, 1).overlap)


@lru_cache(maxsize=64)
def label_bands(kind: BandKind, bands_hz: tuple[float, ...] | None, fs_hz: float) -> tuple[tuple[float, ...], tuple[Band, ...]]:
    """Return the nominal centres in Hz of the bands asked for, and their filters.

    Args:
        kind: ``"octave"`` or ``"third"``.
        bands_hz: centres of adjacent bands; None: octaves from 125 Hz to Nyquist, thirds of an octave from 50 Hz to the last that
            ends below Nyquist.

    Raises:
        RoomgenError: centres that are not adjacent bands of this kind, or lie beyond Nyquist.
    """
    if kind not in _PER_OCTAVE:
        raise RoomgenError(f"bands = {kind!r} is unknown: 'octave' or 'third'.")
    count = _PER_OCTAVE[kind]
    all_of_them = octave_centers if count == 1 else _thirds
    centers = all_of_them(fs_hz) if bands_hz is None else tuple(float(b) for b in bands_hz)
    _check(centers, count, fs_hz)
    return centers, tuple(band_of(_exact(f, count), count) for f in centers)


def _thirds(fs_hz: float) -> tuple[float, ...]:
    exact = (_exact(f, 3) for f in _NOMINAL_HZ)
    return tuple(f for f, e in zip(_NOMINAL_HZ, exact, strict=True) if band_of(e, 3).high_hz <= fs_hz / 2.0)


def _exact(nominal_hz: float, per_octave: int) -> float:
    """Return 1000 · 2^(k/n) where a nominal centre stands for it (63 for 62.5 Hz), any other as it is."""
    exact = float(1000.0 * 2.0 ** (round(per_octave * np.log2(nominal_hz / 1000.0)) / per_octave))
    return exact if abs(nominal_hz / exact - 1.0) <= _ROUNDED else nominal_hz


def _check(centers: tuple[float, ...], per_octave: int, fs_hz: float) -> None:
    given = ", ".join(f"{b:g}" for b in centers)
    if not centers:
        raise RoomgenError(f"there is no octave band at a sampling rate of {fs_hz:g} Hz: at least 250 Hz is needed.")
    ratio = 2.0 ** (1.0 / per_octave)
    if not centers[0] > 0 or any(abs(high / low / ratio - 1.0) > 2.0 * _ROUNDED for low, high in pairwise(centers)):
        wanted = "octaves, rising, such as 63, 125, 250, 500" if per_octave == 1 else "third octaves, rising, such as 100, 125, 160"
        raise RoomgenError(f"bands_hz = {given} are not adjacent {wanted}.")
    if centers[-1] > fs_hz / 2.0:
        raise RoomgenError(f"bands_hz = {given} reach beyond {fs_hz / 2.0:g} Hz, half the sampling rate.")
