"""A look around the room: an equirectangular view, in colour and depth, of a shoebox from a microphone.

Every pixel is one ray from the microphone into the box. The walls wear their materials (:mod:`roomgen.acoustics.views.textures`),
a lamp hangs under the ceiling, and the source is a person who stands on the floor with the mouth at the source's position. Pixels
where two things meet are averaged over four rays, so that edges are clean at low resolution.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.views.figure import Figure, shadow
from roomgen.acoustics.views.textures import WallTexture, wall_textures
from roomgen.errors import RoomgenError

JPEG_QUALITY = 90
_LAMP = 6  # what a ray meets: a wall in the order of WALLS, the lamp, or a part of the person (from 7)
_AMBIENT = np.array([0.60, 0.68, 0.64, 0.74, 0.66, 0.78], dtype=np.float32)  # unequal: walls of one material stay apart
_LAMP_COLOUR = np.array([1.0, 0.985, 0.93], dtype=np.float32)
_CORNER_M = 0.22  # how far into the room a corner is darker
_SUBPIXELS = np.array([[-3, -1], [-1, 3], [1, -3], [3, 1]]) / 8  # a turned square: four rows and four columns


@dataclass(frozen=True)
class Panorama:
    """A view: ``rgb`` (row, column, 3) uint8 and ``depth_m`` (row, column) float32, the length of each pixel's ray."""

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]


@dataclass(frozen=True)
class _Stage:
    """All that a ray can meet."""

    size: NDArray[np.float32]
    eye: NDArray[np.float32]
    textures: tuple[WallTexture, ...]
    figure: Figure
    lamp_half: NDArray[np.float32]
    pixel_rad: float


def panorama(
    room: Shoebox,
    *,
    viewpoint_m: Sequence[float],
    source_m: Sequence[float],
    height: int = 192,
    width: int = 576,
    yaw_deg: float = 0.0,
) -> Panorama:
    """Return the view of all 360° × 180° around a point of the room.

    The picture is as the eye sees it, not mirrored: the centre column looks along ``yaw_deg`` (from +x, counter-clockwise seen
    from above), and azimuth grows to the left. The centre of column ``c`` looks along the azimuth
    ``yaw_deg + 180 − 360 · (c + 1/2) / width`` and that of row ``r`` along the elevation ``90 − 180 · (r + 1/2) / height``, so that
    a source with ``azimuth_deg`` in the frame of an array of this yaw stands around column ``width · (1/2 − azimuth_deg / 360)``.
    The person faces the viewpoint and is flat; straight above or below the viewpoint the person is seen edge-on, which is not
    at all.

    Args:
        room: its size and materials; the absorption shows where a wall has a number instead of a material.
        viewpoint_m: (3,) position of the eye in metres.
        source_m: (3,) position of the person's mouth in metres.
        height: rows.
        width: columns.
        yaw_deg: azimuth that the centre column looks along.

    Raises:
        RoomgenError: a position outside the room, or a picture without pixels.
    """
    stage = _stage(room, viewpoint_m, source_m, height=height, width=width)
    rows, columns = np.divmod(np.arange(height * width), width)
    rgb, depth, seen = _look(stage, _directions(rows, columns, height, width, yaw_deg))
    edges = np.flatnonzero(_borders(seen.reshape(height, width)).reshape(-1))
    fine_rows, fine_columns = rows[edges, None] + _SUBPIXELS[:, 0], columns[edges, None] + _SUBPIXELS[:, 1]
    fine = _directions(fine_rows.reshape(-1), fine_columns.reshape(-1), height, width, yaw_deg)
    rgb[edges] = _look(stage, fine)[0].reshape(len(edges), -1, 3).mean(axis=1)
    pixels = np.rint(np.clip(rgb, 0.0, 1.0) * np.float32(255)).astype(np.uint8)
    return Panorama(pixels.reshape(height, width, 3), depth.reshape(height, width))


