"""The inner loop of :mod:`roomgen.acoustics.labels.noise_floor`: where one decay meets its floor (numba)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from roomgen.acoustics.compiled import compiled
from roomgen.acoustics.labels.decay_models import PARAMETERS, SLOPES, WIDEST, decay_at, evaluate, improve

_LEAST = 1e-30  # of the greatest block: the logarithm of nothing
_FINE, _COARSE = 80, 24  # blocks are put together to at most about these numbers before and after the knee
_PASSED = 10.0**-0.5  # of the energy is still to come where models begin: -5 dB
_LEAST_SPREAD = 0.3  # of block energies, relative to that of noise
_SUNK = 0.01  # of the floor: a decay that ends below it has one


@compiled(error_model="numpy", nogil=True)
def find_floor(energy: Any, width: int, dof: float) -> tuple[int, float, float, float]:
    """Return where a decay meets its floor, the noise energy of a block, the energy of the decay after that, and its rate.

    Args:
        energy: (block,) energies from the onset on.
        width: the least number of blocks that are averaged before anything is compared.
        dof: shape of the gamma distribution that one block adds to a sum.
    """
    n = energy.size
    floor = energy[n - max(n // 10, 1) :].mean()
    knee = first_quiet(energy, max(width, n // 100), 2.0 * floor)
    start = passed(energy, knee, floor)
    begin, end, mean, shape, before = lumps(energy, start, knee, width, dof)
    if before < 3 or mean.size < 5:
        return n, 0.0, np.inf, 0.0
    greatest = mean.max()
    if not greatest > 0.0:
        return n, 0.0, np.inf, 0.0
    mean = np.maximum(mean / greatest, _LEAST)
    floor = max(floor / greatest, _LEAST)
    theta, used, ok = choose(begin, end, mean, shape, before, floor)
    if not ok:
        return n, 0.0, np.inf, 0.0
    level = math.exp(theta[4]) if used[4] else 0.0
    whole = max(int(crossing(theta, used, level, float(n - start))), 1)
    tail = 0.0
    for s in range(SLOPES):
        if used[2 * s]:
            rate = math.exp(theta[2 * s + 1])
            tail += math.exp(theta[2 * s] - min(rate * whole, WIDEST)) / rate
    rate = decay_at(theta, used, float(whole)) / tail if tail > 0.0 else 0.0
    return start + whole, level * greatest, tail * greatest, rate


@compiled(error_model="numpy", nogil=True)
def crossing(theta: Any, used: Any, level: float, span: float) -> float:
    """Return the time at which a decay meets a level; ``span`` if it does not within it."""
    if decay_at(theta, used, span) >= level:
        return span
    low, high = 0.0, span
    for _ in range(40):
        middle = 0.5 * (low + high)
        if decay_at(theta, used, middle) > level:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@compiled(error_model="numpy", nogil=True)
def first_quiet(energy: Any, width: int, level: float) -> int:
    """Return the first block after the peak from which on the mean over ``width`` blocks is below ``level``; all if none is."""
    n = energy.size
    first = 0
    for i in range(n):
        if energy[i] > energy[first]:
            first = i
    total = 0.0
    for i in range(first, n):
        total += energy[i]
        if i >= first + width:
            total -= energy[i - width]
        if i >= first + width - 1 and total < level * width:
            return int(i - width + 1)
    return int(n)


@compiled(error_model="numpy", nogil=True)
def passed(energy: Any, knee: int, floor: float) -> int:
    """Return the block from which on less than -5 dB of the energy before ``knee`` is still to come."""
    total = 0.0
    for i in range(knee):
        total += energy[i] - floor
    left = total
    for i in range(knee):
        left -= energy[i] - floor
        if left < _PASSED * total:
            return i + 1
    return 0


@compiled(error_model="numpy", nogil=True)
def lumps(energy: Any, start: int, knee: int, width: int, dof: float) -> tuple[Any, Any, Any, Any, int]:
    """Return the begin and end after ``start``, mean and shape of fine lumps up to beyond the knee and coarse ones after it.

    The last number is that of the lumps before the knee.
    """
    n = energy.size
    fine = max(width, (knee - start) // _FINE + 1)
    until = min(n, knee + max((knee - start) // 2, 4 * fine))
    coarse = max(fine, (n - until) // _COARSE + 1)
    count = (until - start) // fine
    rest = (n - start - count * fine) // coarse
    begin, end = np.empty(count + rest), np.empty(count + rest)
    mean, shape = np.empty(count + rest), np.empty(count + rest)
    at, before = start, 0
    for j in range(count + rest):
        size = fine if j < count else coarse
        begin[j], end[j] = at - start, at + size - start
        total = 0.0
        for i in range(at, at + size):
            total += energy[i]
        mean[j], shape[j] = total / size, dof * size
        at += size
        if at <= knee:
            before += 1
    return begin, end, mean, shape, before


@compiled(error_model="numpy", nogil=True)
def line(begin: Any, end: Any, mean: Any, floor: float, first: int, last: int) -> tuple[float, float]:
    """Return ln a and r of an exponential through the lumps [first, last), the floor taken off."""
    count, s_t, s_y, s_tt, s_ty = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(first, last):
        t, y = 0.5 * (begin[i] + end[i]), math.log(max(mean[i] - floor, 0.1 * mean[i]))
        count += 1.0
        s_t += t
        s_y += y
        s_tt += t * t
        s_ty += t * y
    slope = (count * s_ty - s_t * s_y) / max(count * s_tt - s_t * s_t, 1e-300)
    return (s_y - slope * s_t) / count, -slope


@compiled(error_model="numpy", nogil=True)
def choose(begin: Any, end: Any, mean: Any, shape: Any, before: int, floor: float) -> tuple[Any, Any, bool]:
    """Fit one and two exponentials, with and without a floor, and return the parameters of the best by Schwarz' criterion."""
    n = begin.size
    span = end[n - 1]
    theta = np.zeros((4, PARAMETERS))
    used = np.zeros((4, PARAMETERS), np.bool_)
    low, high = np.empty(PARAMETERS), np.empty(PARAMETERS)
    for s in range(SLOPES):
        low[2 * s], high[2 * s] = -80.0, 10.0
        low[2 * s + 1], high[2 * s + 1] = math.log(0.01 / span), math.log(20.0 / (end[0] - begin[0]))
    low[4], high[4] = math.log(_LEAST), 3.0
    misfit = np.full(4, np.inf)

    level, rate = line(begin, end, mean, floor, 0, before)
    if not rate > 0.0:
        return theta[0], used[0], False
    half = max(before // 2, 2)
    early_level, early = line(begin, end, mean, floor, 0, half)
    late_level, late = line(begin, end, mean, floor, before - half, before)
    if not early > 1.3 * late or not late > 0.0:
        early_level, early, late_level, late = level, 1.2 * rate, level - 3.0, 0.6 * rate
    for m in range(4):
        theta[m, 4] = math.log(floor)
        used[m, 0], used[m, 1] = True, True
        if m % 2 == 0:
            theta[m, 0], theta[m, 1] = level, math.log(rate)
        else:
            theta[m, 0], theta[m, 1] = early_level, math.log(early)
            theta[m, 2], theta[m, 3] = late_level, math.log(late)
            used[m, 2], used[m, 3] = True, True
        used[m, 4] = m < 2
        for p in range(PARAMETERS):
            theta[m, p] = min(max(theta[m, p], low[p]), high[p])
    slope, value = np.empty((PARAMETERS, n)), np.empty(n)
    for m in range(4):
        if m >= 2:  # without a floor: only where the decay has not sunk far below it
            best = 0 if misfit[0] <= misfit[1] + 1.0 else 1
            if decay_at(theta[best], used[best], span) < _SUNK * math.exp(theta[best, 4]):
                continue
            if m == 2:
                theta[m, :4] = theta[0, :4]
        misfit[m] = improve(begin, end, mean, shape, theta[m], used[m], low, high)
    evaluate(begin, end, mean, shape, theta[1], used[1], value, slope)
    spread = 0.0
    for i in range(n):
        spread += shape[i] * (mean[i] / value[i] - 1.0) ** 2
    spread = max(spread / max(n - PARAMETERS, 1), _LEAST_SPREAD)
    best, least = -1, np.inf
    for m in range(4):
        found = 2.0 * misfit[m] / spread + used[m].sum() * math.log(n)
        if found < least:
            best, least = m, found
    return theta[best], used[best], True
