"""Scattering coefficients of a room: what may be given, what is kept, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from roomgen.acoustics.diffuse.scatterers import scatterers
from roomgen.acoustics.rooms import WALLS, Shoebox
from roomgen.errors import RoomgenError

SIZE = (5.0, 4.0, 3.0)


def test_walls_are_mirrors_unless_said_otherwise():
    room = Shoebox(SIZE, absorption=0.3)
    np.testing.assert_array_equal(room.scattering(16000), np.zeros((6, 7)))
    assert not room.scatters
    assert "scattering" not in repr(room)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (0.3, np.full((6, 7), 0.3)),
        ([0.0, 0.1, 0.2, 0.3, 0.4, 1.0], np.repeat([[0.0], [0.1], [0.2], [0.3], [0.4], [1.0]], 7, axis=1)),
        (dict(zip(WALLS, (0, 0, 0, 0, 0.5, 0), strict=True)), np.repeat([[0.0], [0], [0], [0], [0.5], [0]], 7, axis=1)),
        (np.array([[0.1], [0.2], [0.3], [0.4], [0.5], [0.6]]), np.repeat([[0.1], [0.2], [0.3], [0.4], [0.5], [0.6]], 7, axis=1)),
        (np.arange(42).reshape(6, 7) / 50, np.arange(42).reshape(6, 7) / 50),
    ],
)
def test_scattering_may_be_given_in_every_way(given, wanted):
    room = Shoebox(SIZE, absorption=0.3, scattering=given)
    np.testing.assert_allclose(room.scattering(16000), wanted, atol=1e-15)
    assert room.scatters
    assert "scattering" in repr(room)


def test_surfaces_have_names():
    # "QRD diffuser" of Vorländer's tables: 0.06 at 125 Hz, 0.91 at 4 kHz, which is held beyond.
    values = Shoebox(SIZE, scattering="rpg_qrd").scattering(16000)[0]
    np.testing.assert_allclose(values, [0.06, 0.15, 0.45, 0.95, 0.88, 0.91, 0.91])
    assert all(min(values) >= 0 and max(values) <= 1 for _, values in scatterers().values())


def test_scale_is_of_the_absorption_alone():
    room = Shoebox(SIZE, absorption=0.3, scattering=0.2).scaled(0.5)
    np.testing.assert_allclose(room.absorption(16000), 0.15)
    np.testing.assert_allclose(room.scattering(16000), 0.2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (1.2, "scattering 1.2 is outside"),
        (-0.1, "outside 0…1"),
        ([0.1, 0.2], "scattering of shape"),
        ({"floor": 0.1}, "no scattering for west"),
        ("rpg_qrx", "did you mean"),
        (np.ones((5, 7)), "a scattering array must be"),
        (np.full((6, 7), np.nan), "a scattering array must hold"),
    ],
)
def test_bad_scattering_is_refused(given, said):
    with pytest.raises(RoomgenError, match=f"(?i){said}"):
        Shoebox(SIZE, scattering=given)


def test_an_array_must_fit_the_bands():
    with pytest.raises(RoomgenError, match="scattering array has 6 bands"):
        Shoebox(SIZE, scattering=np.full((6, 6), 0.1)).scattering(16000)
