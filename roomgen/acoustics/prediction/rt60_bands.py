"""Give a room the octave spectrum of RT60 that was asked for, by one exponent per band on what its walls leave.

A wall of absorption a takes -ln(1 - a) neper of the energy that meets it. Multiplying the nepers of all walls in a band by the
same factor f, a -> 1 - (1 - a)^f, makes the walls of that band more or less absorbing, keeps their ranking, and never leads
beyond 1; while absorptions are small, it multiplies them by f. The decay of images in that band then runs f times as fast
(:mod:`roomgen.acoustics.prediction.decay`), but for air and modes, so that the part of 1 / RT60 that is the walls' is nearly
proportional to f: a secant in logarithms, all bands at once, arrives in a few steps. Bands hardly depend on each other.

On the *prediction* alone this takes milliseconds. Responses differ from it by 10 % and more, band by band, so that the factors
can be refined on simulated ones: on the T30 that :func:`roomgen.acoustics.labels.measure.measure` finds in the mean over positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.air import Air, speed_of_sound_m_s
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.prediction.decay import predict_rt60_bands_s
from roomgen.acoustics.prediction.rt60 import Responses
from roomgen.acoustics.rooms import Shoebox
from roomgen.errors import RoomgenError

Floats = NDArray[np.float64]

MEAN_ABSORPTION = (0.01, 0.95)
"""Least and greatest mean absorption of a band: polished stone on every wall, and a room that hardly has any."""

_HARDEST = 0.99  # of a wall to begin with: one that leaves nothing has no nepers
_PREDICTED_WITHIN = 0.003
_STEPS = 14
_SLOPES = (0.3, 2.0)  # of the walls' share of 1 / RT60 over the factor, both as logarithms
_FARTHEST = 0.7  # of the logarithm of a factor from that of the prediction: beyond, neighbouring bands are what is heard
_WORST = 0.1  # a band further off than this is missed
_LEAST_POSITIONS = 0.5  # share of the positions that must have a T30


@dataclass(frozen=True)
class BandFit:
    """Walls that give a room its octave spectrum of RT60, and how near they come.

    Args:
        room: what it was found for.
        absorption: (wall, band) energy absorption.
        rt60_s: (band,) RT60 in s that it leads to: of responses (mean over positions) where these were simulated and have one,
            else predicted.
        missed: centre in Hz -> why this band has another RT60 than asked for, with what it can have; empty: none.
    """

    room: Shoebox
    absorption: Floats
    rt60_s: Floats
    missed: dict[float, str]

    def whole(self) -> Floats:
        """Return the absorption (wall, band), with which no band misses what was asked for.

        Raises:
            RoomgenError: some bands cannot have it; the message names them and what they can have.
        """
        if self.missed:
            raise RoomgenError(
                f"{self.room!r} cannot have the RT60 asked for: {missed_text(self.missed)}. Redraw the room or ask for another."
            )
        return self.absorption


def fit_bands(
    room: Shoebox, rt60_bands_s: ArrayLike, *, fs_hz: float, air: Air | None = None, responses: Responses | None = None
) -> BandFit:
    """Return the walls that come nearest to an octave spectrum of RT60.

    Args:
        room: how its walls compare with each other in each band is kept.
        rt60_bands_s: (band,) RT60 in s from 125 Hz up to the last octave of the rate.
        responses: whose mean T30 is to be right in the worst band; a last step is made without them. None: the predicted RT60 is.

    Raises:
        RoomgenError: RT60s that are not positive or not as many as the rate has octaves; a band in which no wall absorbs.
    """
    asked = _checked(rt60_bands_s, fs_hz)
    walls = _Walls.of(room, fs_hz)
    search = _Search.of(asked, walls, air, fs_hz)
    for _ in range(_STEPS):
        found = predict_rt60_bands_s(walls.room(search.log_factor), fs_hz=fs_hz, air=air)
        if search.is_within(found, _PREDICTED_WITHIN):
            break
        search.step(found)
    missed = _out_of_reach(asked, found, air, fs_hz)
    if responses is None:
        return BandFit(room, walls.absorption(search.log_factor), found, missed)
    search.narrow(_FARTHEST)
    obtained = found
    for _ in range(responses.at_most):
        t30_s = _mean_t30_s(responses.simulate(walls.room(search.log_factor)), fs_hz, responses.onset_s)
        obtained = np.where(np.isfinite(t30_s), t30_s, found)
        heard = np.where(np.isfinite(t30_s), t30_s, asked)  # where no response has a T30, the prediction stays
        near = search.is_within(heard, responses.within)
        search.step(heard)
        if near:
            break
    for center, before, ratio in zip(octave_centers(fs_hz), obtained, obtained / asked, strict=True):
        if center not in missed and abs(ratio - 1.0) > _WORST:
            missed[center] = f"{before:.3g} s on responses"
    return BandFit(room, walls.absorption(search.log_factor), obtained, missed)


def reachable_rt60_bands_s(room: Shoebox, *, fs_hz: float, air: Air | None = None) -> tuple[Floats, Floats]:
    """Return the shortest and the longest predicted RT60 in s, (band,) each, that a factor can give to the bands of a room."""
    walls = _Walls.of(room, fs_hz)
    shortest, longest = (predict_rt60_bands_s(walls.room(x), fs_hz=fs_hz, air=air) for x in (walls.high, walls.low))
    return shortest, longest


def missed_text(missed: dict[float, str]) -> str:
    """Return bands and why they are missed, for a message."""
    return "; ".join(f"{center:g} Hz: {why}" for center, why in missed.items())


@dataclass(frozen=True)
class _Walls:
    """A room and the nepers (wall, band) of its walls; (band,) least and greatest logarithms of factors on them."""

    room_: Shoebox
    neper: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, room: Shoebox, fs_hz: float) -> _Walls:
        neper = -np.log1p(-np.minimum(room.absorption(fs_hz), _HARDEST))
        silent = np.flatnonzero(~(neper > 0).any(axis=0))
        if silent.size:
            named = ", ".join(f"{octave_centers(fs_hz)[b]:g}" for b in silent)
            raise RoomgenError(
                f"{room!r} absorbs nothing at {named} Hz: no factor can give it an RT60. Give its walls some absorption."
            )
        areas = room.wall_areas_m2 / room.surface_m2

        def reaching(mean: float) -> Floats:
            low, high = np.full(neper.shape[1], -15.0), np.full(neper.shape[1], 15.0)
            for _ in range(50):
                middle = 0.5 * (low + high)
                more = np.asarray(areas @ -np.expm1(-np.exp(middle) * neper)) > mean
                low, high = np.where(more, low, middle), np.where(more, middle, high)
            return np.asarray(0.5 * (low + high))

        return cls(room, neper, reaching(MEAN_ABSORPTION[0]), reaching(MEAN_ABSORPTION[1]))

    def absorption(self, log_factor: Floats) -> Floats:
        return np.asarray(-np.expm1(-np.exp(log_factor) * self.neper))

    def room(self, log_factor: Floats) -> Shoebox:
        return self.room_.with_absorption(self.absorption(log_factor))


@dataclass
class _Search:
    """All bands' logarithms of factors, between those known to be too small (RT60 too long) and too large.

    Args:
        target, air_rate: (band,) 1 / RT60 asked for, and the part of it that is due to air, in 1/s.
        log_factor: (band,) where the search stands.
        least, most: (band,) what the walls allow. low, high: (band,) what is left of that.
        slope: (band,) of the logarithm of the walls' share of 1 / RT60 over log_factor.
        last: log_factor and the logarithm of the walls' share of 1 / RT60 at the last step, both (band,); None before the first.
    """

    target: Floats
    air_rate: Floats
    log_factor: Floats
    least: Floats
    most: Floats
    low: Floats
    high: Floats
    slope: Floats
    last: tuple[Floats, Floats] | None = field(default=None)

    @classmethod
    def of(cls, asked: Floats, walls: _Walls, air: Air | None, fs_hz: float) -> _Search:
        start = np.clip(np.zeros(len(asked)), walls.low, walls.high)
        return cls(1.0 / asked, _air_rate(air, fs_hz), start, walls.low, walls.high, walls.low, walls.high, np.ones(len(asked)))

    def is_within(self, rt60_s: Floats, tolerance: float) -> bool:
        """Tell whether every band is as near as that, or at an end of what is possible."""
        off = rt60_s * self.target - 1.0
        stuck = np.where(off > 0, self.high - self.log_factor, self.log_factor - self.low) < 1e-6
        return bool(np.all((np.abs(off) <= tolerance) | stuck))

    def step(self, rt60_s: Floats) -> None:
        """Take in the RT60 (band,) at ``log_factor`` and go to the next one."""
        x = self.log_factor
        share = np.log(np.maximum(1.0 / rt60_s - self.air_rate, 1e-6 / rt60_s))
        wanted = np.log(np.maximum(self.target - self.air_rate, 1e-6 * self.target))
        if self.last is not None:
            moved = x - self.last[0]
            with np.errstate(divide="ignore", invalid="ignore"):
                slope = (share - self.last[1]) / moved
            # Tiny moves measure the scatter of responses, not a slope.
            known = (np.abs(moved) > 0.01) & np.isfinite(slope)
            self.slope = np.where(known, np.clip(slope, *_SLOPES), self.slope)
        self.last = (x, share)
        long = share < wanted
        self.low, self.high = np.where(long, np.maximum(x, self.low), self.low), np.where(long, self.high, np.minimum(x, self.high))
        self.log_factor = np.clip(x + (wanted - share) / self.slope, self.low, self.high)

    def narrow(self, farthest: float) -> None:
        """Forget what the prediction has bracketed, but stay this close to it."""
        self.low = np.maximum(self.log_factor - farthest, self.least)
        self.high = np.minimum(self.log_factor + farthest, self.most)
        self.last, self.slope = None, np.ones_like(self.slope)


def _checked(rt60_bands_s: ArrayLike, fs_hz: float) -> Floats:
    asked = np.atleast_1d(np.asarray(rt60_bands_s, dtype=np.float64))
    centers = octave_centers(fs_hz)
    if asked.shape != (len(centers),):
        raise RoomgenError(
            f"{asked.size} RT60s for the {len(centers)} octaves of {fs_hz:g} Hz: "
            f"give one for each of {centers[0]:g}…{centers[-1]:g} Hz."
        )
    if not (np.isfinite(asked).all() and (asked > 0).all()):
        raise RoomgenError(f"RT60s {', '.join(f'{t:g}' for t in asked)} s must be positive and finite.")
    return asked


def _air_rate(air: Air | None, fs_hz: float) -> Floats:
    """Return 1 / RT60 of a room without walls' losses: (band,) in 1/s."""
    centers = octave_centers(fs_hz)
    if air is None:
        return np.zeros(len(centers))
    return np.asarray(air.energy_absorption_per_m(centers) * speed_of_sound_m_s(air) / (6.0 * np.log(10.0)))


