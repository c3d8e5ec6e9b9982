"""The level of a response over frequency, as pictures and comparisons of devices have it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMOOTHING_OCTAVES = 1.0 / 6.0


def magnitude_db(response: NDArray[np.floating], frequencies_hz: NDArray[np.float64], *, fs_hz: int) -> NDArray[np.float64]:
    """Return the level of a response (time,) at (frequency,) frequencies in dB: its power, averaged over a sixth of an octave."""
    n_fft = 1 << max(int(np.ceil(np.log2(4 * len(response)))), 13)
    power = np.abs(np.fft.rfft(response.astype(np.float64), n_fft)) ** 2
    cumulated = np.concatenate([[0.0], np.cumsum(power)])
    half = 2.0 ** (_SMOOTHING_OCTAVES / 2.0)
    # Between bins the sum is a straight line: bands narrower than a bin are its value.
    edges = np.arange(len(cumulated)) - 0.5
    low, high = (np.interp(frequencies_hz * factor * n_fft / fs_hz, edges, cumulated) for factor in (1.0 / half, half))
    width = np.minimum(frequencies_hz * half * n_fft / fs_hz, edges[-1]) - frequencies_hz / half * n_fft / fs_hz
    return np.asarray(10.0 * np.log10(np.maximum((high - low) / width, 1e-12)))
