"""Octave bands: their centres and the weights that split a spectrum into them and put it together again.

The bands are pyroomacoustics' (0.10 and later): centres 125 Hz · 2^k for every k with a centre at or below Nyquist, and
amplitude weights that cross-fade with cos² and sin² and add up to one, so that the sum of all band signals is the signal
(J. Antoni, "Orthogonal-like fractional-octave-band filters", JASA 127, 2010, eq. 18-19 with slope 0, squared).
The lowest band reaches down to 0 Hz and the highest up to Nyquist.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LOWEST_CENTER_HZ = 125.0

# Half the width of a cross-fade, relative to the centre of its upper band: half of (sqrt(2) - 1).
_HALF_FADE = 0.5 * (np.sqrt(2.0) - 1.0)


def octave_centers(fs_hz: float) -> tuple[float, ...]:
    """Return the octave-band centres in Hz from 125 Hz to Nyquist: 6 of them at 8 kHz, 7 at 16 kHz, 8 at 48 kHz."""
    count = int(np.floor(np.log2(fs_hz / LOWEST_CENTER_HZ)))
    return tuple(LOWEST_CENTER_HZ * 2.0**k for k in range(count))


def band_weights(freq_hz: NDArray[np.float64], centers_hz: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the amplitude weight of each octave band at each frequency.

    Args:
        freq_hz: (freq,) frequencies in Hz.
        centers_hz: centres of adjacent octave bands, in Hz, rising.

    Returns:
        (band, freq) weights in [0, 1]; every column adds up to 1.
    """
    freq = np.asarray(freq_hz, dtype=np.float64)
    # rising[b] is 0 below the cross-fade into band b and 1 above it; band b is what rises into it less what rises out of it.
    rising = np.ones((len(centers_hz) + 1, freq.size))
    rising[-1] = 0.0
    for b, center in enumerate(centers_hz[1:], start=1):
        below, above = (center * (np.sqrt(0.5) + side * _HALF_FADE) for side in (-1.0, 1.0))
        rising[b, freq <= below] = 0.0
        fading = np.flatnonzero((freq > below) & (freq < above))
        phase = (freq[fading] / center - np.sqrt(0.5)) / _HALF_FADE
        rising[b, fading] = np.sin(np.pi / 4 * (np.clip(phase, -1.0, 1.0) + 1.0)) ** 2
    return rising[:-1] - rising[1:]


@lru_cache(maxsize=32)
def fft_band_weights(n_fft: int, fs_hz: float, centers_hz: tuple[float, ...] | None = None) -> NDArray[np.float64]:
    """Return :func:`band_weights` at the ``n_fft // 2 + 1`` frequencies of a real FFT, cached and read-only."""
    centers = octave_centers(fs_hz) if centers_hz is None else centers_hz
    weights = band_weights(np.asarray(np.fft.rfftfreq(n_fft, 1.0 / fs_hz), dtype=np.float64), centers)
    weights.setflags(write=False)
    return weights
