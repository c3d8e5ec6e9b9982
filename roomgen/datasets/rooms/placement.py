"""Where a source and a microphone may stand in a room, and draws that keep to it exactly.

The rules: at least ``wall_distance_m`` from every wall, and a distance between the two within
[``min_distance_m``, ``max_distance_m``]. Positions are rounded to float32, which is what the manifest stores, before the rules
are checked: what was simulated is what the row says, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roomgen.datasets.rooms.settings import PlaceSettings
from roomgen.errors import RoomgenError

_TRIES_PER_SOURCE = 100
_SOURCES = 100


Box = tuple[NDArray[np.float32], NDArray[np.float32]]

_ARRAY_CLEARANCE_M = 0.01  # of every microphone of an array from the walls
_ARRAY_SOURCE_M = 0.05  # of the source from the sphere around an array


def free_box(size_m: Sequence[float], rules: PlaceSettings, *, room: str) -> Box:
    """Return the corners (3,), (3,) of the part of a room that keeps the distance from the walls.

    A side of exactly twice the wall distance leaves one plane, which is allowed (RevRIR's corridors are 1 m wide).

    Raises:
        RoomgenError: nothing is left, or what is left cannot hold two points as far apart as the rules want; the message
            names the room, the rule and what to change.
    """
    size = np.asarray(size_m, dtype=np.float64)
    shown = " × ".join(f"{v:g}" for v in np.round(size, 3))
    low = _round_up(np.full(3, rules.wall_distance_m))
    high = _round_down(size - rules.wall_distance_m)
    if (low > high).any():
        side = float(size[low > high].min())
        raise RoomgenError(
            f"room {room} ({shown} m) is too small for wall_distance_m = {rules.wall_distance_m:g}: a side of {side:g} m "
            f"leaves no place. Make the room larger or set place.wall_distance_m to at most {np.floor(side * 500) / 1000:g}."
        )
    farthest = float(np.linalg.norm(high.astype(np.float64) - low))
    if farthest < rules.min_distance_m:
        raise RoomgenError(
            f"room {room} ({shown} m) is too small for min_distance_m = {rules.min_distance_m:g}: with wall_distance_m = "
            f"{rules.wall_distance_m:g}, source and microphone can be at most {farthest:.3g} m apart. Make the room larger "
            "or set place.min_distance_m or place.wall_distance_m lower."
        )
    return low, high


def free_boxes(size_m: Sequence[float], rules: PlaceSettings, *, room: str, array_radius_m: float = 0.0) -> tuple[Box, Box]:
    """Return where sources and where microphones may stand: the free box of the room within the heights of the rules.

    The centre of an array keeps so far from the walls that none of its microphones comes closer than 1 cm, however it is turned.

    Raises:
        RoomgenError: see :func:`free_box`; or the heights lie outside the free part, or the array is too large for the room.
    """
    low, high = free_box(size_m, rules, room=room)
    margin = array_radius_m + _ARRAY_CLEARANCE_M if array_radius_m > 0 else 0.0
    mic_low = np.maximum(low, _round_up(np.full(3, margin)))
    mic_high = np.minimum(high, _round_down(np.asarray(size_m, dtype=np.float64) - margin))
    shown = " × ".join(f"{v:g}" for v in np.round(np.asarray(size_m, dtype=np.float64), 3))
    if (mic_low > mic_high).any():
        raise RoomgenError(
            f"room {room} ({shown} m) is too small for an array whose farthest microphone is {array_radius_m:g} m from its centre: "
            f"that needs sides of at least {2 * margin:.3g} m. Take a smaller array or larger rooms."
        )
    source = _within_heights(low, high, rules.source_height_m, "source_height_m", room, shown)
    return source, _within_heights(mic_low, mic_high, rules.mic_height_m, "mic_height_m", room, shown)


def draw_pair(
    rng: np.random.Generator, size_m: Sequence[float], rules: PlaceSettings, *, room: str, array_radius_m: float = 0.0
) -> Box:
    """Return the positions (3,), (3,) in metres of a source and a microphone (an array's centre) that keep to the rules.

    The source is uniform in the free part of the room; the microphone is drawn again until its distance is right, and after
    100 draws the source too (as in RevRIR's code, which draws the microphone up to 100 times).

    Raises:
        RoomgenError: see :func:`free_box`; or no pair was found because almost none exists.
    """
    source_box, mic_box = free_boxes(size_m, rules, room=room, array_radius_m=array_radius_m)
    shortest = max(rules.min_distance_m, array_radius_m + _ARRAY_SOURCE_M if array_radius_m > 0 else 0.0)
    longest = np.inf if rules.max_distance_m is None else rules.max_distance_m
    for _ in range(_SOURCES):
        source = _uniform(rng, *source_box)
        for _ in range(_TRIES_PER_SOURCE):
            mic = _uniform(rng, *mic_box)
            if shortest <= distance_m(source, mic) <= longest:
                return source, mic
    shown = " × ".join(f"{v:g}" for v in np.round(np.asarray(size_m, dtype=np.float64), 3))
    raise RoomgenError(
        f"room {room} ({shown} m): no two points between {shortest:g} and {longest:g} m apart were found in "
        f"{_SOURCES * _TRIES_PER_SOURCE} draws. Set place.min_distance_m lower or place.max_distance_m higher."
    )


def distance_m(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the distance in m between two float32 points, computed in float64."""
    return float(np.linalg.norm(a.astype(np.float64) - b.astype(np.float64)))


def _within_heights(
    low: NDArray[np.float32], high: NDArray[np.float32], limits: tuple[float, float] | None, name: str, room: str, shown: str
) -> Box:
    if limits is None:
        return low, high
    low, high = low.copy(), high.copy()
    low[2] = max(low[2], _round_up(np.array([limits[0]]))[0])
    high[2] = min(high[2], _round_down(np.array([limits[1]]))[0])
    if low[2] > high[2]:
        raise RoomgenError(
            f"room {room} ({shown} m): place.{name} = {list(limits)} leaves no place between floor and ceiling. "
            "Give other heights, higher rooms, or a smaller place.wall_distance_m."
        )
    return low, high


def _uniform(rng: np.random.Generator, low: NDArray[np.float32], high: NDArray[np.float32]) -> NDArray[np.float32]:
    point = (low + (high.astype(np.float64) - low) * rng.random(3)).astype(np.float32)
    return np.clip(point, low, high)


def _round_up(value: NDArray[np.float64]) -> NDArray[np.float32]:
    near = value.astype(np.float32)
    return np.where(near < value, np.nextafter(near, np.float32(np.inf)), near).astype(np.float32)


def _round_down(value: NDArray[np.float64]) -> NDArray[np.float32]:
    return -_round_up(-value)
