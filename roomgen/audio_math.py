"""Levels, channels and rates of audio arrays (channel, time)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rms_db(audio: NDArray[np.float32]) -> float:
    """Return the level of all channels together in dB, 0 dB being an RMS of 1; -inf for silence."""
    return _decibel(float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))) if audio.size else -np.inf


def peak_db(audio: NDArray[np.float32]) -> float:
    """Return the largest magnitude in dB, 0 dB being 1; -inf for silence."""
    return _decibel(float(np.abs(audio).max(initial=0.0)))


def amplitude(gain_db: float) -> float:
    """Return the factor of a gain in dB."""
    return float(10.0 ** (gain_db / 20.0))


def resample(audio: NDArray[np.float32], *, fs_in_hz: int, fs_hz: int) -> NDArray[np.float32]:
    """Return (channel, time) audio at another sampling rate, round(time · fs_hz / fs_in_hz) samples long (soxr, high quality)."""
    if fs_in_hz == fs_hz:
        return audio
    import soxr

    length = resampled_length(audio.shape[1], fs_in_hz=fs_in_hz, fs_hz=fs_hz)
    # A channel at a time: for one channel soxr takes a contiguous array as it is.
    out = np.stack([soxr.resample(np.ascontiguousarray(channel), fs_in_hz, fs_hz, quality="HQ") for channel in audio])
    return fit(out, length)


def resampled_length(n_samples: int, *, fs_in_hz: int, fs_hz: int) -> int:
    """Return how many samples resampling gives, in whole numbers: no rounding depends on the machine."""
    return (2 * n_samples * fs_hz + fs_in_hz) // (2 * fs_in_hz)


def fit(audio: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    """Return (channel, time) audio cut or filled with zeros at its end to a length."""
    if audio.shape[1] >= n_samples:
        return np.ascontiguousarray(audio[:, :n_samples])
    return np.pad(audio, ((0, 0), (0, n_samples - audio.shape[1])))


def _decibel(value: float) -> float:
    return 20.0 * float(np.log10(value)) if value > 0 else -np.inf
