"""What the walls of a view look like: a procedural texture for each family of materials, drawn in metres on the wall.

A texture is a function of a point (u along the wall, v upwards; x and y on floor and ceiling) and of the width that a pixel covers
there: joints are averaged over the pixel in closed form, and what is finer than the pixel fades out, so nothing flickers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.rooms import Shoebox

F32 = NDArray[np.float32]
WallTexture = Callable[[F32, F32, F32, F32], F32]
"""From u, v, and the pixel's widths along u and v (all (point,), in metres) to (point, 3) colours in 0…1."""

_Colour = tuple[float, float, float]
_LIVE, _DEAD = np.array([[0.93, 0.92, 0.89], [0.50, 0.42, 0.36]])  # walls without a material: absorption 0 and 1


@dataclass(frozen=True)
class _Look:
    """How a material is drawn; lengths in m, amounts as shares of its brightness.

    Args:
        grain: (amount, width, height) of noise with details of that size.
        size: of the pieces that it is made of (bricks, boards, tiles); joint: (width, height) of the joints between them.
        filled: the colour of joints; or by how much they are darker.
        uneven: how much pieces differ. bond: how far each course is shifted against the one below.
        upright: courses stand beside each other, not upon each other. turned: by 45°.
        waves: (amount, period) of folds along the course. holes: (amount, distance, radius).
        relief: anything else, from u, v and the pixel's width to what is added to the brightness.
    """

    grain: tuple[tuple[float, float, float], ...] = ()
    size: tuple[float, float] = (1e3, 1e3)
    joint: tuple[float, float] = (0.0, 0.0)
    filled: _Colour | float = 0.0
    uneven: float = 0.0
    bond: float = 0.0
    upright: bool = False
    turned: bool = False
    waves: tuple[tuple[float, float], ...] = ()
    holes: tuple[float, float, float] | None = None
    relief: Callable[[F32, F32, F32], F32] | None = None


def wall_textures(room: Shoebox) -> tuple[WallTexture, ...]:
    """Return the six textures of a room, in the order of its walls."""
    if room.materials is not None:
        return tuple(texture(name, scale=room.scale) for name in room.materials)
    assert room._table is not None  # a room without materials has a table
    return tuple(texture(repr(float(alpha)), scale=room.scale) for alpha in room._table.mean(axis=1))


def texture(material: str, *, scale: float = 1.0) -> WallTexture:
    """Return the texture of a material, or of an energy absorption written as a number (times ``scale``, cut at 1)."""
    try:
        colour = _LIVE + min(float(material) * scale, 1.0) * (_DEAD - _LIVE)
        return partial(_drawn, _PLASTER, colour.astype(np.float32))
    except ValueError:
        _, look, colours = next(family for family in _FAMILIES if any(word in material for word in family[0]))
        return partial(_drawn, look, np.array(colours[zlib.crc32(material.encode()) % len(colours)], dtype=np.float32))


def joints(x: F32, width: F32, *, period: float, joint: float) -> F32:
    """Return the share of a pixel around x that is joint: lines of width ``joint`` at all multiples of ``period``."""

    def up_to(position: F32) -> F32:
        whole = np.floor(position / period)
        return np.asarray(whole * joint + np.minimum(position - whole * period, joint))

    width = np.maximum(width, np.float32(1e-3))
    return np.asarray((up_to(x + 0.5 * width) - up_to(x - 0.5 * width)) / width)


@lru_cache(maxsize=1)
def _noise_tile() -> F32:
    return np.random.default_rng(20240611).normal(size=128 * 128).astype(np.float32)


def _noise(x: F32, y: F32) -> F32:
    """Return smooth noise of mean 0 and deviation of about 1, with details of size 1, that repeats after 128."""
    tile, left, low = _noise_tile(), np.floor(x), np.floor(y)
    a, b = x - left, y - low
    i, j = left.astype(np.int32) & 127, (low.astype(np.int32) & 127) * 128
    right, up = (i + 1) & 127, (j + 128) & 16383
    lower = tile[j + i] + a * (tile[j + right] - tile[j + i])
    upper = tile[up + i] + a * (tile[up + right] - tile[up + i])
    return np.asarray(lower + b * (upper - lower))


