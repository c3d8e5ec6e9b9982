"""First-order directivity: how a source or microphone weighs the directions around it.

The gain in the direction of a unit vector u is p + (1 - p) · (axis · u): p = 1 is omnidirectional, 1/2 a cardioid, 0
bidirectional (a figure-eight, which turns the sign behind it).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import RoomgenError, suggest

PATTERNS = {
    "omni": 1.0,
    "subcardioid": 0.75,
    "cardioid": 0.5,
    "supercardioid": (np.sqrt(3.0) - 1.0) / 2.0,
    "hypercardioid": 0.25,
    "bidirectional": 0.0,
}
"""The named patterns and their p: super- and hypercardioid have the highest front-to-back ratio and directivity index."""


@dataclass(frozen=True)
class Directivity:
    """A first-order pattern and where it looks.

    Args:
        p: share of the omnidirectional part, in [0, 1]. :meth:`named` takes a pattern's name instead.
        azimuth_deg: from +x counter-clockwise.
        elevation_deg: from the horizontal plane, upwards.

    Raises:
        RoomgenError: p outside [0, 1] or an angle that is not finite.
    """

    p: float = 1.0
    azimuth_deg: float = 0.0
    elevation_deg: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.p <= 1.0:
            raise RoomgenError(f"directivity p = {self.p} is outside 0…1 (1 omnidirectional, 0.5 cardioid, 0 figure-eight).")
        if not np.isfinite([self.azimuth_deg, self.elevation_deg]).all():
            raise RoomgenError("directivity angles must be finite, in degrees.")

    @classmethod
    def named(cls, pattern: str, *, azimuth_deg: float = 0.0, elevation_deg: float = 0.0) -> Directivity:
        """Return the pattern of that name (see :data:`PATTERNS`)."""
        if pattern not in PATTERNS:
            raise RoomgenError(f"unknown pattern {pattern!r}.{suggest(pattern, PATTERNS)} Patterns: {', '.join(PATTERNS)}.")
        return cls(PATTERNS[pattern], azimuth_deg, elevation_deg)

    @property
    def axis(self) -> NDArray[np.float64]:
        """(3,) unit vector of the direction that the pattern looks in."""
        azimuth, elevation = np.deg2rad([self.azimuth_deg, self.elevation_deg])
        horizontal = np.cos(elevation)
        return np.array([horizontal * np.cos(azimuth), horizontal * np.sin(azimuth), np.sin(elevation)])

    def gain(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (…) gains in the directions of (…, 3) unit vectors, seen from the source or microphone."""
        return np.asarray(self.p + (1.0 - self.p) * (directions @ self.axis))


OMNI = Directivity()
