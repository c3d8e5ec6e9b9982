"""Sound from numbers: noise of a spectrum, decaying modes, strings, wavetables, bursts and grains, for the embedded corpora.

All functions take the generator that they draw from, and give float32 mono. Levels are relative: a recording gets its level at
the end, from :func:`finished`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Rng = np.random.Generator
FS_HZ = 44_100
_DECAY_60_DB = 6.91  # time constants until 60 dB are gone


def seconds(duration_s: float) -> int:
    """Return a duration in samples."""
    return max(round(duration_s * FS_HZ), 1)


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """Return a number whose logarithm is uniform between two limits."""
    return float(low * (high / low) ** rng.random())


def times(n: int) -> Audio:
    """Return the (n,) instants of the samples in seconds."""
    return np.arange(n, dtype=np.float32) * np.float32(1 / FS_HZ)


def band(low_hz: float, high_hz: float, *, order: float = 2.0) -> Callable[[Audio], Audio]:
    """Return a band-pass as gain over frequency, which falls by ``6 · order`` dB per octave outside."""

    def gain(f_hz: Audio) -> Audio:
        up = (f_hz * np.float32(1 / low_hz)) ** np.float32(order)
        down = (f_hz * np.float32(1 / high_hz)) ** np.float32(order)
        return np.asarray(up / (1 + up) / (1 + down), dtype=np.float32)

    return gain


def tilted(db_per_octave: float, *, low_hz: float = 20.0, high_hz: float = 20_000.0) -> Callable[[Audio], Audio]:
    """Return a slope about 1 kHz as gain over frequency, level below ``low_hz`` and steeply down above ``high_hz``."""
    power = np.float32(db_per_octave / 6.0206)

    def gain(f_hz: Audio) -> Audio:
        slope = (np.maximum(f_hz, np.float32(low_hz)) * np.float32(1e-3)) ** power
        return np.asarray(slope / (1 + (f_hz * np.float32(1 / high_hz)) ** 4), dtype=np.float32)

    return gain


def noise(rng: Rng, n: int, gain: Callable[[Audio], Audio]) -> Audio:
    """Return (n,) Gaussian noise of RMS 1 with a spectrum."""
    size = _fast_length(n)
    bins = size // 2 + 1
    f_hz = np.arange(bins, dtype=np.float32) * np.float32(FS_HZ / size)
    spectrum = rng.standard_normal(2 * bins, dtype=np.float32).view(np.complex64) * gain(f_hz)
    spectrum[0] = 0
    return unit(np.fft.irfft(spectrum, size)[:n])


def unit(audio: NDArray[np.floating]) -> Audio:
    """Return audio at an RMS of 1; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    return np.asarray(audio / (rms if rms > 0 else 1.0), dtype=np.float32)


def decay(n: int, time_s: float, *, attack_s: float = 0.0) -> Audio:
    """Return (n,) exponential decay with a time constant, after a linear rise."""
    t = times(n)
    fall = np.exp(t * np.float32(-1 / time_s))
    return np.asarray(fall * np.minimum(t * np.float32(1 / attack_s), 1) if attack_s > 0 else fall, dtype=np.float32)


def wander(rng: Rng, n: int, rate_hz: float) -> Audio:
    """Return (n,) of a smooth random course of mean about 0 and deviation about 1, with ``rate_hz`` turns a second."""
    points = max(int(n / FS_HZ * rate_hz) + 3, 3)
    knots = rng.standard_normal(points)
    coarse = np.linspace(0, points - 1, 16 * points)
    whole = np.minimum(coarse.astype(int), points - 2)
    share = coarse - whole
    smooth = knots[whole] + (knots[whole + 1] - knots[whole]) * share * share * (3 - 2 * share)
    return np.asarray(np.interp(np.arange(n) * (rate_hz / FS_HZ), coarse, smooth), dtype=np.float32)


def modes(n: int, f_hz: Sequence[float], level: Sequence[float], decay_s: Sequence[float], phase: Sequence[float]) -> Audio:
    """Return (n,) of a sum of decaying sinusoids; each ends 60 dB down, those above 0.45 of the sampling rate are left out."""
    out = np.zeros(n, dtype=np.float32)
    for f, a, tau, start in zip(f_hz, level, decay_s, phase, strict=True):
        if f < 0.45 * FS_HZ:
            m = min(n, seconds(_DECAY_60_DB * tau))
            # One complex exponential by repeated doubling: a sine and its decay for the price of a few products.
            out[:m] += np.float32(a) * _ringing(m, f, tau, start)
    return out


def struck(
    rng: Rng,
    duration_s: float,
    f_hz: Sequence[float] | NDArray[np.float64],
    *,
    decay_s: float,
    damping: float = 0.5,
    spread_db: float = 8.0,
) -> Audio:
    """Return a struck body: modes at given frequencies, higher ones dying faster, with levels scattered by ``spread_db``."""
    f = np.asarray(f_hz, dtype=np.float64)
    level = 10 ** (rng.normal(0, spread_db, len(f)) / 20)
    tau = decay_s * (f.min() / f) ** damping * rng.uniform(0.7, 1.3, len(f))
    return modes(seconds(duration_s), f.tolist(), level.tolist(), tau.tolist(), rng.uniform(0, 2 * np.pi, len(f)).tolist())


