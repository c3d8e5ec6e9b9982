"""The inner loops of :mod:`roomgen.acoustics.diffuse.energy`: flights between scatterings, and the sum over scatterings (numba).

Time is cut into bins. Losses of a bin are those of the exact survival at its edges, so that energy is kept to rounding, whatever
the width of the bins. Nothing is drawn at random.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from roomgen.acoustics.compiled import announced, compiled

_OVER = 1e-7
"""Flights along a direction are followed until this share of their energy is left."""


@compiled(error_model="numpy", nogil=True)
def flights(
    size: Any, keep: Any, directions: Any, isotropic: Any, lambert: Any, c: float, step: float, arrivals: Any, survival: Any
) -> None:
    """Add what becomes of sound that starts at t = 0 and is not scattered (again): from each wall, and from anywhere in the room.

    From wall i it starts at a point of the wall, in a direction by Lambert's law; start 6 is any point of the room, all directions
    alike. Along the axis of wall i, hits come at L / (c |n|) and its multiples, in turn at the opposite wall and at wall i; along
    another axis the first comes after a share of that time that is equally distributed, at either wall.

    Args:
        size: (3,) of the room in m.
        keep: (6,) share of the energy that leaves a wall as from a mirror.
        directions: (3, direction) of one octant; isotropic: (direction,) weights; lambert: (axis, direction) weights.
        c: speed of sound in m/s. step: width of a bin in s.
        arrivals: (7 starts, 6 walls, bin) added to: energy that arrives at a wall, before the wall takes any of it.
        survival: (7 starts, bin + 1) added to: energy that is left at the edges of bins.
    """
    n = arrivals.shape[2]
    most = int(c / size.min() * step * (n + 1)) + 3
    # By wall w: what is left before the hit after q others along its axis, where that hit is at w. By axis: its mean over walls.
    left, mean = np.empty((6, most)), np.empty((3, most))
    for j in range(3):
        near, far = keep[2 * j], keep[2 * j + 1]
        for wall, other in ((2 * j, far), (2 * j + 1, near)):
            left[wall, 0], left[wall, 1] = 1.0, other
            for q in range(2, most):
                left[wall, q] = left[wall, q - 2] * near * far
        for q in range(most):
            mean[j, q] = 0.5 * (left[2 * j, q] + left[2 * j + 1, q])
    mid, mid_left = np.empty((3, n)), np.empty((6, n))
    edge, edge_left = np.empty((3, n)), np.empty((6, n))
    hits = np.empty((3, n), np.int64)
    rate = np.empty(3)
    for d in range(isotropic.size):
        until = n
        for j in range(3):
            rate[j] = c * directions[j, d] / size[j]
            for m in range(n):
                place = rate[j] * (m + 0.5) * step
                q = int(place)
                mid[j, m] = mean[j, q] + (place - q) * (mean[j, q + 1] - mean[j, q])
                mid_left[2 * j, m], mid_left[2 * j + 1, m] = left[2 * j, q], left[2 * j + 1, q]
                place = rate[j] * (m + 1) * step
                q = int(place)
                hits[j, m] = q
                edge[j, m] = mean[j, q] + (place - q) * (mean[j, q + 1] - mean[j, q])
                edge_left[2 * j, m], edge_left[2 * j + 1, m] = left[2 * j, q], left[2 * j + 1, q]
                if edge[j, m] < _OVER:
                    until = min(until, m + 1)
                    break
        for j in range(3):
            k, i = (j + 1) % 3, (j + 2) % 3
            weight = isotropic[d] * rate[j] * 0.5 * step
            for side in range(2):
                hit = 2 * j + side
                for m in range(until):
                    arrivals[6, hit, m] += weight * mid_left[hit, m] * mid[k, m] * mid[i, m]
            for other, third in ((k, i), (i, k)):
                weight = lambert[other, d] * rate[j] * 0.5 * step
                for start in range(2 * other, 2 * other + 2):
                    for hit in range(2 * j, 2 * j + 2):
                        for m in range(until):
                            arrivals[start, hit, m] += weight * mid_left[start, m] * mid[third, m] * mid_left[hit, m]
            before = 0
            for m in range(until):
                for hit in range(before, hits[j, m]):
                    time = (hit + 1) / rate[j]
                    place = rate[k] * time
                    q = int(place)
                    energy = lambert[j, d] * (mean[k, q] + (place - q) * (mean[k, q + 1] - mean[k, q]))
                    place = rate[i] * time
                    q = int(place)
                    energy *= mean[i, q] + (place - q) * (mean[i, q + 1] - mean[i, q])
                    for side in range(2):
                        wall = 2 * j + (side if hit % 2 else 1 - side)
                        arrivals[2 * j + side, wall, m] += energy * left[2 * j + side, hit]
                before = hits[j, m]
            for start in range(2 * j, 2 * j + 2):
                for m in range(until):
                    survival[start, m + 1] += lambert[j, d] * edge_left[start, m] * edge[k, m] * edge[i, m]
        for m in range(until):
            survival[6, m + 1] += isotropic[d] * edge[0, m] * edge[1, m] * edge[2, m]
    for start in range(7):
        survival[start, 0] = 1.0


@compiled(error_model="numpy", nogil=True)
def balance(arrivals: Any, survival: Any, keep: Any) -> None:
    """Scale the arrivals of each bin so that what walls do not keep of them is what the survival falls by."""
    for start in range(7):
        for m in range(arrivals.shape[2]):
            loss, found = survival[start, m] - survival[start, m + 1], 0.0
            for wall in range(6):
                found += (1.0 - keep[wall]) * arrivals[start, wall, m]
            if found > 0.0:
                for wall in range(6):
                    arrivals[start, wall, m] *= loss / found
            elif loss > 0.0:  # all of it falls between the places that were looked at
                losing = 0
                for wall in range(6):
                    losing += keep[wall] < 1.0 and wall != start
                for wall in range(6):
                    if keep[wall] < 1.0 and wall != start:
                        arrivals[start, wall, m] = loss / (losing * (1.0 - keep[wall]))


@compiled(error_model="numpy", nogil=True)
def scatterings(arrivals: Any, survival: Any, scattered: Any) -> Any:
    """Return the energy that has been scattered at least once, (bin + 1,) at the edges of bins, of what started anywhere.

    With S_w(t) what wall w scatters per time, s_w the share of it, and h_iw(t) the arrivals at wall w of what started at wall i,
    S_w = s_w (h_6w + sum_i h_iw * S_i): an integral equation of Volterra's, solved bin by bin. What is scattered within a bin
    starts and arrives anywhere in it, so that a flight of m bins ends half in the bin m, half in the next.

    Args:
        arrivals, survival: of :func:`flights`, balanced.
        scattered: (6,) share of the arriving energy that a wall scatters.
    """
    n = arrivals.shape[2]
    flight, held = np.empty((6, n * 6)), np.empty((6, n))
    source = np.empty(n * 6)
    for start in range(6):
        for m in range(n):
            held[start, m] = 0.5 * (survival[start, m] + survival[start, m + 1])
            for wall in range(6):
                both = arrivals[start, wall, m]
                if m > 0:
                    both += arrivals[start, wall, m - 1]
                flight[start, m * 6 + wall] = 0.5 * scattered[wall] * both
    length = np.zeros(6, np.int64)
    for start in range(6):
        for m in range(n):
            if held[start, m] > _OVER:
                length[start] = min(m + 2, n)  # arrivals of a bin reach into the next
    for m in range(n):
        for wall in range(6):
            source[m * 6 + wall] = scattered[wall] * arrivals[6, wall, m]
    at_once = np.eye(6)
    for start in range(6):
        for wall in range(6):
            at_once[wall, start] -= flight[start, wall]
    inverse = np.linalg.inv(at_once)
    energy = np.zeros(n + 1)
    for m in range(n):
        for start in range(6):
            out = 0.0
            for wall in range(6):
                out += inverse[start, wall] * source[m * 6 + wall]
            last = min(length[start], n - m)
            # Views, so that indices are seen to count up from zero: LLVM then works on whole vectors.
            later, share = source[m * 6 + 6 : (m + last) * 6], flight[start, 6:]
            for k in range(later.size):
                later[k] += out * share[k]
            left, kept = energy[m + 1 : m + 1 + last], held[start]
            for k in range(last):
                left[k] += out * kept[k]
    return energy


@lru_cache(maxsize=1)
def warm_up() -> None:
    """Load the compiled loops, or compile them where that has never been done; only then say so on stderr."""
    arrivals, survival = np.zeros((7, 6, 2)), np.zeros((7, 3))
    half = np.full(6, 0.5)
    with announced("the engine"):
        flights(np.ones(3), half, np.ones((3, 1)), np.ones(1), np.ones((3, 1)), 1.0, 0.1, arrivals, survival)
        balance(arrivals, survival, half)
        scatterings(arrivals, survival, half)
