"""The energy of a response and of its bands in blocks of half a millisecond, from the arrival of the sound on.

A band that is an octave wide says all it has to say at a rate of 1.33 times its centre: its part of the spectrum is transformed
back alone, which gives its complex envelope z(t), and |z|² is its energy without the ripple of the carrier. A decay in the octave
of 125 Hz needs no 16,000 samples a second. A band that Nyquist cuts is mirrored there, and its signal is real.

At rates up to 16 kHz, the broadband signal is the response without what lies below the octave of 125 Hz: this is transformed
back at one sample a block, interpolated (Lagrange, four points: at 50 Hz wrong by 1e-5 of what is taken off) and taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from roomgen.acoustics.labels.bands import BROADBAND, Band
from roomgen.acoustics.labels.kernels import full_rate, low_rate, squares

Floats = NDArray[np.float64]

_BLOCKS_PER_S = 2000
RISE_PERIODS = 4.0  # a band filter rises over this many periods before the sound arrives
_PRIMES = (2, 3, 5, 7)
_SHARED = (2, 3)  # samples in a block that are brought to one length
_STEPS = (8, 9, 10, 12, 14, 15)  # lengths of transforms are these times powers of two: few, so that their weights stay cached


@dataclass(frozen=True)
class BlockEnergy:
    """Energies of signals in blocks: the broadband signal, then one of each band.

    Args:
        energy: (signal, block) energy of each block from the onset on.
        moment: (signal, block) the same times its distance from the beginning of its block, in samples.
        before: (signal,) energy before the onset that belongs to the direct sound: a band filter's rise.
        hop: length of a block in samples.
    """

    energy: Floats
    moment: Floats
    before: Floats
    hop: int


def block_length(fs_hz: float) -> int:
    """Return the number of samples in a block: half a millisecond or a little less, and a product of small primes."""
    hop = max(int(fs_hz / _BLOCKS_PER_S), 1)
    while not _is_smooth(hop):
        hop -= 1
    return hop


def block_energy(response: NDArray[Any], *, onset: int, fs_hz: float, bands: tuple[Band, ...]) -> BlockEnergy:
    """Split a (time,) response of float32 or float64 that arrives at the sample ``onset``."""
    hop, n = block_length(fs_hz), len(response)
    rise = _rises(bands, hop, fs_hz)
    ahead = int(rise.max()) + 2
    at = ahead * hop + (-onset) % hop  # where sample 0 goes, so that a block begins at the onset
    first = (at + onset) // hop
    split = _splitter(_smooth_length(-(-(at + n) // hop) + ahead), hop, fs_hz, bands, response.dtype.char)
    padded = np.zeros(split.n_fft, dtype=response.dtype)
    padded[at : at + n] = response
    spectrum = fft.rfft(padded)

    n_blocks = -(-(n - onset) // hop)
    energy, moment = np.empty((2, 1 + len(bands), n_blocks))
    before = np.empty(1 + len(bands))
    if split.low is not None:
        low = fft.irfft(spectrum[: len(split.low)] * split.low, split.n_fft // hop)
        before[0] = full_rate(padded, low, split.taps, first, rise[0], at + n, energy[0], moment[0])
    for group in split.groups:
        length, width = group.per_block * split.n_fft // hop, group.weights.shape[1]
        if group.mirrored:
            signals = fft.irfft(spectrum[: -width - 1 : -1].conj() * group.weights, length, axis=1)
        else:
            parts = np.zeros((len(group.begins), length), dtype=spectrum.dtype)
            for row, begin, weights in zip(parts, group.begins, group.weights, strict=True):
                np.multiply(spectrum[begin : begin + width], weights, out=row[:width])
            signals = fft.ifft(parts, axis=1, overwrite_x=True)
        low_rate(signals, group.per_block, group.scale, hop, first, group.rows, rise, energy, moment, before)
    return BlockEnergy(energy, moment, before, hop)


def energy_of_bands(signals: NDArray[Any], *, onset: int, fs_hz: float, rise_s: float) -> BlockEnergy:
    """Return the energies of (signal, time) band signals as they are."""
    hop = block_length(fs_hz)
    energy, moment = np.empty((2, len(signals), -(-(signals.shape[1] - onset) // hop)))
    before = np.empty(len(signals))
    squares(signals, hop, onset, int(rise_s * fs_hz), energy, moment, before)
    return BlockEnergy(energy, moment, before, hop)


@lru_cache(maxsize=32)
def _rises(bands: tuple[Band, ...], hop: int, fs_hz: float) -> NDArray[np.int64]:
    """Return the (signal,) number of blocks that the filters of the broadband signal and of bands rise over."""
    period_s = np.array([1.0 / BROADBAND.center_hz, *(band.period_s for band in bands)])
    return -(-(RISE_PERIODS * period_s * fs_hz).astype(np.int64) // hop)


@dataclass(frozen=True)
class _Group:
    """Bands that are sampled at the same rate.

    Args:
        mirrored: weights count down from Nyquist, and signals are real; otherwise, they are complex envelopes.
        per_block: samples in a block. scale: of a squared sample into energy.
        rows: (band,) rows of their signals. begins: the first frequency of each. weights: (band, freq) from there on.
    """

    mirrored: bool
    per_block: int
    scale: float
    rows: NDArray[np.int64]
    begins: tuple[int, ...]
    weights: NDArray[Any]


@dataclass(frozen=True)
class _Splitter:
    """Everything that hangs on the length of the transform and not on the response.

    Args:
        low: (freq,) weights of what is to be taken off the response to make it broadband; None: broadband is one of the groups.
        taps: (4, hop) weights of the samples that this is interpolated from.
    """

    n_fft: int
    low: NDArray[Any] | None
    taps: NDArray[Any]
    groups: tuple[_Group, ...]


@lru_cache(maxsize=32)
def _splitter(n_blocks: int, hop: int, fs_hz: float, bands: tuple[Band, ...], dtype: str) -> _Splitter:
    n_fft = n_blocks * hop
    freq = np.asarray(fft.rfftfreq(n_fft, 1.0 / fs_hz), dtype=np.float64)
    real = np.dtype(dtype)
    low, rows = None, list(enumerate((BROADBAND, *bands)))
    if fs_hz / 2.0 <= BROADBAND.high_hz * (1.0 - BROADBAND.overlap):
        below = freq[: int(np.searchsorted(freq, BROADBAND.center_hz))]
        low, rows = ((1.0 - BROADBAND.weights(below)) / hop).astype(real), rows[1:]
    place = np.arange(hop) / hop
    nodes = (-1.0, 0.0, 1.0, 2.0)
    taps = np.stack([np.prod([(place - m) / (k - m) for m in nodes if m != k], axis=0) for k in nodes]).astype(real)
    by_rate: dict[tuple[bool, int], list[tuple[int, int, Floats]]] = {}
    for row, band in rows:
        weights = band.weights(freq)
        used = np.flatnonzero(weights)
        begin, end = int(used[0]), int(used[-1]) + 1
        mirrored = end == len(freq)
        width = 2 * (end - begin) if mirrored else end - begin
        per_block = -(-width // n_blocks)
        if not mirrored and per_block in _SHARED:  # several transforms of one length take hardly longer than one of them
            per_block = _SHARED[-1]
        by_rate.setdefault((mirrored, per_block), []).append((row, begin, weights[begin:end]))
    groups = []
    for (mirrored, per_block), members in sorted(by_rate.items(), key=lambda item: item[0]):
        widest = max(len(w) for _, _, w in members)
        begins = tuple(min(begin, len(freq) - widest) for _, begin, _ in members)
        table = np.zeros((len(members), widest), dtype=real)
        for line, (_, begin, weights), start in zip(table, members, begins, strict=True):
            line[begin - start : begin - start + len(weights)] = weights
        # A sample stands for hop / per_block samples, that of an envelope for the negative frequencies, too.
        scale = (1.0 if mirrored else 2.0) * per_block / hop
        table = np.ascontiguousarray(table[:, ::-1]) if mirrored else table
        groups.append(_Group(mirrored, per_block, scale, np.array([row for row, _, _ in members]), begins, table))
    return _Splitter(n_fft, low, taps, tuple(groups))


def _smooth_length(n_blocks: int) -> int:
    """Return the least of :data:`_STEPS` times a power of two that is at least ``n_blocks``."""
    power = max((n_blocks - 1).bit_length() - 4, 1)
    return min(step << p for p in (power, power + 1) for step in _STEPS if step << p >= n_blocks)


def _is_smooth(n: int) -> bool:
    for prime in _PRIMES:
        while n % prime == 0:
            n //= prime
    return n == 1