def _checker(u: F32, v: F32, side: float) -> F32:
    return np.asarray((np.floor(u / side) + np.floor(v / side)) % 2)


def _drawn(look: _Look, colour: F32, u: F32, v: F32, wide: F32, tall: F32) -> F32:
    """Draw the texture of a look in the (3,) colour of its material."""
    if look.turned:
        u, v = u + v, u - v
        wide = tall = 0.7 * (wide + tall)
    if look.upright:
        u, v, wide, tall = v, u, tall, wide
    (long, high), (butt, bed) = look.size, look.joint
    course = np.floor(v / high)
    u = u + look.bond * course
    widest = np.maximum(wide, tall)
    tone = np.ones_like(u)
    for amount, across, up in look.grain:
        tone += amount * _noise(u / across, v / up) / (1.0 + (wide / across) ** 2 + (tall / up) ** 2)
    if look.uneven:
        piece = _noise_tile()[(np.floor(u / long).astype(np.int32) * 29 + course.astype(np.int32) * 917) & 16383]
        tone += look.uneven * piece / (1.0 + (wide / long) ** 4 + (tall / high) ** 4)
    for amount, period in look.waves:
        sway = 0.17 * period * _noise(u * 2.3, v * 0.35)
        tone += amount * np.sin((u + sway) * (2 * np.pi / period)) / (1.0 + (1.6 * wide / period) ** 2)
    if look.relief is not None:
        tone += look.relief(u, v, widest)
    if look.holes is not None:
        amount, apart, radius = look.holes
        away = np.hypot(u % apart - apart / 2, v % apart - apart / 2)
        hole, mean = np.clip((radius - away) / np.maximum(widest, 0.003) + 0.5, 0.0, 1.0), np.pi * radius**2 / apart**2
        tone *= 1.0 - amount * (mean + (hole - mean) / (1.0 + (2.0 * widest / apart) ** 4))
    body = tone[:, None] * colour
    if not butt:
        return np.asarray(body, dtype=np.float32)
    between = joints(u, wide, period=long, joint=butt)
    if look.bond:  # where a pixel holds several courses their joints stand above each other: a mean, not a pattern
        between += np.clip(tall / high - 0.5, 0.0, 1.0) * (butt / long - between)
    beds = joints(v, tall, period=high, joint=bed) if bed else np.zeros_like(v)
    share = (between + beds - between * beds)[:, None]
    filling = np.array(look.filled, dtype=np.float32) if isinstance(look.filled, tuple) else body * (1.0 - look.filled)
    return np.asarray(body + share * (filling - body), dtype=np.float32)


def _wedges(u: F32, v: F32, width: F32) -> F32:
    """Ridges of foam whose direction changes from block to block."""
    block, pitch = _checker(u, v, 0.6), 0.075
    ridge = np.abs(np.where(block > 0, v, u) / pitch % 2 - 1) - 0.5
    return np.asarray(0.75 * ridge / (1.0 + (width / pitch) ** 2) - 0.07 * block)


def _cushion(u: F32, v: F32, width: F32) -> F32:
    """Panels whose edges slope back: light from above on the upper one, shade on the lower one."""
    x, y = u % 0.6, v % 0.6
    slope = np.exp((y - 0.6) * 22.0) - 1.2 * np.exp((0.03 - y) * 22.0) - 0.5 * np.exp((0.03 - x) * 25.0)
    return np.asarray(0.16 * slope / (1.0 + (10.0 * width) ** 2))


def _veins(u: F32, v: F32, width: F32) -> F32:
    turn = u + 0.8 * v + 0.16 * _noise(u * 2.6, v * 2.6) + 0.07 * _noise(u * 7, v * 7)
    vein = np.exp(-9.0 * np.abs(np.sin(4.1 * turn))) / (1.0 + (width / 0.15) ** 2)
    return np.asarray(-0.20 * _checker(u, v, 0.6) - 0.26 * vein)


