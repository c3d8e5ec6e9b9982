"""How near one response is to another: in time, and in the ear's bands."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from roomtrain.papers.icl.generator.settings import FS_HZ

CENTRES_HZ = 1000.0 * 2.0 ** (np.arange(-10, 12) / 3.0)
"""Of the third-octave bands: 99 Hz to 12.7 kHz, whose edges are 88 Hz and 14.3 kHz."""
_N_FFT = 8192  # the lowest band is 23 Hz wide: bins of 4 Hz
_FLOOR_DB = -60.0  # of the level of all bands: what lies below is as good as silent


def nmse_db(estimate: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return 10 log₁₀ of the squared error over the truth's energy: (response, time) twice → (response,)."""
    error = np.square(estimate.astype(np.float64) - truth).sum(axis=-1)
    return np.asarray(10.0 * np.log10(np.maximum(error, 1e-30) / np.square(truth.astype(np.float64)).sum(axis=-1)))


def log_spectral_distance_db(
    estimate: NDArray[np.floating], truth: NDArray[np.floating], *, fs_hz: float = FS_HZ
) -> NDArray[np.float64]:
    """Return the RMS over third-octave bands of the difference in level: (response, time) twice → (response,) in dB.

    The 22 bands from 100 Hz to 12.5 kHz; the level of a band is that of its mean power. A device's colour is heard, and enters a
    mel spectrogram, by such bands, where bins of equal width would let the highest octave decide.
    """
    difference = band_levels_db(estimate, fs_hz=fs_hz) - band_levels_db(truth, fs_hz=fs_hz)
    return np.asarray(np.sqrt(np.square(difference).mean(axis=-1)))


def band_levels_db(responses: NDArray[np.floating], *, fs_hz: float = FS_HZ) -> NDArray[np.float64]:
    """Return the levels of third-octave bands: (response, time) → (response, 22) in dB."""
    power = np.square(np.abs(np.fft.rfft(responses.astype(np.float64), _N_FFT, axis=-1)))
    frequencies = np.fft.rfftfreq(_N_FFT, 1.0 / fs_hz)
    edges = np.searchsorted(frequencies, np.append(CENTRES_HZ * 2.0 ** (-1 / 6), CENTRES_HZ[-1] * 2.0 ** (1 / 6)))
    bands = np.stack([power[..., low:high].mean(axis=-1) for low, high in pairwise(edges)], axis=-1)
    floor = bands.mean(axis=-1, keepdims=True) * 10.0 ** (_FLOOR_DB / 10.0)
    return np.asarray(10.0 * np.log10(np.maximum(bands, np.maximum(floor, 1e-30))))