def encode_view(view: NDArray[np.uint8]) -> bytes:
    """Return a (row, column, 3) picture as JPEG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(view)).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()


def encode_depth(depth_m: NDArray[np.float32]) -> bytes:
    """Return (row, column) depths as a PNG of 16 bits, in whole millimetres; 65 535 stands for all that is farther."""
    from PIL import Image

    millimetres = np.clip(np.rint(depth_m.astype(np.float64) * 1000.0), 0, 65_535).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(millimetres).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _stage(room: Shoebox, viewpoint_m: Sequence[float], source_m: Sequence[float], *, height: int, width: int) -> _Stage:
    for what, point in (("viewpoint", viewpoint_m), ("source", source_m)):
        if np.shape(point) != (3,) or not room.contains(np.asarray(point)):
            shown = ", ".join(f"{float(v):g}" for v in np.ravel(point))
            raise RoomgenError(
                f"the {what} ({shown}) m is not inside the room of {' × '.join(f'{v:g}' for v in room.size_m)} m, "
                "whose corner is the origin: give a position between its walls."
            )
    if height < 1 or width < 1:
        raise RoomgenError(f"a picture of {height} × {width} pixels has none: give a height and a width of at least 1.")
    size = np.asarray(room.size_m, dtype=np.float32)
    return _Stage(
        size=size,
        eye=np.asarray(viewpoint_m, dtype=np.float32),
        textures=wall_textures(room),
        figure=Figure.facing(viewpoint_m, source_m),
        lamp_half=np.minimum(np.array([0.6, 0.2], dtype=np.float32), 0.15 * size[:2]),
        pixel_rad=max(np.pi / height, 2.0 * np.pi / width),
    )


def _directions(
    rows: NDArray[np.generic], columns: NDArray[np.generic], height: int, width: int, yaw_deg: float
) -> NDArray[np.float32]:
    """Return (3, ray) unit vectors of picture positions; whole numbers are the centres of pixels."""
    azimuth = np.deg2rad(yaw_deg + 180.0 - 360.0 * (columns.astype(np.float64) + 0.5) / width).astype(np.float32)
    elevation = np.deg2rad(90.0 - 180.0 * (rows.astype(np.float64) + 0.5) / height).astype(np.float32)
    level = np.cos(elevation)
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])


def _borders(seen: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Tell which pixels have a neighbour (across the seam too) that shows something else."""
    border: NDArray[np.bool_] = seen != np.roll(seen, 1, axis=1)
    border |= np.roll(border, -1, axis=1)
    vertical = seen[1:] != seen[:-1]
    border[1:] |= vertical
    border[:-1] |= vertical
    return border


def _look(stage: _Stage, rays: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int8]]:
    """Return (ray, 3) colours, (ray,) depths in metres, and what each ray meets."""
    with np.errstate(divide="ignore", over="ignore"):
        walk = np.where(rays > 0, (stage.size - stage.eye)[:, None], stage.eye[:, None]) / np.abs(rays)
    depth = walk.min(axis=0)
    towards = (rays > 0).astype(np.int8)
    seen = np.where(walk[0] == depth, towards[0], np.where(walk[1] == depth, 2 + towards[1], 4 + towards[2]))
    points = stage.eye[:, None] + depth * rays
    rgb = np.empty((rays.shape[1], 3), dtype=np.float32)
    for wall in range(6):
        chosen = np.flatnonzero(seen == wall)
        if len(chosen):
            rgb[chosen], lamp = _wall(stage, wall, points.take(chosen, axis=1), rays.take(chosen, axis=1), depth[chosen])
            seen[chosen[lamp]] = _LAMP
    hit, distance, colour, part = stage.figure.meet(rays, depth)
    light = _light(stage, stage.figure.mouth_m[:, None], None)
    rgb[hit], depth[hit], seen[hit] = colour * light, distance, _LAMP + part
    return rgb, depth, seen


def _wall(
    stage: _Stage, wall: int, points: NDArray[np.float32], rays: NDArray[np.float32], depth: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the colours of points of one wall, and which of them belong to the lamp."""
    normal = wall // 2
    along, up = ((1, 2), (0, 2), (0, 1))[normal]
    steep = np.maximum(np.abs(rays[normal]), np.float32(1e-3))
    # A ray turned by one pixel moves so far along u: the derivative of h · d_u / d_n over directions of unit length.
    reach = np.float32(stage.pixel_rad) * depth / steep
    spread = (reach * np.hypot(steep, rays[along]), reach * np.hypot(steep, rays[up]))
    rgb = stage.textures[wall](points[along], points[up], *spread)
    light = _light(stage, points, wall)
    for other in (along, up):
        edge = np.minimum(points[other], stage.size[other] - points[other])
        light *= 1.0 - 0.22 * np.exp(edge * np.float32(-1 / _CORNER_M))
    lamp = np.zeros(points.shape[1], dtype=bool)
    if wall == 4:
        light *= shadow(stage.figure, points)
    elif wall == 5:
        away = np.abs(points[:2] - 0.5 * stage.size[:2, None])
        lamp = np.all(away < stage.lamp_half[:, None], axis=0)
    rgb *= light[:, None]
    rgb[lamp] = _LAMP_COLOUR
    return rgb, lamp


def _light(stage: _Stage, points: NDArray[np.float32], wall: int | None) -> NDArray[np.float32]:
    """Return the brightness of (3, point) points: what all walls give, and the lamp by its angle and distance."""
    lamp = stage.size * np.array([0.5, 0.5, 1.0], dtype=np.float32)
    offset = lamp[:, None] - points
    squared = np.einsum("ij,ij->j", offset, offset)
    fall = 1.0 / (1.0 + squared * np.float32(6.0 / np.dot(stage.size, stage.size)))
    if wall is None:
        return np.asarray(0.62 + 0.5 * fall, dtype=np.float32)
    if wall == 5:  # the lamp lies in the ceiling and only glows around itself
        return np.asarray(_AMBIENT[5] + 0.28 * fall, dtype=np.float32)
    cosine = np.abs(offset[wall // 2]) / np.sqrt(squared + np.float32(0.05))
    return np.asarray(_AMBIENT[wall] + (0.18 + 0.37 * cosine) * fall, dtype=np.float32)
