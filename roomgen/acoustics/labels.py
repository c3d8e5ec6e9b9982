"""Room acoustic parameters of impulse responses: decay times, clarity, definition, centre time and direct-to-reverberant ratio.

All follow ISO 3382-1 (2009), broadband and per octave band. Bands are split with the zero-phase filters of
:mod:`roomgen.acoustics.bands`, the same for simulated and for measured responses; an extra band below the lowest one takes what
lies below it, so that an offset or rumble is in no label of a band.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.bands import fft_band_weights, octave_centers
from roomgen.acoustics.decay_curve import DecayCurve, decay_curve, decay_time_s, find_onset
from roomgen.acoustics.modulation import OCTAVES_HZ, modulation_transfer, speech_transmission_index
from roomgen.acoustics.strength import POINT_SOURCE, free_field_energy, strength_db
from roomgen.errors import RoomgenError

Noise = Literal["auto", "none"]
Floats = NDArray[np.float64]

_PARAMETERS = (("rt60", "_s"), ("t20", "_s"), ("edt", "_s"), ("c50", "_db"), ("c80", "_db"), ("d50", ""), ("ts", "_s"))

_BLOCKS_PER_S = 2000  # resolution of the decay curve
_DIRECT_S = 0.0025  # half the window that holds the direct sound of a measured response
_RISE_PERIODS = 4.0  # a band filter rises over this many periods of its centre before the sound arrives …
_RING_PERIODS = 7.0  # … and rings down by 60 dB in this many
_QUIET = 1e-6  # a response that ends below -60 dB of its peak does not break off
_INTERVAL_PERIODS = 2.0  # the energy of a band varies at random from one interval of this many periods to the next
# Shorter decay times are the filter's own: with 12 periods of the band T30 reads 5 % too long, with 24 the EDT reads 15 % too
# long. (ISO 3382-2, 7.3 wants 23 periods of a filter that runs forward, 6 of one that runs backward; ours runs both ways.)
_SHORTEST_PERIODS, _SHORTEST_EDT_PERIODS = 12.0, 24.0
_SHORTEST_S = 0.02
_FITS = ((-5.0, -35.0, _SHORTEST_PERIODS), (-5.0, -25.0, _SHORTEST_PERIODS), (0.0, -10.0, _SHORTEST_EDT_PERIODS))
_GUESSED = 0.1  # at most this share of an energy may be extrapolated: 0.4 dB, if the guess is wrong altogether
_NOTHING = 1e-5  # later energy below -50 dB of all is the ringing of the filters, not a room


@dataclass(frozen=True)
class Labels:
    """What :func:`measure` found. nan means 'cannot be measured'.

    Fields of one response are floats, those ending in ``_bands…`` (band,) arrays; of responses with leading dimensions they are
    (...,) and (..., band) arrays.

    Args:
        rt60_s: reverberation time T30: twice the time from -5 to -35 dB, by linear regression.
        rt60_mid_s: mean of the T30 of the octaves of 500 and 1000 Hz (ISO 3382-1: T30,mid); nan where either is.
        t20_s: three times that from -5 to -25 dB.
        edt_s: early decay time: six times that from 0 to -10 dB.
        c50_db, c80_db: early-to-late energy ratio, early being 50 or 80 ms from the onset.
        d50: early energy of 50 ms over all energy, 0 to 1.
        ts_s: centre time, from the onset.
        drr_db: direct-to-reverberant energy ratio.
        sti: speech transmission index of the room alone, 0 to 1 (IEC 60268-16, 2020: male voice, no background noise).
        g_db: sound strength, relative to the same source at 10 m in a free field (ISO 3382-1, annex A).
        direct_delay_s: time of the onset from the beginning of the response.
        band_hz: (band,) centres of the octave bands in Hz.
    """

    rt60_s: float | Floats
    rt60_mid_s: float | Floats
    t20_s: float | Floats
    edt_s: float | Floats
    c50_db: float | Floats
    c80_db: float | Floats
    d50: float | Floats
    ts_s: float | Floats
    drr_db: float | Floats
    sti: float | Floats
    g_db: float | Floats
    direct_delay_s: float | Floats
    band_hz: Floats
    rt60_bands_s: Floats
    t20_bands_s: Floats
    edt_bands_s: Floats
    c50_bands_db: Floats
    c80_bands_db: Floats
    d50_bands: Floats
    ts_bands_s: Floats

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, in the order of their declaration, as plain Python floats and (nested) lists of floats."""
        return {f.name: np.asarray(getattr(self, f.name)).tolist() for f in fields(self)}


