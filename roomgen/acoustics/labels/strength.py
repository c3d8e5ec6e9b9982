"""Sound strength G: how much louder a room makes a source than open air does at 10 m (ISO 3382-1, annex A.2.1).

G = 10 lg(∫p² dt / ∫p₁₀² dt), p₁₀ being the response of the same source at 10 m in a free field. Simulated responses are in Pa per
unit source, where a point source has the pressure 1/(4πr): theirs is a pulse of 1/(40π), and G is exact. A recording knows its G
only beside a recording of its source.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from roomgen.acoustics.labels.bands import Band

Floats = NDArray[np.float64]

REFERENCE_M = 10.0
POINT_SOURCE = np.array([1.0 / (4.0 * np.pi * REFERENCE_M)])  # (time,) Pa per unit source
_LEAST_FFT = 1 << 14  # frequencies dense enough for the sum over a band's weights to be their integral


def free_field_energy(reference: NDArray[np.floating[Any]], bands: tuple[Band, ...], fs_hz: float) -> Floats:
    """Return the (band,) energy of a (time,) response at 10 m in each band."""
    if len(reference) == 1:
        return _pulse_energy(bands, fs_hz) * float(reference[0]) ** 2
    n_fft = max(_LEAST_FFT, 1 << (len(reference) - 1).bit_length())
    return _energy(np.abs(fft.rfft(np.asarray(reference, dtype=np.float64), n_fft)) ** 2, n_fft, bands, fs_hz)


def strength_db(energy: Floats, free_field: Floats) -> Floats:
    """Return G in dB of energies; nan where either is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = energy / free_field
        return np.asarray(np.where((ratio > 0.0) & np.isfinite(ratio), 10.0 * np.log10(ratio), np.nan))


@lru_cache(maxsize=32)
def _pulse_energy(bands: tuple[Band, ...], fs_hz: float) -> Floats:
    """Return the energy of a single sample of 1 in each band."""
    return _energy(np.ones(_LEAST_FFT // 2 + 1), _LEAST_FFT, bands, fs_hz)


def _energy(power: Floats, n_fft: int, bands: tuple[Band, ...], fs_hz: float) -> Floats:
    freq = np.asarray(fft.rfftfreq(n_fft, 1.0 / fs_hz), dtype=np.float64)
    mirrored = np.where((freq == 0.0) | (freq == fs_hz / 2.0), 1.0, 2.0)
    return np.array([np.sum(band.weights(freq) ** 2 * mirrored * power) / n_fft for band in bands])
