"""The labels of one response: what :func:`~roomgen.acoustics.labels.measure.measure` does to each."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.labels.bands import BROADBAND, Band, Noise, band_of
from roomgen.acoustics.labels.block_energy import RISE_PERIODS, BlockEnergy, block_energy, energy_of_bands
from roomgen.acoustics.labels.decay_curve import DecayCurve, Fit, decay_curve, fit_decays
from roomgen.acoustics.labels.kernels import later
from roomgen.acoustics.labels.modulation import OCTAVES_HZ, modulation_transfer, speech_transmission_index
from roomgen.acoustics.labels.reasons import Why
from roomgen.acoustics.labels.strength import free_field_energy, strength_db
from roomgen.acoustics.labels.table import BANDED, SINGLE

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]

_DIRECT_S = 0.0025  # half the window that holds the direct sound of a measured response
_RING_PERIODS = 7.0  # a band filter rings down by 60 dB in this many periods of its centre …
_RING_S = 3.0 / BROADBAND.center_hz  # … and what the broadband signal's filter takes off, by 30 dB in this time
_QUIET = 1e-6  # a response that ends below -60 dB of its peak does not break off
# Shorter decay times are the filter's own: with 12 periods of the band T30 reads 5 % too long, with 24 the EDT reads 13 % too
# long. (ISO 3382-2, 7.3 wants 23 periods of a filter that runs forward, 6 of one that runs backward; ours runs both ways.)
_SHORTEST_PERIODS, _SHORTEST_EDT_PERIODS = 12.0, 24.0
_SHORTEST_S = 0.02
_FITS_DB = np.array([[-5.0, -35.0], [-5.0, -25.0], [0.0, -10.0]])
_FIT_PERIODS = np.array([[_SHORTEST_PERIODS], [_SHORTEST_PERIODS], [_SHORTEST_EDT_PERIODS]])
_LATER_S = np.array([0.05, 0.08, _DIRECT_S])
_GUESSED = 0.1  # at most this share of an energy may be extrapolated: 0.4 dB, if the guess is wrong altogether
_NOTHING = 1e-5  # later energy below -50 dB of all is the ringing of the filters, not a room
_MIDDLE = tuple(band_of(f, 1) for f in (500.0, 1000.0))
_MEASURED, _NO_DECAY, _NOISE, _CUT, _STEPS, _RINGING, _NOTHING_LATER = (  # members of an enumeration are slow in numpy
    int(why) for why in (Why.MEASURED, Why.NO_DECAY, Why.NOISE, Why.CUT, Why.STEPS, Why.RINGING, Why.NOTHING_LATER)
)
_FIT_GOOD, _FIT_UNKNOWN = int(Fit.GOOD), int(Fit.UNKNOWN)
_SPEECH = tuple(band_of(f, 1) for f in OCTAVES_HZ)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What is measured of each response.

    Args:
        bands: the bands asked for. extra: octaves beside them that single numbers need.
        fs_hz: sampling rate. noise: whether there is any to look for.
        free_field: (time,) the response at 10 m in a free field; None: not known.
    """

    bands: tuple[Band, ...]
    extra: tuple[Band, ...]
    fs_hz: float
    noise: Noise
    free_field: NDArray[Any] | None

    @cached_property
    def filters(self) -> tuple[Band, ...]:
        return (*self.bands, *self.extra)

    @cached_property
    def period_s(self) -> Floats:
        """(signal,) what the ringing of each filter is counted in; 0 for the broadband signal, whose filter hardly rings."""
        return np.array([0.0, *(b.period_s for b in self.filters)])

    @cached_property
    def shortest_s(self) -> Floats:
        """(T30 T20 EDT, signal) the shortest times that are not the filter's own."""
        return np.maximum(_FIT_PERIODS * self.period_s, _SHORTEST_S)

    @cached_property
    def free_field_energy(self) -> Floats | None:
        """(signal,) energy of the response at 10 m in a free field."""
        if self.free_field is None:
            return None
        return free_field_energy(self.free_field, (BROADBAND, *self.filters), self.fs_hz)

    @cached_property
    def middle(self) -> NDArray[np.int64] | None:
        """The rows of the octaves of 500 and 1000 Hz; None where they are not measured."""
        return self._rows(_MIDDLE)

    @cached_property
    def speech(self) -> slice | NDArray[np.int64] | None:
        """The rows of the octaves that the STI is made of; None where one of them is not measured."""
        rows = self._rows(_SPEECH)
        if rows is None or (np.diff(rows) != 1).any():
            return rows
        return slice(int(rows[0]), int(rows[-1]) + 1)  # a view, where they are in order

    def _rows(self, bands: tuple[Band, ...]) -> NDArray[np.int64] | None:
        known = all(b in self.filters for b in bands)
        return np.array([1 + self.filters.index(b) for b in bands]) if known else None


@dataclass(frozen=True)
class Values:
    """Labels of one response.

    Args:
        values: (parameter, 1 + band) of :data:`~roomgen.acoustics.labels.table.BANDED`, broadband first.
        reasons: why, where they are nan. single, single_reasons: the same of :data:`~roomgen.acoustics.labels.table.SINGLE`.
    """

    values: Floats
    reasons: Codes
    single: tuple[float, ...]
    single_reasons: tuple[int, ...]


