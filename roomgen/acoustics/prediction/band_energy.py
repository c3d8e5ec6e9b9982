"""Responses as the energy of their octaves over time, and what their T30 would be with other walls.

The T30 of responses is what :func:`roomgen.acoustics.labels.measure.measure` says. With other walls the energy e_b(t) of an octave
becomes e_b(t) · E_b(t; new) / E_b(t; old), E being the decay predicted by :mod:`roomgen.acoustics.prediction.decay`; by what factor
this changes the T30 of the energies, by that the labels will change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from roomgen.acoustics.air import Air
from roomgen.acoustics.bands import fft_band_weights, octave_centers
from roomgen.acoustics.labels.decay_curve import find_onset
from roomgen.acoustics.labels.measure import measure
from roomgen.acoustics.prediction.decay import energy_density
from roomgen.acoustics.rooms import Shoebox

Floats = NDArray[np.float64]

_HARDEST = 0.99  # the prediction compares no walls that absorb more: it says nothing about the little that they reflect
_BLOCK_S = 0.001
_FILTER_S = 0.04  # how long a band filter rings
_FADE_S = 0.03
_KNOTS = 16  # predicted decays are smooth: straight lines in decibels between so many times
_UPPER_DB, _LOWER_DB = -5.0, -35.0
_OVER_DB = -55.0  # a response whose last tenth is below that has a T30, or never will
_MEASURABLE = 0.5  # share of the positions that must have a T30


@dataclass(frozen=True, eq=False)
class BandEnergy:
    """Responses of a room at some positions.

    Args:
        measured_s: (position,) their RT60 as labels have it, or, where a response ends too early for that, as its own energy
            has it; nan where it cannot be measured.
        energy: (position, band, block) from the onset on, from which the mean over the bands is taken; broadband: of all octaves,
            which are added up.
        bands: (band,) which of the octaves these are.
        is_sum: whether they are added up.
        hop_s: length of a block.
        knots_s: (time,) in s since the emission, from the mean onset on.
        expected: (band, time), the energy density predicted there.
    """

    measured_s: Floats
    energy: Floats
    bands: NDArray[np.intp]
    is_sum: bool
    hop_s: float
    knots_s: Floats
    expected: Floats
    fs_hz: float
    air: Air | None

    @classmethod
    def of(
        cls,
        rirs: NDArray[np.float32],
        room: Shoebox,
        octaves_hz: tuple[float, ...],
        *,
        fs_hz: float,
        air: Air | None,
        onset_s: ArrayLike | None,
    ) -> BandEnergy:
        """Split the (position, time) responses of a room.

        Args:
            octaves_hz: centres of the octaves whose mean T30 counts; empty: the broadband T30.
            onset_s: (position,) arrival of the direct sound in s; None: found as in a measured response.
        """
        if onset_s is None:
            arrival = np.array([find_onset(rir) for rir in rirs]) / fs_hz
        else:
            arrival = np.broadcast_to(np.asarray(onset_s, dtype=np.float64), len(rirs))
        rirs = _faded(rirs, fs_hz)
        labels = measure(rirs, fs_hz=fs_hz, bands_hz=octaves_hz or None, onset_s=arrival, noise="none")
        centers = octave_centers(fs_hz)
        bands = np.array([centers.index(f) for f in octaves_hz] if octaves_hz else range(len(centers)), dtype=np.intp)

        block = max(1, round(_BLOCK_S * fs_hz))
        first = np.round(arrival * fs_hz).astype(np.intp)
        count = (rirs.shape[1] - int(first.max())) // block
        n_fft = fft.next_fast_len(rirs.shape[1] + round(_FILTER_S * fs_hz), real=True)
        weights = fft_band_weights(n_fft, fs_hz)[bands].astype(np.float32)
        energy = np.empty((len(rirs), len(bands), count))
        for p, (rir, begin) in enumerate(zip(rirs, first, strict=True)):
            split = fft.irfft(fft.rfft(rir, n_fft) * weights, n_fft)[:, : rirs.shape[1]]
            # Octaves add up to the response, so rir · octave adds up to its energy, cross-fades included.
            product = rir * split
            after = product[:, begin : begin + count * block].reshape(len(bands), count, block)
            energy[p] = after.sum(axis=2)
            energy[p, :, 0] += product[:, :begin].sum(axis=1)  # filters rise before the sound arrives
        measured = np.asarray(labels.rt60_bands_s) if octaves_hz else np.asarray(labels.rt60_s)[:, None]
        decay = energy if octaves_hz else energy.sum(axis=1, keepdims=True)
        measured = np.where(np.isnan(measured) & _is_short(decay), _t30_s(decay, block / fs_hz), measured)
        knots = arrival.mean() + np.linspace(0.0, count * block / fs_hz, _KNOTS)
        expected = _density(room, knots, bands, fs_hz, air)
        return cls(measured.mean(axis=1), energy, bands, not octaves_hz, block / fs_hz, knots, expected, fs_hz, air)

    @property
    def is_measurable(self) -> bool:
        """Whether half of the responses have a T30: they last long enough, and the direct sound is not all there is."""
        return bool(np.mean(np.isfinite(self.measured_s)) >= _MEASURABLE)

    def rt60_s(self, room: Shoebox | None = None) -> float:
        """Return the mean RT60 as it is, or as it would be with other walls; where there is none, which way to go: 0 or inf."""
        if room is None:
            return self._mean_s if self.is_measurable else self._of(self.energy)
        density = _density(room, self.knots_s, self.bands, self.fs_hz, self.air)
        gain = np.log(np.maximum(density, 1e-300) / np.maximum(self.expected, 1e-300))
        time = self.knots_s[0] + (np.arange(self.energy.shape[2]) + 0.5) * self.hop_s
        weighted = self.energy * np.exp([np.interp(time, self.knots_s, g) for g in gain])
        there, here = self._of(weighted), self._of(self.energy)
        if self.is_measurable and 0.0 < here < np.inf:
            return self._mean_s * there / here
        return there

    @property
    def _mean_s(self) -> float:
        return float(np.nanmean(self.measured_s))

    def _of(self, energy: Floats) -> float:
        """Return the mean RT60 of (position, band, block) energies, or 0 or inf where they are over at once or last too long."""
        if self.is_sum:
            energy = energy.sum(axis=1, keepdims=True)
        t30_s = _t30_s(energy, self.hop_s)
        if np.isfinite(t30_s).any():
            return float(np.nanmean(t30_s))
        left = np.maximum(energy[..., -1], 0.0) / np.maximum(energy.sum(axis=-1), 1e-300)
        return 0.0 if left.max() < 10.0 ** (_LOWER_DB / 10.0) else np.inf


def _faded(rirs: NDArray[np.float32], fs_hz: float) -> NDArray[np.float32]:
    """Return responses whose end fades out: cut off while low octaves still ring, they would click in all octaves above."""
    count = min(round(_FADE_S * fs_hz), rirs.shape[1])
    faded = np.array(rirs, dtype=np.float32)
    faded[:, rirs.shape[1] - count :] *= np.cos(np.linspace(0.0, 0.5 * np.pi, count)) ** 2
    return faded


def _is_short(energy: Floats) -> NDArray[np.bool_]:
    """Tell whether (…, block) energies end before they are over, so far that labels may refuse a T30."""
    end = energy[..., -max(energy.shape[-1] // 10, 1) :].sum(axis=-1)
    return np.asarray(end > 10.0 ** (_OVER_DB / 10.0) * energy.sum(axis=-1))


def _t30_s(energy: Floats, hop_s: float) -> Floats:
    """Return T30 in s of (…, block) energies, by least squares over Schroeder's integral; nan where it has no such stretch.

    What follows the end is taken to decay as the two last quarters do, but to be no more than the last one: where a neighbouring
    octave rings on below this one, quarters say little.
    """
    left = np.cumsum(np.maximum(energy, 0.0)[..., ::-1], axis=-1)[..., ::-1]
    width = max(energy.shape[-1] // 4, 1)
    last, both = left[..., -width], left[..., -min(2 * width, energy.shape[-1])]
    with np.errstate(divide="ignore", invalid="ignore"):
        left = left + np.where(both > 2.0 * last, np.minimum(last**2 / (both - 2.0 * last), last), last)[..., None]
        level = 10.0 * np.log10(left / left[..., :1])
        inside = (level <= _UPPER_DB) & (level >= _LOWER_DB)
        weight = inside.astype(np.float64)
        value = np.where(inside, level, 0.0)
        time = np.arange(energy.shape[-1]) * hop_s
        count = weight.sum(axis=-1)
        mean_t = weight @ time / count
        slope = (value @ time - mean_t * value.sum(axis=-1)) / (weight @ (time * time) - count * mean_t**2)
        return np.where((count >= 4) & (slope < 0.0), -60.0 / slope, np.nan)


def _density(room: Shoebox, t_s: Floats, bands: NDArray[np.intp], fs_hz: float, air: Air | None) -> Floats:
    """Return the predicted energy density (band, time) of a room none of whose walls is quite dead."""
    softened = room.with_absorption(np.minimum(room.absorption(fs_hz), _HARDEST))
    return energy_density(softened, fs_hz=fs_hz, t_s=t_s, air=air, modes=True)[bands]
