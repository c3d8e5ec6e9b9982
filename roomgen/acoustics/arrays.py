"""Microphone arrays: where the microphones stand around a centre, what each looks at, and directions in the array's own frame.

The frame: the array's front is +x, its left +y, up +z. An array that stands in a room with a yaw is turned counter-clockwise by
it, seen from above, so that a source at azimuth a of the room is at a − yaw of the array.

Names: ``circular4:0.05`` (4 microphones on a horizontal circle of that radius in metres, the first in front, counter-clockwise),
``linear8:0.04`` (8 on a line across the front, that spacing, from left to right), ``square:0.08`` (4 corners of a square of that
side, front left first, counter-clockwise), ``tetra:0.042`` (4 on a sphere of that radius: front left up, front right down, back
left down, back right up), ``binaural-spaced`` (2, left and right, 17.5 cm apart), ``mono``. A size may be left away; a pattern
may follow, which looks outwards: ``tetra:0.02/cardioid``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.directivity import PATTERNS, Directivity
from roomgen.errors import RoomgenError, suggest

MAX_MICS = 64
_SHAPE = re.compile(r"(?P<shape>[a-z-]+)(?P<count>\d+)?(?::(?P<size>[0-9.eE+-]+))?(?:/(?P<pattern>[a-z_]+))?")
_EAR_DISTANCE_M = 0.175
_LARGEST_M = 10.0
_COORDINATES = ("x_m", "y_m", "z_m")
_LOOKS = ("pattern", "azimuth_deg", "elevation_deg")


@dataclass(frozen=True)
class MicArray:
    """Microphones around a centre.

    Args:
        name: what the manifest calls it.
        positions_m: (mic, 3) in the array's frame.
        patterns: (mic, 3) of p, azimuth and elevation in degrees in the array's frame, see
            :class:`roomgen.acoustics.directivity.Directivity`; none: omnidirectional.
    """

    name: str
    positions_m: tuple[tuple[float, float, float], ...]
    patterns: tuple[tuple[float, float, float], ...] = ()

    @property
    def n_channels(self) -> int:
        """Number of microphones."""
        return len(self.positions_m)

    @cached_property
    def radius_m(self) -> float:
        """Distance of the farthest microphone from the centre."""
        return float(np.linalg.norm(np.asarray(self.positions_m), axis=1).max())

    def placed(self, center_m: Sequence[float], *, yaw_deg: float = 0.0) -> tuple[NDArray[np.float64], tuple[Directivity, ...]]:
        """Return the (mic, 3) positions in a room and the microphones' directivities there.

        Args:
            center_m: (3,) where the array's centre stands.
            yaw_deg: how far it is turned counter-clockwise.
        """
        turn = np.deg2rad(yaw_deg)
        cos, sin = np.cos(turn), np.sin(turn)
        rotation = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        mics = np.asarray(center_m, dtype=np.float64) + np.asarray(self.positions_m) @ rotation.T
        patterns = self.patterns or ((1.0, 0.0, 0.0),) * self.n_channels
        return mics, tuple(Directivity(p, azimuth + yaw_deg, elevation) for p, azimuth, elevation in patterns)


def direction_in_frame_deg(
    source: NDArray[np.float32], center: NDArray[np.float32], *, yaw_deg: float = 0.0
) -> tuple[float, float]:
    """Return azimuth in (−180, 180] and elevation in degrees of a source, seen from an array that is turned by ``yaw_deg``."""
    x, y, z = source.astype(np.float64) - center.astype(np.float64)
    azimuth = float(np.degrees(np.arctan2(y, x)))
    if yaw_deg:
        azimuth = 180.0 - (180.0 - (azimuth - yaw_deg)) % 360.0
    # In float32, as it is stored, an angle a hair above -180° would be -180°.
    return (180.0 if np.float32(azimuth) == -180.0 else azimuth), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


@lru_cache(maxsize=32)
def named_array(text: str) -> MicArray:
    """Return the array of a name; see the module's text.

    Raises:
        RoomgenError: no such shape, or a number of microphones, a size or a pattern that it cannot have.
    """
    match = _SHAPE.fullmatch(text.strip())
    shape = match["shape"] if match else text.partition(":")[0].rstrip("0123456789")
    if match is None or shape not in _SHAPES:
        raise RoomgenError(
            f"unknown array {text!r}.{suggest(shape, _SHAPES)} Arrays: circular4:0.05 (radius in m), linear8:0.04 (spacing), "
            "square:0.08 (side), tetra:0.042 (radius), binaural-spaced, mono, or a CSV file of positions."
        )
    build, usual_count, usual_size_m = _SHAPES[shape]
    count = usual_count if match["count"] is None else int(match["count"])
    if shape in ("circular", "linear"):
        if not 2 <= count <= MAX_MICS:
            raise RoomgenError(f"array {text!r}: {count} microphones; give 2 to {MAX_MICS}, such as {shape}4:0.05.")
    elif count != usual_count:
        raise RoomgenError(f"array {text!r}: {shape} has {usual_count} microphones; leave the number away.")
    size_m = _size(text, match["size"], usual_size_m)
    positions = np.round(build(count, size_m), 9) + 0.0  # no negative zeros
    pattern = match["pattern"] or "omni"
    if pattern not in PATTERNS:
        raise RoomgenError(
            f"array {text!r}: unknown pattern {pattern!r}.{suggest(pattern, PATTERNS)} Patterns: {', '.join(PATTERNS)}."
        )
    outwards = () if pattern == "omni" else tuple(_outwards(position, PATTERNS[pattern]) for position in positions)
    return MicArray(text.strip(), tuple((float(x), float(y), float(z)) for x, y, z in positions), outwards)


def read_array_csv(path: Path) -> MicArray:
    """Return an array from a CSV file.

    Its columns are ``x_m,y_m,z_m`` in the array's frame and, if wanted, ``pattern,azimuth_deg,elevation_deg``.

    Raises:
        RoomgenError: no such file, or a row that is not that.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            header = [name.strip() for name in reader.fieldnames or ()]
            rows = [{(k or "").strip(): (v or "").strip() for k, v in row.items() if isinstance(v, str)} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RoomgenError(
            f"the array file {path} cannot be read: {error}. Give a CSV file with the columns x_m,y_m,z_m."
        ) from None
    missing = [name for name in _COORDINATES if name not in header]
    unknown = [name for name in header if name not in (*_COORDINATES, *_LOOKS)]
    if missing or unknown:
        raise RoomgenError(
            f"the array file {path} has the columns {', '.join(header) or '(none)'}; it must have x_m,y_m,z_m and may have "
            f"{','.join(_LOOKS)}."
        )
    if not 1 <= len(rows) <= MAX_MICS:
        raise RoomgenError(f"the array file {path} has {len(rows)} microphones; give 1 to {MAX_MICS}, one per row.")
    positions, patterns = [], []
    for number, row in enumerate(rows, start=2):
        try:
            x, y, z = (float(row[name]) for name in _COORDINATES)
            azimuth, elevation = (float(row.get(name) or 0.0) for name in _LOOKS[1:])
        except (KeyError, ValueError):
            raise RoomgenError(f"the array file {path}, line {number}: a coordinate or angle is not a number.") from None
        if not np.isfinite([x, y, z]).all() or np.linalg.norm([x, y, z]) > _LARGEST_M:
            raise RoomgenError(f"the array file {path}, line {number}: a microphone must be within {_LARGEST_M:g} m of the centre.")
        directivity = Directivity.named(row.get("pattern") or "omni", azimuth_deg=azimuth, elevation_deg=elevation)
        positions.append((x, y, z))
        patterns.append((directivity.p, azimuth, elevation))
    return MicArray(path.stem, tuple(positions), tuple(patterns))


def _size(text: str, given: str | None, usual_m: float) -> float:
    if given is None:
        return usual_m
    if usual_m == 0.0:
        raise RoomgenError(f"array {text!r}: it has no size; leave {given!r} away.")
    try:
        size_m = float(given)
    except ValueError:
        size_m = np.nan
    if not 0.001 <= size_m <= _LARGEST_M:
        raise RoomgenError(f"array {text!r}: the size {given!r} must be a number of metres between 0.001 and {_LARGEST_M:g}.")
    return size_m


def _outwards(position: NDArray[np.float64], p: float) -> tuple[float, float, float]:
    x, y, z = position
    return float(p), float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def _circular(count: int, radius_m: float) -> NDArray[np.float64]:
    angles = 2.0 * np.pi * np.arange(count) / count
    return radius_m * np.stack([np.cos(angles), np.sin(angles), np.zeros(count)], axis=1)


def _linear(count: int, spacing_m: float) -> NDArray[np.float64]:
    y = spacing_m * ((count - 1) / 2.0 - np.arange(count))
    return np.stack([np.zeros(count), y, np.zeros(count)], axis=1)


def _square(count: int, side_m: float) -> NDArray[np.float64]:
    corners: NDArray[np.float64] = np.array([[1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]], dtype=np.float64)
    return side_m / 2.0 * corners


def _tetra(count: int, radius_m: float) -> NDArray[np.float64]:
    corners: NDArray[np.float64] = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=np.float64)
    return radius_m / float(np.sqrt(3.0)) * corners


def _binaural(count: int, distance_m: float) -> NDArray[np.float64]:
    return _linear(2, _EAR_DISTANCE_M)


def _mono(count: int, size_m: float) -> NDArray[np.float64]:
    return np.zeros((1, 3))


_SHAPES: dict[str, tuple[Callable[[int, float], NDArray[np.float64]], int, float]] = {
    "circular": (_circular, 4, 0.05),
    "linear": (_linear, 4, 0.04),
    "square": (_square, 4, 0.08),
    "tetra": (_tetra, 4, 0.042),
    "binaural-spaced": (_binaural, 2, 0.0),
    "mono": (_mono, 1, 0.0),
}