def _sky(u: F32, v: F32, width: F32) -> F32:
    """A bright sky at the top of each pane, and a broad gleam across it."""
    gleam = np.exp(-30.0 * ((u + 0.6 * v) % 1.6 - 0.8) ** 2) / (1.0 + (width / 0.4) ** 2)
    return np.asarray(0.36 * (v % 1.3) / 1.3 + 0.14 * gleam - 0.28)


def _seats(u: F32, v: F32, width: F32) -> F32:
    """Rows of seats from above: cushions, backs, and the dark gangway between them."""
    x, y, edge = u % 0.55 - 0.275, v % 0.9, np.maximum(width, 0.01)
    cushion = np.clip((0.23 - np.maximum(np.abs(x), np.abs(y - 0.35))) / edge + 0.5, 0.0, 1.0)
    back = np.clip((0.055 - np.maximum(np.abs(y - 0.66), np.abs(x) - 0.18)) / edge + 0.5, 0.0, 1.0)
    soft = 1.0 / (1.0 + (width / 0.35) ** 4)
    return np.asarray((0.55 * np.maximum(cushion, back) - 0.3 * back - 0.25) * soft - 0.3)


_WOODS = ((0.72, 0.50, 0.29), (0.58, 0.37, 0.20), (0.80, 0.61, 0.39), (0.47, 0.29, 0.17))
_GREYS = ((0.88, 0.86, 0.82), (0.86, 0.87, 0.84), (0.89, 0.84, 0.76))
_CLOTHS = ((0.56, 0.14, 0.18), (0.20, 0.33, 0.50), (0.70, 0.60, 0.42), (0.27, 0.42, 0.36), (0.45, 0.29, 0.47), (0.72, 0.44, 0.21))
_CARPETS = ((0.45, 0.16, 0.17), (0.20, 0.29, 0.44), (0.25, 0.38, 0.29), (0.50, 0.42, 0.33), (0.36, 0.27, 0.40), (0.36, 0.37, 0.40))
_FELTS = ((0.44, 0.47, 0.52), (0.62, 0.56, 0.46), (0.33, 0.43, 0.47), (0.54, 0.45, 0.43))

_CORK = ((0.53, 0.42, 0.28), (0.45, 0.47, 0.42))
_TILE = ((0.91, 0.91, 0.89),)
_FOAMS = ((0.50, 0.52, 0.56), (0.42, 0.43, 0.47), (0.62, 0.60, 0.56))
_SKIES = ((0.56, 0.70, 0.80), (0.50, 0.66, 0.72), (0.62, 0.74, 0.80))

_PLASTER = _Look(grain=((0.018, 0.55, 0.55), (0.02, 0.07, 0.07)))
_PERFORATED = _Look(size=(0.6, 1.2), joint=(0.01, 0.01), filled=0.35, holes=(0.72, 0.06, 0.014))
_PADDED = _Look(((0.06, 0.05, 0.05),), (0.6, 0.6), (0.03, 0.03), 0.75, uneven=0.05, relief=_cushion)
_BLINDS = _Look((), (0.09, 1e3), (0.028, 0.0), (0.22, 0.30, 0.38), upright=True, waves=((0.10, 0.09),))
_BRICKS = _Look(((0.05, 0.9, 0.6),), (0.25, 0.083), (0.012, 0.012), (0.80, 0.77, 0.72), uneven=0.13, bond=0.125)
_CONCRETE = _Look(((0.06, 0.7, 0.5), (0.05, 0.12, 0.12)), (2.4, 1.2), (0.012, 0.012), 0.35, holes=(0.45, 1.2, 0.03))
_PLANKS = _Look(((0.075, 0.5, 0.018), (0.06, 0.9, 0.06)), (2.2, 0.16), (0.006, 0.007), 0.5, uneven=0.1, bond=3.7, upright=True)

