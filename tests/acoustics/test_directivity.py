"""The named patterns have the properties that they are named for."""

from __future__ import annotations

import numpy as np
import pytest

from roomgen.acoustics.directivity import PATTERNS, Directivity

ANGLES = np.linspace(0.0, np.pi, 20_001)
FRONT = np.cos(ANGLES) >= 0.0


def gains(p: float) -> np.ndarray:
    """Return the gains of a pattern towards all angles from its axis."""
    directions = np.stack([np.cos(ANGLES), np.sin(ANGLES), np.zeros_like(ANGLES)], axis=1)
    return Directivity(p).gain(directions)


def energy(p: float, of: np.ndarray) -> float:
    """Return what a diffuse field that comes from these angles leaves in a microphone."""
    return float(np.trapezoid((gains(p) ** 2 * np.sin(ANGLES))[of], ANGLES[of]))


def best(figure_of_merit) -> float:
    shares = np.linspace(0.0, 1.0, 1001)
    return shares[np.argmax([figure_of_merit(p) for p in shares])]


def test_a_hypercardioid_hears_least_of_a_diffuse_field():
    assert PATTERNS["hypercardioid"] == pytest.approx(best(lambda p: -energy(p, ANGLES >= 0)), abs=1e-3)


def test_a_supercardioid_hears_most_from_its_front_half_over_its_back_half():
    assert PATTERNS["supercardioid"] == pytest.approx(best(lambda p: energy(p, FRONT) / energy(p, ~FRONT)), abs=1e-3)


@pytest.mark.parametrize(
    ("pattern", "null_deg"), [("cardioid", 180.0), ("supercardioid", 125.3), ("hypercardioid", 109.5), ("bidirectional", 90.0)]
)
def test_nulls_are_where_textbooks_have_them(pattern, null_deg):
    assert np.rad2deg(ANGLES[np.argmin(np.abs(gains(PATTERNS[pattern])))]) == pytest.approx(null_deg, abs=0.1)


def test_a_subcardioid_is_six_decibels_down_behind_and_an_omni_is_not():
    assert gains(PATTERNS["subcardioid"])[-1] == pytest.approx(0.5)
    assert gains(PATTERNS["omni"])[-1] == 1.0
