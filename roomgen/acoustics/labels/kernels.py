"""The inner loops of labels (numba): energies of blocks of time, and lines through decay curves.

Sums run over a block of eight to some dozens of samples at a time and are kept in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from roomgen.acoustics.compiled import compiled


@compiled(error_model="numpy", nogil=True)
def full_rate(signal: Any, low: Any, taps: Any, first: int, rise: int, stop: int, energy: Any, moment: Any) -> float:
    """Sum up the squares of a signal less an interpolated one over blocks, and return the sum of the ``rise`` blocks before them.

    Args:
        signal: (time,) samples, a whole number of blocks.
        low: (block,) what is to be taken off, one sample at the beginning of each block.
        taps: (4, hop) weights of the samples of ``low`` from the block before to two blocks later.
        first: the block that becomes the first of ``energy``. stop: samples from here on do not count.
        energy: (block,) out. moment: (block,) out, energy times its distance from the beginning of its block, in samples.
    """
    hop = taps.shape[1]
    before = 0.0
    for b in range(-rise, energy.size):
        block = first + b
        a0, a1, a2, a3 = low[block - 1], low[block], low[block + 1], low[block + 2]
        total, weighted = 0.0, 0.0
        for j in range(min(hop, stop - block * hop)):
            value = signal[block * hop + j] - (taps[0, j] * a0 + taps[1, j] * a1 + taps[2, j] * a2 + taps[3, j] * a3)
            square = np.float64(value * value)
            total += square
            weighted += j * square
        if b < 0:
            before += total
        else:
            energy[b], moment[b] = total, weighted
    return before


@compiled(error_model="numpy", nogil=True)
def low_rate(
    signals: Any, per_block: int, scale: float, hop: int, first: int, rows: Any, rises: Any, energy: Any, moment: Any, before: Any
) -> None:
    """Sum up squared signals or envelopes of bands over blocks, by the trapezoidal rule.

    Args:
        signals: (band, time) real or complex samples, ``per_block`` of them in each block.
        scale: of a squared sample into energy.
        hop: length of a block in samples of the response.
        first: the block that becomes the first of ``energy``.
        rows: (band,) the rows of the following that the bands are. rises: (signal,) the number of blocks before the first that
            count. energy, moment: (signal, block), before: (signal,) out; see :func:`full_rate`.
    """
    for k in range(rows.size):
        row = rows[k]
        early = 0.0
        at = (first - rises[row]) * per_block
        one = signals[k, at]
        edge = 0.5 * (np.float64(one.real) ** 2 + np.float64(one.imag) ** 2)
        for b in range(-rises[row], energy.shape[1]):
            total, weighted = edge, 0.0
            for j in range(1, per_block):
                one = signals[k, at + j]
                square = np.float64(one.real) ** 2 + np.float64(one.imag) ** 2
                total += square
                weighted += j * square
            at += per_block
            one = signals[k, at]
            edge = 0.5 * (np.float64(one.real) ** 2 + np.float64(one.imag) ** 2)
            total += edge
            weighted += per_block * edge
            if b < 0:
                early += scale * total
            else:
                energy[row, b] = scale * total
                moment[row, b] = scale * weighted * hop / per_block
        before[row] = early


@compiled(error_model="numpy", nogil=True)
def squares(signals: Any, hop: int, first: int, rise: int, energy: Any, moment: Any, before: Any) -> None:
    """Sum up the squares of (signal, time) signals over blocks, the first of which begins at the sample ``first``."""
    last = signals.shape[1]
    for s in range(signals.shape[0]):
        early = 0.0
        for i in range(max(first - rise, 0), first):
            early += np.float64(signals[s, i]) ** 2
        before[s] = early
        for b in range(energy.shape[1]):
            at = first + b * hop
            total, weighted = 0.0, 0.0
            for j in range(min(hop, last - at)):
                square = np.float64(signals[s, at + j]) ** 2
                total += square
                weighted += j * square
            energy[s, b], moment[s, b] = total, weighted


@compiled(error_model="numpy", nogil=True)
def integrate(energy: Any, noise: Any, end: Any) -> Any:
    """Return the (signal, block) energy from the beginning of each block up to ``end``, noise taken off."""
    n_signals, n_blocks = energy.shape
    remaining = np.zeros((n_signals, n_blocks))
    for s in range(n_signals):
        total = 0.0
        for i in range(end[s] - 1, -1, -1):
            total += energy[s, i] - noise[s]
            remaining[s, i] = total
    return remaining


@compiled(error_model="numpy", nogil=True)
def lines(level: Any, ranges: Any, least: int, least_r2: float) -> Any:
    """Fit lines to levels within some ranges.

    Args:
        level: (signal, block) levels that never rise. ranges: (range, 2) the highest and the lowest level of each.
        least: fewer levels are no line. least_r2: neither are levels of which it explains less.

    Returns:
        (range, signal) slopes per block; nan where there is no line, or where its levels span less than half of the range.
    """
    n_signals, n_blocks = level.shape
    found = np.full((ranges.shape[0], n_signals), np.nan)
    for r in range(ranges.shape[0]):
        upper, lower = ranges[r, 0], ranges[r, 1]
        for s in range(n_signals):
            first, high = 0, n_blocks  # the first block at or below the upper level …
            while first < high:
                middle = (first + high) // 2
                if level[s, middle] > upper:
                    first = middle + 1
                else:
                    high = middle
            last, high = first, n_blocks  # … and the first below the lower one
            while last < high:
                middle = (last + high) // 2
                if level[s, middle] >= lower:
                    last = middle + 1
                else:
                    high = middle
            n = last - first
            if n < least or level[s, first] - level[s, last - 1] < 0.5 * (upper - lower):
                continue
            centre = 0.5 * (n - 1)
            total, square, product = 0.0, 0.0, 0.0
            for i in range(n):
                value = level[s, first + i] - upper  # small numbers: their squares lose nothing
                total += value
                square += value * value
                product += (i - centre) * value
            spread = n * (float(n) * n - 1.0) / 12.0
            if product < 0.0 and product * product / spread >= least_r2 * (square - total * total / n):
                found[r, s] = product / spread
    return found


@compiled(error_model="numpy", nogil=True)
def later(remaining: Any, energy: Any, noise: Any, end: Any, times: Any) -> Any:
    """Return the (time, signal) energy from some times on, in blocks after the onset; nan where a curve is cut before."""
    n_signals, n_blocks = remaining.shape
    found = np.full((times.size, n_signals), np.nan)
    for t in range(times.size):
        at = int(times[t])
        for s in range(n_signals):
            if at < min(end[s], n_blocks):
                found[t, s] = remaining[s, at] - (times[t] - at) * (energy[s, at] - noise[s])
    return found
