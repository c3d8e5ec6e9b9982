"""The person that stands for a source in a view: flat, upright, turned to the eye, feet on the floor, mouth at the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

_MOUTH_M = 1.58  # mouth of an adult of 1.75 m
_SKIN, _HAIR, _LIPS = (0.87, 0.68, 0.56), (0.20, 0.13, 0.09), (0.45, 0.10, 0.10)
_SHIRT, _TROUSERS, _SHOES = (0.80, 0.22, 0.17), (0.16, 0.20, 0.34), (0.09, 0.08, 0.08)


@dataclass(frozen=True, eq=False)
class Figure:
    """A person in a vertical plane.

    ``normal`` is the horizontal unit vector from the person to the eye, ``right`` that to the right as the eye sees it.
    """

    eye_m: NDArray[np.float32]
    mouth_m: NDArray[np.float32]
    normal: NDArray[np.float32]
    right: NDArray[np.float32]

    @classmethod
    def facing(cls, eye_m: Sequence[float], mouth_m: Sequence[float]) -> Figure:
        """Return the person with the mouth at a place, looking at the eye."""
        eye, mouth = np.asarray(eye_m, dtype=np.float64), np.asarray(mouth_m, dtype=np.float64)
        x, y = (eye - mouth)[:2]
        length = float(np.hypot(x, y))
        normal = np.array([x / length, y / length, 0.0]) if length > 1e-6 else np.array([1.0, 0.0, 0.0])
        right = np.array([-normal[1], normal[0], 0.0])
        return cls(*(np.asarray(v, dtype=np.float32) for v in (eye, mouth, normal, right)))

    @property
    def scale(self) -> float:
        """Size of head and limbs, 1 for an adult; heights below the mouth follow the mouth's height."""
        return float(np.clip(self.mouth_m[2] / _MOUTH_M, 0.5, 1.2))

    def meet(
        self, rays: NDArray[np.float32], depth_m: NDArray[np.float32]
    ) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32], NDArray[np.int8]]:
        """Return which of (3, ray) unit vectors meet the person before ``depth_m``, at what distance, and what they show.

        The last two are the (hit, 3) colours and the number of the part of the body, from 1.
        """
        offset = self.mouth_m - self.eye_m
        facing = self.normal @ rays
        ahead = np.flatnonzero(facing < -1e-6)
        distance = np.float32(offset @ self.normal) / facing[ahead]
        rays = rays.take(ahead, axis=1)
        side = distance * (self.right @ rays) - np.float32(offset @ self.right)
        height = distance * rays[2] + self.eye_m[2]
        size = self.scale
        near = (np.abs(side) < 0.36 * size) & (height > 0) & (height < self.mouth_m[2] + 0.3 * size)
        near &= (distance < depth_m[ahead]) & (distance > 1e-4)
        ahead, distance = ahead[near], distance[near]
        colour, part = _paint(side[near], height[near], mouth=float(self.mouth_m[2]), size=size)
        drawn = part > 0
        return ahead[drawn], distance[drawn], colour[drawn], part[drawn]


def shadow(figure: Figure, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much light the person leaves at (3, point) points of the floor."""
    x, y = points[:2] - figure.mouth_m[:2, None]
    return np.asarray(1.0 - 0.5 * np.exp((x * x + y * y) * np.float32(-1 / (2 * 0.2**2))), dtype=np.float32)


def _paint(
    side: NDArray[np.float32], height: NDArray[np.float32], *, mouth: float, size: float
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Return (point, 3) colours in the person's plane and the number of the part there, 0 for none; later parts cover others."""
    colour = np.zeros((len(side), 3), dtype=np.float32)
    part = np.zeros(len(side), dtype=np.int8)
    parts = count(1)
    s = size
    shoulder = mouth - 0.19 * s
    hip, hand, elbow = 0.61 * shoulder, 0.53 * shoulder, 0.76 * shoulder

    def put(round_: NDArray[np.float32], paint: tuple[float, float, float]) -> None:
        inside = round_ > 0
        colour[inside] = np.multiply.outer(0.55 + 0.45 * np.sqrt(round_[inside]), np.asarray(paint, dtype=np.float32))
        part[inside] = next(parts)

    def limb(start: tuple[float, float], end: tuple[float, float], thick: tuple[float, float]) -> NDArray[np.float32]:
        """Return 1 on the middle line of a limb that runs between two points, 0 at its skin and less outside."""
        (x0, z0), (x1, z1) = start, end
        share = ((side - x0) * (x1 - x0) + (height - z0) * (z1 - z0)) / max((x1 - x0) ** 2 + (z1 - z0) ** 2, 1e-9)
        share = np.clip(share, 0.0, 1.0)
        squared = (side - x0 - share * (x1 - x0)) ** 2 + (height - z0 - share * (z1 - z0)) ** 2
        return np.asarray(1.0 - squared / (thick[0] + share * (thick[1] - thick[0])) ** 2, dtype=np.float32)

    def oval(x: float, z: float, wide: float, tall: float) -> NDArray[np.float32]:
        return np.asarray(1.0 - ((side - x) / wide) ** 2 - ((height - z) / tall) ** 2, dtype=np.float32)

    for foot in (-1, 1):
        put(oval(foot * 0.095 * s, 0.03 * s, 0.055 * s, 0.045 * s), _SHOES)
        put(limb((foot * 0.068 * s, hip), (foot * 0.085 * s, 0.08 * s), (0.075 * s, 0.044 * s)), _TROUSERS)
        put(limb((foot * 0.222 * s, elbow), (foot * 0.225 * s, hand), (0.037 * s, 0.033 * s)), _SKIN)
        put(limb((foot * 0.165 * s, shoulder - 0.03 * s), (foot * 0.222 * s, elbow), (0.050 * s, 0.040 * s)), _SHIRT)
    put(limb((0.0, mouth - 0.02 * s), (0.0, shoulder), (0.05 * s, 0.056 * s)), _SKIN)
    # Torso: a trunk whose half-width runs from the shoulders over the waist to the hips, round at its shoulders.
    share = (height - hip + 0.03 * s) / (shoulder - hip + 0.08 * s)
    half = s * np.interp(share, [0.0, 0.35, 0.8, 0.92, 1.0], [0.142, 0.122, 0.160, 0.150, 0.07]).astype(np.float32)
    put(np.where((share > 0) & (share < 1), 1.0 - (side / half) ** 2, -1.0).astype(np.float32), _SHIRT)
    put(oval(0.0, mouth + 0.045 * s, 0.083 * s, 0.122 * s), _SKIN)
    hair = np.minimum(oval(0.0, mouth + 0.062 * s, 0.094 * s, 0.125 * s), (height - mouth - 0.105 * s) / (0.05 * s) + 0.25)
    put(hair, _HAIR)
    for eye in (-1, 1):
        put(oval(eye * 0.032 * s, mouth + 0.068 * s, 0.011 * s, 0.009 * s), _SHOES)
    put(oval(0.0, mouth, 0.024 * s, 0.013 * s), _LIPS)
    return colour, part
