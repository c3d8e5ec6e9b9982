"""The onset of impulse responses, their energy decay curve, and the decay times that it holds.

M. R. Schroeder ("New method of measuring reverberation time", JASA 37, 1965) integrates the squared response backwards: the level
of what is still to come, as a function of time. Two things spoil the end of the curve, and both are put right here:

- A response that ends before its decay does. What would have followed is estimated from the two last windows of equal length,
  of energies E1 and E2: of an exponential decay, E2² / (E1 - E2) is still to come.
- Stationary noise. The decay is cut where it falls to the noise, the noise is subtracted before that point, and the decay after it
  is added: the best of five methods in Guski & Vorländer, "Comparison of noise compensation methods for room acoustic impulse
  response evaluations", Acta Acustica 100, 2014. Where that point lies: :mod:`roomgen.acoustics.labels.noise_floor`.

Everything here works on the energy of short blocks of time, the first of which begins at the onset.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.labels.kernels import integrate, lines
from roomgen.acoustics.labels.noise_floor import Floors

MARGIN_DB = 10.0  # what is extrapolated lies this far below the end of a fit (ISO 3382-1, 5.3.2)
_LEAST_R2 = 0.25  # a fit that explains less of the variance is not of a decay, but of a step between two echoes
_LEAST_BLOCKS = 4
_TAIL_WINDOWS = 4  # the end of a truncated decay is judged by the two last quarters …
_COMPLETE = 1e-6  # … unless it has less energy than this share of all


def find_onset(response: NDArray[np.floating[Any]]) -> int:
    """Return the sample of a (time,) response at which sound arrives: the first above -20 dB of the peak (ISO 3382-1).

    A band-limited pulse rings before its main lobe: its last three side lobes are above -20 dB but below a third of the lobe.
    Therefore the onset is the first of five samples from there that reaches 0.4 times the highest of them. Levels are those
    over the median: an offset is no sound.
    """
    level = np.abs(response - np.median(response))
    first = int(np.argmax(level >= 0.1 * level.max()))
    near = level[first : first + 5]
    return first + int(np.argmax(near >= 0.4 * near.max()))


class Fit(IntEnum):
    """How a line through a decay curve came out."""

    GOOD = 0
    UNKNOWN = 1  # the curve is not known far enough down
    STEPS = 2  # single steps take more than half of the range, or there is no line in it


_GOOD, _UNKNOWN, _STEPS = int(Fit.GOOD), int(Fit.UNKNOWN), int(Fit.STEPS)  # members of an enumeration are slow in numpy


@dataclass(frozen=True)
class DecayCurve:
    """Backward-integrated energy of several signals, free of noise and completed beyond the cut.

    Args:
        level_db: (signal, block) level at the beginning of each block relative to all energy, never rising; -inf after the end.
        remaining: (signal, block) the same as energy.
        total: (signal,) all energy, that before the onset included.
        tail: (signal,) the part of it that was extrapolated; inf where that is impossible.
        tail_rate: (signal,) the rate in 1/s at which that begins to decay.
        noise: (signal,) noise energy of a block; 0 without a noise floor.
        end: (signal,) the number of blocks before the cut.
        hop_s: length of a block in s.
    """

    level_db: NDArray[np.float64]
    remaining: NDArray[np.float64]
    total: NDArray[np.float64]
    tail: NDArray[np.float64]
    tail_rate: NDArray[np.float64]
    noise: NDArray[np.float64]
    end: NDArray[np.int64]
    hop_s: float

    @property
    def tail_db(self) -> NDArray[np.float64]:
        """(signal,) level of the extrapolated energy relative to all energy: how deep the curve is known."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(10.0 * np.log10(self.tail / self.total))


def decay_curve(
    energy: NDArray[np.float64],
    *,
    before: NDArray[np.float64],
    hop_s: float,
    floors: Floors | None = None,
) -> DecayCurve:
    """Integrate the energy of signals backwards.

    Args:
        energy: (signal, block) energy of each block from the onset on.
        before: (signal,) energy before the onset that belongs to the direct sound: a band filter's rise.
        hop_s: length of a block in s.
        floors: where each decay is cut, its noise and what follows; None: there is no noise, and all blocks count.
    """
    n_signals, n_blocks = energy.shape
    if floors is None:
        noise, end = np.zeros(n_signals), np.full(n_signals, n_blocks, dtype=np.int64)
        remaining = integrate(energy, noise, end)
        tail, rate = _truncated_tail(remaining)
        rate = rate / hop_s
    else:
        noise, end, tail, rate = floors.noise, floors.cut, floors.tail, floors.rate
        remaining = integrate(energy, noise, end)
    known = np.where(np.isfinite(tail), tail, 0.0)
    if floors is None:
        remaining += known[:, None]
    else:
        remaining += np.where(np.arange(n_blocks) < end[:, None], known[:, None], 0.0)
    total = remaining[:, 0] + before
    remaining[:, 0] = total
    with np.errstate(divide="ignore", invalid="ignore"):
        # With noise taken off, a block can have less than no energy.
        falling = remaining if floors is None else np.minimum.accumulate(np.maximum(remaining, 0.0), axis=1)
        level = 10.0 * (np.log10(falling) - np.log10(total)[:, None])
    return DecayCurve(level, remaining, total, tail, rate, noise, end, hop_s)


def _truncated_tail(remaining: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the energy after the end of decays whose two last quarters are exponential, inf if they do not decay; and its rate.

    Where the last quarter has less than -60 dB of all energy, the response is complete: what ends there are rounding errors.
    """
    width = max(remaining.shape[1] // _TAIL_WINDOWS, 1)
    last, both = remaining[:, -width], remaining[:, -min(2 * width, remaining.shape[1])]
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = np.where(both > 2.0 * last, last**2 / (both - 2.0 * last), np.inf)
        rate = np.log(np.maximum(both / last - 1.0, 1.0)) / width
    return np.where(last < _COMPLETE * remaining[:, 0], np.minimum(tail, last), tail), np.nan_to_num(rate, posinf=1.0)


def decay_time_s(curve: DecayCurve, *, upper_db: float, lower_db: float) -> NDArray[np.float64]:
    """Return the time in which a curve falls by 60 dB: least squares over the blocks from ``upper_db`` to ``lower_db``.

    Returns:
        (signal,) decay times in s (ISO 3382-1, 5.3). nan where there is no line to fit: where the curve is not known to 10 dB
        below ``lower_db``, and where single steps (a strong direct sound, echoes) take more than half of the range.
    """
    times, _ = fit_decays(curve, np.array([[upper_db, lower_db]]))
    return np.asarray(times[0])


def fit_decays(curve: DecayCurve, ranges_db: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return (range, signal) decay times as :func:`decay_time_s` does, and :class:`Fit` of each, for (range, 2) levels in dB."""
    time = -60.0 * curve.hop_s / lines(curve.level_db, ranges_db, _LEAST_BLOCKS, _LEAST_R2)
    unknown = ~(curve.tail_db <= ranges_db[:, 1:] - MARGIN_DB)
    fit = np.where(np.isnan(time), _STEPS, _GOOD)
    fit[unknown], time[unknown] = _UNKNOWN, np.nan
    return time, fit
