"""Room acoustic parameters of audio files that hold an impulse response."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.labels.bands import BandKind
from roomgen.acoustics.labels.lateral import measure_lateral
from roomgen.acoustics.labels.measure import Labels, measure
from roomgen.acoustics.labels.reasons import Why
from roomgen.acoustics.labels.response_check import why_no_response
from roomgen.audio import BadAudio, probe_audio, read_audio
from roomgen.errors import RoomgenError

SHORTEST_S = 0.02  # the shortest decay time that can be measured
LONGEST_SAMPLES = 1 << 25  # 12 minutes at 48 kHz: no impulse response is longer
LOWEST_OCTAVE_HZ = 63.0

Record = dict[str, Any]


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
        :class:`~roomgen.acoustics.labels.measure.Labels`, with ``lateral`` also ``lf`` and ``lf_bands``; plain floats and lists of
        floats, nan for 'cannot be measured'. Last, ``why`` has the name of a code of :class:`~roomgen.acoustics.labels.reasons.Why`
        for each label that is nan; for lists, a list that has "" where there is a value.

    Raises:
        RoomgenError: the file does not exist, is empty, is no audio, is truncated, is shorter than 20 ms or longer than any
            response, has no such channel, or the channel is silent, holds nan or is no impulse response.
    """
    audio, fs_hz = _read(Path(path))
    rir = _channel(audio, channel, path)
    where = f"{path}, channel {channel}," if len(audio) > 1 else str(path)
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
        "n_channels": len(audio),
        "duration_s": len(rir) / fs_hz,
        **labels.as_dict(),
    }
    if lateral is not None:
        eight = _channel(audio, lateral, path)
        found = measure_lateral(rir, eight, fs_hz=fs_hz, bands=bands, bands_hz=bands_hz, onset_s=record["direct_delay_s"])
        record |= {"lf": found.lf, "lf_bands": found.lf_bands.tolist()}
    return record | {"why": _reasons(labels)}


def _channel(audio: NDArray[np.float64], channel: int, path: str | os.PathLike[str]) -> NDArray[np.float64]:
    n_channels = len(audio)
    if not 0 <= channel < n_channels:
        allowed = "only channel 0" if n_channels == 1 else f"channels 0 to {n_channels - 1}"
        raise RoomgenError(f"{path} has {allowed}; channel {channel} was asked for.")
    one: NDArray[np.float64] = audio[channel]
    return one


def _free_field(path: str | os.PathLike[str] | None, fs_hz: int) -> NDArray[np.float64] | None:
    if path is None:
        return None
    audio, rate_hz = _read(Path(path))
    if rate_hz != fs_hz:
        raise RoomgenError(
            f"{path} has a sampling rate of {rate_hz} Hz, the response {fs_hz} Hz: give a reference of the same rate."
        )
    return _channel(audio, 0, path)


def _reasons(labels: Labels) -> dict[str, str | list[str]]:
    """Return the names of the codes of what is nan."""
    found: dict[str, str | list[str]] = {}
    for name, codes in labels.why.items():
        if codes.any():
            names = [Why(int(c)).name.lower() if c else "" for c in codes.reshape(-1)]
            found[name] = names if codes.ndim else names[0]
    return found


def _read(path: Path) -> tuple[NDArray[np.float64], int]:
    """Return (channel, time) samples and the sampling rate of a file that is whole and may hold a response."""
    if not path.exists():
        raise RoomgenError(f"{path} does not exist.")
    if path.is_dir():
        raise RoomgenError(f"{path} is a folder: name the audio files in it.")
    try:
        info = probe_audio(path)
        if info.n_samples > LONGEST_SAMPLES:
            raise BadAudio(f"lasts {info.n_samples / info.fs_hz:.0f} s: no impulse response is that long")
        if info.n_samples < SHORTEST_S * info.fs_hz:
            raise BadAudio(
                f"is too short: {info.n_samples} samples, {1000 * info.n_samples / info.fs_hz:.3g} ms; "
                f"at least {1000 * SHORTEST_S:g} ms are needed"
            )
        audio, fs_hz = read_audio(path)
    except BadAudio as error:
        raise RoomgenError(f"{path} {error}.", exit_code=1) from None
    return audio.astype(np.float64), fs_hz
