"""The energy that images add because they are in phase: sound along walls and edges at low frequencies.

Image sources are all positive, so that at low frequencies they do not add as energies. In terms of modes (n_x, n_y, n_z), the sum
over n >= 0 is half a sum over all integers, which is the incoherent energy, plus half of the term n = 0. Over three axes this adds
to the incoherent energy at frequency f, as a mean over positions,

    tangential modes (n_k = 0):        c / (4 L_k f)                of it, travelling in the plane across axis k,
    axial modes (along axis k only):   L_k c^2 / (8 pi V f^2)       of it, travelling along axis k.

Such sound meets fewer walls and rings longer, so that it makes the end of decays up to about 1 kHz, whatever its share at the
start. It is not quite undamped by the walls that it grazes: it spreads towards them. The field of a row of images with the
amplitudes exp(-kappa |z| / 2) is that of an endless row times erfcx(sqrt(j x)), with x = kappa^2 c^2 t / (16 pi f), because the
Fresnel zone widens with sqrt(c t / f). Its square falls like 1 / (pi x), and is written here as a few exponentials.

Frequency by frequency and place by place modes scatter around this mean: T30 of a response by some 12 %.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import octave_centers

_LOWEST_HZ = 22.1  # two octaves below the lowest band's edge; below is the mode (0, 0, 0), an offset that a high-pass removes
_HIGHEST_HZ = 1500.0  # above, the share is so small that no decay shows it
_NODES = 8

# |erfcx(sqrt(j x))|² = sum of share · exp(-rate · x), to 5 % for x < 30 and 16 % for x < 300 (least squares).
_GRAZING_RATE = np.array([0.0061, 0.0566, 0.378, 2.5104, 52.9557])
_GRAZING_SHARE = np.array([0.0056, 0.0351, 0.2038, 0.4674, 0.2881])


def coherent_terms(
    kappa: NDArray[np.float64], size_m: tuple[float, float, float], *, fs_hz: float, c_m_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Return the decays of all axial and tangential modes of a room.

    Args:
        kappa: (3, band) damping by the walls along each axis in 1/m.

    Returns:
        weight, (term,): energy per second at t = 0, relative to that of the incoherent images in the whole spectrum; rate, (term,)
        in 1/s; and the (term,) octave band that each belongs to.
    """
    size = np.asarray(size_m)
    low, band = _half_octaves(fs_hz)
    high, mid = low * np.sqrt(2.0), low * 2.0**0.25
    damping = kappa[:, band]  # (axis, half octave)
    grazing = _GRAZING_RATE[:, None, None] * damping**2 * c_m_s**2 / (16.0 * np.pi * mid)  # (term, axis, half octave)

    weights, rates = [], []
    angle, circle = _quarter_circle()
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        # Half a mode's spacing above 0 Hz: below that, there is none of the kind.
        first = np.clip(c_m_s / (4.0 * np.sqrt(size[i] * size[j])), low, high)
        share = c_m_s / (4.0 * size[k]) * np.log(high / first) / (0.5 * fs_hz)
        along = c_m_s * (np.outer(np.cos(angle), damping[i]) + np.outer(np.sin(angle), damping[j]))
        weights.append(share * circle[:, None, None] * _GRAZING_SHARE[:, None])
        rates.append(along[:, None] + grazing[:, k])

        first = np.clip(c_m_s / (4.0 * size[k]), low, high)
        share = size[k] * c_m_s**2 / (8.0 * np.pi * size.prod()) * (1.0 / first - 1.0 / high) / (0.5 * fs_hz)
        weights.append(share * np.outer(_GRAZING_SHARE, _GRAZING_SHARE)[..., None])
        rates.append(c_m_s * damping[k] + grazing[:, None, i] + grazing[None, :, j])
    bands = np.concatenate([np.broadcast_to(band, rate.shape).ravel() for rate in rates])
    weight, rate = (np.concatenate([part.ravel() for part in parts]) for parts in (weights, rates))
    return np.asarray(weight, dtype=np.float64), np.asarray(rate, dtype=np.float64), bands


@lru_cache(maxsize=8)
def _half_octaves(fs_hz: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the lower edges of the half octaves that modes are looked at in, and the octave band that each lies in."""
    count = int(np.floor(2.0 * np.log2(min(_HIGHEST_HZ, 0.5 * fs_hz) / _LOWEST_HZ)))
    low = np.asarray(_LOWEST_HZ * 2.0 ** (0.5 * np.arange(count)), dtype=np.float64)
    band = np.searchsorted(np.asarray(octave_centers(fs_hz)[1:]) / np.sqrt(2.0), low * 2.0**0.25)
    return low, np.asarray(band, dtype=np.intp)


@lru_cache(maxsize=1)
def _quarter_circle() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights of the mean over a quarter circle, crowded at its ends, where the slowest decays are."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    u = 0.5 * (nodes + 1.0)
    return 0.5 * np.pi * u**2 * (3.0 - 2.0 * u), 3.0 * u * (1.0 - u) * weights