# fmt: off
_FAMILIES: tuple[tuple[tuple[str, ...], _Look, tuple[_Colour, ...]], ...] = (
    (("audience", "orchestra", "chairs"), _Look(size=(0.55, 0.9), uneven=0.1, relief=_seats), _CLOTHS),
    (("perforated_veneered",), _PERFORATED, _WOODS),
    (("perforated", "acoustical_plaster"), _PERFORATED, ((0.90, 0.89, 0.86), (0.84, 0.86, 0.86))),
    (("fissured",), _Look(((-0.09, 0.09, 0.02),), (0.6, 0.6), (0.024, 0.024), (0.58, 0.58, 0.57), uneven=0.03), _TILE),
    (("melamine", "hanging_absorber"), _Look((), (0.6, 0.6), (0.02, 0.02), 0.5, relief=_wedges), _FOAMS),
    (("metal",), _Look(((0.05, 0.9, 0.012),), (0.3, 1.2), (0.012, 0.012), 0.55, waves=((0.1, 0.3),)), ((0.70, 0.72, 0.75),)),
    (("panel", "rockwool", "mineral_wool", "fibre_absorber"), _PADDED, _FELTS),
    (("felt", "cocos"), _Look(((0.09, 0.12, 0.02), (0.09, 0.03, 0.14), (0.05, 0.6, 0.6))), _CORK),
    (("carpet",), _Look(((0.11, 0.035, 0.035), (0.08, 0.11, 0.11)), (0.5, 0.5), (0.05, 0.05), filled=-0.22), _CARPETS),
    (("curtain",), _Look(((0.03, 0.5, 1.5),), waves=((0.26, 0.21), (0.08, 0.083))), _CLOTHS),
    (("blinds",), _BLINDS, ((0.86, 0.84, 0.78), (0.78, 0.76, 0.72))),
    (("brick",), _BRICKS, ((0.64, 0.30, 0.22), (0.58, 0.36, 0.27), (0.72, 0.47, 0.32))),
    (("limestone",), _Look(((0.05, 0.16, 0.1),), (0.7, 0.32), (0.015, 0.015), 0.38, uneven=0.06, bond=0.35), ((0.80, 0.75, 0.62),)),
    (("lime_wash",), _PLASTER, ((0.93, 0.90, 0.80),)),
    (("linoleum",), _Look(((0.07, 0.045, 0.03), (0.07, 0.25, 0.12)), (2.0, 1e3), (0.008, 0.0), 0.25), ((0.42, 0.52, 0.47),)),
    (("concrete", "reverb_chamber", "hard_surface"), _CONCRETE, ((0.62, 0.62, 0.60), (0.56, 0.57, 0.58), (0.68, 0.66, 0.62))),
    (("marble",), _Look((), (0.6, 0.6), (0.006, 0.006), 0.45, relief=_veins), ((0.87, 0.85, 0.81),)),
    (("tiles",), _Look((), (0.2, 0.2), (0.008, 0.008), (0.42, 0.42, 0.42), uneven=0.035), ((0.82, 0.87, 0.88),)),
    (("lead_glazing",), _Look((), (0.24, 0.24), (0.022, 0.022), 0.75, uneven=0.1, turned=True), ((0.62, 0.74, 0.66),)),
    (("glass", "glazing"), _Look((), (1.1, 1.3), (0.06, 0.06), (0.93, 0.93, 0.91), relief=_sky), _SKIES),
    (("door",), _Look(((0.06, 0.03, 0.9), (0.04, 0.1, 1.6)), (0.62, 1.02), (0.12, 0.12), filled=-0.14), ((0.56, 0.34, 0.20),)),
    (("wood", "stage_floor"), _PLANKS, _WOODS),
    (("plasterboard", "gypsum"), _Look(_PLASTER.grain, (1.2, 1e3), (0.008, 0.0), 0.3), _GREYS),
    (("",), _PLASTER, _GREYS),
)
# fmt: on
"""Words of a material's name, first match wins; how it is drawn; and its colours, of which each name has one for good."""