def string(
    rng: Rng, duration_s: float, f0_hz: float, *, decay_s: float, pluck: float, bright: float, stiff: float, partials: int
) -> Audio:
    """Return a plucked or struck string.

    Args:
        rng: gives the phases.
        duration_s: length.
        f0_hz: fundamental.
        decay_s: time constant of the fundamental.
        pluck: where the string is plucked, as a share of its length; partials with a node there are missing.
        bright: dB per octave that higher partials lose.
        stiff: inharmonicity B: partial k is at k · f0 · √(1 + B k²).
        partials: how many.
    """
    k = np.arange(1, partials + 1)
    f = f0_hz * k * np.sqrt(1 + stiff * k * k)
    level = np.abs(np.sin(np.pi * k * pluck)) * k ** (-bright / 6.0206)
    tau = decay_s / (1 + 0.18 * (k - 1))
    return modes(seconds(duration_s), f.tolist(), level.tolist(), tau.tolist(), rng.uniform(0, 2 * np.pi, partials).tolist())


def wavetable(f0_hz: Audio, level: Sequence[float], *, phase: Sequence[float] | None = None) -> Audio:
    """Return the tone of a course of fundamentals (n,) in Hz and given levels of harmonics; those that would alias are left out."""
    top = int(0.45 * FS_HZ / max(float(f0_hz.max()), 1.0))
    kept = np.asarray(level[: max(top, 1)], dtype=np.float64)
    spectrum = np.zeros(1025, dtype=np.complex128)
    angles = np.zeros(len(kept)) if phase is None else np.asarray(phase[: len(kept)])
    spectrum[1 : len(kept) + 1] = kept * np.exp(1j * angles)
    table = unit(np.fft.irfft(spectrum, 2048))
    turns = np.cumsum(f0_hz, dtype=np.float64) * (1 / FS_HZ)
    position = ((turns - np.floor(turns)) * 2048).astype(np.float32)
    index = np.minimum(position.astype(np.int32), 2047)
    rise = np.roll(table, -1) - table
    return np.asarray(table[index] + rise[index] * (position - index), dtype=np.float32)


def add(out: Audio, piece: Audio, at_s: float, gain: float = 1.0) -> None:
    """Add a piece to a recording from an instant on; what reaches beyond its ends is cut."""
    start = round(at_s * FS_HZ)
    if start < 0:
        piece, start = piece[-start:], 0
    m = min(len(piece), len(out) - start)
    if m > 0:
        out[start : start + m] += np.float32(gain) * piece[:m]


def grains(rng: Rng, n: int, *, rate_hz: float, grain: Audio, spread_db: float = 8.0, density: Audio | None = None) -> Audio:
    """Return (n,) of one grain repeated at random instants with random sign and level, ``rate_hz`` times a second on average.

    ``density`` (n,) between 0 and 1 thins the grains out over time.
    """
    count = int(rng.poisson(rate_hz * n / FS_HZ))
    at = rng.integers(0, n, count)
    level = 10 ** (rng.normal(0, spread_db, count) / 20) * rng.choice([-1.0, 1.0], count)
    if density is not None:
        level = np.where(rng.random(count) < density[at], level, 0.0)
    clicks = np.bincount(at, level, minlength=n).astype(np.float32)
    return convolved(clicks, grain)


def convolved(audio: Audio, response: Audio) -> Audio:
    """Return audio with a response applied, as long as before."""
    size = _fast_length(len(audio) + len(response) - 1)
    spectrum = np.fft.rfft(audio, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(audio)], dtype=np.float32)


def room_of(rng: Rng, rt60_s: float, *, bright_hz: float = 5000.0) -> Audio:
    """Return the response of a made-up room: the direct sound, then decaying noise 6 dB below it in all."""
    n = seconds(rt60_s)
    tail = noise(rng, n, band(120.0, bright_hz, order=1.0)) * decay(n, rt60_s / _DECAY_60_DB)
    tail *= 0.5 / max(float(np.sqrt(np.sum(np.square(tail)))), 1e-9)
    tail[0] = 1.0
    return tail


def faded(audio: Audio, *, rise_s: float = 0.003, fall_s: float = 0.01) -> Audio:
    """Return audio that neither begins nor ends with a click."""
    out = audio.copy()
    rise, fall = min(seconds(rise_s), len(out)), min(seconds(fall_s), len(out))
    out[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    out[len(out) - fall :] *= np.linspace(1, 0, fall, dtype=np.float32)
    return out


def finished(audio: Audio, *, peak: float) -> Audio:
    """Return (1, time) audio with a peak."""
    highest = float(np.abs(audio).max(initial=0.0))
    return np.asarray(audio * (peak / highest if highest > 0 else 0.0), dtype=np.float32)[None]


def _ringing(n: int, f_hz: float, decay_s: float, phase: float) -> Audio:
    """Return exp(−t/τ) · sin(2πft + φ): blocks of 1024 samples, each the first one turned and shrunk."""
    step = -1 / (decay_s * FS_HZ) + 2j * np.pi * f_hz / FS_HZ
    block = np.exp(step * np.arange(min(n, 1024)) + 1j * phase)
    turned = np.exp(step * 1024 * np.arange(-(-n // 1024)))
    # The imaginary part of the outer product, by its two real products.
    first = np.stack([block.real, block.imag]).astype(np.float32)
    after = np.stack([turned.imag, turned.real]).astype(np.float32)
    return np.asarray((after.T @ first).reshape(-1)[:n], dtype=np.float32)


def _fast_length(n: int) -> int:
    """Return the least length from n on that is 2, 3 or 5 times a power of two (cheap to transform)."""
    power = 1 << max(n - 1, 1).bit_length()
    return min(size for size in (power, power // 4 * 3, power // 8 * 5) if size >= n)
