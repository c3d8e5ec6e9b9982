"""The onset of impulse responses, their energy decay curve, and the decay times that it holds.

M. R. Schroeder ("New method of measuring reverberation time", JASA 37, 1965) integrates the squared response backwards: the level
of what is still to come, as a function of time. Two things spoil the end of the curve, and both are put right here:

- A response that ends before its decay does. What would have followed is estimated from the two last windows of equal length,
  of energies E1 and E2: of an exponential decay, E2² / (E1 - E2) is still to come.
- Stationary noise. The decay is cut where it falls to the noise (Lundeby, Vigran, Bietz & Vorländer, "Uncertainties of
  measurements in room acoustics", Acustica 81, 1995), the noise is subtracted before that point, and the exponential decay after
  it is added: the best of five methods in Guski & Vorländer, "Comparison of noise compensation methods for room acoustic impulse
  response evaluations", Acta Acustica 100, 2014.

Everything here works on the energy of short blocks of time, the first of which begins at the onset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MARGIN_DB = 3.0  # what is extrapolated is at most half of the energy at the end of a fit
_LEAST_R2 = 0.25  # a fit that explains less of the variance is not of a decay, but of a step between two echoes
_TAIL_WINDOWS = 4  # the end of a truncated decay is judged by the two last quarters …
_COMPLETE = 1e-6  # … unless it has less energy than this share of all
_ABOVE_NOISE = 0.7 * np.log(10.0)  # the late slope is fitted from 7 dB above the noise …
_LATE_RANGE = 2.0 * np.log(10.0)  # … over at most 20 dB (Lundeby: 5–10 and 10–20 dB)
_FIRST_INTERVAL_S = 0.02  # smoothing before the slope is known (Lundeby: 0.01–0.05 s)
_INTERVALS = 6.0  # smoothing intervals in 10 dB of late decay (Lundeby: 3–10)
_LEAST_INTERVALS = 8  # where there are fewer within these 20 dB, the range grows upwards


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


@dataclass(frozen=True)
class DecayCurve:
    """Backward-integrated energy of several signals, free of noise and completed beyond the cut.

    Args:
        level_db: (signal, block) level at the beginning of each block relative to all energy, never rising; -inf after the end.
        remaining: (signal, block) the same as energy.
        total: (signal,) all energy, that before the onset included.
        tail: (signal,) the part of it that was extrapolated; inf where that is impossible.
        noise: (signal,) noise energy of a block; 0 without a noise floor.
        end: (signal,) the number of blocks before the cut.
        hop_s: length of a block in s.
    """

    level_db: NDArray[np.float64]
    remaining: NDArray[np.float64]
    total: NDArray[np.float64]
    tail: NDArray[np.float64]
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
    interval_s: NDArray[np.float64] | None = None,
    end: NDArray[np.int64] | None = None,
) -> DecayCurve:
    """Integrate the energy of signals backwards.

    Args:
        energy: (signal, block) energy of each block from the onset on.
        before: (signal,) energy before the onset that belongs to the direct sound: a band filter's rise.
        hop_s: length of a block in s.
        interval_s: (signal,) look for a noise floor, smoothing over at least this time: that in which the energy of the signal
            varies at random, two periods of a band. None: there is no noise.
        end: (signal,) blocks from here on are not to be used; None: all can be.
    """
    n_signals, n_blocks = energy.shape
    stop = np.full(n_signals, n_blocks, dtype=np.int64) if end is None else np.clip(end, 1, n_blocks)
    noise, tail = np.zeros(n_signals), np.zeros(n_signals)
    for s, interval in enumerate([] if interval_s is None else interval_s):
        stop[s], noise[s], tail[s] = find_floor(energy[s, : stop[s]], hop_s=hop_s, interval_s=interval)
    inside = energy
    if interval_s is not None:
        inside = np.where(np.arange(n_blocks) < stop[:, None], energy - noise[:, None], 0.0)
    remaining = np.cumsum(inside[:, ::-1], axis=1)[:, ::-1]
    if interval_s is None:
        tail = _truncated_tail(remaining)
    known = np.where(np.isfinite(tail), tail, 0.0)
    remaining = remaining + known[:, None]
    remaining[np.arange(n_blocks) >= stop[:, None]] = 0.0
    total = remaining[:, 0] + before
    remaining[:, 0] = total
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10.0 * np.log10(np.maximum(remaining, 0.0) / total[:, None])
    return DecayCurve(np.minimum.accumulate(level, axis=1), remaining, total, tail, noise, stop, hop_s)


def _truncated_tail(remaining: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the energy after the end of decays whose two last quarters are exponential; inf if they do not decay.

    Where the last quarter has less than -60 dB of all energy, the response is complete: what ends there are rounding errors.
    """
    width = max(remaining.shape[1] // _TAIL_WINDOWS, 1)
    last, both = remaining[:, -width], remaining[:, -min(2 * width, remaining.shape[1])]
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = np.where(both > 2.0 * last, last**2 / (both - 2.0 * last), np.inf)
    return np.where(last < _COMPLETE * remaining[:, 0], np.minimum(tail, last), tail)


def find_floor(energy: NDArray[np.float64], *, hop_s: float, interval_s: float) -> tuple[int, float, float]:
    """Find where a decay falls into stationary noise (Lundeby et al. 1995).

    Args:
        energy: (block,) energy of each block of ``hop_s`` seconds.
        interval_s: the shortest time over which energy may be averaged.

    Returns:
        The number of blocks before the crossing, the noise energy of a block, and the energy of the decay after the crossing.
        All blocks and no noise, if the decay goes on to the end. All blocks, no noise and inf, if there is no decay to be seen.
    """
    n_blocks = len(energy)
    last_tenth = n_blocks - max(n_blocks // 10, 1)
    shortest = max(int(interval_s / hop_s), 1)
    begin, width = last_tenth, max(int(min(_FIRST_INTERVAL_S / hop_s, n_blocks / 20)), shortest)
    crossing, span = float(n_blocks), np.inf
    for _ in range(8):
        noise = float(energy[begin:].mean())
        line = _late_decay(energy, width, noise, span)
        if line is None:
            return n_blocks, 0.0, np.inf
        level, rate = line
        previous, crossing = crossing, np.log(level / noise) / rate
        # Noise is what comes after 7 dB more of decay, but never less than the last tenth.
        begin = int(np.clip(crossing + _ABOVE_NOISE / rate, 0, last_tenth))
        width = max(int(min(np.log(10.0) / rate / _INTERVALS, n_blocks / 20)), shortest)
        span = _LATE_RANGE
        if abs(crossing - previous) < 0.005 * n_blocks:
            break
    noise = float(energy[begin:].mean())
    expected = level * np.exp(-rate * np.arange(begin, n_blocks)).mean()
    if crossing >= n_blocks or noise < 2.0 * expected:  # the end is what the decay itself has come to
        return n_blocks, 0.0, level * np.exp(-rate * n_blocks) / rate
    return max(int(crossing), 1), noise, noise / rate


def _late_decay(energy: NDArray[np.float64], width: int, noise: float, span: float) -> tuple[float, float] | None:
    """Fit ``level · exp(-rate · block)`` to smoothed energy, from 7 dB above the noise over ``span`` (neper of energy)."""
    count = len(energy) // width
    if count < 4 or noise <= 0.0:
        return None
    with np.errstate(divide="ignore"):
        smooth = np.log(energy[: count * width].reshape(count, width).mean(axis=1) / noise)
    first = int(np.argmax(smooth))
    below = np.flatnonzero(smooth[first:] < _ABOVE_NOISE)
    rows = np.arange(first, first + int(below[0]) if below.size else count)
    above = np.flatnonzero(smooth[rows] > _ABOVE_NOISE + span)
    if above.size:
        rows = rows[min(int(above[-1]) + 1, max(len(rows) - _LEAST_INTERVALS, 0)) :]
    if len(rows) < 3:
        return None
    slope, start = np.polyfit((rows + 0.5) * width, smooth[rows], 1)
    return (float(noise * np.exp(start)), -float(slope)) if slope < 0.0 else None


def decay_time_s(curve: DecayCurve, *, upper_db: float, lower_db: float) -> NDArray[np.float64]:
    """Return the time in which a curve falls by 60 dB: least squares over the blocks from ``upper_db`` to ``lower_db``.

    Returns:
        (signal,) decay times in s (ISO 3382-1, 5.3). nan where there is no line to fit: where the curve is not known to 3 dB
        below ``lower_db``, and where single steps (a strong direct sound, echoes) take more than half of the range.
    """
    level = curve.level_db
    inside = (level <= upper_db) & (level >= lower_db)
    time = np.arange(level.shape[1]) * curve.hop_s
    weight = inside.astype(np.float64)
    value = np.where(inside, level, 0.0)
    count = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_t, mean_v = weight @ time / count, value.sum(axis=1) / count
        var_t, var_v = weight @ (time * time) / count - mean_t**2, (value * value).sum(axis=1) / count - mean_v**2
        slope = (value @ time / count - mean_t * mean_v) / var_t
        highest = np.max(level, axis=1, where=inside, initial=-np.inf)
        lowest = np.min(level, axis=1, where=inside, initial=np.inf)
        known = (curve.tail_db <= lower_db - _MARGIN_DB) & (count >= 4) & (slope < 0.0)
        known &= (highest - lowest >= 0.5 * (upper_db - lower_db)) & (slope**2 * var_t >= _LEAST_R2 * var_v)
        return np.where(known, -60.0 / slope, np.nan)
