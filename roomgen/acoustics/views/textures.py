"""What the walls of a view look like: a procedural texture for each family of materials, drawn in metres on the wall.

A texture is a function of a point (u along the wall, v upwards; x and y on floor and ceiling) and of the width that a pixel covers
there: joints are averaged over the pixel in closed form, and noise finer than the pixel fades out, so nothing flickers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.rooms import Shoebox

F32 = NDArray[np.float32]
WallTexture = Callable[[F32, F32, F32, F32], F32]
"""From u, v, and the pixel's widths along u and v (all (point,), in metres) to (point, 3) colours in 0…1."""

_Shade = NDArray[np.floating[Any]]
_Colour = tuple[float, float, float]
_Style = Callable[[F32, F32, F32, F32, F32], F32]
"""As a texture, with the (3,) colour of the material at its end."""


def wall_textures(room: Shoebox) -> tuple[WallTexture, ...]:
    """Return the six textures of a room, in the order of its walls."""
    if room.materials is not None:
        return tuple(texture(name, scale=room.scale) for name in room.materials)
    assert room._table is not None  # a room without materials has a table
    return tuple(texture(repr(float(alpha)), scale=room.scale) for alpha in room._table.mean(axis=1))


def texture(material: str, *, scale: float = 1.0) -> WallTexture:
    """Return the texture of a material, or of an energy absorption written as a number (times ``scale``, cut at 1)."""
    try:
        absorption = min(float(material) * scale, 1.0)
    except ValueError:
        style, colours = _family(material)
        colour = np.asarray(colours[zlib.crc32(material.encode()) % len(colours)], dtype=np.float32)
    else:
        style = _plaster
        colour = _mixed(_f32(0.93, 0.92, 0.89)[None], _f32(0.50, 0.42, 0.36), _f32(absorption))[0]

    def drawn(u: F32, v: F32, wide: F32, tall: F32) -> F32:
        return style(u, v, wide, tall, colour)

    return drawn


def _family(material: str) -> tuple[_Style, tuple[_Colour, ...]]:
    """Return how a material is drawn and the colours that its members have."""
    for words, style, colours in _FAMILIES:
        if any(word in material for word in words):
            return style, colours
    return _plaster, _GREYS


def _f32(*values: float) -> F32:
    return np.array(values, dtype=np.float32)


def joints(x: F32, width: F32, *, period: float, joint: float) -> F32:
    """Return the share of a pixel around x that is joint: lines of width ``joint`` at all multiples of ``period``."""

    def up_to(position: F32) -> F32:
        whole = np.floor(position * np.float32(1 / period))
        return np.asarray(whole * joint + np.minimum(position - whole * period, joint), dtype=np.float32)

    width = np.maximum(width, np.float32(1e-3))
    return np.asarray((up_to(x + 0.5 * width) - up_to(x - 0.5 * width)) / width, dtype=np.float32)


def noise(x: F32, y: F32) -> F32:
    """Return smooth noise of mean 0 and deviation of about 1, with details of size 1, that repeats after 128."""
    tile = _noise_tile()
    left, low = np.floor(x), np.floor(y)
    a, b = x - left, y - low
    i, j = left.astype(np.int32) & 127, low.astype(np.int32) & 127
    flat = j * 128 + i
    right, up = j * 128 + ((i + 1) & 127), (((j + 1) & 127) * 128) + i
    both = (up & ~127) + ((i + 1) & 127)
    lower = tile[flat] + a * (tile[right] - tile[flat])
    upper = tile[up] + a * (tile[both] - tile[up])
    return np.asarray(lower + b * (upper - lower), dtype=np.float32)


@lru_cache(maxsize=1)
def _noise_tile() -> F32:
    return np.random.default_rng(20240611).normal(size=128 * 128).astype(np.float32)


def _grain(u: F32, v: F32, wide: F32, tall: F32, *, cell: tuple[float, float]) -> F32:
    """Return noise with details of a size in metres along u and v, gone where pixels are wider."""
    faded = 1.0 / (1.0 + (wide * np.float32(1 / cell[0])) ** 2 + (tall * np.float32(1 / cell[1])) ** 2)
    return np.asarray(noise(u * np.float32(1 / cell[0]), v * np.float32(1 / cell[1])) * faded, dtype=np.float32)


