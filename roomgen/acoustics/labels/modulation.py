"""How well speech is understood through a response: modulation transfer functions and the speech transmission index.

A room blurs the rise and fall of speech. M. R. Schroeder ("Modulation transfer functions: definition and measurement", Acustica 49,
1981) reads the loss from an impulse response h: at a modulation frequency F, what is left of the depth of modulation is

    m(F) = |∫ h²(t) exp(-2πiFt) dt| / ∫ h²(t) dt,

taken in each octave from 125 Hz to 8 kHz. IEC 60268-16 (2020) weighs 7 octaves × 14 modulation frequencies into one number from
0 to 1: here for a male voice, without background noise, masking or threshold of hearing: what the room alone does to speech.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

OCTAVES_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
MODULATION_HZ = (0.63, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0, 10.0, 12.5)

# IEC 60268-16 (2020), table A.1, male: weight of each octave, and of what neighbouring octaves have in common.
_WEIGHT = np.array([0.085, 0.127, 0.230, 0.233, 0.309, 0.224, 0.173])
_REDUNDANCY = np.array([0.085, 0.078, 0.065, 0.011, 0.047, 0.095])
_CLEAREST_DB = 15.0  # apparent signal-to-noise ratios count from -15 to 15 dB


def modulation_transfer(
    energy: Floats, *, hop_s: float, before: Floats, tail: Floats, tail_rate: Floats, end: NDArray[np.int64]
) -> Floats:
    """Return the (band, modulation frequency) depth of modulation that is left, 0 to 1, at :data:`MODULATION_HZ`.

    Args:
        energy: (band, block) energy of blocks of ``hop_s`` seconds, noise removed, 0 from ``end`` on.
        before: (band,) energy that counts as if it arrived with the first block.
        tail: (band,) energy that follows after the block ``end``, as an exponential decay …
        tail_rate: (band,) … by this rate in 1/s.
        end: (band,) the number of blocks before the tail.
    """
    n_blocks = energy.shape[1]
    omega, table = _phases(1 << max(n_blocks - 1, 1).bit_length(), hop_s)
    parts = energy @ table[:n_blocks]
    moved = before[:, None] + parts[:, : len(omega)] + 1j * parts[:, len(omega) :]
    rate = np.where(tail > 0.0, tail_rate, 1.0)[:, None]
    begin_s = (end[:, None] - 0.5) * hop_s  # blocks stand at their centres: half a block is dropped on either side
    moved += tail[:, None] * rate / (rate + 1j * omega) * np.exp(-1j * omega * begin_s)
    return np.asarray(np.abs(moved) / (before + energy.sum(axis=1) + tail)[:, None])


def speech_transmission_index(depth: Floats) -> float:
    """Return the STI, 0 to 1, of (7, 14) depths of modulation; nan where one is.

    Its parts: an apparent signal-to-noise ratio for each depth, its mean over the modulation frequencies of an octave, and the
    weighted mean of the octaves less what neighbours tell twice (IEC 60268-16, A.2.1).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        snr_db = 10.0 * np.log10(depth / np.maximum(1.0 - depth, 0.0))
    index = ((np.clip(snr_db, -_CLEAREST_DB, _CLEAREST_DB) + _CLEAREST_DB) / (2.0 * _CLEAREST_DB)).mean(axis=1)
    return min(float(_WEIGHT @ index - _REDUNDANCY @ np.sqrt(index[:-1] * index[1:])), 1.0)


@lru_cache(maxsize=8)
def _phases(n_blocks: int, hop_s: float) -> tuple[Floats, Floats]:
    """Return angular frequencies, and the cosines and negative sines of the beginnings of blocks, (block, 2 · frequency)."""
    omega = 2.0 * np.pi * np.array(MODULATION_HZ)
    phase = np.arange(n_blocks)[:, None] * hop_s * omega
    return omega, np.concatenate([np.cos(phase), -np.sin(phase)], axis=1)
