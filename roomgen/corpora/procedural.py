"""Made-up sounds of the embedded corpora: layers of noise and tones, steady or struck again and again, drawn from a few ranges.

None is a model of its source. A class has what a small network can tell it by (spectrum, pitch, course in time), and its recordings
differ in all that is drawn. Samples are float32 mono at 44.1 kHz; levels are relative until :func:`finished`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Audio = NDArray[np.float32]
Rng = np.random.Generator
Range = tuple[float, float]
FS_HZ = 44_100
BARS = (1.0, 1.63, 2.24, 2.93, 4.1, 5.7)
"""Partials of things of metal, glass and wood, which are no harmonics."""
_DECAY_60_DB = 6.91  # time constants until 60 dB are gone


@dataclass(frozen=True)
class Place:
    """Factors that all recordings of a place share: how often things happen, how high tones are, how far bands and echoes reach."""

    busy: float = 1.0
    pitch: float = 1.0
    bright: float = 1.0
    reverberant: float = 1.0


@dataclass(frozen=True)
class Layer:
    """One kind of sound.

    Args:
        band_hz: limits of its noise; the upper one is drawn within a factor of 1.5.
        tone_hz: range of its fundamental; None: noise alone.
        partials: of the tone, as multiples of the fundamental; their levels fall by 6 dB per octave.
        tone: share of the tone in the amplitude.
        rate_hz: range of how often it is struck in a second; None: steady.
        decay_s: range of the time constant of a strike.
        glide: octaves by which the pitch strays within a strike, or slowly.
        swing: how strongly a steady level rises and falls, about 1/2 times a second.
        even: struck in time, not at random.
        dies: its strikes fade out over the recording.
        level_db: beside the other layers.
    """

    band_hz: Range = (100.0, 8000.0)
    tone_hz: Range | None = None
    partials: tuple[float, ...] = tuple(range(1, 13))
    tone: float = 0.9
    rate_hz: Range | None = None
    decay_s: Range = (0.05, 0.1)
    glide: float = 0.0
    swing: float = 0.1
    even: bool = False
    dies: bool = False
    level_db: float = 0.0


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """Return a number whose logarithm is uniform between two limits."""
    return float(low * (high / low) ** rng.random())


def mixed(rng: Rng, n: int, layers: tuple[Layer, ...], *, rt60_s: float = 0.0, place: Place | None = None) -> Audio:
    """Return (n,) of all layers together, in a made-up room if there is a reverberation time."""
    place = place or Place()
    out = np.zeros(n, dtype=np.float32)
    for layer in layers:
        sound = _steady(rng, n, layer, place) if layer.rate_hz is None else _struck(rng, n, layer, place)
        out += np.float32(10 ** ((layer.level_db + rng.normal(0, 2)) / 20)) * unit(sound)
    if rt60_s:
        rt60_s *= place.reverberant * log_uniform(rng, 0.8, 1.25)
        tail = noise(rng, round(rt60_s * FS_HZ), (120.0, 4000.0 * place.bright))
        tail *= np.exp(np.arange(len(tail)) * (-_DECAY_60_DB / rt60_s / FS_HZ)) / np.sqrt(len(tail))
        tail[0] += 1.0
        size = fft.next_fast_len(n + len(tail) - 1, real=True)
        out = fft.irfft(fft.rfft(out, size) * fft.rfft(tail, size), size)[:n]
    return out


def noise(rng: Rng, n: int, band_hz: Range) -> Audio:
    """Return (n,) Gaussian noise of RMS 1 in a band, which falls by 12 dB per octave outside."""
    size = fft.next_fast_len(n, real=True)
    f_hz = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(FS_HZ / size)
    up, down = (np.square(f_hz * np.float32(1 / limit_hz)) for limit_hz in band_hz)
    spectrum = rng.standard_normal(2 * len(f_hz), dtype=np.float32).view(np.complex64) * (up / (1 + up) / (1 + down))
    return unit(fft.irfft(spectrum, size)[:n])


def unit(audio: Audio) -> Audio:
    """Return audio at an RMS of 1; silence stays silence."""
    rms = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    return np.asarray(audio / (rms or 1.0), dtype=np.float32)


def finished(audio: Audio, *, peak: float) -> Audio:
    """Return (1, time) audio with a peak, its ends faded."""
    ends = min(441, len(audio) // 2)
    ramp = np.linspace(0, 1, ends, dtype=np.float32)
    out = audio - audio.mean()
    out[:ends] *= ramp
    out[len(out) - ends :] *= ramp[::-1]
    return np.asarray(out * (peak / max(float(np.abs(out).max()), 1e-9)), dtype=np.float32)[None]


def _struck(rng: Rng, n: int, layer: Layer, place: Place) -> Audio:
    """Return (n,) of a few variants of one strike, each at its instants."""
    assert layer.rate_hz is not None  # asked of such layers only
    rate_hz = log_uniform(rng, *layer.rate_hz) * place.busy
    if layer.even:
        periods = np.maximum(1 + 0.05 * rng.standard_normal(int(n / FS_HZ * rate_hz) + 1), 0.3) / rate_hz
        at_s = rng.uniform(0, 0.3) / rate_hz + np.cumsum(periods) - periods[0]
    else:
        at_s = rng.uniform(0, 0.95 * n / FS_HZ, max(rng.poisson(rate_hz * n / FS_HZ), 1))
    at = np.minimum((at_s * FS_HZ).astype(int), n - 1)
    level = 10 ** (rng.normal(0, 4, len(at)) / 20) * rng.choice([-1.0, 1.0], len(at))
    if layer.dies:
        level *= np.exp(-5.0 * at / n)
    decay_s, tone_hz = log_uniform(rng, *layer.decay_s), log_uniform(rng, *(layer.tone_hz or (1.0, 1.0))) * place.pitch
    pitches = tone_hz * 2 ** (rng.integers(-5, 8, 3 if layer.tone_hz else 1) / 12)
    strikes = [_strike(rng, layer, place, f_hz, decay_s * rng.uniform(0.7, 1.4)) for f_hz in pitches]
    out = np.zeros(n, dtype=np.float32)
    for start, gain, which in zip(at, level, rng.integers(len(strikes), size=len(at)), strict=True):
        piece = strikes[which][: n - start]
        out[start : start + len(piece)] += np.float32(gain) * piece
    return out


def _strike(rng: Rng, layer: Layer, place: Place, tone_hz: float, decay_s: float) -> Audio:
    n = max(round(min(_DECAY_60_DB * decay_s, 3.0) * FS_HZ), 64)
    t = np.arange(n, dtype=np.float32) * np.float32(1 / FS_HZ)
    sound = noise(rng, n, _limits(rng, layer, place))
    if layer.tone_hz:
        stray = layer.glide * rng.uniform(-1, 1) / max(float(t[-1]), 1e-3)
        turns = tone_hz * (t + 0.35 * stray * t * t)  # 2 ** x is about 1 + 0.7 x
        partials = [k for k in layer.partials if k * tone_hz < 0.4 * FS_HZ]
        levels = 10 ** (rng.normal(0, 3, len(partials)) / 20) / (partials or [1])
        tone = sum((a * np.sin(2 * np.pi * k * turns) for a, k in zip(levels, partials, strict=True)), np.zeros_like(t))
        sound = layer.tone * unit(tone) + (1 - layer.tone) * sound
    rise = np.minimum(t * np.float32(FS_HZ / 32), 1)
    return np.asarray(sound * rise * np.exp(t * np.float32(-1 / decay_s)), dtype=np.float32)


def _steady(rng: Rng, n: int, layer: Layer, place: Place) -> Audio:
    sound = noise(rng, n, _limits(rng, layer, place))
    if layer.tone_hz:
        course = log_uniform(rng, *layer.tone_hz) * place.pitch * 2 ** (layer.glide * _wander(rng, n, 1.0))
        phase = 2048 * np.cumsum(course / FS_HZ) % 2048
        table = np.zeros(1025, dtype=np.complex64)
        for k in layer.partials:
            if k * course.max() < 0.4 * FS_HZ:
                table[round(k)] += 10 ** (rng.normal(0, 3) / 20) / k * np.exp(2j * np.pi * rng.random())
        sound = layer.tone * unit(fft.irfft(table, 2048)[phase.astype(np.int32)]) + (1 - layer.tone) * sound
    return np.asarray(sound * np.exp(layer.swing * _wander(rng, n, 0.5)), dtype=np.float32)


def _limits(rng: Rng, layer: Layer, place: Place) -> Range:
    return layer.band_hz[0], layer.band_hz[1] * place.bright * log_uniform(rng, 0.67, 1.5)


def _wander(rng: Rng, n: int, rate_hz: float) -> Audio:
    """Return (n,) of a random course of mean about 0 and deviation about 1, with ``rate_hz`` turns a second."""
    knots = rng.standard_normal(int(n / FS_HZ * rate_hz) + 3)
    return np.asarray(np.interp(np.arange(n) * (rate_hz / FS_HZ), np.arange(len(knots)), knots), dtype=np.float32)
