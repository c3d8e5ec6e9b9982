"""Where a source and a microphone may stand in a room, and draws that keep to it exactly.

The rules: at least ``wall_distance_m`` from every wall, and a distance between the two within
[``min_distance_m``, ``max_distance_m``]. Positions are rounded to float32, which is what the manifest stores, before the rules
are checked: what was simulated is what the row says, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import RoomgenError
from roomgen.settings import PlaceSettings

_TRIES_PER_SOURCE = 100
_SOURCES = 100


def free_box(size_m: Sequence[float], rules: PlaceSettings, *, room: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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


def draw_pair(
    rng: np.random.Generator, size_m: Sequence[float], rules: PlaceSettings, *, room: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the positions (3,), (3,) in metres of a source and a microphone that keep to the rules.

    The source is uniform in the free part of the room; the microphone is drawn again until its distance is right, and after
    100 draws the source too (as in RevRIR's code, which draws the microphone up to 100 times).

    Raises:
        RoomgenError: see :func:`free_box`; or no pair was found because almost none exists.
    """
    low, high = free_box(size_m, rules, room=room)
    longest = np.inf if rules.max_distance_m is None else rules.max_distance_m
    for _ in range(_SOURCES):
        source = _uniform(rng, low, high)
        for _ in range(_TRIES_PER_SOURCE):
            mic = _uniform(rng, low, high)
            if rules.min_distance_m <= distance_m(source, mic) <= longest:
                return source, mic
    shown = " × ".join(f"{v:g}" for v in np.round(np.asarray(size_m, dtype=np.float64), 3))
    raise RoomgenError(
        f"room {room} ({shown} m): no two points between {rules.min_distance_m:g} and {longest:g} m apart were found in "
        f"{_SOURCES * _TRIES_PER_SOURCE} draws. Set place.min_distance_m lower or place.max_distance_m higher."
    )


def distance_m(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the distance in m between two float32 points, computed in float64."""
    return float(np.linalg.norm(a.astype(np.float64) - b.astype(np.float64)))


def direction_deg(source: NDArray[np.float32], mic: NDArray[np.float32]) -> tuple[float, float]:
    """Return azimuth in (-180, 180] and elevation in degrees of the source, seen from the microphone."""
    x, y, z = source.astype(np.float64) - mic.astype(np.float64)
    azimuth = float(np.degrees(np.arctan2(y, x)))
    # In float32, as it is stored, an angle a hair above -180° would be -180°.
    return (180.0 if np.float32(azimuth) == -180.0 else azimuth), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def _uniform(rng: np.random.Generator, low: NDArray[np.float32], high: NDArray[np.float32]) -> NDArray[np.float32]:
    point = (low + (high.astype(np.float64) - low) * rng.random(3)).astype(np.float32)
    return np.clip(point, low, high)


def _round_up(value: NDArray[np.float64]) -> NDArray[np.float32]:
    near = value.astype(np.float32)
    return np.where(near < value, np.nextafter(near, np.float32(np.inf)), near).astype(np.float32)


def _round_down(value: NDArray[np.float64]) -> NDArray[np.float32]:
    return -_round_up(-value)
