"""Give a room the RT60 that was asked for, by one factor on the absorption of all its walls.

RT60 is T_mid here, the mean of T30 in the octaves of 500 and 1000 Hz (ISO 3382-1, 9.2), unless the octave of 1 kHz alone or the
whole response is asked for: in rooms whose low octaves ring on, the broadband T30 says little of what speech is heard with.

The inverse of :mod:`roomgen.acoustics.prediction.decay` is right for a room as a whole, not for one response: where few images or
few modes make the decay, T30 depends on where source and microphone stand, by 15 % and more. So the factor can be refined on
responses, in the mean over many positions:

1. Simulate responses with the predicted factor, measure their T30 as labels do, and split their energy into octaves e_b(t).
2. With another factor, e_b(t) becomes e_b(t) · E_b(t; new) / E_b(t; old), E being the *predicted* decay. How the T30 of these
   energies changes with the factor is an estimate of how the labels will; its root is the next guess, right to 3 % in half of all
   rooms.
3. Repeat while responses are off by more than the tolerance, within a bracket that each of them makes smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.air import Air
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.prediction.decay import predict_rt60_bands_s, predict_rt60_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.errors import RoomgenError

if TYPE_CHECKING:
    from roomgen.acoustics.prediction.band_energy import BandEnergy

Rt60Of = Literal["mid", "broadband", "1000"]
"""What an RT60 is one of: the mean of the octaves of 500 and 1000 Hz, the whole response, or the octave of 1 kHz."""

Simulate = Callable[[Shoebox], NDArray[np.float32]]
Ratio = Callable[[float], float]

MEAN_ABSORPTION = (0.01, 0.9)
"""Least and greatest mean absorption of walls and bands: polished stone on all walls, and a room that is hardly one."""

_LONGEST_STEP = 0.7  # of the logarithm of the scale: estimates say little beyond
_WORST = 0.1  # responses further off than this are a failure, not a solution


@dataclass(frozen=True)
class Responses:
    """Responses of a room in which an RT60 is to be right, in the mean over some positions.

    Args:
        simulate: returns the responses of such a room: (position, time), or (time,) for one. High-pass included, if there is one,
            and at least 1.2 times as long as the longest RT60.
        onset_s: (position,) or one arrival of the direct sound in them, in s; None: found as in a measured response.
        within: relative error of their T30 at which no further ones are simulated.
        at_most: how often ``simulate`` is called at most.
    """

    simulate: Simulate
    onset_s: ArrayLike | None = None
    within: float = 0.03
    at_most: int = 8


def octaves_of(of: Rt60Of, fs_hz: float) -> tuple[float, ...]:
    """Return the centres in Hz of the octaves that an RT60 is the mean of; none: it is broadband.

    Raises:
        RoomgenError: the rate has no such octaves.
    """
    centers = {"mid": (500.0, 1000.0), "1000": (1000.0,), "broadband": ()}[of]
    if centers and centers[-1] not in octave_centers(fs_hz)[:-1]:
        raise RoomgenError(
            f"an RT60 of {', '.join(f'{c:g}' for c in centers)} Hz needs a rate of at least 4000 Hz, not {fs_hz:g}: "
            'give a higher one, or ask for the broadband RT60 (signal.rt60_of="broadband").'
        )
    return centers


def predict_target_s(room: Shoebox, *, fs_hz: float, of: Rt60Of = "mid", air: Air | None = None) -> float:
    """Return the RT60 of that kind, in s, that responses of the room are expected to have."""
    octaves = octaves_of(of, fs_hz)
    if not octaves:
        return predict_rt60_s(room, fs_hz=fs_hz, air=air)
    bands_s = predict_rt60_bands_s(room, fs_hz=fs_hz, air=air)
    return float(np.mean([bands_s[octave_centers(fs_hz).index(center)] for center in octaves]))


def reachable_rt60_s(room: Shoebox, *, fs_hz: float, of: Rt60Of = "mid", air: Air | None = None) -> tuple[float, float]:
    """Return the shortest and longest predicted RT60 in s that a factor on all absorptions can give to the room."""
    low, high = _scale_range(room, fs_hz)
    return (
        predict_target_s(room.scaled(high), fs_hz=fs_hz, of=of, air=air),
        predict_target_s(room.scaled(low), fs_hz=fs_hz, of=of, air=air),
    )


def solve_absorption_scale(
    room: Shoebox,
    rt60_s: float,
    *,
    fs_hz: float,
    of: Rt60Of = "mid",
    air: Air | None = None,
    responses: Responses | None = None,
    start: float | None = None,
) -> float:
    """Return the ``scale`` for :meth:`Shoebox.scaled` that gives the room the RT60 asked for (T30).

    Args:
        room: its absorptions are what is scaled; each is cut at 1.
        rt60_s: the RT60 asked for, in s.
        of: what it is the RT60 of.
        responses: whose mean T30 is to be right; after the last of them the closest counts. None: the predicted RT60 is made
            right, not that of any response.
        start: scale to begin with; None: the predicted one.

    Returns:
        The scale. The last room that was simulated is not always the one with this scale.

    Raises:
        RoomgenError: no scale leads there; the message says what is reachable. Draw another room or another RT60.
    """
    if not (np.isfinite(rt60_s) and rt60_s > 0):
        raise RoomgenError(f"RT60 {rt60_s} s must be positive and finite.")
    octaves = octaves_of(of, fs_hz)
    low, high = _scale_range(room, fs_hz)

    def predicted(log_scale: float) -> float:
        return predict_target_s(room.scaled(float(np.exp(log_scale))), fs_hz=fs_hz, of=of, air=air) / rt60_s

    search = _Search(float(np.log(low)), float(np.log(high)))
    if responses is None or start is None:
        guess = search.root(predicted, search.low, search.high)
    else:
        guess = float(np.clip(np.log(start), search.low, search.high))
    if responses is None:
        if guess in (search.low, search.high):
            shortest, longest = reachable_rt60_s(room, fs_hz=fs_hz, of=of, air=air)
            raise RoomgenError(f"RT60 {rt60_s:g} s: {room!r} can only have {shortest:.2f}…{longest:.2f} s. Redraw either.")
        return float(np.exp(guess))
    from roomgen.acoustics.prediction.band_energy import BandEnergy  # not needed for a prediction alone

    errors: dict[float, float] = {}
    for _ in range(responses.at_most):
        trial = room.scaled(float(np.exp(guess)))
        rirs = np.atleast_2d(responses.simulate(trial))
        heard = BandEnergy.of(rirs, trial, octaves, fs_hz=fs_hz, air=air, onset_s=responses.onset_s)
        ratio = heard.rt60_s() / rt60_s
        errors[guess] = abs(ratio - 1.0) if heard.is_measurable else np.inf
        if errors[guess] <= responses.within:
            break
        search.narrow(guess, ratio, _estimate(heard, room, rt60_s))
        if search.high - search.low < 1e-4:  # also where the greatest or least possible scale is still not enough
            break
        guess = search.next()
    best = min(errors, key=lambda x: errors[x])
    if not errors[best] <= _WORST:
        shortest, longest = reachable_rt60_s(room, fs_hz=fs_hz, of=of, air=air)
        came = f"came within {100 * errors[best]:.0f} % of it" if np.isfinite(errors[best]) else "has a T30 at all"
        raise RoomgenError(
            f"RT60 {rt60_s:g} s: no response of {room!r} {came}; its predicted RT60 goes from {shortest:.2f} to "
            f"{longest:.2f} s, but few images and a loud direct sound make it uneven. Redraw the room, the positions or the RT60."
        )
    return float(np.exp(best))


def _estimate(heard: BandEnergy, room: Shoebox, rt60_s: float) -> Ratio:
    """Return the ratio to ``rt60_s`` that responses let expect of ``room`` with another scale: see :class:`_Search`."""
    return lambda log_scale: heard.rt60_s(room.scaled(float(np.exp(log_scale)))) / rt60_s


@dataclass
class _Search:
    """Logarithms of two scales, RT60 being too long at ``low`` and too short at ``high``, and what is known from either end.

    ``from_low`` and ``from_high`` are estimates of the ratio of RT60 to what was asked, as functions of the logarithm of the
    scale: each is a measurement at its own end of the bracket.
    """

    low: float
    high: float
    from_low: Ratio | None = None
    from_high: Ratio | None = None
    last_long: bool = True
    in_a_row: int = 0

    def narrow(self, log_scale: float, ratio: float, estimate: Ratio) -> None:
        """Take in a response: its scale, its ratio, and the estimate that it gives for other scales."""
        long = ratio > 1.0
        self.in_a_row = self.in_a_row + 1 if long == self.last_long else 1
        self.last_long = long
        if long:
            self.low, self.from_low = log_scale, estimate
        else:
            self.high, self.from_high = log_scale, estimate

    def next(self) -> float:
        """Return the logarithm of the scale to try next, strictly within the bracket."""
        low = self.low if self.from_low else max(self.low, self.high - _LONGEST_STEP)
        high = self.high if self.from_high else min(self.high, self.low + _LONGEST_STEP)
        found = self.root(self._estimate, low, high)
        # Estimates creep along a steep stretch, where a wall has just become dead: go twice as far, then halve the bracket.
        if self.in_a_row > 2:
            found = 0.5 * (low + high)
        elif self.in_a_row > 1:
            found = 2.0 * found - (low if self.last_long else high)
        margin = min(0.02, 0.1 * (high - low))
        return float(np.clip(found, low + margin, high - margin))

    def _estimate(self, log_scale: float) -> float:
        share = (log_scale - self.low) / (self.high - self.low)
        if self.from_low is None or self.from_high is None:
            known = self.from_low or self.from_high
            assert known is not None  # a response has been taken in
            return known(log_scale)
        # Right at both ends: what the prediction has wrong between two responses is interpolated.
        low, high = (np.log(np.clip(f(log_scale), 0.05, 20.0)) for f in (self.from_low, self.from_high))
        return float(np.exp((1.0 - share) * low + share * high))

    @staticmethod
    def root(ratio: Ratio, low: float, high: float) -> float:
        """Return where a ratio that falls with the scale is 1, to 0.1 % of scale; the nearer end if it is nowhere."""
        if not ratio(low) > 1.0:
            return low
        if not ratio(high) < 1.0:
            return high
        from scipy.optimize import brentq

        return float(brentq(lambda x: np.log(np.clip(ratio(x), 0.05, 20.0)), low, high, xtol=5e-4))


def _scale_range(room: Shoebox, fs_hz: float) -> tuple[float, float]:
    """Return the scales at which the mean absorption of the walls has its least and greatest allowed value."""
    table = room.scaled(1.0).absorption(fs_hz)
    mean = np.average(table.mean(axis=1), weights=room.wall_areas_m2)
    if not mean > 0:
        raise RoomgenError(f"{room!r} absorbs nothing: a scale cannot give it an RT60. Give its walls some absorption.")

    def clipped_mean(scale: float) -> float:
        return float(np.average(np.minimum(scale * table, 1.0).mean(axis=1), weights=room.wall_areas_m2))

    least, most = MEAN_ABSORPTION
    low, high = least / mean, most / mean
    while clipped_mean(high) < most and high < 1e3 * most / mean:
        high *= 1.25
    return low, high
