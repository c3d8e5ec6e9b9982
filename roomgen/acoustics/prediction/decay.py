"""Predicted energy decay of a shoebox room, per octave band, from its size and walls alone.

A plane wave that travels in the direction (n_x, n_y, n_z) of a shoebox meets the two walls of axis k once each per 2 L_k / |n_k|
metres, so its energy falls as exp(-g · distance) with

    g = m + sum_k |n_k| · kappa_k,    kappa_k = -[ln(1 - a_k0) + ln(1 - a_k1)] / (2 L_k),

m being the absorption of air. Within dt, 4 pi (ct)^2 c dt / V images arrive, each with the energy exp(-c g t) / (4 pi c t)^2. So
a band receives, per second and relative to its bandwidth (Lehmann & Johansson, "Prediction of energy decay in room impulse
responses simulated with an image-source model", JASA 124, 2008)

    E(t) = c / (4 pi V) · < exp(-c g t) >,    < · > the mean over directions.

Where walls scatter, images lose that part too, and what they lose is a diffuse field. Both energies, as means over positions, come
from :mod:`roomgen.acoustics.diffuse.energy`. A room then takes some 10 ms at its first question and less at the next; without
scattering, half a millisecond.

A diffuse field (Sabine, Eyring) is not assumed. Two things are: images are many, and their energies add. The first fails for
short decays in dead rooms; what is to be added for the second at low frequencies is in
:mod:`roomgen.acoustics.prediction.coherence`. :func:`energy_density` is of images alone; reverberation times and durations are
those of responses, and take both into account (but not the offset that a high-pass removes).

Without scattering, either decay is a mixture of exponentials, :class:`Mixture`, from which all else follows in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.air import Air, speed_of_sound_m_s
from roomgen.acoustics.bands import band_weights, octave_centers
from roomgen.acoustics.diffuse.energy import diffuse_energy
from roomgen.acoustics.prediction.coherence import coherent_terms
from roomgen.acoustics.prediction.sampled_decay import SampledDecay
from roomgen.acoustics.rooms import Shoebox
from roomgen.errors import RoomgenError

_NODES = 20  # per angle of an octant; see tests/acoustics/test_decay.py for the error of the mean over directions
_MERGED = 0.02
_DB = 10.0 / np.log(10.0)
_T30_DB = (-5.0, -35.0)
_LINE = np.polynomial.legendre.leggauss(8)  # nodes and weights of a mean over the straight part of a decay
_AWAY = np.array([1.0, 0.8, 0.5, 0.1])
"""What is found of the energy of modes, per octave from 125 Hz on, further than 5 % of a room's size from its walls: the mean over
positions counts what adds up within a quarter of a wavelength of them (images of six rooms, 30 positions each)."""

_END_POINTS = 80  # at which images and diffuse field are compared
_POINTS = 400  # of the decay of all bands together
_BEYOND_DB = np.arange(10.0, 81.0, 10.0)  # at which a decay is looked at after the last bin of its energies


@dataclass(frozen=True)
class Mixture:
    """Energy decays E(t) = sum_k weight_k · exp(-rate_k · t), one per row.

    Args:
        weight: (decay, term) in energy per second, not negative.
        rate: (decay, term) in 1/s, positive.
    """

    weight: NDArray[np.float64]
    rate: NDArray[np.float64]

    def density(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return E at the (…, time) times that are broadcast against the decays: (decay, time)."""
        return np.asarray(np.einsum("dk,dtk->dt", self.weight, np.exp(-self.rate[:, None] * t_s[..., None])))

    def curve(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Schroeder's integral of E from t to infinity: (decay, time)."""
        return Mixture(self.weight / self.rate, self.rate).density(t_s)

    def level_db(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Schroeder's integral relative to its start, in dB: (decay, time)."""
        return np.asarray(_DB * np.log(self.curve(t_s) / self.curve(np.zeros(1))))

    def time_s_at(self, *levels_db: float) -> NDArray[np.float64]:
        """Return the times at which the Schroeder integral has fallen to each level: (decay, level)."""
        integral = Mixture(self.weight / self.rate, self.rate)
        start = integral.weight.sum(axis=1, keepdims=True)
        target = np.asarray(levels_db) / _DB
        t = np.zeros((len(self.weight), len(levels_db)))
        # The logarithm of a mixture of decays is convex: Newton's steps from t = 0 come from below and never overshoot.
        for _ in range(100):
            left = integral.density(t)
            step = (np.log(left / start) - target) * left / self.density(t)
            t += step
            if np.all(np.abs(step) <= 1e-6 * t):
                break
        return t


def energy_density(
    room: Shoebox, *, fs_hz: float, t_s: ArrayLike, air: Air | None = None, modes: bool = False
) -> NDArray[np.float64]:
    """Return E_b(t): what an impulse response with the amplitudes 1/(4 pi r) receives in each octave band, per second.

    What walls scatter is counted in. It is in units of squared samples: the sum of rir**2 over a stretch of time, were the walls
    in all bands those of band b.

    Args:
        t_s: (time,) seconds since the emission.
        modes: count in what images add by being in phase; per band then, not as if all bands were band b.

    Returns:
        (band, time) in 1/(m² s).
    """
    times = np.atleast_1d(np.asarray(t_s, dtype=np.float64))
    if modes:
        return _responses(room, fs_hz, air, bands=True).density(times)
    if room.scatters:
        return _scattered(room, fs_hz, air, times, modes=False)
    return _images(room, _kappa_per_m(room, fs_hz), *_medium(air, fs_hz)).density(times)


def image_density(room: Shoebox, *, fs_hz: float, t_s: ArrayLike, c_m_s: float) -> NDArray[np.float64]:
    """Return :func:`energy_density` of images alone, which lose what is scattered, without air: (band, time)."""
    times = np.atleast_1d(np.asarray(t_s, dtype=np.float64))
    if room.scatters:
        return np.asarray(_start(room, c_m_s) * diffuse_energy(room, fs_hz=fs_hz, c_m_s=c_m_s).specular_at(times))
    kappa = _kappa_per_m(room, fs_hz)
    return _images(room, kappa, c_m_s, np.zeros(kappa.shape[1])).density(times)


def specular_density(room: Shoebox, *, fs_hz: float, t_s: ArrayLike, c_m_s: float) -> NDArray[np.float64]:
    """Return :func:`image_density` with what images add by being in phase, as if all bands were band b: (band, time).

    It is what noise must have that goes on in place of images, away from walls.
    """
    images = image_density(room, fs_hz=fs_hz, t_s=t_s, c_m_s=c_m_s)
    times = np.atleast_1d(np.asarray(t_s, dtype=np.float64))
    modes = _modes(room, _kappa_per_m(room, fs_hz), fs_hz, c_m_s, np.zeros(len(images))).density(times)
    modes[: len(_AWAY)] *= _AWAY[: len(modes), None]
    modes[len(_AWAY) :] = 0.0
    return np.asarray(images + modes / _band_shares(fs_hz)[: len(images), None])


@lru_cache(maxsize=64)
def specular_end_s(room: Shoebox, *, fs_hz: float, c_m_s: float, floor_db: float) -> float:
    """Return from when on images lie below the diffuse field by ``floor_db`` in every band; infinite where they never do."""
    energy = diffuse_energy(room, fs_hz=fs_hz, c_m_s=c_m_s)
    t_s = energy.time_s.max() * np.linspace(0.0, 1.0, _END_POINTS) ** 2
    specular = specular_density(room, fs_hz=fs_hz, t_s=t_s, c_m_s=c_m_s)
    covered = np.all(specular <= 10.0 ** (-0.1 * floor_db) * _start(room, c_m_s) * energy.diffuse_at(t_s), axis=0)
    last = int(np.flatnonzero(~covered)[-1])
    return float(t_s[last + 1]) if last + 1 < len(t_s) else float(np.inf)


def predict_rt60_s(room: Shoebox, *, fs_hz: float, air: Air | None = None) -> float:
    """Return the broadband RT60 in s that responses of the room are expected to have (T30, :func:`rt60_s`).

    Raises:
        RoomgenError: the room never decays: two opposite walls absorb nothing in some band and air neither.
    """
    return float(rt60_s(_responses(room, fs_hz, air, bands=False))[0])


def predict_rt60_bands_s(room: Shoebox, *, fs_hz: float, air: Air | None = None) -> NDArray[np.float64]:
    """Return the expected RT60 (T30) of each octave band: (band,) in s; same errors as :func:`predict_rt60_s`."""
    return rt60_s(_responses(room, fs_hz, air, bands=True))


def decay_time_s(
    room: Shoebox,
    *,
    fs_hz: float,
    air: Air | None = None,
    level_db: float = -60.0,
    bands: Literal["sum", "slowest"] = "sum",
) -> float:
    """Return when the expected Schroeder curve has fallen to ``level_db``, in s: how long a response has to be.

    Args:
        level_db: below the start of the curve, negative.
        bands: ``"sum"`` looks at the curve of the whole signal, ``"slowest"`` at that octave band which rings longest.

    Raises:
        RoomgenError: the room never decays: give the simulation a duration.
    """
    return float(_responses(room, fs_hz, air, bands=bands == "slowest").time_s_at(level_db).max())


def rt60_s(decays: Mixture | SampledDecay) -> NDArray[np.float64]:
    """Return T30 as it is measured (ISO 3382-1): 60 dB over the regression slope from -5 to -35 dB. (decay,)."""
    first, last = decays.time_s_at(*_T30_DB).T
    half = 0.5 * (last - first)
    level = decays.level_db(0.5 * (first + last)[:, None] + half[:, None] * _LINE[0])
    # Least squares over a continuous line: sum w x y / sum w x^2 with sum w x^2 = 2/3 on [-1, 1].
    slope = level @ (_LINE[1] * _LINE[0]) * 1.5 / half
    return np.asarray(-60.0 / slope)


@lru_cache(maxsize=1)
def _octant() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (3, direction) unit vectors of one octant and their (direction,) weights, which add up to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    u = 0.5 * (nodes + 1.0)
    # The slowest directions run along axes and walls, where late sound comes from alone: 3u² - 2u³ crowds nodes there.
    angle, step = 0.5 * np.pi * u**2 * (3.0 - 2.0 * u), 3.0 * u * (1.0 - u) * weights
    polar, azimuth = (a.ravel() for a in np.meshgrid(angle, angle, indexing="ij"))
    directions = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)])
    return directions, np.outer(0.5 * np.pi * step * np.sin(angle), step).ravel()


