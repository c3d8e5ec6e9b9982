"""Audio files in memory: written byte for byte the same every time, and read with the checks a dataset needs.

Responses are WAV files of 32-bit floats, other audio is FLAC of 16 or 24 bits.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import DatasetError, RoomgenError

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


def encode_flac(audio: NDArray[np.float32], *, fs_hz: int, bits: int = 16) -> bytes:
    """Return a FLAC file: samples rounded to the nearest step, without dither, so that equal audio is equal bytes.

    Args:
        audio: (channel, time) samples within [-1, 1); at most 8 channels.
        fs_hz: sampling rate in Hz.
        bits: 16 or 24.

    Raises:
        RoomgenError: samples beyond full scale, which would clip, or more than 8 channels.
    """
    import soundfile

    if len(audio) > 8:
        raise RoomgenError(f"FLAC holds at most 8 channels; {len(audio)} were given.")
    scale = float(1 << (bits - 1))
    steps = np.rint(audio.T.astype(np.float64) * scale)
    if steps.size and (steps.max() > scale or steps.min() < -scale):
        raise RoomgenError(f"audio with a peak of {np.abs(audio).max():.3g} would clip: scale it to at most 1 first.")
    steps = np.minimum(steps, scale - 1)  # a peak of exactly 1 is one step too high
    samples = steps.astype(np.int16) if bits == 16 else steps.astype(np.int32) << 8
    file = io.BytesIO()
    soundfile.write(file, samples, fs_hz, format="FLAC", subtype=f"PCM_{bits}")
    return file.getvalue()


def decode_audio(data: bytes, *, name: str) -> tuple[NDArray[np.float32], int]:
    """Return (channel, time) float32 samples and the sampling rate in Hz of an audio file in memory.

    Raises:
        DatasetError: not an audio file, or one that was cut short.
    """
    import soundfile  # loads a shared library: only where audio is read

    try:
        audio, fs_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise DatasetError(f"{name} is not readable as audio: {error}") from None
    return np.ascontiguousarray(audio.T), int(fs_hz)
