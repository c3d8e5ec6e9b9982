"""Models of decays, fitted to the energy of blocks of time (numba).

A model is the sum of up to two exponentials and a constant, m(t) = a₁ exp(-r₁ t) + a₂ exp(-r₂ t) + c, averaged over each block. The
energy of a block of noise of bandwidth B and length T has a gamma distribution of shape k = BT about its mean, so that the
misfit is Σ k (e/m - 1 - ln(e/m)), the Itakura-Saito divergence: it is blind to level, and a block at -60 dB counts as much as one
at 0 dB. It is made least by Fisher scoring in the logarithms of the parameters, damped as Levenberg and Marquardt do it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from roomgen.acoustics.compiled import compiled

SLOPES, PARAMETERS = 2, 5  # ln a₁, ln r₁, ln a₂, ln r₂, ln c
_ITERATIONS = 40
_ENOUGH = 1e-3  # of the misfit: what models are told apart by is a thousand times as much
_STEP = 1.5  # neper a parameter may move at once
WIDEST = 200.0  # neper: no block is quieter than this beside the first


@compiled(error_model="numpy", nogil=True)
def evaluate(begin: Any, end: Any, energy: Any, shape: Any, theta: Any, used: Any, mean: Any, slope: Any) -> float:
    """Return the misfit of a model; its means and their relative derivatives are left in ``mean`` and ``slope``.

    Args:
        begin, end: (block,) times, in any unit.
        energy: (block,) mean energy density of each block; shape: (block,) of its gamma distribution.
        theta: (5,) logarithms of the parameters; used: (5,) bool, which of them the model has.
        mean: (block,) out. slope: (5, block) out, ∂ ln m / ∂ θ.
    """
    misfit = 0.0
    floor = math.exp(theta[4]) if used[4] else 0.0
    for i in range(begin.size):
        mean[i] = floor
        slope[4, i] = floor
    for s in range(SLOPES):
        if not used[2 * s]:
            continue
        level, rate = math.exp(theta[2 * s]), math.exp(theta[2 * s + 1])
        last, at = -1.0, 0.0
        for i in range(begin.size):
            first = at if begin[i] == last else math.exp(-min(rate * begin[i], WIDEST))
            last = end[i]
            at = math.exp(-min(rate * last, WIDEST))
            width = rate * (last - begin[i])
            part = level * (first - at) / width
            slope[2 * s, i] = part
            slope[2 * s + 1, i] = level * (at * last - first * begin[i]) * rate / width - part
            mean[i] += part
    for i in range(begin.size):
        inverse = 1.0 / mean[i]
        ratio = energy[i] * inverse
        misfit += shape[i] * (ratio - 1.0 - math.log(ratio))
        for p in range(PARAMETERS):
            slope[p, i] *= inverse
    return misfit


@compiled(error_model="numpy", nogil=True)
def improve(begin: Any, end: Any, energy: Any, shape: Any, theta: Any, used: Any, low: Any, high: Any) -> float:
    """Fit a model from ``theta`` on, changing it in place within [low, high], and return its misfit."""
    n = begin.size
    mean, slope = np.empty(n), np.zeros((PARAMETERS, n))
    trial_mean, trial_slope = np.empty(n), np.zeros((PARAMETERS, n))
    which = np.flatnonzero(used)
    count = which.size
    gradient, matrix, trial = np.empty(count), np.empty((count, count)), theta.copy()
    misfit = evaluate(begin, end, energy, shape, theta, used, mean, slope)
    damping, stale = 1e-2, True
    normal, left = np.empty((count, count)), np.empty(count)
    for _ in range(_ITERATIONS):
        if stale:
            for a in range(count):
                total = 0.0
                for i in range(n):
                    total += shape[i] * (energy[i] / mean[i] - 1.0) * slope[which[a], i]
                gradient[a] = total
                for b in range(a + 1):
                    total = 0.0
                    for i in range(n):
                        total += shape[i] * slope[which[a], i] * slope[which[b], i]
                    matrix[a, b] = total
                    matrix[b, a] = total
            stale = False
        for a in range(count):
            left[a] = gradient[a]
            for b in range(count):
                normal[a, b] = matrix[a, b]
            normal[a, a] += damping * matrix[a, a] + 1e-9
        solve(normal, left)
        for p in range(PARAMETERS):
            trial[p] = theta[p]
        for a in range(count):
            p = which[a]
            trial[p] = min(max(theta[p] + min(max(left[a], -_STEP), _STEP), low[p]), high[p])
        found = evaluate(begin, end, energy, shape, trial, used, trial_mean, trial_slope)
        if found < misfit:
            gained = misfit - found
            misfit, stale = found, True
            damping = max(0.2 * damping, 1e-6)
            theta[:] = trial
            mean, trial_mean = trial_mean, mean
            slope, trial_slope = trial_slope, slope
            if gained < _ENOUGH:
                break
        else:
            damping *= 8.0
            if damping > 1e6:
                break
    return float(misfit)


@compiled(error_model="numpy", nogil=True)
def solve(matrix: Any, right: Any) -> None:
    """Solve a small symmetric positive system in place: ``right`` becomes the solution, ``matrix`` is spoilt."""
    n = right.size
    for a in range(n):
        for b in range(a + 1, n):
            factor = matrix[b, a] / matrix[a, a]
            for c in range(a, n):
                matrix[b, c] -= factor * matrix[a, c]
            right[b] -= factor * right[a]
    for a in range(n - 1, -1, -1):
        for b in range(a + 1, n):
            right[a] -= matrix[a, b] * right[b]
        right[a] /= matrix[a, a]


@compiled(error_model="numpy", nogil=True)
def decay_at(theta: Any, used: Any, time: float) -> float:
    """Return the decay of a model, without its floor, at a time."""
    total = 0.0
    for s in range(SLOPES):
        if used[2 * s]:
            total += math.exp(theta[2 * s] - min(math.exp(theta[2 * s + 1]) * time, WIDEST))
    return total