@lru_cache(maxsize=8)
def _band_shares(fs_hz: float) -> NDArray[np.float64]:
    """Return the (2 band - 1,) shares of a white spectrum: first what each band holds alone, then each pair of neighbours.

    Where two bands cross-fade, the pressures add: (W_a p_a + W_b p_b)² has a mixed term, which decays at the mean rate.
    """
    weights = band_weights(np.linspace(0.0, fs_hz / 2, 1 << 14), octave_centers(fs_hz))
    return np.concatenate([(weights**2).mean(axis=1), 2.0 * (weights[:-1] * weights[1:]).mean(axis=1)])


def _kappa_per_m(room: Shoebox, fs_hz: float) -> NDArray[np.float64]:
    """Return the damping of images by the walls along each axis: (3, band) in 1/m."""
    lost = room.absorption(fs_hz)
    if room.scatters:
        lost = 1.0 - (1.0 - lost) * (1.0 - room.scattering(fs_hz))
    loss = -np.log1p(-np.minimum(lost, 1.0 - 1e-9))
    return np.asarray((loss[0::2] + loss[1::2]) / (2.0 * np.asarray(room.size_m))[:, None])


def _air_per_m(air: Air | None, fs_hz: float) -> NDArray[np.float64]:
    """Return the damping by air: (band,) in 1/m."""
    centers = octave_centers(fs_hz)
    return np.zeros(len(centers)) if air is None else air.energy_absorption_per_m(centers)


