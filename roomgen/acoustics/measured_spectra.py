"""How reverberation times of real rooms spread over octave bands, and rooms drawn so.

In the low bands, where walls and windows absorb little, T30 is somewhat longer than in the middle, and spreads most; in the high
ones air, textiles and furniture shorten it. The numbers are those of eighteen measured rooms. Nine of these are freely licensed,
from a living room of 0.2 s to a sports hall of 6.7 s (OpenAIR, University of York; DecayFitNet, Götz et al. 2022; BinauralSDM,
Amengual Garí et al. 2021), and have alone the medians 1.11, 1.24, 1.02, 0.98, 0.93, 0.84, 0.71 and the spreads 0.22, 0.13, 0.03,
0.03, 0.09, 0.14, 0.17.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MEDIANS = (1.15, 1.08, 1.0, 1.0, 0.95, 0.82, 0.70)
"""T30 of the octaves 125…8000 Hz over their mean at 500 and 1000 Hz (T_mid)."""

SPREADS = (0.28, 0.16, 0.06, 0.06, 0.08, 0.13, 0.20)
"""Standard deviation of the logarithm of the same."""

WALL_SPREAD = 0.3
"""Standard deviation of the logarithm of how much one wall absorbs relative to the others, in all bands alike."""

WALL_BAND_SPREAD = 0.1
"""The same, band by band."""

MID = slice(2, 4)
"""The bands of T_mid: 500 and 1000 Hz."""

_NEIGHBOURS = 0.6  # correlation of one band with the next one outwards: 0.4 at 125 and 250 Hz, 0.9 at 4 and 8 kHz in nine rooms


def draw_spectrum(
    rng: np.random.Generator,
    rt60_mid_s: float,
    *,
    n_bands: int,
    medians: Sequence[float] = MEDIANS,
    spreads: Sequence[float] = SPREADS,
) -> NDArray[np.float64]:
    """Return (band,) reverberation times in s whose mean at 500 and 1000 Hz is ``rt60_mid_s``.

    The deviation of each band from its median is log-normal. Outwards of the middle, each band goes along with its neighbour, as it
    does in measured rooms: spectra are smooth. Bands above 8 kHz hold on to that one.
    """
    deviation = rng.standard_normal(len(medians))
    fresh = np.sqrt(1.0 - _NEIGHBOURS**2)
    for band in range(MID.start - 2, -1, -1):
        deviation[band] = _NEIGHBOURS * deviation[band + 1] + fresh * deviation[band]
    for band in range(MID.stop + 1, len(medians)):
        deviation[band] = _NEIGHBOURS * deviation[band - 1] + fresh * deviation[band]
    ratio = np.asarray(medians) * np.exp(np.asarray(spreads) * deviation)
    ratio /= ratio[MID].mean()
    return rt60_mid_s * hold(ratio, n_bands)


def draw_relative(
    rng: np.random.Generator, *, n_bands: int, spread: float = WALL_SPREAD, band_spread: float = WALL_BAND_SPREAD
) -> NDArray[np.float64]:
    """Return (wall, band) factors of how much more one wall absorbs than the mean of all."""
    all_bands, each_band = rng.standard_normal((6, 1)), rng.standard_normal((6, len(MEDIANS)))
    return hold(np.exp(spread * all_bands + band_spread * each_band), n_bands)


def hold(values: NDArray[np.float64], n_bands: int) -> NDArray[np.float64]:
    """Return (…, band) values cut to a number of bands, or with the last one held above."""
    return values[..., np.minimum(np.arange(n_bands), values.shape[-1] - 1)]
