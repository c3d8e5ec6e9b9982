"""Room acoustic parameters of audio files that hold an impulse response."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.label_bands import BandKind
from roomgen.acoustics.label_reasons import Why
from roomgen.acoustics.labels import Labels, measure
from roomgen.acoustics.lateral import measure_lateral
from roomgen.acoustics.response_check import why_no_response
from roomgen.errors import RoomgenError

SHORTEST_S = 0.02  # the shortest decay time that can be measured
LONGEST_SAMPLES = 1 << 25  # 12 minutes at 48 kHz: no impulse response is longer
LOWEST_OCTAVE_HZ = 63.0

Record = dict[str, Any]

_UNKNOWN_SIZE = 0xFFFFFFFF  # what programs write into a WAV header that they cannot go back to


def label_file(
    path: str | os.PathLike[str],
    *,
    channel: int = 0,
    bands: BandKind = "octave",
    bands_hz: tuple[float, ...] | None = None,
    lateral: int | None = None,
    reference: str | os.PathLike[str] | None = None,
) -> Record:
    """Measure one channel of an audio file, noise floor removed.

    Args:
        path: WAV, FLAC or anything else that libsndfile reads.
        channel: the channel to measure, counted from 0.
        bands: ``"octave"`` or ``"third"``.
        bands_hz: centres of adjacent bands in Hz; None: octaves from 63 Hz to Nyquist, thirds of an octave from 50 Hz on.
        lateral: the channel of a figure-eight microphone at the same place, its null towards the source.
        reference: a file that holds the response of the same source at 10 m in a free field, at the same rate and gain.

    Returns:
        ``file``, ``channel``, ``fs_hz``, ``n_channels``, ``duration_s``, then the fields of
        :class:`~roomgen.acoustics.labels.Labels`, with ``lateral`` also ``lf`` and ``lf_bands``; plain floats and lists of floats,
        nan for 'cannot be measured'. Last, ``why`` has the name of a code of :class:`~roomgen.acoustics.label_reasons.Why` for
        each label that is nan; for lists, a list that has "" where there is a value.

    Raises:
        RoomgenError: the file does not exist, is empty, is no audio, is truncated, is shorter than 20 ms or longer than any
            response, has no such channel, or the channel is silent, holds nan or is no impulse response.
    """
    audio, fs_hz = _read(Path(path))
    rir = _channel(audio, channel, path)
    where = f"{path}, channel {channel}," if audio.shape[1] > 1 else str(path)
    if not np.isfinite(rir).all():
        raise RoomgenError(f"{where} holds {int((~np.isfinite(rir)).sum())} samples that are nan or infinite.", exit_code=1)
    if (rir == rir[0]).all():
        raise RoomgenError(f"{where} is silent: every sample is {rir[0]:g}.", exit_code=1)
    seen = why_no_response(rir, fs_hz=fs_hz)
    if seen is not None:
        raise RoomgenError(f"{where} is not an impulse response: {seen}.", exit_code=1)
    if bands_hz is None and bands == "octave":
        bands_hz = (LOWEST_OCTAVE_HZ, *octave_centers(fs_hz))
    labels = measure(rir, fs_hz=fs_hz, bands=bands, bands_hz=bands_hz, reference=_free_field(reference, fs_hz))
    record: Record = {
        "file": str(path),
        "channel": channel,
        "fs_hz": float(fs_hz),
        "n_channels": audio.shape[1],
        "duration_s": len(rir) / fs_hz,
        **labels.as_dict(),
    }
    if lateral is not None:
        eight = _channel(audio, lateral, path)
        found = measure_lateral(rir, eight, fs_hz=fs_hz, bands=bands, bands_hz=bands_hz, onset_s=record["direct_delay_s"])
        record |= {"lf": found.lf, "lf_bands": found.lf_bands.tolist()}
    return record | {"why": _reasons(labels)}


def _channel(audio: NDArray[np.float64], channel: int, path: str | os.PathLike[str]) -> NDArray[np.float64]:
    n_channels = audio.shape[1]
    if not 0 <= channel < n_channels:
        allowed = "only channel 0" if n_channels == 1 else f"channels 0 to {n_channels - 1}"
        raise RoomgenError(f"{path} has {allowed}; channel {channel} was asked for.")
    return audio[:, channel]


def _free_field(path: str | os.PathLike[str] | None, fs_hz: int) -> NDArray[np.float64] | None:
    if path is None:
        return None
    audio, rate_hz = _read(Path(path))
    if rate_hz != fs_hz:
        raise RoomgenError(
            f"{path} has a sampling rate of {rate_hz} Hz, the response {fs_hz} Hz: give a reference of the same rate."
        )
    return audio[:, 0]


def _reasons(labels: Labels) -> dict[str, str | list[str]]:
    """Return the names of the codes of what is nan."""
    found: dict[str, str | list[str]] = {}
    for name, codes in labels.why.items():
        if codes.any():
            names = [Why(int(c)).name.lower() if c else "" for c in codes.reshape(-1)]
            found[name] = names if codes.ndim else names[0]
    return found


def _read(path: Path) -> tuple[NDArray[np.float64], int]:
    """Return (time, channel) samples and the sampling rate of a file that is whole."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise RoomgenError(f"{path} is a folder: name the audio files in it.")
        if size == 0:
            raise RoomgenError(f"{path} is empty (0 bytes).", exit_code=1)
        _refuse_truncated_wav(path, size)
        info = soundfile.info(path)
        if info.frames > LONGEST_SAMPLES:
            raise RoomgenError(f"{path} lasts {info.duration:.0f} s: no impulse response is that long.", exit_code=1)
        audio, fs_hz = soundfile.read(path, dtype="float64", always_2d=True)
    except FileNotFoundError:
        raise RoomgenError(f"{path} does not exist.") from None
    except OSError as error:
        raise RoomgenError(f"{path} cannot be read: {error.strerror or error}.", exit_code=1) from None
    except soundfile.LibsndfileError as error:
        raise RoomgenError(f"{path} is not an audio file that can be read: {error.error_string}", exit_code=1) from None
    if len(audio) < info.frames:
        raise RoomgenError(
            f"{path} is truncated: its header promises {info.frames} samples, {len(audio)} can be read.", exit_code=1
        )
    if len(audio) < SHORTEST_S * fs_hz:
        raise RoomgenError(
            f"{path} is too short: {len(audio)} samples, {1000 * len(audio) / fs_hz:.3g} ms; "
            f"at least {1000 * SHORTEST_S:g} ms are needed.",
            exit_code=1,
        )
    return np.asarray(audio, dtype=np.float64), int(fs_hz)


def _refuse_truncated_wav(path: Path, size: int) -> None:
    """Raise if a chunk of a RIFF file ends after the file does: libsndfile would read what is left without a word."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return
        position = 12
        while position + 8 <= size:
            file.seek(position)
            name, length = struct.unpack("<4sI", file.read(8))
            position += 8
            if name == b"data":
                if length != _UNKNOWN_SIZE and position + length > size:
                    raise RoomgenError(
                        f"{path} is truncated: its header promises {length} bytes of audio, {size - position} are there.",
                        exit_code=1,
                    )
                return
            position += length + length % 2
        raise RoomgenError(f"{path} is truncated: it ends after {size} bytes, before its audio begins.", exit_code=1)
