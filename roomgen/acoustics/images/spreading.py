"""From image sources to sampled responses and back: a non-uniform FFT with a Kaiser-Bessel kernel.

The response of a room in octave band b is a train of pulses, sum_i a_ib delta(t - tau_i), seen through a band limit and a band
filter. An image source adds its amplitudes to six rows of a grid that runs twice as fast as the response, weighted by a
Kaiser-Bessel kernel phi around its true time. The spectrum of the grid is then that of the pulse train times the transform of phi,
which is known; dividing by it leaves the exact spectrum up to the accuracy of six taps (-85 dB and better), at a cost per image
that depends neither on the sampling rate nor on the length of the band limit (A. Dutt & V. Rokhlin, SIAM J. Sci. Comput. 14, 1993).

The band limit is that of pyroomacoustics: every pulse becomes sinc(t) · hann(t), 81 samples wide, without the error of a table. It
is flat to 0.1 dB up to 95 % of half the sampling rate and reaches -6 dB there. Sampling folds what it leaves above into what is
below, as sampling the pulse itself would. Time is circular in an FFT: pads keep the ends of band filters apart.

Air weakens band b by exp(-m_b d / 2), with d = c t at all places of the grid. So the grid is multiplied once, and the kernel,
which this tilts, is divided out with its transform at a complex frequency: nothing is approximated.

This module needs numpy and scipy alone, so that every engine can share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.special import sici

from roomgen.acoustics.bands import fft_band_weights

OVERSAMPLING = 2
TAPS = 6
PHASES = 128
"""Rows of :func:`kernel_table`; linear interpolation between them is exact to -98 dB."""

START_ROW = 4
"""Grid row of time 0: taps reach two rows further back. Even, so that it is a whole number of samples."""

EDGE_HALF_WIDTH = 40
"""Samples to each side of a pulse."""

_BETA = np.pi * np.sqrt((TAPS / 2 * (OVERSAMPLING - 0.5)) ** 2 - 0.8)
_I0_BETA = np.i0(_BETA)
_FILTER_PAD_S = 0.04  # the filter of the lowest octave band has fallen to -90 dB after 40 ms
_HIGHEST_FREQ = 0.6
_PIECES, _DEGREE = 120, 12  # of polynomials: a piece is two fifths of a ripple
_FOLD = 1.2  # what lies above this multiple of half the sampling rate is below -100 dB

Spectrum = NDArray[np.complex64]


@lru_cache(maxsize=1)
def kernel_table() -> NDArray[np.float32]:
    """Return the taps of the kernel: (phase, 16) float32, eight values (two of them zero), then eight slopes per phase step.

    A pulse at row r + (phase + x) / PHASES, 0 <= x < 1, has the weight values[k] + x · slopes[k] in row r - 2 + k.
    """
    place = np.arange(8) - (TAPS / 2 - 1) - np.arange(PHASES + 1)[:, None] / PHASES
    root = np.sqrt(np.maximum(1.0 - (2.0 * place / TAPS) ** 2, 0.0))
    taps = np.where(np.abs(place) <= TAPS / 2, np.i0(_BETA * root) / np.i0(_BETA), 0.0)
    table = np.concatenate([taps[:-1], np.diff(taps, axis=0)], axis=1).astype(np.float32)
    table.setflags(write=False)
    return table


def kernel_transform(freq: NDArray[np.float64], tilt: float = 0.0) -> NDArray[np.complex128]:
    """Return the Fourier transform of phi(u) · exp(-tilt · u).

    Args:
        freq: (freq,) in cycles per grid row.
        tilt: per grid row.
    """
    root = np.sqrt(_BETA**2 - (np.pi * TAPS * (freq - 0.5j * tilt / np.pi)) ** 2 + 0j)
    return np.asarray(TAPS * np.sinh(root) / (root * _I0_BETA))


def edge_response(freq: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the spectrum of the pulse sinc(t) (1 + cos(pi t / 40)) / 2, |t| <= 40 samples.

    Rooms of every length need it at other frequencies, and sine integrals are slow: it is read from polynomials, which are exact to
    rounding.

    Args:
        freq: (freq,) in cycles per sample, from 0 to :data:`_HIGHEST_FREQ`.
    """
    place = freq * (_PIECES / _HIGHEST_FREQ)
    piece = np.minimum(place.astype(np.intp), _PIECES - 1)
    within = 2.0 * (place - piece) - 1.0
    powers = _edge_polynomials()
    value = powers[-1, piece]
    for row in powers[-2::-1]:
        value *= within
        value += row[piece]
    return np.asarray(value)


@lru_cache(maxsize=1)
def _edge_polynomials() -> NDArray[np.float64]:
    """Return polynomials over pieces of equal width: (power, piece), each from -1 to 1."""
    nodes = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    freq = (np.arange(_PIECES)[:, None] + 0.5 + 0.5 * nodes) * (_HIGHEST_FREQ / _PIECES)
    fitted = np.polynomial.chebyshev.chebfit(nodes, _edge_integral(freq).T, _DEGREE)
    return np.stack([np.polynomial.chebyshev.cheb2poly(column) for column in fitted.T], axis=1)


