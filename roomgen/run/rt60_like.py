"""The octave spectrum of RT60 of a measured response, for rooms that shall have it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from roomgen.acoustics.bands import octave_centers
from roomgen.datasets.rooms.pinned import rooms_settings
from roomgen.errors import RoomgenError
from roomgen.run.label import label_file


class MeasuredRt60(NamedTuple):
    """T30 in s of every octave of a rate, and a sentence for each octave that took that of another."""

    bands_s: tuple[float, ...]
    notes: tuple[str, ...]


def rt60_like(path: Path, fs_hz: float) -> MeasuredRt60:
    """Return T30 of an audio file with an impulse response (its first channel), for the octaves of a rate.

    Octaves that cannot be measured, because of noise or because the file's own rate ends below them, take the nearest that can.

    Raises:
        RoomgenError: the file is not readable, holds no response, or none of its octaves has a T30.
    """
    record = label_file(path)
    found = dict(zip(record["band_hz"], record["rt60_bands_s"], strict=True))
    known = {center: float(t) for center, t in found.items() if np.isfinite(t)}
    if not known:
        raise RoomgenError(f"--rt60-like {path}: no octave has a T30 (noise, or no impulse response). `roomgen label` says more.")
    bands, notes = [], []
    for center in octave_centers(fs_hz):
        nearest = min(known, key=lambda one: (abs(np.log2(one / center)), one))
        bands.append(float(f"{known[nearest]:.4g}"))
        if nearest != center:
            why = "cannot be measured" if center in found else "lies above its rate"
            notes.append(f"{path.name}: the octave of {center:g} Hz {why}; it takes the {bands[-1]:g} s of {nearest:g} Hz.")
    return MeasuredRt60(tuple(bands), tuple(notes))


def with_spectrum(
    path: Path, preset: str, overrides: Mapping[str, Any], *, flags: Mapping[str, str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return overrides of the settings of rooms with the octave spectrum of a measured response, and notes about it.

    Raises:
        RoomgenError: they have a target RT60 already, or the file has none.
    """
    for key in ("signal.rt60_s", "signal.rt60_bands_s"):
        if key in overrides:
            raise RoomgenError(f"--rt60-like and {flags.get(key, key)} exclude each other: leave one out.")
    settings, _ = rooms_settings(preset, {"signal.rt60_s": (0.5, 0.5), **overrides}, flags=flags)
    measured = rt60_like(path, settings.signal.fs_hz)
    return {**overrides, "signal.rt60_bands_s": measured.bands_s}, measured.notes
