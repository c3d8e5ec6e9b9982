"""Measured device responses as they are needed: at one rate, of one length, with their beginning in one place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roomgen.audio_math import fit, resample
from roomgen.corpora.base import BrokenFile, read_file

_SHORTEST, _LONGEST_S = 16, 10.0
_SILENT = 1e-6


def read_response(
    root: Path, path: str, *, fs_hz: int, n_samples: int, lead_samples: int, window_beta: float | None
) -> tuple[NDArray[np.float32], int]:
    """Return a response from a file, (1, n_samples), and the sampling rate in Hz of the file.

    Resampling keeps the response's spectrum (its samples are scaled with the ratio of the rates). What comes more than
    ``lead_samples`` before the largest sample is cut off: travel time and, of some measurements, echoes of the sweep. The rest
    is cut or filled with zeros at its end.

    Args:
        root: folder that it may not lead out of.
        path: of the file, seen from there.
        fs_hz: sampling rate in Hz to have.
        n_samples: length to have.
        lead_samples: where the largest sample stands at the latest.
        window_beta: β of a Kaiser window whose top is the largest sample and whose edge is the end (J. F. Kaiser 1966); before
            the top it is 1. None: no window.

    Raises:
        BrokenFile: not readable, silent, not finite, of several different channels, or of a length that no response has.
    """
    audio, source_fs_hz = read_file(root, path)
    if len(audio) > 1 and (audio != audio[0]).any():
        raise BrokenFile(path, f"has {len(audio)} different channels; a device's response has one")
    audio = audio[:1]
    if audio.shape[1] < _SHORTEST:
        raise BrokenFile(path, f"is {audio.shape[1]} samples long, which is no impulse response")
    if audio.shape[1] > _LONGEST_S * source_fs_hz:
        raise BrokenFile(path, f"lasts {audio.shape[1] / source_fs_hz:.1f} s, which is no impulse response of a device")
    if not np.isfinite(audio).all():
        raise BrokenFile(path, "holds values that are not finite")
    if np.abs(audio).max() < _SILENT:
        raise BrokenFile(path, "is silent")
    audio = resample(audio, fs_in_hz=source_fs_hz, fs_hz=fs_hz) * np.float32(source_fs_hz / fs_hz)
    peak = int(np.argmax(np.abs(audio[0])))
    start = max(peak - lead_samples, 0)
    audio = fit(audio[:, start:], n_samples)
    if window_beta is not None:
        after = np.arange(n_samples - (peak - start)) / max(n_samples - 1 - (peak - start), 1)
        audio[0, peak - start :] *= (np.i0(window_beta * np.sqrt(1.0 - after**2)) / np.i0(window_beta)).astype(np.float32)
    return audio, source_fs_hz