def _piece(across: F32, up: F32, wide: F32, tall: F32, *, size: tuple[float, float]) -> F32:
    """Return a random number of mean 0 and deviation of about 1 for each piece of a size (a brick), gone where pixels are wider."""
    i = np.floor(across * np.float32(1 / size[0])).astype(np.int32)
    j = np.floor(up * np.float32(1 / size[1])).astype(np.int32)
    faded = 1.0 / (1.0 + (wide * np.float32(1 / size[0])) ** 4 + (tall * np.float32(1 / size[1])) ** 4)
    return np.asarray(_noise_tile()[(i * 29 + j * 131 * 7) & 16383] * faded, dtype=np.float32)


def _tinted(colour: F32, shade: _Shade) -> F32:
    return np.asarray(shade[:, None] * colour, dtype=np.float32)


def _mixed(first: F32, second: F32, share: _Shade) -> F32:
    return np.asarray(first + share[:, None] * (second - first), dtype=np.float32)


def _either(first: F32, second: F32) -> F32:
    return first + second - first * second


def _plaster(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    blots = _grain(u, v, wide, tall, cell=(0.55, 0.55))
    return _tinted(colour, 1.0 + 0.018 * blots + 0.02 * _grain(u, v, wide, tall, cell=(0.07, 0.07)))


def _boards(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    joint = joints(u, wide, period=1.2, joint=0.008)
    return _plaster(u, v, wide, tall, colour) * (1.0 - 0.3 * joint)[:, None]


def _concrete(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    shade = 1.0 + 0.06 * _grain(u, v, wide, tall, cell=(0.7, 0.5)) + 0.05 * _grain(u, v, wide, tall, cell=(0.12, 0.12))
    seams = _either(joints(u, wide, period=2.4, joint=0.012), joints(v, tall, period=1.25, joint=0.012))
    # The holes of the formwork's ties.
    across, up = u % np.float32(1.2) - np.float32(0.6), v % np.float32(1.25) - np.float32(0.625)
    hole = np.clip((0.03 - np.hypot(across, up)) / np.maximum(np.maximum(wide, tall), 0.004) + 0.5, 0.0, 1.0)
    return _tinted(colour, shade * (1.0 - 0.35 * seams) * (1.0 - 0.45 * hole.astype(np.float32)))


def _brick(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    long, high, mortar = 0.25, 0.083, 0.012
    course = np.floor(v * np.float32(1 / high))
    shifted = u + np.float32(long / 2) * (course % 2)
    bond = joints(shifted, wide, period=long, joint=mortar)
    # Where a pixel holds several courses their butt joints stand above each other by halves: a mean, not a pattern.
    blur = np.clip(tall * np.float32(1 / high) - 0.5, 0.0, 1.0)
    bond = bond + blur * (np.float32(mortar / long) - bond)
    joint = _either(joints(v, tall, period=high, joint=mortar), bond)
    tone = 1.0 + 0.13 * _piece(shifted, v, wide, tall, size=(long, high)) + 0.05 * _grain(u, v, wide, tall, cell=(0.9, 0.6))
    return _mixed(_tinted(colour, tone), _f32(0.80, 0.77, 0.72), joint)


def _stone(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    course = np.floor(v * np.float32(1 / 0.32))
    shifted = u + np.float32(0.35) * (course % 2)
    joint = _either(joints(shifted, wide, period=0.7, joint=0.015), joints(v, tall, period=0.32, joint=0.015))
    tone = 1.0 + 0.06 * _piece(shifted, v, wide, tall, size=(0.7, 0.32)) + 0.05 * _grain(u, v, wide, tall, cell=(0.16, 0.1))
    return _tinted(colour, tone * (1.0 - 0.38 * joint))


def _planks(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    broad = 0.16
    plank = _piece(u, v, wide, tall, size=(broad, 1e3))
    slide = v + 3.7 * np.floor(u * np.float32(1 / broad))
    fibre = _grain(u, slide, wide, tall, cell=(0.018, 0.5)) + 0.8 * _grain(u, slide, wide, tall, cell=(0.06, 0.9))
    joint = _either(joints(u, wide, period=broad, joint=0.007), joints(slide, tall, period=2.2, joint=0.006))
    return _tinted(colour, (1.0 + 0.10 * plank + 0.075 * fibre) * (1.0 - 0.5 * joint))


def _door(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    fibre = _grain(u, v, wide, tall, cell=(0.03, 0.9)) + 0.6 * _grain(u, v, wide, tall, cell=(0.1, 1.6))
    # Panels of 0.5 × 0.9 m, sunk into frames.
    frame = _either(joints(u, wide, period=0.62, joint=0.12), joints(v, tall, period=1.02, joint=0.12))
    rim = _either(
        joints(u - np.float32(0.12), wide, period=0.62, joint=0.025), joints(v - np.float32(0.995), tall, period=1.02, joint=0.025)
    )
    return _tinted(colour, (0.9 + 0.06 * fibre + 0.12 * frame) * (1.0 - 0.4 * rim * (1.0 - frame)))


def _carpet(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    pile = _grain(u, v, wide, tall, cell=(0.035, 0.035)) + 0.7 * _grain(u, v, wide, tall, cell=(0.11, 0.11))
    band = np.maximum(joints(u, wide, period=0.5, joint=0.05), joints(v, tall, period=0.5, joint=0.05))
    return _tinted(colour, (1.0 + 0.11 * pile) * (1.0 + 0.22 * band))


def _felt(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    fibre = _grain(u, v, wide, tall, cell=(0.12, 0.02)) + _grain(u, v, wide, tall, cell=(0.03, 0.14))
    return _tinted(colour, 1.0 + 0.09 * fibre + 0.05 * _grain(u, v, wide, tall, cell=(0.6, 0.6)))


def _curtain(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    sway = u + np.float32(0.035) * noise(u * np.float32(2.3), v * np.float32(0.35))
    fold = np.sin(sway * np.float32(2 * np.pi / 0.21)) / (1.0 + (wide * np.float32(1 / 0.13)) ** 2)
    fine = np.sin(sway * np.float32(2 * np.pi / 0.083) + 1.0) / (1.0 + (wide * np.float32(1 / 0.05)) ** 2)
    return _tinted(colour, 0.84 + 0.26 * fold + 0.08 * fine + 0.03 * _grain(u, v, wide, tall, cell=(0.5, 1.5)))


def _blinds(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    gap = joints(v, tall, period=0.09, joint=0.028)
    tape = joints(u, wide, period=0.9, joint=0.03)
    slat = 1.0 + 0.10 * np.sin(v * np.float32(2 * np.pi / 0.09)) / (1.0 + (tall * np.float32(1 / 0.05)) ** 2)
    return _mixed(_tinted(colour, slat), _f32(0.22, 0.30, 0.38), gap * (1.0 - tape))


def _tiles(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    side = 0.2
    joint = _either(joints(u, wide, period=side, joint=0.008), joints(v, tall, period=side, joint=0.008))
    tone = 1.0 + 0.035 * _piece(u, v, wide, tall, size=(side, side))
    gloss = 0.05 * (u % np.float32(side) + v % np.float32(side) - side) * np.float32(1 / side) / (1.0 + ((wide + tall) / side) ** 2)
    return _mixed(_tinted(colour, tone + gloss), _f32(0.42, 0.42, 0.42), joint)


def _marble(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    joint = _either(joints(u, wide, period=0.6, joint=0.006), joints(v, tall, period=0.6, joint=0.006))
    checker = (np.floor(u * np.float32(1 / 0.6)) + np.floor(v * np.float32(1 / 0.6))) % 2
    turn = u + 0.8 * v + 0.16 * noise(u * 2.6, v * 2.6) + 0.07 * noise(u * 7, v * 7)
    vein = np.exp(-np.abs(np.sin(turn * np.float32(4.1))) * 9.0) / (1.0 + (np.maximum(wide, tall) * np.float32(1 / 0.15)) ** 2)
    return _tinted(colour, (1.0 - 0.20 * checker - 0.26 * vein) * (1.0 - 0.45 * joint))


def _linoleum(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    speck = _grain(u, v, wide, tall, cell=(0.045, 0.03)) + _grain(u, v, wide, tall, cell=(0.25, 0.12))
    return _tinted(colour, (1.0 + 0.07 * speck) * (1.0 - 0.25 * joints(u, wide, period=2.0, joint=0.008)))


def _glass(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    pane = (1.1, 1.3)
    frame = _either(joints(u, wide, period=pane[0], joint=0.06), joints(v, tall, period=pane[1], joint=0.06))
    # A bright sky at the top of each pane, and a broad gleam across it.
    sky = (v % np.float32(pane[1])) * np.float32(1 / pane[1])
    gleam = np.exp(-((((u + 0.6 * v) % np.float32(1.6)) - 0.8) ** 2) * np.float32(30.0)) / (1.0 + (wide / 0.4) ** 2)
    body = _tinted(colour, 0.72 + 0.36 * sky + 0.14 * gleam)
    return _mixed(body, _f32(0.93, 0.93, 0.91), frame)


def _leaded(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    width = (wide + tall) * np.float32(0.7)
    lead = _either(joints(u + v, width, period=0.24, joint=0.022), joints(u - v, width, period=0.24, joint=0.022))
    tone = 1.0 + 0.10 * _piece(u + v, u - v, width, width, size=(0.24, 0.24))
    return _tinted(colour, tone * (1.0 - 0.75 * lead))


def _panels(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    side = 0.6
    x, y = u % np.float32(side), v % np.float32(side)
    gap = _either(joints(u, wide, period=side, joint=0.03), joints(v, tall, period=side, joint=0.03))
    # Edges slope back: light from above on the upper one, shade on the lower one.
    slope = (
        np.exp((y - side) * np.float32(22.0))
        - np.exp(-(y - 0.03) * np.float32(22.0)) * 1.2
        - 0.5 * np.exp(-(x - 0.03) * np.float32(25.0))
    )
    slope = slope / (1.0 + ((wide + tall) * np.float32(1 / 0.2)) ** 2)
    weave = _grain(u, v, wide, tall, cell=(0.05, 0.05))
    tone = 1.0 + 0.05 * _piece(u, v, wide, tall, size=(side, side)) + 0.06 * weave + 0.16 * slope
    return _tinted(colour, tone * (1.0 - 0.75 * gap))


def _wedges(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    pitch = 0.15
    wave = np.abs((u * np.float32(2 / pitch)) % 2 - 1) - 0.5
    block = (np.floor(u * np.float32(1 / 0.6)) + np.floor(v * np.float32(1 / 0.6))) % 2
    across = np.abs((v * np.float32(2 / pitch)) % 2 - 1) - 0.5
    ridge = np.where(block > 0, across, wave) / (1.0 + (np.maximum(wide, tall) * np.float32(2 / pitch)) ** 2)
    gap = _either(joints(u, wide, period=0.6, joint=0.02), joints(v, tall, period=0.6, joint=0.02))
    return _tinted(colour, (1.0 + 0.75 * ridge) * (1.0 - 0.5 * gap) * (1.0 - 0.07 * block))


def _perforated(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    pitch, hole = 0.06, 0.014
    away = np.hypot(u % np.float32(pitch) - np.float32(pitch / 2), v % np.float32(pitch) - np.float32(pitch / 2))
    width = np.maximum(np.maximum(wide, tall), np.float32(0.003))
    dot = np.clip((hole - away) / width + 0.5, 0.0, 1.0)
    mean = np.float32(np.pi * hole**2 / pitch**2)
    dot = mean + (dot - mean) / (1.0 + (width * np.float32(1 / 0.03)) ** 4)
    seam = _either(joints(u, wide, period=0.6, joint=0.01), joints(v, tall, period=1.2, joint=0.01))
    return _tinted(_plaster(u, v, wide, tall, colour), (1.0 - 0.72 * dot) * (1.0 - 0.35 * seam))


def _fissured(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    crack = np.maximum(_grain(u, v, wide, tall, cell=(0.09, 0.02)) - 0.5, 0.0)
    rail = _either(joints(u, wide, period=0.6, joint=0.024), joints(v, tall, period=0.6, joint=0.024))
    tone = 1.0 + 0.03 * _piece(u, v, wide, tall, size=(0.6, 0.6)) - 0.28 * crack
    return _mixed(_tinted(colour, tone), _f32(0.58, 0.58, 0.57), rail)


def _metal(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    brushed = _grain(u, v, wide, tall, cell=(0.9, 0.012))
    rail = _either(joints(u, wide, period=0.3, joint=0.012), joints(v, tall, period=1.2, joint=0.012))
    shine = 0.10 * np.sin(u * np.float32(2 * np.pi / 0.3)) / (1.0 + (wide * np.float32(1 / 0.15)) ** 2)
    return _tinted(colour, (1.0 + 0.05 * brushed + shine) * (1.0 - 0.55 * rail))


def _seats(u: F32, v: F32, wide: F32, tall: F32, colour: F32) -> F32:
    """Rows of seats seen from above: backs, cushions and the gangway between them."""
    row, seat = 0.9, 0.55
    y, x = v % np.float32(row), u % np.float32(seat) - np.float32(seat / 2)
    soft = 1.0 / (1.0 + (np.maximum(wide, tall) * np.float32(1 / 0.35)) ** 4)
    width = np.maximum(np.maximum(wide, tall), np.float32(0.01))
    cushion = np.clip((0.23 - np.maximum(np.abs(x), np.abs(y - 0.35))) / width + 0.5, 0.0, 1.0)
    back = np.clip((0.055 - np.maximum(np.abs(y - 0.66), np.abs(x) - 0.18)) / width + 0.5, 0.0, 1.0)
    cover = 0.5 + (np.maximum(cushion, back) - 0.5) * soft
    tone = 1.0 + 0.10 * _piece(u, v, wide, tall, size=(seat, row)) - 0.30 * back * soft
    return _mixed(np.broadcast_to(_f32(0.33, 0.29, 0.26), (len(u), 3)), _tinted(colour, tone), cover.astype(np.float32))


_WOODS: tuple[_Colour, ...] = ((0.72, 0.50, 0.29), (0.58, 0.37, 0.20), (0.80, 0.61, 0.39), (0.47, 0.29, 0.17))
_GREYS: tuple[_Colour, ...] = ((0.88, 0.86, 0.82), (0.86, 0.87, 0.84), (0.89, 0.84, 0.76))
_CARPETS: tuple[_Colour, ...] = (
    (0.45, 0.16, 0.17),
    (0.20, 0.29, 0.44),
    (0.25, 0.38, 0.29),
    (0.50, 0.42, 0.33),
    (0.36, 0.27, 0.40),
    (0.36, 0.37, 0.40),
)
_CLOTHS: tuple[_Colour, ...] = (
    (0.56, 0.14, 0.18),
    (0.20, 0.33, 0.50),
    (0.70, 0.60, 0.42),
    (0.27, 0.42, 0.36),
    (0.45, 0.29, 0.47),
    (0.72, 0.44, 0.21),
)
_FELTS: tuple[_Colour, ...] = ((0.44, 0.47, 0.52), (0.62, 0.56, 0.46), (0.33, 0.43, 0.47), (0.54, 0.45, 0.43))

_FAMILIES: tuple[tuple[tuple[str, ...], _Style, tuple[_Colour, ...]], ...] = (
    (("audience", "orchestra", "chairs"), _seats, _CLOTHS),
    (("perforated_veneered",), _perforated, _WOODS),
    (("perforated", "acoustical_plaster"), _perforated, ((0.90, 0.89, 0.86), (0.84, 0.86, 0.86))),
    (("fissured",), _fissured, ((0.91, 0.91, 0.89),)),
    (("melamine", "hanging_absorber"), _wedges, ((0.50, 0.52, 0.56), (0.42, 0.43, 0.47), (0.62, 0.60, 0.56))),
    (("metal",), _metal, ((0.70, 0.72, 0.75),)),
    (("panel", "rockwool", "mineral_wool", "fibre_absorber"), _panels, _FELTS),
    (("felt", "cocos"), _felt, ((0.53, 0.42, 0.28), (0.45, 0.47, 0.42))),
    (("carpet",), _carpet, _CARPETS),
    (("curtain",), _curtain, _CLOTHS),
    (("blinds",), _blinds, ((0.86, 0.84, 0.78), (0.78, 0.76, 0.72))),
    (("brick",), _brick, ((0.64, 0.30, 0.22), (0.58, 0.36, 0.27), (0.72, 0.47, 0.32))),
    (("limestone",), _stone, ((0.80, 0.75, 0.62),)),
    (("lime_wash",), _plaster, ((0.93, 0.90, 0.80),)),
    (("linoleum",), _linoleum, ((0.42, 0.52, 0.47),)),
    (("concrete", "reverb_chamber", "hard_surface"), _concrete, ((0.62, 0.62, 0.60), (0.56, 0.57, 0.58), (0.68, 0.66, 0.62))),
    (("marble",), _marble, ((0.87, 0.85, 0.81),)),
    (("tiles",), _tiles, ((0.82, 0.87, 0.88),)),
    (("lead_glazing",), _leaded, ((0.62, 0.74, 0.66),)),
    (("glass", "glazing"), _glass, ((0.56, 0.70, 0.80), (0.50, 0.66, 0.72), (0.62, 0.74, 0.80))),
    (("door",), _door, ((0.56, 0.34, 0.20),)),
    (("wood", "stage_floor"), _planks, _WOODS),
    (("plasterboard", "gypsum"), _boards, _GREYS),
)
"""Words of a material's name, first match wins; how it is drawn; and its colours, of which each name has one for good."""