def _out_of_reach(asked: Floats, found: Floats, air: Air | None, fs_hz: float) -> dict[float, str]:
    """Return the bands whose predicted RT60 stays off, with the reason."""
    missed = {}
    for center, wanted, got, air_rate in zip(octave_centers(fs_hz), asked, found, _air_rate(air, fs_hz), strict=True):
        if abs(got / wanted - 1.0) > 0.02:
            if got > wanted:
                why = f"{wanted:.3g} s is too dead: at least {got:.3g} s"
            elif wanted * air_rate > 0.9:
                why = f"{wanted:.3g} s is too live for the air: at most {got:.3g} s"
            else:
                why = f"{wanted:.3g} s is too live: at most {got:.3g} s"
            missed[center] = why
    return missed


def _mean_t30_s(rirs: NDArray[np.float32], fs_hz: float, onset_s: ArrayLike | None) -> Floats:
    """Return the mean T30 (band,) in s over (position, time) responses; nan where fewer than half of them have one."""
    from roomgen.acoustics.labels.measure import measure

    t30_s = np.asarray(measure(np.atleast_2d(rirs), fs_hz=fs_hz, onset_s=onset_s, noise="none").rt60_bands_s)
    known = np.isfinite(t30_s)
    mean = np.where(known, t30_s, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known.mean(axis=0) >= _LEAST_POSITIONS, mean, np.nan)