@np.errstate(divide="ignore", invalid="ignore")
def measure_one(response: NDArray[Any], given: NDArray[Any] | None, onset_s: float, peak: float, spectrum: Spectrum) -> Values:
    """Measure a (time,) response whose peak was ``peak`` before it was made 1; ``given`` (band, time) are its bands, if known."""
    fs_hz, onset = spectrum.fs_hz, round(onset_s * spectrum.fs_hz)
    if spectrum.noise == "auto":  # a recording may be padded with zeros
        response = response[: max(int(np.flatnonzero(response)[-1]), onset) + 1]
    blocks = block_energy(response, onset=onset, fs_hz=fs_hz, bands=spectrum.filters if given is None else spectrum.extra)
    if given is not None:
        rise_s = RISE_PERIODS * max(b.period_s for b in spectrum.bands)
        blocks = _joined(blocks, energy_of_bands(given[:, : len(response)], onset=onset, fs_hz=fs_hz, rise_s=rise_s))
    curve = _curve(blocks, response, spectrum)
    ended = np.where(curve.noise > 0.0, _NOISE, _CUT)
    ended[np.isinf(curve.tail)] = _NO_DECAY

    decays, n = Decays(blocks, curve, ended, spectrum, peak), len(spectrum.bands) + 1
    values, reasons = np.empty((len(BANDED), n)), np.zeros((len(BANDED), n), dtype=np.int8)
    for row, label in enumerate(BANDED):
        found, why = _function(label.function)(decays)
        values[row], reasons[row] = found[:n], why[:n]
    single, single_reasons = zip(*(_function(label.function)(decays) for label in SINGLE), strict=True)
    return Values(values, reasons, single, single_reasons)


@cache
def _function(name: str) -> Callable[[Decays], tuple[Any, Any]]:
    found: Callable[[Decays], tuple[Any, Any]] = getattr(sys.modules[__name__], name)
    return found


@dataclass(frozen=True, eq=False)
class Decays:
    """What the labels of a response are read from: energies and decay curves of its signals, broadband first.

    Args:
        ended: (signal,) why a decay that is not seen far enough is not.
        peak: of the response, before it was made 1.
    """

    blocks: BlockEnergy
    curve: DecayCurve
    ended: Codes
    spectrum: Spectrum
    peak: float

    @cached_property
    def times(self) -> tuple[Floats, Codes]:
        return _decay_times(self.curve, self.ended, self.spectrum)

    @cached_property
    def ratios(self) -> tuple[Floats, Codes, Floats]:
        return _early_to_late(self.curve, self.blocks, self.ended, self.spectrum.fs_hz)

    def known_to(self, share: float) -> Codes:
        """Return why more than this share of all energy had to be extrapolated; 0 where it had not."""
        return np.where(self.curve.tail / self.curve.total < share, 0, self.ended)


def t30(decays: Decays) -> tuple[Floats, Codes]:
    """Return T30 of every signal."""
    return decays.times[0][0], decays.times[1][0]


def t20(decays: Decays) -> tuple[Floats, Codes]:
    """Return T20 of every signal."""
    return decays.times[0][1], decays.times[1][1]


def edt(decays: Decays) -> tuple[Floats, Codes]:
    """Return the early decay time of every signal."""
    return decays.times[0][2], decays.times[1][2]


def t30_mid(decays: Decays) -> tuple[float, int]:
    """Return the mean T30 of the octaves of 500 and 1000 Hz."""
    if decays.spectrum.middle is None:
        return np.nan, int(Why.NO_BAND)
    low, high = decays.spectrum.middle
    times, why = t30(decays)
    return 0.5 * float(times[low] + times[high]), int(max(why[low], why[high]))


def c50(decays: Decays) -> tuple[Floats, Codes]:
    """Return C50 of every signal."""
    return decays.ratios[0][0], decays.ratios[1][0]


def c80(decays: Decays) -> tuple[Floats, Codes]:
    """Return C80 of every signal."""
    return decays.ratios[0][1], decays.ratios[1][1]


def d50(decays: Decays) -> tuple[Floats, Codes]:
    """Return D50 of every signal."""
    _, why, early = decays.ratios
    return np.where(why[0] == 0, early[0], np.nan), why[0]


def direct_to_late(decays: Decays) -> tuple[float, int]:
    """Return the direct-to-reverberant ratio of the whole response."""
    return float(decays.ratios[0][2, 0]), int(decays.ratios[1][2, 0])


def centre_time(decays: Decays) -> tuple[Floats, Codes]:
    """Return the centre time of every signal."""
    why = decays.known_to(0.1 * _GUESSED)
    return np.where(why == 0, _centre_time_s(decays.curve, decays.blocks, decays.spectrum.fs_hz), np.nan), why


