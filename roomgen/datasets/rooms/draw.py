"""Drawing one room: its size, its walls and, where there is a target RT60, how much these absorb."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from roomgen.acoustics.measured_spectra import MID
from roomgen.acoustics.prediction.decay import predict_rt60_bands_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.datasets.rooms.conditions import air_of, duration_s, grid_sizes, predicted_rt60_s, room_id
from roomgen.datasets.rooms.placement import free_box
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
