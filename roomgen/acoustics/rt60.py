"""Give a room the RT60 that was asked for, by one factor on the absorption of all its walls.

The inverse of :mod:`roomgen.acoustics.decay` is right for a room as a whole, not for one response: where few images or few modes
make the decay, T30 depends on where source and microphone stand, by 12 % in the median. So the factor can be refined on responses:

1. Simulate one response with the predicted factor and split its energy into octave bands e_b(t).
2. With another factor, e_b(t) becomes e_b(t) · E_b(t; new) / E_b(t; old), E being the *predicted* decay. The T30 of the sum of
   the bands is then a function of the factor; its root is the next guess. It is right to 3 % in half of all rooms.
3. Repeat while the response is off by more than the tolerance, within a bracket that each response makes smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.air import Air
from roomgen.acoustics.bands import fft_band_weights
from roomgen.acoustics.decay import energy_density, predict_rt60_s
from roomgen.acoustics.decay_curve import DecayCurve, decay_curve, decay_time_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.errors import RoomgenError

Simulate = Callable[[Shoebox], NDArray[np.float32]]
Ratio = Callable[[float], float]

_MEAN_ABSORPTION = (0.005, 0.9)  # of walls and bands: outside, a "room" is a bell jar or a free field
_HARDEST = 0.99  # the prediction compares no walls that absorb more: it says nothing about the little that they reflect
_LONGEST_STEP = 0.7  # of the logarithm of the scale: estimates say little beyond
_BLOCK_S = 0.001
_FILTER_S = 0.04  # how long a band filter rings
_WORST = 0.1  # a response further off than this is a failure, not a solution


def reachable_rt60_s(room: Shoebox, *, fs_hz: float, air: Air | None = None) -> tuple[float, float]:
    """Return the shortest and longest predicted RT60 in s that a factor on all absorptions can give to the room."""
    low, high = _scale_range(room, fs_hz)
    return (
        predict_rt60_s(room.scaled(high), fs_hz=fs_hz, air=air),
        predict_rt60_s(room.scaled(low), fs_hz=fs_hz, air=air),
    )


def solve_absorption_scale(
    room: Shoebox,
    rt60_s: float,
    *,
    fs_hz: float,
    air: Air | None = None,
    simulate: Simulate | None = None,
    tolerance: float = 0.03,
    max_simulations: int = 8,
) -> float:
    """Return the ``scale`` for :meth:`Shoebox.scaled` that gives the room the broadband RT60 asked for (T30).

    Args:
        room: its absorptions are what is scaled; each is cut at 1.
        rt60_s: the RT60 asked for, in s.
        simulate: returns the response of such a room whose T30 is to be right: (time,), or (position, time) for the mean over
            some positions; at least 1.1 ``rt60_s`` long, high-pass included if there is one. None: the predicted RT60 is made
            right, not that of any response.
        tolerance: relative error of the response's T30 at which no further response is simulated.
        max_simulations: after this many, the closest one counts.

    Returns:
        The scale. The last room that was simulated is not always the one with this scale.

    Raises:
        RoomgenError: no scale leads there; the message says what is reachable. Draw another room or another RT60.
    """
    if not (np.isfinite(rt60_s) and rt60_s > 0):
        raise RoomgenError(f"RT60 {rt60_s} s must be positive and finite.")
    low, high = _scale_range(room, fs_hz)

    def predicted(log_scale: float) -> float:
        return predict_rt60_s(room.scaled(float(np.exp(log_scale))), fs_hz=fs_hz, air=air) / rt60_s

    search = _Search(float(np.log(low)), float(np.log(high)))
    guess = search.root(predicted, search.low, search.high)
    if simulate is None:
        if guess in (search.low, search.high):
            shortest, longest = reachable_rt60_s(room, fs_hz=fs_hz, air=air)
            raise RoomgenError(f"RT60 {rt60_s:g} s: {room!r} can only have {shortest:.2f}…{longest:.2f} s. Redraw either.")
        return float(np.exp(guess))
    errors: dict[float, float] = {}
    for _ in range(max_simulations):
        trial = room.scaled(float(np.exp(guess)))
        response = _Measured.of(np.atleast_2d(simulate(trial)), trial, fs_hz, air)
        ratio = response.rt60_s() / rt60_s
        errors[guess] = abs(ratio - 1.0) if response.is_measurable else np.inf
        if errors[guess] <= tolerance:
            break
        search.narrow(guess, ratio, response.ratio(room, rt60_s))
        if search.high - search.low < 1e-4:  # also where the greatest or least possible scale is still not enough
            break
        guess = search.next()
    best = min(errors, key=lambda x: errors[x])
    if not errors[best] <= _WORST:
        shortest, longest = reachable_rt60_s(room, fs_hz=fs_hz, air=air)
        came = f"came within {100 * errors[best]:.0f} % of it" if np.isfinite(errors[best]) else "has a T30 at all"
        raise RoomgenError(
            f"RT60 {rt60_s:g} s: no response of {room!r} {came}; its predicted RT60 goes from {shortest:.2f} to "
            f"{longest:.2f} s, but few images and a loud direct sound make it uneven. Redraw the room, the positions or the RT60."
        )
    return float(np.exp(best))


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

        return float(brentq(lambda x: np.log(np.clip(ratio(x), 0.05, 20.0)), low, high, xtol=3e-3))


@dataclass(frozen=True)
class _Measured:
    """Responses as energies of their bands, and what their room was predicted to have.

    Args:
        energy: (position, band, block).
        onset: (position,) block of the direct sound.
        hop_s: length of a block.
        knots: (time,) in s. expected: (band, time), the predicted energy density there.
    """

    energy: NDArray[np.float64]
    onset: NDArray[np.intp]
    hop_s: float
    knots: NDArray[np.float64]
    expected: NDArray[np.float64]
    fs_hz: float
    air: Air | None

    @classmethod
    def of(cls, rirs: NDArray[np.float32], room: Shoebox, fs_hz: float, air: Air | None) -> _Measured:
        """Split the (position, time) responses of a room."""
        from scipy import fft  # not needed for a prediction alone

        n, block = rirs.shape[1], max(1, round(_BLOCK_S * fs_hz))
        n_fft = fft.next_fast_len(n + round(_FILTER_S * fs_hz), real=True)
        weights = fft_band_weights(n_fft, fs_hz).astype(np.float32)
        energy = []
        for rir in rirs:
            bands = fft.irfft(fft.rfft(rir.astype(np.float32), n_fft) * weights, n_fft)[:, :n]
            # The bands add up to the response, so rir · band adds up to its energy, cross-fades included.
            energy.append((rir * bands)[:, : n // block * block].reshape(len(bands), -1, block).sum(axis=2))
        onset = np.stack(energy).sum(axis=1).argmax(axis=1)
        knots = np.linspace(0.0, n / fs_hz, 16)
        expected = energy_density(_softened(room, fs_hz), fs_hz=fs_hz, t_s=knots, air=air, modes=True)
        return cls(np.stack(energy), onset, block / fs_hz, knots, expected, fs_hz, air)

    @property
    def is_measurable(self) -> bool:
        """Whether half of the responses have a T30: they last long enough, and the direct sound is not all there is."""
        t30_s = decay_time_s(self._curve(self.energy.sum(axis=1)), upper_db=-5.0, lower_db=-35.0)
        return bool(np.mean(np.isfinite(t30_s)) >= 0.5)

    def rt60_s(self, room: Shoebox | None = None) -> float:
        """Return T30 as it is, or as it would be with the walls of ``room``; where there is none, which way to go: 0 or inf."""
        if room is None:
            energy = self.energy.sum(axis=1)
        else:
            density = energy_density(_softened(room, self.fs_hz), fs_hz=self.fs_hz, t_s=self.knots, air=self.air, modes=True)
            gain = np.log(np.maximum(density, 1e-300) / np.maximum(self.expected, 1e-300))
            time = (np.arange(self.energy.shape[2]) + 0.5) * self.hop_s
            energy = np.einsum("pbt,bt->pt", self.energy, np.exp([np.interp(time, self.knots, g) for g in gain]))
        # A response that ends before the end of the fit has no T30, but what there is of its curve still shows the way.
        curve = replace(self._curve(energy), tail=np.zeros(len(energy)))
        t30_s = decay_time_s(curve, upper_db=-5.0, lower_db=-35.0)
        if np.isfinite(t30_s).any():
            return float(np.nanmean(t30_s))
        return 0.0 if curve.level_db[:, -1].max() < -35.0 else np.inf

    def ratio(self, room: Shoebox, rt60_s: float) -> Ratio:
        """Return the estimate that these responses give for ``room`` with another scale: see :class:`_Search`."""
        return lambda log_scale: self.rt60_s(room.scaled(float(np.exp(log_scale)))) / rt60_s

    def _curve(self, energy: NDArray[np.float64]) -> DecayCurve:
        """Return the decay of (position, block) energies from their onsets on, cut to the same length."""
        energy = np.maximum(energy, 0.0)
        count = energy.shape[1] - int(self.onset.max())
        after = np.stack([row[first : first + count] for row, first in zip(energy, self.onset, strict=True)])
        before = np.array([row[:first].sum() for row, first in zip(energy, self.onset, strict=True)])
        return decay_curve(after, before=before, hop_s=self.hop_s)


def _softened(room: Shoebox, fs_hz: float) -> Shoebox:
    return Shoebox(room.size_m, absorption=np.minimum(room.absorption(fs_hz), _HARDEST))


def _scale_range(room: Shoebox, fs_hz: float) -> tuple[float, float]:
    """Return the scales at which the mean absorption of the walls has its least and greatest allowed value."""
    table = room.scaled(1.0).absorption(fs_hz)
    mean = np.average(table.mean(axis=1), weights=room.wall_areas_m2)
    if not mean > 0:
        raise RoomgenError(f"{room!r} absorbs nothing: a scale cannot give it an RT60. Give its walls some absorption.")

    def clipped_mean(scale: float) -> float:
        return float(np.average(np.minimum(scale * table, 1.0).mean(axis=1), weights=room.wall_areas_m2))

    least, most = _MEAN_ABSORPTION
    low, high = least / mean, most / mean
    while clipped_mean(high) < most and high < 1e3 * most / mean:
        high *= 1.25
    return low, high
