"""Predicted energy decay of a shoebox room, per octave band, from its size and walls alone.

A plane wave that travels in the direction (n_x, n_y, n_z) of a shoebox meets the two walls of axis k once each per 2 L_k / |n_k|
metres, so its energy falls as exp(-g · distance) with

    g = m + sum_k |n_k| · kappa_k,    kappa_k = -[ln(1 - a_k0) + ln(1 - a_k1)] / (2 L_k),

m being the absorption of air. The energy of all image sources is the mean over directions (Lehmann & Johansson, "Prediction of
energy decay in room impulse responses simulated with an image-source model", JASA 124, 2008):

    E(t) = (4 pi c / V) < exp(-c g t) > / (4 pi)^2.

It is exact for the image source model in the limit of many images; a diffuse field (Sabine, Eyring) is not assumed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.air import Air, speed_of_sound_m_s
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.rooms import Shoebox
from roomgen.errors import RoomgenError

_NODES = 24  # per angle of an octant: the mean over directions is then exact to 1e-4 for T30, also with one dead axis


@lru_cache(maxsize=1)
def _octant() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (direction, 3) unit vectors of one octant and their (direction,) weights, which add up to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    height = 0.5 * (nodes + 1.0)
    angle = 0.25 * np.pi * (nodes + 1.0)
    flat = np.sqrt(1.0 - height**2)
    directions = np.stack(
        [np.outer(flat, np.cos(angle)), np.outer(flat, np.sin(angle)), np.outer(height, np.ones(_NODES))], axis=-1
    )
    return directions.reshape(-1, 3), np.outer(weights, weights).ravel() / 4.0


def damping_per_m(room: Shoebox, *, fs_hz: float, air: Air | None = None) -> NDArray[np.float64]:
    """Return the damping g in 1/m of each octave band in each direction of :func:`_octant`: (band, direction)."""
    alpha = np.minimum(room.absorption(fs_hz), 1.0 - 1e-9)
    loss = -np.log1p(-alpha)
    kappa = (loss[0::2] + loss[1::2]) / (2.0 * np.asarray(room.size_m))[:, None]
    directions, _ = _octant()
    damping = (directions @ kappa).T
    if air is not None:
        damping = damping + air.energy_absorption_per_m(octave_centers(fs_hz))[:, None]
    return np.asarray(damping)