def measure(
    rir: ArrayLike,
    *,
    fs_hz: float,
    bands_hz: tuple[float, ...] | None = None,
    band_rirs: ArrayLike | None = None,
    onset_s: ArrayLike | None = None,
    drr_db: ArrayLike | None = None,
    noise: Noise = "auto",
) -> Labels:
    """Measure the parameters of impulse responses, broadband and per octave band.

    Args:
        rir: (..., time) impulse responses. float32 is computed in float32.
        fs_hz: sampling rate in Hz.
        bands_hz: centres of adjacent octave bands, rising, at most Nyquist; None: 125 Hz to Nyquist.
        band_rirs: (..., band, time) the same responses already split into these bands; used as they are. Bands that add up to
            the response differ in the lowest one: theirs reaches down to 0 Hz, ours is an octave.
        onset_s: (...,) or one arrival time of the direct sound in s; None: the first sample above -20 dB of the peak (ISO
            3382-1), or the main lobe that begins there.
        drr_db: (...,) direct-to-reverberant ratio, where it is known exactly; None: energy within ±2.5 ms of the onset over
            the energy after it.
        noise: ``"auto"`` finds the noise floor of a measured response in each band and removes it; ``"none"`` is for simulated
            responses, which have none. Either completes a response that ends before its decay does.

    Returns:
        :class:`Labels`. Energy that rises before the onset (the ringing of band filters and of band-limited pulses: four
        periods of the lowest band) counts as early energy. A value is nan where it cannot be measured:

        - decay times, where the decay is not seen 3 dB beyond the end of the fit (-38 dB for ``rt60_s``, -28 dB for ``t20_s``,
          -13 dB for ``edt_s``) before the response ends or sinks into noise; where single steps, a strong direct sound or
          echoes, take more than half of the range of the fit; and where they are shorter than 20 ms, or than 12 (EDT: 24)
          periods of the band, which the filter itself rings;
        - C50, C80, D50 and DRR, where the response is cut before the later energy begins, where that is below -50 dB of all, or
          where a tenth of it had to be extrapolated;
        - the centre time, where a hundredth of all energy had to be extrapolated.

        So silence (samples that are all the same) is nan throughout; a click, and a file of ten samples, have neither decay
        times nor clarity.

    Raises:
        RoomgenError: an empty array, nan or infinite samples, or arguments that do not fit each other.
    """
    rirs = _valid_signal(rir, "rir")
    if not (np.isfinite(fs_hz) and fs_hz > 0):
        raise RoomgenError(f"sampling rate {fs_hz} Hz must be positive and finite.")
    if noise not in ("auto", "none"):
        raise RoomgenError(f"noise = {noise!r} is unknown: 'auto' for measured responses, 'none' for simulated ones.")
    lead, n_samples = rirs.shape[:-1], rirs.shape[-1]
    centers = _valid_bands(bands_hz, fs_hz)
    bands = None
    if band_rirs is not None:
        bands = _valid_signal(band_rirs, "band_rirs")
        if bands.shape != (*lead, len(centers), n_samples):
            raise RoomgenError(
                f"band_rirs has the shape {bands.shape}; {(*lead, len(centers), n_samples)} is needed: (..., band, time) "
                f"with {len(centers)} bands."
            )
        bands = bands.reshape(-1, len(centers), n_samples)
    onsets = _per_response(onset_s, lead, "onset_s")
    if onset_s is not None and not ((onsets >= 0.0) & (onsets < n_samples / fs_hz)).all():
        raise RoomgenError(f"onset_s must lie within the response, from 0 to {n_samples / fs_hz:g} s.")

    flat = rirs.reshape(-1, n_samples)
    values = np.full((len(flat), len(_PARAMETERS), 1 + len(centers)), np.nan)
    drr, sti, strength = np.full((3, len(flat)), np.nan)
    for i, response in enumerate(flat):  # one by one: each has its own onset, and stays in the cache of the processor
        if (response == response[0]).all():
            continue  # silence, a mere offset, a single sample
        peak = np.abs(response).max()
        if onset_s is None:
            onsets[i] = find_onset(response) / fs_hz
        signals, origin = _split(response / peak, None if bands is None else bands[i] / peak, centers, fs_hz, noise)
        values[i], drr[i], sti[i], energy = _measure_one(signals, origin, onsets[i], centers, fs_hz, noise)
        if noise == "none":
            n_fft = _fft_length(n_samples)
            free_field = free_field_energy(POINT_SOURCE, np.ones((1, n_fft // 2 + 1)), n_fft)
            strength[i] = strength_db(np.array([energy * float(peak) ** 2]), free_field)[0]
    if drr_db is not None:
        drr = _per_response(drr_db, lead, "drr_db")

    named: dict[str, Any] = {
        "rt60_mid_s": _middle(values[:, 0, 1:], centers).reshape(lead),
        "drr_db": drr.reshape(lead),
        "sti": sti.reshape(lead),
        "g_db": strength.reshape(lead),
        "direct_delay_s": onsets.reshape(lead),
        "band_hz": np.array(centers),
    }
    for p, (name, unit) in enumerate(_PARAMETERS):
        named[name + unit] = values[:, p, 0].reshape(lead)
        named[f"{name}_bands{unit}"] = values[:, p, 1:].reshape(*lead, len(centers))
    if not lead:
        named.update({name: float(value) for name, value in named.items() if value.ndim == 0})
    return Labels(**named)


@np.errstate(divide="ignore", invalid="ignore")
def _measure_one(
    signals: NDArray[Any], origin: int, onset_s: float, centers: tuple[float, ...], fs_hz: float, noise: Noise
) -> tuple[Floats, float, float, float]:
    """Return (parameter, signal) values and the DRR of (signal, time) signals whose sample ``origin`` is time 0."""
    onset = origin + round(onset_s * fs_hz)
    hop = max(int(fs_hz / _BLOCKS_PER_S), 1)
    square = signals * signals
    after = square[:, onset:]
    before = square[:, max(onset - int(_RISE_PERIODS / centers[0] * fs_hz), 0) : onset].sum(axis=1, dtype=np.float64)
    blocks = np.add.reduceat(after, np.arange(0, after.shape[1], hop), axis=1).astype(np.float64)
    extra = len(signals) - 1 - len(centers)
    period_s = np.array([0.0] * (1 + extra) + [1.0 / f for f in centers])
    end = interval_s = None
    if noise == "auto":  # a recording may be padded with zeros, and where it breaks off within noise the filters ring
        used = int(np.flatnonzero(blocks[0]).max(initial=0)) + 1
        ringing_s = _RING_PERIODS * period_s
        ringing_s[1 : 1 + extra] = _RING_PERIODS / centers[0]
        if blocks[0, max(used - 4, 0) : used].mean() < _QUIET * hop:
            ringing_s[:] = 0.0
        end = used - np.minimum(ringing_s * fs_hz / hop, used / 4).astype(np.int64)
        interval_s = _INTERVAL_PERIODS * period_s
    curve = decay_curve(blocks, before=before, hop_s=hop / fs_hz, interval_s=interval_s, end=end)

    times = []
    for upper, lower, periods in _FITS:
        time = decay_time_s(curve, upper_db=upper, lower_db=lower)
        times.append(np.where(time >= np.maximum(periods * period_s, _SHORTEST_S), time, np.nan))
    late_50, late_80, late_direct = (_later(curve, after, round(t * fs_hz), hop) for t in (0.05, 0.08, _DIRECT_S))
    c50, c80, drr = (_early_to_late_db(late, curve) for late in (late_50, late_80, late_direct))
    d50 = np.where(np.isnan(c50), np.nan, 1.0 - late_50 / curve.total)
    values = np.stack([*times, c50, c80, d50, _centre_time_s(curve, after, hop)])
    # Broadband parameters come from the response itself, but from the part above the lowest band where there is noise.
    broad = extra if curve.noise[0] > 0.0 or not np.isfinite(curve.tail[0]) else 0
    sti = _sti(curve, blocks, before, centers, 1 + extra)
    return values[:, [broad, *range(1 + extra, len(signals))]], float(drr[broad]), sti, float(curve.total[broad])


def _sti(curve: DecayCurve, blocks: Floats, before: Floats, centers: tuple[float, ...], first: int) -> float:
    """Return the STI; nan where one of its octaves is not among the bands, or its decay is not known."""
    try:
        rows = np.array([first + centers.index(f) for f in OCTAVES_HZ])
    except ValueError:
        return np.nan
    end = curve.end[rows]
    energy = np.where(np.arange(blocks.shape[1]) < end[:, None], blocks[rows] - curve.noise[rows, None], 0.0)
    energy[:, 0] += before[rows]
    tail = curve.tail[rows]
    if not (np.isfinite(tail) & (tail < _GUESSED * curve.total[rows])).all():
        return np.nan
    depth = modulation_transfer(energy, hop_s=curve.hop_s, tail=tail, tail_rate=np.full(len(tail), 1.0 / curve.hop_s), end=end)
    return speech_transmission_index(depth)


def _middle(rt60_s: Floats, centers: tuple[float, ...]) -> Floats:
    """Return (response,) the mean T30 of the octaves of 500 and 1000 Hz of (response, band)."""
    if 500.0 not in centers or 1000.0 not in centers:
        return np.full(len(rt60_s), np.nan)
    return np.asarray(rt60_s[:, [centers.index(500.0), centers.index(1000.0)]].mean(axis=1))


def _later(curve: DecayCurve, after: NDArray[Any], sample: int, hop: int) -> Floats:
    """Return the (signal,) energy from ``sample`` after the onset on; nan where the response is cut before."""
    block = -(-sample // hop)
    if block >= curve.remaining.shape[1]:
        return np.full(len(after), np.nan)
    part = after[:, sample : block * hop]  # what is left of the block in which the sample lies
    later = curve.remaining[:, block] + part.sum(axis=1) - curve.noise * (part.shape[1] / hop)
    return np.where(block < curve.end, later, np.nan)


def _early_to_late_db(late: Floats, curve: DecayCurve) -> Floats:
    known = (late > _NOTHING * curve.total) & (late < curve.total) & (curve.tail < _GUESSED * late)
    return np.where(known, 10.0 * np.log10(curve.total / late - 1.0), np.nan)


def _centre_time_s(curve: DecayCurve, after: NDArray[Any], hop: int) -> Floats:
    """Return the (signal,) centre of energy in s after the onset: the area under the decay curve over all energy."""
    steps = curve.remaining[:, 1:].sum(axis=1) * hop  # as if all energy of a block arrived at its beginning …
    phase = (np.arange(after.shape[1]) % hop).astype(after.dtype)
    inside = np.array([a[: e * hop] @ phase[: e * hop] for a, e in zip(after, curve.end, strict=True)])
    inside -= curve.noise * curve.end * (hop - 1) / 2.0  # … plus its place within the block
    samples = (steps + inside) / curve.total
    return np.where(curve.tail < 0.1 * _GUESSED * curve.total, samples * curve.hop_s / hop, np.nan)


def _split(
    response: NDArray[Any], bands: NDArray[Any] | None, centers: tuple[float, ...], fs_hz: float, noise: Noise
) -> tuple[NDArray[Any], int]:
    """Return (signal, time) signals and the sample that is time 0 in them.

    The first signal is the response itself; with ``noise="auto"`` the second is the response without what lies below the lowest
    band; the bands follow.
    """
    if bands is not None:
        return np.concatenate([response[None], bands]), 0
    origin = int(_RISE_PERIODS / centers[0] * fs_hz)  # the filters are zero-phase: they begin before time 0
    n_fft = _fft_length(len(response) + 2 * origin)
    padded = np.zeros(n_fft, dtype=response.dtype)
    padded[origin : origin + len(response)] = response
    weights = _weights(n_fft, fs_hz, centers, response.dtype.char)
    if noise == "none":
        weights = weights[1:]
    signals = np.empty((1 + len(weights), origin + len(response)), dtype=response.dtype)
    signals[0] = padded[: signals.shape[1]]
    signals[1:] = np.fft.irfft(np.fft.rfft(padded) * weights, n_fft)[:, : signals.shape[1]]
    return signals, origin


def _fft_length(n: int) -> int:
    """Return the smallest of 4, 5, 6, 7 · 2^k at or above n: few lengths, so that their weights stay in the cache."""
    step = 1 << max(n.bit_length() - 3, 0)
    return -(-n // step) * step


@lru_cache(maxsize=16)
def _weights(n_fft: int, fs_hz: float, centers: tuple[float, ...], dtype: str) -> NDArray[Any]:
    """Return (1 + band, freq) weights: of all from the lowest band up, and of each octave band.

    There is one more band below and above them: what lies there belongs to it.
    """
    guarded = (centers[0] / 2.0, *centers, *((2.0 * centers[-1],) if 2.0 * centers[-1] <= fs_hz / 2.0 else ()))
    weights = fft_band_weights(n_fft, fs_hz, guarded)[: 1 + len(centers)].astype(dtype)
    weights[0] = 1.0 - weights[0]
    return weights


def _valid_signal(given: ArrayLike, name: str) -> NDArray[Any]:
    signal = np.asarray(given)
    if signal.ndim == 0 or signal.size == 0:
        raise RoomgenError(f"{name} has the shape {signal.shape}: (..., time) with at least one sample is needed.")
    if signal.dtype.kind not in "fiu":
        raise RoomgenError(f"{name} is {signal.dtype}: real numbers are needed.")
    if signal.dtype not in (np.float32, np.float64):
        signal = signal.astype(np.float64)
    if not np.isfinite(signal).all():
        raise RoomgenError(f"{name} holds {int((~np.isfinite(signal)).sum())} samples that are nan or infinite.")
    return signal


def _valid_bands(bands_hz: tuple[float, ...] | None, fs_hz: float) -> tuple[float, ...]:
    centers = octave_centers(fs_hz) if bands_hz is None else tuple(float(b) for b in bands_hz)
    given = ", ".join(f"{b:g}" for b in centers)
    if not centers:
        raise RoomgenError(f"there is no octave band at a sampling rate of {fs_hz:g} Hz: at least 250 Hz is needed.")
    if not centers[0] > 0 or any(abs(high / low - 2.0) > 0.05 for low, high in pairwise(centers)):
        raise RoomgenError(f"bands_hz = {given} are not adjacent octaves, rising, such as 63, 125, 250, 500.")
    if centers[-1] > fs_hz / 2.0:
        raise RoomgenError(f"bands_hz = {given} reach beyond {fs_hz / 2.0:g} Hz, half the sampling rate.")
    return centers


def _per_response(given: ArrayLike | None, lead: tuple[int, ...], name: str) -> Floats:
    """Return one number for each response, (response,); nan if None is given."""
    values = np.asarray(np.nan if given is None else given, dtype=np.float64)
    if values.ndim and values.shape != lead:
        raise RoomgenError(f"{name} has the shape {values.shape}; one number, or the shape {lead} of the responses, is needed.")
    return np.broadcast_to(values, lead).reshape(-1).copy()