def _edge_integral(freq: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return :func:`edge_response` as the transform of the Hann window integrated over the pass band: a sum of sine integrals."""

    def integral(edge: NDArray[np.float64]) -> NDArray[np.float64]:
        x = 2.0 * np.pi * EDGE_HALF_WIDTH * edge
        return np.asarray((sici(x)[0] + 0.5 * (sici(x - np.pi)[0] + sici(x + np.pi)[0])) / (2.0 * np.pi))

    return integral(freq + 0.5) - integral(freq - 0.5)


def fft_length(n_samples: int, fs_hz: float) -> int:
    """Return the length in samples of the circular time that a response of ``n_samples`` is computed in; always even."""
    pad = START_ROW + 2 * EDGE_HALF_WIDTH + int(_FILTER_PAD_S * fs_hz)
    return 2 * int(fft.next_fast_len(-(-(n_samples + pad) // 2), real=True))


@dataclass(frozen=True, eq=False)
class Synthesis:
    """What turns a grid into responses; made once per length and air by :func:`synthesis`.

    Args:
        n_fft: samples of circular time; a grid has ``OVERSAMPLING · n_fft`` rows.
        first_bin: per band, the first bin of the FFT in which its filter is not zero.
        filters: per band, (bin,) what the spectrum is multiplied by, from there on.
        folded: (bin,) what the spectrum above half the sampling rate is multiplied by, before it is mirrored into the last bins.
        air: (row, band) float32 that a grid is multiplied by, or None.
    """

    n_fft: int
    first_bin: tuple[int, ...]
    filters: tuple[Spectrum, ...]
    folded: Spectrum
    air: NDArray[np.float32] | None

    def spectrum(self, grid: NDArray[np.float32]) -> Spectrum:
        """Return the spectrum of each lane: (row, lane) -> (bin, lane). The grid is overwritten."""
        if self.air is not None:
            grid[:, : self.air.shape[1]] *= self.air
        return np.asarray(fft.rfft(grid, axis=0, overwrite_x=True, workers=1))

    def band_spectra(self, spectrum: Spectrum) -> Spectrum:
        """Return the spectra of the octave bands at the sampling rate: (band, bin)."""
        bands = np.zeros((len(self.filters), self.n_fft // 2 + 1), dtype=np.complex64)
        for band, (first, weights) in enumerate(zip(self.first_bin, self.filters, strict=True)):
            bands[band, first : first + len(weights)] = spectrum[first : first + len(weights), band] * weights
        bands[-1, -len(self.folded) :] += self._fold(spectrum)
        return bands

    def sum_spectrum(self, spectrum: Spectrum) -> Spectrum:
        """Return the sum of :meth:`band_spectra`, (bin,), without making them."""
        total = np.zeros(self.n_fft // 2 + 1, dtype=np.complex64)
        for band, (first, weights) in enumerate(zip(self.first_bin, self.filters, strict=True)):
            total[first : first + len(weights)] += spectrum[first : first + len(weights), band] * weights
        total[-len(self.folded) :] += self._fold(spectrum)
        return total

    def response(self, spectra: Spectrum, n_samples: int) -> NDArray[np.float32]:
        """Return the responses of (…, bin) spectra: (…, time) from the instant of emission on."""
        start = START_ROW // OVERSAMPLING
        return np.asarray(fft.irfft(spectra, n=self.n_fft, axis=-1, workers=1)[..., start : start + n_samples])

    def _fold(self, spectrum: Spectrum) -> Spectrum:
        half = self.n_fft // 2
        above = spectrum[half : half + len(self.folded), len(self.filters) - 1]
        return np.asarray(np.conj(above * self.folded)[::-1])


@lru_cache(maxsize=8)
def synthesis(n_fft: int, fs_hz: float, bands: int, air_per_row: tuple[float, ...] | None = None) -> Synthesis:
    """Return the filters for grids of ``n_fft`` samples.

    Args:
        bands: octave bands, or 1 for a grid that holds the whole spectrum in one lane.
        air_per_row: how much air weakens the amplitude of each band per grid row (the exponent), or None without air.
    """
    rows, half = OVERSAMPLING * n_fft, n_fft // 2
    bins = np.arange(int(_FOLD * half) + 1)
    edge = edge_response(bins / n_fft)
    split = fft_band_weights(n_fft, fs_hz) if bands > 1 else np.ones((1, half + 1))
    plain = edge / kernel_transform(bins / rows) if air_per_row is None else None

    def inverse(band: int, first: int, last: int) -> NDArray[np.complex128]:
        if plain is not None:
            return plain[first:last]
        assert air_per_row is not None
        return np.asarray(edge[first:last] / kernel_transform(bins[first:last] / rows, air_per_row[band]))

    first_bin, filters = [], []
    for band in range(bands):
        held = np.flatnonzero(split[band])
        first, last = int(held[0]), int(held[-1]) + 1
        first_bin.append(first)
        filters.append((split[band, first:last] * inverse(band, first, last)).astype(np.complex64))
    # The last band holds all of the spectrum just below half the sampling rate, so it alone receives what is folded.
    above = inverse(bands - 1, half, len(bins))
    folded = above.astype(np.complex64)
    air = None
    if air_per_row is not None:
        air = np.exp(-np.outer(np.arange(rows) - START_ROW, air_per_row)).astype(np.float32)
    return Synthesis(n_fft, tuple(first_bin), tuple(filters), folded, air)
