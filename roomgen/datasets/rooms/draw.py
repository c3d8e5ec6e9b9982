"""Drawing one room: its size, its walls and, where there is a target RT60, how much these absorb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np

from roomgen.acoustics.air import Air, speed_of_sound_m_s
from roomgen.acoustics.arrays import MicArray, named_array
from roomgen.acoustics.measured_spectra import MID
from roomgen.acoustics.prediction.decay import decay_time_s, predict_rt60_bands_s, predict_rt60_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions
from roomgen.datasets.rooms.placement import Box, draw_pair, free_box
from roomgen.datasets.rooms.settings import DatasetSettings, FamilySettings
from roomgen.datasets.rooms.walls import as_stored, draw_walls, materials_of
from roomgen.errors import RoomgenError
from roomgen.streams import Stream, generator

_REDRAWS = 1000
_COMPARED = slice(0, 6)  # octaves whose RT60s walls.max_octave_ratio compares: 125 to 4000 Hz
_SIZE_KEPT = 100  # draws of walls that a size is tried with
_SOLVED = 12  # rooms that an RT60 is solved in by simulation, each of which can take seconds


@dataclass(frozen=True)
class RoomPlan:
    """One room of the plan.

    Args:
        index: number of the room in the dataset.
        type: name of its family.
        shoebox: size (rounded to float32), walls and absorption scale, as exact as the manifest stores them.
        materials: for each wall what it is made of, or looks like.
        rt60_target_s: target RT60 of what ``signal.rt60_of`` says, or NaN.
        rt60_predicted_s: predicted broadband T30.
        duration_s: length of its responses by the rule of the settings, or NaN where a direct sound could be longer.
    """

    index: int
    type: str
    shoebox: Shoebox
    materials: tuple[str, ...]
    rt60_target_s: float
    rt60_predicted_s: float
    duration_s: float

    @property
    def id(self) -> str:
        return room_id(self.index)


def draw_room(settings: DatasetSettings, index: int, family: FamilySettings, rank: int, count: int) -> RoomPlan:
    """Return a room of the plan; a pure function of its arguments.

    Walls are drawn again until the predicted RT60 lies within the limits of the settings, and after some draws the size too. Where
    there is a target RT60, a room that cannot have it is drawn again whole, with the same target.

    Args:
        index: number of the room in the dataset.
        family, rank, count: its family, which of the family's rooms it is, and how many there are.

    Raises:
        RoomgenError: no room was found that has what the settings ask for; the message says what can be had.
    """
    size_rng, wall_rng = (generator(settings.seed, stream, index) for stream in (Stream.SIZE, Stream.WALLS))
    target = _target_rt60_s(settings, index)
    size = _draw_size(settings, family, size_rng, rank, count)
    free_box(size, settings.place, room=room_id(index))
    failure, solved = "", 0
    for attempt in range(_REDRAWS):
        try:
            room = draw_walls(settings, family, wall_rng, size, rt60_s=target, air=air_of(settings))
            if np.isfinite(target):
                from roomgen.datasets.rooms.target_rt60 import check_prediction, with_target  # numba: only where it is needed

                check_prediction(settings, room, target)
                solved += 1
                room = with_target(settings, index, room, target)
            _check_limits(settings, room, has_target=bool(np.isfinite(target)))
            break
        except RoomgenError as error:
            if _is_fixed(settings, family):
                raise RoomgenError(f"{room_id(index)}: {error}") from None
            failure = str(error)
            if solved == _SOLVED:
                raise _nothing_fits(index, attempt + 1, solved, failure) from None
            if np.isfinite(target) or not settings.walls.are_drawn or attempt >= _SIZE_KEPT:  # the size may make it impossible
                size = _draw_size(settings, family, size_rng, rank, count)
    else:
        raise _nothing_fits(index, _REDRAWS, solved, failure)
    room = as_stored(room, settings.signal.fs_hz)
    return RoomPlan(
        index=index,
        type=family.name,
        shoebox=room,
        materials=materials_of(room, settings.signal.fs_hz),
        rt60_target_s=target,
        rt60_predicted_s=predicted_rt60_s(settings, room),
        duration_s=duration_s(settings, room),
    )


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


@lru_cache(maxsize=64)
def _family_grid(family: FamilySettings) -> list[tuple[float, float, float]]:
    return grid_sizes(family)


def _check_limits(settings: DatasetSettings, room: Shoebox, *, has_target: bool) -> None:
    """Refuse a room outside the limits of the settings; a target, or what is drawn before the walls, lies within them."""
    walls = settings.walls
    if settings.signal.rt60_bands_s is not None:
        return
    broadband = walls.are_drawn and walls.model == "random"  # what the limits are of
    met = has_target and settings.signal.rt60_of == ("broadband" if broadband else "mid")
    limits = None if met or (walls.are_drawn and walls.model == "measured") else walls.rt60_limits_s
    if limits is None and walls.max_octave_ratio is None:
        return
    bands_s = predict_rt60_bands_s(room, fs_hz=settings.signal.fs_hz, air=air_of(settings))
    ratio = float(bands_s[_COMPARED].max() / bands_s[_COMPARED].min())
    if walls.max_octave_ratio is not None and ratio > walls.max_octave_ratio:
        raise RoomgenError(
            f"{room!r}: the RT60s of its octaves differ by a factor of {ratio:.3g}; walls.max_octave_ratio is "
            f"{walls.max_octave_ratio:g}."
        )
    if limits is None:
        return
    if broadband:
        what, rt60_s = "broadband RT60", predicted_rt60_s(settings, room)
    else:
        what, rt60_s = "mid-frequency RT60", float(bands_s[MID].mean())
    if not limits[0] <= rt60_s <= limits[1]:
        raise RoomgenError(
            f"{room!r} has a predicted {what} of {rt60_s:.3g} s, outside walls.rt60_limits_s {limits[0]:g}…{limits[1]:g} s."
        )


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


def _target_rt60_s(settings: DatasetSettings, index: int) -> float:
    """Return the target RT60 of a room (of a spectrum its T_mid), exact in float32; NaN: none is."""
    signal = settings.signal
    if signal.rt60_s is not None:
        return float(np.float32(generator(settings.seed, Stream.RT60, index).uniform(*signal.rt60_s)))
    return np.nan if signal.rt60_mid_limits_s is None else float(np.float32(signal.rt60_mid_limits_s[0]))


def _nothing_fits(index: int, drawn: int, solved: int, failure: str) -> RoomgenError:
    simulated = f" ({solved} of them simulated)" if solved else ""
    return RoomgenError(
        f"{room_id(index)}: none of {drawn} rooms drawn{simulated} fits; the last: {failure} "
        "Ask for other RT60s (--rt60, walls.rt60_limits_s), or allow other sizes or materials."
    )


def _draw_size(
    settings: DatasetSettings, family: FamilySettings, rng: np.random.Generator, rank: int, count: int
) -> tuple[float, ...]:
    """Return a size that is exact in float32, as the manifest stores it."""
    if settings.rooms.sizes == "uniform":
        low, high = np.asarray(family.min_m), np.asarray(family.max_m)
        size = low + (high - low) * rng.random(3)
    else:
        grid = _family_grid(family)
        # As many rooms as the grid has: the grid in its order. Otherwise whole rounds of it and a draw without repetition.
        full_rounds = count // len(grid) * len(grid)
        if rank < full_rounds:
            size = np.asarray(grid[rank % len(grid)])
        else:
            pick = generator(settings.seed, Stream.CHOICE, settings.rooms.families.index(family))
            chosen = np.sort(pick.permutation(len(grid))[: count - full_rounds])
            size = np.asarray(grid[chosen[rank - full_rounds]])
    return tuple(float(v) for v in size.astype(np.float32))


def _is_fixed(settings: DatasetSettings, family: FamilySettings) -> bool:
    """Tell whether drawing again would give the same room."""
    same_size = settings.rooms.sizes == "grid" or family.min_m == family.max_m
    return same_size and not settings.walls.are_drawn
