"""Room acoustic parameters of audio files that hold an impulse response, and how they are printed: table, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from roomgen.acoustics.labels import measure
from roomgen.errors import RoomgenError

SHORTEST_S = 0.02  # the shortest decay time that can be measured
LONGEST_SAMPLES = 1 << 25  # 12 minutes at 48 kHz: no impulse response is longer

Record = dict[str, Any]

_UNKNOWN_SIZE = 0xFFFFFFFF  # what programs write into a WAV header that they cannot go back to


def label_file(path: str | os.PathLike[str], *, channel: int = 0, bands_hz: tuple[float, ...] | None = None) -> Record:
    """Measure one channel of an audio file, noise floor removed.

    Args:
        path: WAV, FLAC or anything else that libsndfile reads.
        channel: the channel to measure, counted from 0.
        bands_hz: centres of adjacent octave bands in Hz; None: 125 Hz to Nyquist.

    Returns:
        ``file``, ``channel``, ``fs_hz``, ``n_channels``, ``duration_s``, then the fields of
        :class:`~roomgen.acoustics.labels.Labels`; plain floats and lists of floats, nan for 'cannot be measured'.

    Raises:
        RoomgenError: the file does not exist, is empty, is no audio, is truncated, is shorter than 20 ms or longer than any
            response, has no such channel, or the channel is silent or holds nan.
    """
    audio, fs_hz = _read(Path(path))
    n_channels = audio.shape[1]
    if not 0 <= channel < n_channels:
        allowed = "only channel 0" if n_channels == 1 else f"channels 0 to {n_channels - 1}"
        raise RoomgenError(f"{path} has {allowed}; channel {channel} was asked for.")
    rir = audio[:, channel]
    where = f"{path}, channel {channel}," if n_channels > 1 else str(path)
    if not np.isfinite(rir).all():
        raise RoomgenError(f"{where} holds {int((~np.isfinite(rir)).sum())} samples that are nan or infinite.", exit_code=1)
    if (rir == rir[0]).all():
        raise RoomgenError(f"{where} is silent: every sample is {rir[0]:g}.", exit_code=1)
    labels = measure(rir, fs_hz=fs_hz, bands_hz=bands_hz).as_dict()
    return {
        "file": str(path),
        "channel": channel,
        "fs_hz": float(fs_hz),
        "n_channels": n_channels,
        "duration_s": len(rir) / fs_hz,
        **labels,
    }


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


def format_json(records: Sequence[Record]) -> str:
    """Return a JSON list of the records; what cannot be measured is null, which every JSON parser reads."""
    return json.dumps([{key: _null(value) for key, value in record.items()} for record in records], indent=2, allow_nan=False)


def format_csv(records: Sequence[Record]) -> str:
    """Return CSV text, one line a record: a band has its own columns such as ``rt60_125hz_s``; no value, an empty cell."""
    rows = [dict(_flat(record)) for record in records]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def format_table(records: Sequence[Record]) -> str:
    """Return text for people: broadband parameters of each file, then T30 and C50 per octave band."""
    names = [f"{r['file']} [{r['channel']}]" if r["n_channels"] > 1 else str(r["file"]) for r in records]
    head = ["", "T30 s", "T20 s", "EDT s", "C50 dB", "C80 dB", "D50", "Ts ms", "DRR dB"]
    lines = [head]
    for name, r in zip(names, records, strict=True):
        seconds = [_text(r[key], 3) for key in ("rt60_s", "t20_s", "edt_s")]
        ratios = [_text(r["c50_db"], 1), _text(r["c80_db"], 1), _text(r["d50"], 3)]
        lines.append([name, *seconds, *ratios, _text(1000 * r["ts_s"], 1), _text(r["drr_db"], 1)])
    tables = [lines]
    centers = sorted({f for r in records for f in r["band_hz"]})
    for title, key, digits in (("T30 s", "rt60_bands_s", 3), ("C50 dB", "c50_bands_db", 1)):
        lines = [[title, *(f"{f:g} Hz" for f in centers)]]
        for name, r in zip(names, records, strict=True):
            bands = dict(zip(r["band_hz"], r[key], strict=True))
            lines.append([name, *(_text(bands.get(f, math.nan), digits) for f in centers)])
        tables.append(lines)
    return "\n\n".join(_aligned(lines) for lines in tables)


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[c]) for line in lines) for c in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def _flat(record: Record) -> Iterator[tuple[str, Any]]:
    """Yield (column, value): the lists of bands are spread over columns that carry the centre of the band."""
    for key, value in record.items():
        if key == "band_hz":
            continue
        if not isinstance(value, list):
            yield key, value
            continue
        name, _, unit = key.partition("_bands")
        for center, one in zip(record["band_hz"], value, strict=True):
            yield f"{name}_{center:g}hz{unit}", one


def _text(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _null(value: Any) -> Any:
    if isinstance(value, list):
        return [_null(one) for one in value]
    return None if _is_nan(value) else value
