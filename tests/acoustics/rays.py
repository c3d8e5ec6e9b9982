"""A Monte Carlo of rays in a shoebox, as an independent reference for the energy of scattered sound: Lambert's law, ray by ray."""

# ruff: noqa: NPY002 (numba knows no other generator)

from __future__ import annotations

import numpy as np
from numba import njit


@njit
def ray_energies(size, alpha, scattering, c, step, bins, rays, seed):
    """Return the (band, bin) shares of energy in the room: all of it, and what was never scattered.

    Rays start anywhere in the room in any direction. Their energies are (band,), their ways common to all bands.

    Args:
        size: (3,) in m. alpha: (wall, band). scattering: (wall,).
    """
    np.random.seed(seed)
    bands = alpha.shape[1]
    everything, unscattered = np.zeros((bands, bins)), np.zeros((bands, bins))
    x, v, energy = np.empty(3), np.empty(3), np.empty(bands)
    for _ in range(rays):
        for k in range(3):
            x[k] = np.random.random() * size[k]
        v[2] = 2 * np.random.random() - 1
        turn = 2 * np.pi * np.random.random()
        v[0], v[1] = np.sqrt(1 - v[2] ** 2) * np.cos(turn), np.sqrt(1 - v[2] ** 2) * np.sin(turn)
        t, loud, never = 0.0, 1.0, True
        energy[:] = 1.0
        while t < bins * step and loud > 1e-7:
            way, wall = 1e30, 0
            for k in range(3):
                there = size[k] if v[k] > 0 else 0.0
                if v[k] != 0.0 and (there - x[k]) / v[k] < way:
                    way, wall = max((there - x[k]) / v[k], 0.0), 2 * k + (v[k] > 0)
            end, m, at = t + way / c, int(t / step), t
            while at < end and m < bins:
                to = min(end, (m + 1) * step)
                for b in range(bands):
                    everything[b, m] += energy[b] * (to - at) / step
                    if never:
                        unscattered[b, m] += energy[b] * (to - at) / step
                at, m = to, m + 1
            t = end
            axis, far = wall // 2, wall % 2
            for k in range(3):
                x[k] += way * v[k]
            x[axis] = size[axis] if far else 0.0
            loud = 0.0
            for b in range(bands):
                energy[b] *= 1 - alpha[wall, b]
                loud = max(loud, energy[b])
            if np.random.random() < scattering[wall]:
                never = False
                up = np.sqrt(np.random.random())
                turn = 2 * np.pi * np.random.random()
                v[axis] = -up if far else up
                v[(axis + 1) % 3] = np.sqrt(1 - up**2) * np.cos(turn)
                v[(axis + 2) % 3] = np.sqrt(1 - up**2) * np.sin(turn)
            else:
                v[axis] = -v[axis]
    return everything / rays, unscattered / rays


def t30_s(energy, step):
    """Return T30 of (bin,) energies by its definition (ISO 3382-1), or NaN where they end too early."""
    left = np.cumsum(energy[::-1])[::-1]
    level = 10 * np.log10(np.maximum(left / left[0], 1e-30))
    used = (level <= -5) & (level >= -35)
    if level[used][-1] > -34:
        return np.nan
    return -60 / np.polyfit(np.flatnonzero(used) * step, level[used], 1)[0]
