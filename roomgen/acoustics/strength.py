"""Sound strength G: how much louder a room makes a source than open air does at 10 m (ISO 3382-1, annex A.2.1).

G = 10 lg(∫p² dt / ∫p₁₀² dt), p₁₀ being the response of the same source at 10 m in a free field. Simulated responses are in Pa per
unit source, where a point source has the pressure 1/(4πr): theirs is a pulse of 1/(40π), and G is exact. A recording knows its G
only beside a recording of its source.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REFERENCE_M = 10.0
POINT_SOURCE = np.array([1.0 / (4.0 * np.pi * REFERENCE_M)])  # (time,) Pa per unit source


def free_field_energy(reference: NDArray[np.floating[Any]], weights: Floats, n_fft: int) -> Floats:
    """Return the (signal,) energy that a response at 10 m has in each band.

    Args:
        reference: (time,) free-field response at 10 m.
        weights: (signal, freq) amplitude weights at the ``n_fft // 2 + 1`` frequencies of a real FFT.
    """
    power = np.square(weights, dtype=np.float64)
    power[:, 1 : (n_fft + 1) // 2] *= 2.0  # the frequencies that stand for their negative ones, too
    if len(reference) == 1:
        return np.asarray(power.sum(axis=1) * (float(reference[0]) ** 2 / n_fft))
    spectrum = np.fft.rfft(np.asarray(reference, dtype=np.float64), n_fft)
    return np.asarray(power @ (np.abs(spectrum) ** 2) / n_fft)


def strength_db(energy: Floats, free_field: Floats) -> Floats:
    """Return G in dB of energies; nan where either is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = energy / free_field
        return np.asarray(np.where((ratio > 0.0) & np.isfinite(ratio), 10.0 * np.log10(ratio), np.nan))
