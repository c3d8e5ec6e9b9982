"""The energy of the diffuse field: what walls have scattered, per octave band and time, as a mean over positions in the room.

At each hit a wall absorbs the share a of the energy, and scatters the share s of the rest by Lambert's law; what is left,
(1 - a)(1 - s), goes on as from a mirror. Sound that has never been scattered are the image sources. The rest is a renewal process
(H. Kuttruff, Room Acoustics, 6th ed. 2016, ch. 4, after W. B. Joyce 1978, with walls for surface elements): scattered sound starts
anew from its wall, and its energy is that of all flights, from one scattering to the next, weighted by what is scattered when.

Two things are assumed: each wall scatters equally from all of its points, and the source is anywhere. Flights are exact: their
hits come one by one at the walls that the direction meets, so that no absorption has to become a rate (R. G. Millington's fault:
one dead wall among others does not take all). Reverberation times are those of 20,000 rays to 1 % (median), without their noise.

A room takes less than 10 ms, and the last rooms are kept; :mod:`~roomgen.acoustics.diffuse.kernels` does the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.rooms import Shoebox

_BINS, _NODES = 160, 10
_COARSE_BINS, _COARSE_NODES = 48, 5
_BINS_PER_FLIGHT = 3.0
"""Bins are split until a flight from one scattering or absorption to the next has as many: all within is taken for even."""

_HORIZON_DB = 68.0
"""Energies are computed bin by bin until the sum of images and diffuse field has fallen so far; then both go on as they fell."""

_LONGEST = 400.0  # in mean free times: later, all that is left falls as one exponential
_LATE = 0.75  # of the bins: from here on a decay is taken for an exponential
_FINEST, _LEAST = 1e-6, 1e-30
_DB = 10.0 / np.log(10.0)


@dataclass(frozen=True, eq=False)
class RoomEnergy:
    """Shares of a source's energy that are in the room without air: never scattered, and scattered.

    Args:
        time_s: (band, point) from 0 on, closest at first.
        specular, diffuse: (band, point) shares then.
    """

    time_s: NDArray[np.float64]
    specular: NDArray[np.float64]
    diffuse: NDArray[np.float64]

    @property
    def late_rate(self) -> NDArray[np.float64]:
        """(band,) in 1/s, not negative: how fast the energy falls at last."""
        return self._late_rate(self.specular + self.diffuse)

    def specular_at(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share that was never scattered at (time,) or (band, time) times: (band, time)."""
        return self._at(self.specular, t_s)

    def diffuse_at(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share that was scattered at (time,) or (band, time) times: (band, time)."""
        return self._at(self.diffuse, t_s)

    def _at(self, share: NDArray[np.float64], t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        times = np.broadcast_to(t_s, (len(share), np.shape(t_s)[-1]))
        within = np.stack([np.interp(t, x, y) for t, x, y in zip(times, self.time_s, share, strict=True)])
        # Images die out before the field that they feed: each goes on at a rate of its own.
        return np.asarray(within * np.exp(-self._late_rate(share)[:, None] * np.maximum(times - self.time_s[:, -1:], 0.0)))

    def _late_rate(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        last_s, rows = self.time_s[:, -1], zip(self.time_s, share, strict=True)
        first = np.array([np.interp(_LATE * x[-1], x, y) for x, y in rows])
        ratio = np.maximum(first, _LEAST) / np.maximum(share[:, -1], _LEAST)
        return np.asarray(np.maximum(np.log(ratio), 0.0) / ((1.0 - _LATE) * last_s))


def diffuse_energy(room: Shoebox, *, fs_hz: float, c_m_s: float) -> RoomEnergy:
    """Return the energies of a room with scattering walls in every octave band.

    It is a pure function of the room's size, absorption and scattering; the last rooms are kept, whatever they were asked for.
    """
    alpha, scattering = room.absorption(fs_hz), room.scattering(fs_hz)
    walls = np.ascontiguousarray(np.stack([alpha, scattering]).transpose(2, 0, 1))  # (band, absorption and scattering, wall)
    return _of_walls(room.size_m, walls.tobytes(), c_m_s)


@lru_cache(maxsize=64)
def _of_walls(size_m: tuple[float, float, float], walls: bytes, c_m_s: float) -> RoomEnergy:
    bands = np.frombuffer(walls).reshape(-1, 12)
    different, inverse = np.unique(bands, axis=0, return_inverse=True)
    found = [_band(np.asarray(size_m), one[:6], one[6:], c_m_s) for one in different]
    parts = np.array(found)[inverse.reshape(-1)]
    parts.setflags(write=False)
    return RoomEnergy(parts[:, 0], parts[:, 1], parts[:, 2])


def _band(size: NDArray[np.float64], alpha: NDArray[np.float64], scattering: NDArray[np.float64], c: float) -> NDArray[np.float64]:
    """Return times in s, specular and diffuse shares of one band: (3, point)."""
    areas = np.repeat([size[1] * size[2], size[0] * size[2], size[0] * size[1]], 2) / (2.0 * (size * np.roll(size, 1)).sum())
    mean_free_s = 2.0 * size.prod() / ((size * np.roll(size, 1)).sum() * c)
    flight_s = mean_free_s / max(1.0 - areas @ ((1.0 - alpha) * (1.0 - scattering)), 1.0 / _LONGEST)
    # Eyring's decay as a first guess: where the absorption is uneven, the true one is slower, and a coarse pass tells by how much.
    loss = -np.log1p(-min(areas @ alpha, 1.0 - _FINEST))
    guess = mean_free_s * min(1.5 * _HORIZON_DB / _DB / max(loss, _FINEST), _LONGEST)
    specular, diffuse = _shares(size, alpha, scattering, c, guess, _COARSE_BINS, flight_s, _COARSE_NODES)
    horizon = min(max(_fallen_s(specular + diffuse, guess), 4.0 * mean_free_s), _LONGEST * mean_free_s)
    shares = _shares(size, alpha, scattering, c, horizon, _BINS, flight_s, _NODES)
    # Every edge at first, where much happens within a flight, and fewer and fewer later.
    point = np.arange(_BINS + 1)
    kept = np.rint(point + (len(shares[0]) - 1 - _BINS) * (point / _BINS) ** 3).astype(np.intp)
    return np.stack([horizon * kept / kept[-1], *(share[kept] for share in shares)])


def _fallen_s(total: NDArray[np.float64], until_s: float) -> float:
    """Return when a decay of (edge,) energies has fallen by :data:`_HORIZON_DB`, continued where it has to be."""
    level = _DB * np.log(np.maximum(total, _LEAST))
    last, step = len(level) - 1, until_s / (len(level) - 1)
    fallen = np.flatnonzero(level < -_HORIZON_DB)
    if len(fallen):
        return float(step * fallen[0])
    first = int(_LATE * last)
    slope = max((level[first] - level[last]) / ((last - first) * step), _FINEST)
    return float(until_s + (_HORIZON_DB + level[last]) / slope)


def _shares(
    size: NDArray[np.float64],
    alpha: NDArray[np.float64],
    scattering: NDArray[np.float64],
    c: float,
    until_s: float,
    bins: int,
    flight_s: float,
    nodes: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the specular and diffuse shares at the edges of equal bins until a time: ``bins`` of them, or a multiple."""
    from roomgen.acoustics.diffuse.kernels import balance, flights, scatterings, warm_up  # numba: when it is first needed

    warm_up()
    parts = int(np.ceil(_BINS_PER_FLIGHT * until_s / (bins * flight_s)))
    keep = (1.0 - alpha) * (1.0 - scattering)
    arrivals, survival = np.zeros((7, 6, bins * parts)), np.zeros((7, bins * parts + 1))
    flights(size, keep, *_directions(nodes), c, until_s / (bins * parts), arrivals, survival)
    balance(arrivals, survival, keep)
    return survival[6], scatterings(arrivals, survival, (1.0 - alpha) * scattering)


@lru_cache(maxsize=2)
def _directions(nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return (3, direction) unit vectors of an octant, their (direction,) weights, and (axis, direction) weights by Lambert."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    u = 0.5 * (points + 1.0)
    # Late sound runs along axes and walls: 3u² - 2u³ crowds directions there.
    angle, step = 0.5 * np.pi * u**2 * (3.0 - 2.0 * u), 3.0 * u * (1.0 - u) * weights
    polar, azimuth = (a.ravel() for a in np.meshgrid(angle, angle, indexing="ij"))
    directions = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)])
    isotropic = np.outer(step * np.sin(angle), step).ravel()
    lambert = directions * isotropic
    return directions, isotropic / isotropic.sum(), lambert / lambert.sum(axis=1, keepdims=True)
