"""WAV files of 32-bit floats: written byte for byte the same every time, and read with the checks a dataset needs."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import DatasetError

_HEADER_BYTES = 58


def encode_wav(audio: NDArray[np.float32], *, fs_hz: int) -> bytes:
    """Return a float32 WAV file.

    libsndfile would add a PEAK chunk with the time of day in it, which no two runs share: hence our own 58-byte header
    (RIFF, fmt with format 3, fact, data).

    Args:
        audio: (channel, time) samples.
        fs_hz: sampling rate in Hz.
    """
    channels, frames = audio.shape
    data = np.ascontiguousarray(audio.T, dtype="<f4").tobytes()
    header = struct.pack(
        "<4sI4s4sIHHIIHHH4sII4sI",
        *(b"RIFF", _HEADER_BYTES - 8 + len(data), b"WAVE"),
        *(b"fmt ", 18, 3, channels, fs_hz, fs_hz * channels * 4, channels * 4, 32, 0),
        *(b"fact", 4, frames),
        *(b"data", len(data)),
    )
    return header + data


def decode_wav(data: bytes, *, name: str) -> tuple[NDArray[np.float32], int]:
    """Return (channel, time) float32 samples and the sampling rate in Hz of a WAV file in memory.

    Raises:
        DatasetError: not a WAV file, or one that was cut short.
    """
    import soundfile  # loads a shared library: only where audio is read

    try:
        audio, fs_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DatasetError(f"{name} is not readable as audio: {error}") from None
    return np.ascontiguousarray(audio.T), int(fs_hz)