def _medium(air: Air | None, fs_hz: float) -> tuple[float, NDArray[np.float64]]:
    """Return the speed of sound in m/s and the damping by air: (band,) in 1/m."""
    return speed_of_sound_m_s(air), _air_per_m(air, fs_hz)


def _images(room: Shoebox, kappa: NDArray[np.float64], c: float, air_per_m: NDArray[np.float64]) -> Mixture:
    """Return the decay of images in every band: (band, direction)."""
    rate = c * (kappa.T @ _octant()[0] + air_per_m[:, None])
    return Mixture(np.broadcast_to(_start(room, c) * _octant()[1], rate.shape), rate)


def _start(room: Shoebox, c: float) -> float:
    return c / (4.0 * np.pi * room.volume_m3)


def _modes(room: Shoebox, kappa: NDArray[np.float64], fs_hz: float, c: float, air_per_m: NDArray[np.float64]) -> Mixture:
    """Return what images add by being in phase, in every band: (band, term)."""
    weight, rate, band = coherent_terms(kappa, room.size_m, fs_hz=fs_hz, c_m_s=c)
    return _thinned(_start(room, c) * weight, rate + c * air_per_m[band], band, len(air_per_m))


@lru_cache(maxsize=8)  # a room is asked for its duration and its RT60 one after the other
def _responses(room: Shoebox, fs_hz: float, air: Air | None, bands: bool) -> Mixture | SampledDecay:
    """Return the decay of responses: images, modes and diffuse field, in every band or in all together."""
    kappa = _kappa_per_m(room, fs_hz)
    _check_decays(room, kappa, fs_hz, air)
    if room.scatters:
        return _sampled(room, fs_hz, air, modes=True) if bands else _sampled_sum(room, fs_hz, air)
    images, shares = _images(room, kappa, *_medium(air, fs_hz)), _band_shares(fs_hz)
    count = len(images.rate)
    weight, rate, band = coherent_terms(kappa, room.size_m, fs_hz=fs_hz, c_m_s=speed_of_sound_m_s(air))
    modes = (_start(room, speed_of_sound_m_s(air)) * weight, rate + speed_of_sound_m_s(air) * _air_per_m(air, fs_hz)[band])
    if bands:
        of_images = (shares[:count, None] * images.weight, images.rate)
        row = np.concatenate([np.repeat(np.arange(count), images.rate.shape[1]), band])
    else:
        between = 0.5 * (images.rate[:-1] + images.rate[1:])
        of_images = (np.outer(shares, images.weight[0]), np.concatenate([images.rate, between]))
        row = np.zeros(of_images[0].size + len(band), dtype=np.intp)
    weight, rate = (np.concatenate([a.ravel(), b]) for a, b in zip(of_images, modes, strict=True))
    return _thinned(weight, rate, row, int(row.max()) + 1)


