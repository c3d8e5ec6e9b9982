"""Audio files: written byte for byte the same every time, and read with care, whoever made them.

Responses are WAV files of 32-bit floats, other audio is FLAC of 16 or 24 bits. What is read may be anything: it has to be a regular
file, whole, of bounded length once decoded, and finite. Of Ogg and MP3 it cannot always be told whether they are whole.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import DatasetError, RoomgenError

MOST_BYTES = 1 << 32  # what the sizes in a WAV file can say
MOST_SAMPLES = 1 << 28  # of all channels together: 1 GB once decoded; an hour and a half of one channel at 48 kHz
LONGEST_S = 4 * 3600.0

_HEADER_BYTES = 58
_MOST_CHUNKS = 1000  # before the audio; zeros of a sparse file would look like chunks without end
_UNKNOWN_SIZES = (0xFFFFFFFF, 0x7FFFF000)  # what programs that write into a pipe put there: ffmpeg, sox

# First bytes of a container of chunks: how its sizes are packed, and which chunk holds the audio.
_CONTAINERS = {b"RIFF": ("<4sI", b"data"), b"RF64": ("<4sI", b"data"), b"RIFX": (">4sI", b"data"), b"FORM": (">4sI", b"SSND")}
_KINDS = (b"WAVE", b"AIFF", b"AIFC")


class BadAudio(Exception):
    """Why a file cannot be used as audio, in words that follow its name: ``is truncated: …``."""


class AudioInfo(NamedTuple):
    """What an audio file says of itself: sampling rate in Hz, channels, and samples per channel."""

    fs_hz: int
    n_channels: int
    n_samples: int


def encode_wav(audio: NDArray[np.float32], *, fs_hz: int) -> bytes:
    """Return a float32 WAV file.

    libsndfile would add a PEAK chunk with the time of day in it, which no two runs share: hence our own 58-byte header
    (RIFF, fmt with format 3, fact, data).

    Args:
        audio: (channel, time) samples.
        fs_hz: sampling rate in Hz.
    """
    channels, frames = audio.shape
    return _wav_header(channels, frames, fs_hz) + np.ascontiguousarray(audio.T, dtype="<f4").tobytes()


def _wav_header(channels: int, frames: int, fs_hz: int) -> bytes:
    n_bytes = 4 * channels * frames
    return struct.pack(
        "<4sI4s4sIHHIIHHH4sII4sI",
        *(b"RIFF", _HEADER_BYTES - 8 + n_bytes, b"WAVE"),
        *(b"fmt ", 18, 3, channels, fs_hz, fs_hz * channels * 4, channels * 4, 32, 0),
        *(b"fact", 4, frames),
        *(b"data", n_bytes),
    )


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
    with _memory_file() as file:
        form = {"samplerate": fs_hz, "channels": len(audio), "format": "FLAC", "subtype": f"PCM_{bits}"}
        with soundfile.SoundFile(file.fileno(), "w", **form, closefd=False) as flac:
            flac.write(samples)
        file.seek(0)
        return file.read()


def probe_audio(path: str | os.PathLike[str]) -> AudioInfo:
    """Return rate, channels and length of an audio file, without reading its samples.

    Raises:
        BadAudio: as in :func:`read_audio`, less what only its samples tell.
    """
    import soundfile  # loads a shared library: only where audio is read

    _check_file(path)
    try:
        with soundfile.SoundFile(os.fspath(path)) as file:
            return _checked_info(file.samplerate, file.channels, file.frames)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise _unreadable(error) from None


def read_audio(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], int]:
    """Return (channel, time) samples and the sampling rate in Hz of an audio file.

    Raises:
        BadAudio: no regular file, no audio, empty, cut short, longer than :data:`LONGEST_S` or larger than :data:`MOST_SAMPLES` or
            :data:`MOST_BYTES`, or with samples that are not finite.
    """
    _check_file(path)
    return _decoded(os.fspath(path))


def decode_audio(data: bytes, *, name: str) -> tuple[NDArray[np.float32], int]:
    """Return (channel, time) float32 samples and the sampling rate in Hz of an audio file in memory.

    Raises:
        DatasetError: it cannot be used, for the reasons of :func:`read_audio`; ``name`` says what it is.
    """
    try:
        if (ours := _of_encode_wav(data)) is not None:
            return ours
        with _memory_file(data) as file:
            _check_chunks(file, len(data))
            file.seek(0)
            return _decoded(file.fileno())
    except BadAudio as error:
        raise DatasetError(f"{name} {error}.") from None


@contextlib.contextmanager
def _memory_file(data: bytes = b"") -> Iterator[BinaryIO]:
    """Open a file in memory that libsndfile reads and writes by itself.

    For every few bytes of a ``BytesIO`` it would call Python, where an interrupt is noticed, printed and lost: at best the program
    goes on as if nobody had pressed Ctrl-C, at worst without what was to be written.
    """
    in_memory = hasattr(os, "memfd_create")  # Linux
    with open(os.memfd_create("audio"), "r+b", buffering=0) if in_memory else tempfile.TemporaryFile(buffering=0) as file:
        file.write(data)
        file.seek(0)
        yield file


def _check_file(path: str | os.PathLike[str]) -> None:
    """Raise BadAudio unless a path leads to a regular file of sane size, whose chunks are whole if it has any."""
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):  # opening a pipe would wait, reading a device would never end
            raise BadAudio("is no regular file")
        if about.st_size == 0:
            raise BadAudio("is empty (0 bytes)")
        if about.st_size > MOST_BYTES:
            raise BadAudio(f"is too large: {about.st_size} bytes, at most {MOST_BYTES} are read")
        with open(path, "rb", buffering=512) as file:
            _check_chunks(file, about.st_size)
    except (OSError, ValueError) as error:
        raise _unreadable(error) from None


def _check_chunks(file: BinaryIO, size: int) -> None:
    """Raise BadAudio where the audio of a WAV or AIFF file ends after the file does: libsndfile would read the rest in silence."""
    head, kind = file.read(4), file.read(8)[4:]
    if head not in _CONTAINERS or kind not in _KINDS:
        return
    form, wanted = _CONTAINERS[head]
    position, long_size = 12, 0
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            break
        name, length = struct.unpack(form, header)
        position += 8
        if name == b"ds64":  # 64-bit sizes of RF64 (EBU Tech 3306): of the file, of the audio
            long_size = int.from_bytes(file.read(16)[8:], "little")
        if name == wanted:
            length = long_size if head == b"RF64" and length == 0xFFFFFFFF else length
            if length not in _UNKNOWN_SIZES and position + length > size:
                raise BadAudio(f"is truncated: its header promises {length} bytes of audio, {size - position} are there")
            return
        position += length + length % 2
    raise BadAudio(f"is truncated: it ends after {size} bytes, before its audio begins")


def _decoded(source: str | int) -> tuple[NDArray[np.float32], int]:
    import soundfile

    try:
        with soundfile.SoundFile(source, closefd=False) as file:
            info = _checked_info(file.samplerate, file.channels, file.frames)
            audio = file.read(info.n_samples, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise _unreadable(error) from None
    if len(audio) < info.n_samples:
        raise BadAudio(f"is truncated: its header promises {info.n_samples} samples, {len(audio)} can be read")
    return _checked(audio), info.fs_hz


def _of_encode_wav(data: bytes) -> tuple[NDArray[np.float32], int] | None:
    """Return what :func:`encode_wav` wrote, seven times as fast as libsndfile would; None for all other files."""
    if not _HEADER_BYTES < len(data) < MOST_BYTES:
        return None
    channels, fs_hz = struct.unpack_from("<HI", data, 22)
    if not 0 < channels < 1 << 14 or not 0 < 4 * channels * fs_hz < MOST_BYTES:
        return None
    frames = (len(data) - _HEADER_BYTES) // (4 * channels)
    if _wav_header(channels, frames, fs_hz) != data[:_HEADER_BYTES] or len(data) != _HEADER_BYTES + 4 * channels * frames:
        return None
    return _checked(np.frombuffer(data, "<f4", offset=_HEADER_BYTES).reshape(frames, channels)), fs_hz


def _checked(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (time, channel) samples as (channel, time) if they are finite."""
    if not np.isfinite(audio).all():
        raise BadAudio(f"holds values that are not finite: {int((~np.isfinite(audio)).sum())} of {audio.size}")
    return np.array(audio.T, dtype=np.float32, order="C")


def _checked_info(fs_hz: int, n_channels: int, n_samples: int) -> AudioInfo:
    if n_samples <= 0:
        raise BadAudio("holds no samples")
    if n_samples * n_channels > MOST_SAMPLES or n_samples > LONGEST_S * fs_hz:
        raise BadAudio(
            f"claims to be too long: {n_samples} samples of {n_channels} channels; at most {LONGEST_S / 3600:g} h and "
            f"{MOST_SAMPLES} samples in all are read"
        )
    return AudioInfo(int(fs_hz), int(n_channels), int(n_samples))


def _unreadable(error: Exception) -> BadAudio:
    reason = getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
    return BadAudio(f"is not readable as audio ({str(reason).rstrip('.')})")