def strength(decays: Decays) -> tuple[Floats, Codes]:
    """Return the strength of every signal."""
    total, free_field = decays.curve.total, decays.spectrum.free_field_energy
    if free_field is None:
        return np.full(total.shape, np.nan), np.full(total.shape, Why.NO_LEVEL, dtype=np.int8)
    why = decays.known_to(_GUESSED)
    return np.where(why == 0, strength_db(total * decays.peak**2, free_field), np.nan), why


def transmission_index(decays: Decays) -> tuple[float, int]:
    """Return the speech transmission index."""
    return _sti(decays.curve, decays.blocks, decays.ended, decays.spectrum)


def _joined(blocks: BlockEnergy, bands: BlockEnergy) -> BlockEnergy:
    """Return the broadband signal of the first, the bands of the second, and the bands of the first after them."""

    def join(a: Floats, b: Floats) -> Floats:
        return np.concatenate([a[:1], b, a[1:]])

    return BlockEnergy(
        join(blocks.energy, bands.energy), join(blocks.moment, bands.moment), join(blocks.before, bands.before), blocks.hop
    )


def _curve(blocks: BlockEnergy, response: NDArray[Any], spectrum: Spectrum) -> DecayCurve:
    hop_s = blocks.hop / spectrum.fs_hz
    if spectrum.noise == "none":
        return decay_curve(blocks.energy, before=blocks.before, hop_s=hop_s)
    from roomgen.acoustics.labels.noise_floor import find_floors

    # Where a recording breaks off within noise, the filters ring.
    n_blocks = blocks.energy.shape[1]
    ringing_s = np.zeros(len(blocks.energy))
    if np.square(response[-4 * blocks.hop :], dtype=np.float64).mean() > _QUIET:
        ringing_s = np.maximum(_RING_PERIODS * spectrum.period_s, _RING_S)
    floors = find_floors(
        blocks.energy,
        hop_s=hop_s,
        period_s=spectrum.period_s,
        width_hz=np.array([b.width_hz(spectrum.fs_hz) for b in (BROADBAND, *spectrum.filters)]),
        stop=n_blocks - np.minimum(ringing_s / hop_s, n_blocks / 4).astype(np.int64),
    )
    return decay_curve(blocks.energy, before=blocks.before, hop_s=hop_s, floors=floors)


def _decay_times(curve: DecayCurve, ended: Codes, spectrum: Spectrum) -> tuple[Floats, Codes]:
    """Return (T30 T20 EDT, signal) decay times in s, and why where they are nan."""
    time, fit = fit_decays(curve, _FITS_DB)
    short = time < spectrum.shortest_s
    why = np.where(fit == _FIT_UNKNOWN, ended, _STEPS)
    why[fit == _FIT_GOOD] = _MEASURED
    why[short], time[short] = _RINGING, np.nan
    return time, why


def _early_to_late(curve: DecayCurve, blocks: BlockEnergy, ended: Codes, fs_hz: float) -> tuple[Floats, Codes, Floats]:
    """Return (50 ms 80 ms direct sound, signal) ratios in dB, why where they are nan, and the early share of all energy."""
    late = later(curve.remaining, blocks.energy, curve.noise, curve.end, _LATER_S * (fs_hz / blocks.hop))
    share = late / curve.total
    why = np.where(curve.tail < _GUESSED * late, _MEASURED, ended)
    why[(share <= _NOTHING) | (share >= 1.0)] = _NOTHING_LATER
    ratio = 10.0 * np.log10(1.0 / share - 1.0)
    ratio[why != _MEASURED] = np.nan
    return ratio, why, 1.0 - share


def _centre_time_s(curve: DecayCurve, blocks: BlockEnergy, fs_hz: float) -> Floats:
    """Return the (signal,) centre of energy in s after the onset: the area under the decay curve over all energy."""
    samples = curve.remaining[:, 1:].sum(axis=1) * blocks.hop  # as if all energy of a block arrived at its beginning …
    if (curve.end == blocks.moment.shape[1]).all():
        inside = blocks.moment.sum(axis=1)
    else:
        inside = np.array([m[:end].sum() for m, end in zip(blocks.moment, curve.end, strict=True)])
    inside -= curve.noise * curve.end * (blocks.hop - 1) / 2.0  # … plus its place within the block
    return np.asarray((samples + inside) / curve.total / fs_hz)


def _sti(curve: DecayCurve, blocks: BlockEnergy, ended: Codes, spectrum: Spectrum) -> tuple[float, int]:
    """Return the STI and why it is nan: one of its octaves is beyond Nyquist, or too little of a decay is known."""
    rows = spectrum.speech
    if rows is None:
        return np.nan, int(Why.NO_BAND)
    known = curve.tail[rows] < _GUESSED * curve.total[rows]
    if not known.all():
        return np.nan, int(ended[rows][~known][0])
    end, energy = curve.end[rows], blocks.energy[rows]
    if spectrum.noise == "auto":
        energy = np.where(np.arange(energy.shape[1]) < end[:, None], energy - curve.noise[rows, None], 0.0)
    before, tail, rate = blocks.before[rows], curve.tail[rows], curve.tail_rate[rows]
    depth = modulation_transfer(energy, hop_s=curve.hop_s, before=before, tail=tail, tail_rate=rate, end=end)
    return speech_transmission_index(depth), _MEASURED
