"""What settings say of any room, drawn or given: its air, array, positions, image sources, and the length of its responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from roomgen.acoustics.air import Air, speed_of_sound_m_s
from roomgen.acoustics.arrays import MicArray, named_array
from roomgen.acoustics.prediction.decay import decay_time_s, predict_rt60_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions
from roomgen.datasets.rooms.placement import Box, draw_pair
from roomgen.datasets.rooms.settings import DatasetSettings, FamilySettings
from roomgen.streams import Stream, generator


def room_id(index: int) -> str:
    """Return the name of a room."""
    return f"room{index:06d}"


def air_of(settings: DatasetSettings) -> Air | None:
    """Return the air of the settings."""
    return None if settings.signal.air is None else Air(*settings.signal.air)


def array_of(settings: DatasetSettings) -> MicArray | None:
    """Return the microphone array of the settings, or None for a single omnidirectional microphone."""
    array = settings.array
    if array.positions_m:
        return MicArray(name=array.geometry, positions_m=array.positions_m, patterns=array.patterns)
    return None if array.geometry == "mono" else named_array(array.geometry)


def grid_sizes(family: FamilySettings) -> list[tuple[float, float, float]]:
    """Return the sizes of a family's grid in the order of RevRIR's code, without rooms that are another one turned by 90°."""
    assert family.step_m is not None  # the settings see to it
    axes = [np.arange(a, b + 0.1, s) for a, b, s in zip(family.min_m, family.max_m, family.step_m, strict=True)]
    sizes: dict[tuple[float, float, float], None] = {}
    for x, y, z in product(*axes):
        if (y, x, z) not in sizes:
            sizes[float(x), float(y), float(z)] = None
    return list(sizes)


def revrir_duration_s(room: Shoebox) -> float:
    """Return the length of RevRIR's published responses: 1.2 times a third of Sabine's RT60, at least 0.128 s × 1.2.

    Its code sums the wall areas three times (reflection factors of all walls times the area of each pair of walls), so that its
    responses end at about 0.4 × RT60.
    """
    alpha = room.absorption(1000.0)[:, 0]
    length, width, height = room.size_m
    pairs = np.array([height * width, width * length, length * height])
    summed = alpha.sum() * pairs.sum()
    rt60 = 24.0 * np.log(10.0) * room.volume_m3 / (speed_of_sound_m_s(None) * summed) if summed > 0 else np.inf
    return 1.2 * max(float(rt60), 0.128)


def draw_positions(settings: DatasetSettings, size_m: Sequence[float], index: int, position: int) -> Box:
    """Return source and microphone (an array's centre) of one position in a room."""
    array = array_of(settings)
    return draw_pair(
        generator(settings.seed, Stream.PLACE, index, position),
        size_m,
        settings.place,
        room=room_id(index),
        array_radius_m=0.0 if array is None else array.radius_m,
    )


def exact_options(settings: DatasetSettings) -> ImageOptions:
    """Return the options of image sources that the settings ask for, less what is random."""
    return replace(settings.engine.options(), randomize_m=0.0, tail_after_s=None)


def predicted_rt60_s(settings: DatasetSettings, room: Shoebox) -> float:
    """Return the broadband T30 that is predicted of a room in the air and at the rate of the settings."""
    return predict_rt60_s(room, fs_hz=settings.signal.fs_hz, air=air_of(settings))


def duration_s(settings: DatasetSettings, room: Shoebox) -> float:
    """Return the length of a room's responses by the rule of the settings."""
    rule = settings.signal.duration
    if rule in ("auto", "octaves"):
        return decay_time_s(room, fs_hz=settings.signal.fs_hz, air=air_of(settings), bands="sum" if rule == "auto" else "slowest")
    if rule == "revrir":
        return int(revrir_duration_s(room) * settings.signal.fs_hz) / settings.signal.fs_hz  # cut as the published code does
    return float(rule)