def _sampled(room: Shoebox, fs_hz: float, air: Air | None, *, modes: bool) -> SampledDecay:
    """Return the decay of a room with scattering walls in every band."""
    times = _sample_times(room, fs_hz, air)
    return SampledDecay(times, _scattered(room, fs_hz, air, times, modes=modes))


def _sample_times(room: Shoebox, fs_hz: float, air: Air | None) -> NDArray[np.float64]:
    """Return where the decay of each band is known, and a time far beyond: (band, point)."""
    energy = diffuse_energy(room, fs_hz=fs_hz, c_m_s=speed_of_sound_m_s(air))
    rate = np.maximum(energy.late_rate + speed_of_sound_m_s(air) * _air_per_m(air, fs_hz), 1e-9)
    return np.concatenate([energy.time_s, energy.time_s[:, -1:] + _BEYOND_DB / (_DB * rate[:, None])], axis=1)


def _sampled_sum(room: Shoebox, fs_hz: float, air: Air | None) -> SampledDecay:
    """Return the decay of a room with scattering walls in all bands together: (1, point)."""
    apart = _sample_times(room, fs_hz, air)
    times, count = apart.max() * np.linspace(0.0, 1.0, _POINTS) ** 3, len(apart)
    shares, (c, air_per_m) = _band_shares(fs_hz)[:, None], _medium(air, fs_hz)
    alone = _scattered(room, fs_hz, air, times, modes=False)
    each = alone * shares[:count] + _modes(room, _kappa_per_m(room, fs_hz), fs_hz, c, air_per_m).density(times)
    energy = each.sum(axis=0) + (shares[count:] * np.sqrt(alone[:-1] * alone[1:])).sum(axis=0)
    return SampledDecay(times[None], energy[None])


def _scattered(room: Shoebox, fs_hz: float, air: Air | None, t_s: NDArray[np.float64], *, modes: bool) -> NDArray[np.float64]:
    """Return E_b(t) of images and diffuse field at (time,) or (band, time) times: (band, time).

    With modes, each band has its share of the spectrum; without, as if all bands were band b.
    """
    c, air_per_m = _medium(air, fs_hz)
    energy = diffuse_energy(room, fs_hz=fs_hz, c_m_s=c)
    found = _start(room, c) * (energy.specular_at(t_s) + energy.diffuse_at(t_s))
    found *= np.exp(-c * air_per_m[:, None] * t_s)
    if modes:
        found *= _band_shares(fs_hz)[: len(found), None]
        found += _modes(room, _kappa_per_m(room, fs_hz), fs_hz, c, air_per_m).density(t_s)
    return np.asarray(found)


def _thinned(weight: NDArray[np.float64], rate: NDArray[np.float64], row: NDArray[np.intp], rows: int) -> Mixture:
    """Return one decay per row in which (term,) with rates within 2 % are merged: 20 times fewer, 0.02 dB off at -60 dB."""
    slowest = rate.min()
    place = np.minimum(np.log(rate / slowest) / _MERGED, 1000.0).astype(np.intp)  # what is over in no time is one term
    width = int(place.max()) + 1
    merged, moment = (np.bincount(row * width + place, w, rows * width).reshape(rows, width) for w in (weight, weight * rate))
    empty = merged <= 0.0
    used = ~empty.all(axis=0)
    mean = np.where(empty, slowest, moment) / np.where(empty, 1.0, merged)
    return Mixture(np.asarray(merged[:, used], dtype=np.float64), np.asarray(mean[:, used], dtype=np.float64))


def _check_decays(room: Shoebox, kappa: NDArray[np.float64], fs_hz: float, air: Air | None) -> None:
    # Sound that runs along an axis whose two walls absorb nothing stays for ever: E falls as a power of time only.
    size, damping = np.asarray(room.size_m), _air_per_m(air, fs_hz)
    loss = (kappa + damping) * size[:, None]
    # What is scattered stays for ever where nothing absorbs at all.
    if loss.min() < 1e-6 or (room.scatters and np.min(room.absorption(fs_hz).max(axis=0) + damping * size.max()) < 1e-6):
        raise RoomgenError(
            f"{room!r} has no finite reverberation time: two opposite walls absorb (almost) nothing. "
            "Give a duration, more absorption, or air."
        )
