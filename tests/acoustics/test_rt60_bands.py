"""Rooms that are asked for an octave spectrum of RT60 have it: as predicted, and on responses."""

import numpy as np
import pytest

from roomgen.acoustics.air import Air
from roomgen.acoustics.materials import material_names
from roomgen.acoustics.prediction.decay import predict_rt60_bands_s
from roomgen.acoustics.prediction.rt60_bands import fit_bands, reachable_rt60_bands_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.errors import RoomgenError

FS = 8000
SPECTRUM = np.array([1.15, 1.08, 1.0, 1.0, 0.95, 0.82])
ROOM = Shoebox((6, 5, 3), absorption=[0.1, 0.3, 0.05, 0.2, 0.4, 0.1], scattering=0.2)


@pytest.mark.parametrize("air", [None, Air()])
def test_prediction_is_inverted_in_every_band(air: Air | None) -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        size = np.array([*rng.uniform(3, 10, 2), rng.uniform(2.5, 5)])
        room = Shoebox(size, absorption=list(rng.choice(material_names(), 6)))
        asked = rng.uniform(0.25, 1.5) * SPECTRUM
        table = fit_bands(room, asked, fs_hz=FS, air=air).whole()
        np.testing.assert_allclose(predict_rt60_bands_s(Shoebox(size, absorption=table), fs_hz=FS, air=air), asked, rtol=0.005)


def test_walls_keep_what_makes_them_differ() -> None:
    table = fit_bands(ROOM, 0.6 * SPECTRUM, fs_hz=FS).whole()
    ratio = np.log1p(-table) / np.log1p(-ROOM.absorption(FS))
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1], ratio.shape), rtol=1e-9)


def test_a_dead_and_a_live_band_are_named_and_the_others_are_right() -> None:
    asked = np.array([0.5, 0.5, 0.01, 0.5, 400.0, 0.5])
    fit = fit_bands(ROOM, asked, fs_hz=FS)
    assert list(fit.missed) == [500.0, 2000.0]
    assert "too dead" in fit.missed[500.0]
    assert "too live" in fit.missed[2000.0]
    shortest, longest = reachable_rt60_bands_s(ROOM, fs_hz=FS)
    np.testing.assert_allclose(fit.rt60_s, [0.5, 0.5, shortest[2], 0.5, longest[4], 0.5], rtol=0.005)
    with pytest.raises(RoomgenError, match=r"500 Hz: 0\.01 s is too dead: at least"):
        fit_bands(ROOM, asked, fs_hz=FS).whole()


def test_air_can_be_what_forbids_it() -> None:
    dry = Air(20, 20)
    asked = np.array([2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    with pytest.raises(RoomgenError, match="8000 Hz: 2 s is too live for the air"):
        fit_bands(ROOM, asked, fs_hz=16000, air=dry).whole()


@pytest.mark.parametrize(("asked", "said"), [([0.5] * 5, "5 RT60s for the 6 octaves"), ([0.5] * 5 + [0.0], "positive")])
def test_nonsense_is_refused(asked: list[float], said: str) -> None:
    with pytest.raises(RoomgenError, match=said):
        fit_bands(ROOM, asked, fs_hz=FS).whole()


def test_walls_that_absorb_nothing_in_a_band_are_named() -> None:
    table = ROOM.absorption(FS).copy()
    table[:, 2] = 0.0
    with pytest.raises(RoomgenError, match="absorbs nothing at 500 Hz"):
        fit_bands(ROOM.with_absorption(table), 0.5 * SPECTRUM, fs_hz=FS).whole()
