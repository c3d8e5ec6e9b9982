"""Absorption for a whole spectrum of reverberation times, the spread of measured rooms, and furnished ones."""

import numpy as np
import pytest

from roomgen.acoustics.air import Air
from roomgen.acoustics.furnishing import USES, Use, draw_furnished
from roomgen.acoustics.materials import material_absorption
from roomgen.acoustics.measured_spectra import MEDIANS, SPREADS, draw_relative, draw_spectrum
from roomgen.acoustics.prediction.decay import predict_rt60_bands_s
from roomgen.acoustics.prediction.octave_absorption import absorption_for
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.surfaces import nearest_materials
from roomgen.errors import RoomgenError

FS = 16000
SIZES = [(1.5, 4.0, 2.6), (7.0, 5.0, 3.0), (12.0, 11.0, 4.0), (1.2, 10.0, 2.8)]
BANDS = tuple(125.0 * 2.0**k for k in range(7))


@pytest.mark.parametrize("size", SIZES)
def test_the_absorption_of_a_room_is_found_from_its_reverberation_times(size):
    rng = np.random.default_rng(1)
    for _ in range(5):
        relative = rng.uniform(0.5, 2.0, (6, 7))
        loss = rng.uniform(0.03, 0.5, 7)
        alpha = 1.0 - np.exp(-loss * relative)
        bands_s = predict_rt60_bands_s(Shoebox(size, absorption=alpha), fs_hz=FS)
        found = absorption_for(size, bands_s, fs_hz=FS, relative=relative, tolerance=1e-3)
        np.testing.assert_allclose(found, alpha, rtol=0.01)
        np.testing.assert_array_equal(found, found.astype(np.float32))


def test_air_bounds_what_a_high_band_can_have():
    air = Air(20.0, 50.0)
    asked = np.full(7, 6.0)
    alpha = absorption_for((12.0, 11.0, 4.0), asked, fs_hz=FS, air=air)
    bands_s = predict_rt60_bands_s(Shoebox((12.0, 11.0, 4.0), absorption=alpha), fs_hz=FS, air=air)
    np.testing.assert_allclose(bands_s[:4], 6.0, rtol=0.02)
    # 60 dB over c · 10 lg e · m: no wall makes a band ring longer than its air.
    alone_s = 6.0 * np.log(10.0) / (343.2 * air.energy_absorption_per_m(np.array(BANDS)))
    assert bands_s[6] == pytest.approx(0.9 * alone_s[6], rel=0.02)
    assert bands_s[6] < 1.5


def test_what_cannot_be_had_is_refused_with_its_band():
    times = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.02])
    with pytest.raises(RoomgenError, match=r"12 × 11 × 4 m cannot have a T30 of 0.02 s at 8000 Hz"):
        absorption_for((12.0, 11.0, 4.0), times, fs_hz=FS)
    for wrong in ([1.0] * 6, [1.0] * 6 + [np.nan], [1.0] * 6 + [0.0]):
        with pytest.raises(RoomgenError, match="are not 7 positive numbers"):
            absorption_for((5.0, 4.0, 3.0), wrong, fs_hz=FS)


def test_spectra_spread_as_they_are_said_to():
    rng = np.random.default_rng(0)
    drawn = np.stack([draw_spectrum(rng, 0.7, n_bands=7) for _ in range(4000)])
    np.testing.assert_allclose(drawn[:, 2:4].mean(axis=1), 0.7)
    ratio = np.log(drawn / 0.7)
    np.testing.assert_allclose(np.exp(np.median(ratio, axis=0)), MEDIANS, rtol=0.02)
    outside = [0, 1, 4, 5, 6]  # the two in the middle can only differ from each other
    expected = np.hypot(np.array(SPREADS)[outside], 0.06 / np.sqrt(2))  # of the band and of the mean of the two
    np.testing.assert_allclose(ratio[:, outside].std(axis=0), expected, rtol=0.06)
    assert 0.5 < np.corrcoef(ratio[:, 5], ratio[:, 6])[0, 1] < 0.75


def test_spectra_have_the_bands_of_any_rate():
    spectra = {n: draw_spectrum(np.random.default_rng(3), 0.5, n_bands=n) for n in (6, 7, 8)}
    np.testing.assert_array_equal(spectra[6], spectra[7][:6])
    np.testing.assert_array_equal(spectra[7], spectra[8][:7])
    assert spectra[8][7] == spectra[8][6]


def test_walls_differ_in_all_bands_and_in_each():
    rng = np.random.default_rng(0)
    factors = np.log(np.stack([draw_relative(rng, n_bands=7) for _ in range(2000)]))
    assert factors.mean(axis=2).std() == pytest.approx(np.hypot(0.3, 0.1 / np.sqrt(7)), rel=0.05)
    assert (factors - factors.mean(axis=2, keepdims=True)).std() == pytest.approx(0.1 * np.sqrt(6 / 7), rel=0.05)


def test_the_nearest_material_of_a_wall_is_its_own():
    names = ("curtains_velvet", "plywood_thin", "glass_3mm", "brick_wall_rough", "carpet_cotton", "ceiling_metal_panel")
    absorption = np.stack([material_absorption(name, BANDS) for name in names])
    assert nearest_materials(absorption, FS) == names
    assert nearest_materials(absorption[:, :6], 8000) == names
    swapped = nearest_materials(absorption[[5, 5, 5, 5, 0, 4]], FS)  # no carpet on a ceiling, no metal panel on a wall
    assert "ceiling_metal_panel" not in swapped
    assert not swapped[5].startswith("carpet")


def test_people_absorb_by_their_area_half_on_the_floor():
    bare = Use(floors=("marble_floor",), sides=("brickwork",), ceilings=("rough_lime_wash",), people_per_m2=(0, 0), windows=(0, 0))
    full = Use(floors=bare.floors, sides=bare.sides, ceilings=bare.ceilings, people_per_m2=(1, 1), windows=(0, 0))
    without, with_people = (draw_furnished(np.random.default_rng(0), (5.0, 4.0, 3.0), use) for use in (bare, full))
    np.testing.assert_allclose(without[4], [0.01, 0.01, 0.01, 0.02, 0.02, 0.02, 0.02])
    np.testing.assert_array_equal(without[5], with_people[5])
    # One person a square metre has 0.59 m² at 500 Hz and 1.13 m² at 2 kHz.
    np.testing.assert_allclose(with_people[4, [2, 4]], [1 - 0.99 * np.exp(-0.295), 1 - 0.98 * np.exp(-0.565)], rtol=1e-6)
    # Half of the 20 people's 11.8 m² at 500 Hz stand before 54 m² of wall.
    added = 1 - (1 - with_people[:4, 2]) / (1 - without[:4, 2])
    np.testing.assert_allclose(added, 1 - np.exp(-5.9 / 54), rtol=1e-6)


def test_plates_and_panes_absorb_low_frequencies_as_asked():
    light = Use(floors=("marble_floor",), sides=("plasterboard",), ceilings=("plasterboard",), people_per_m2=(0, 0), windows=(0, 0))
    for level in (0.15, 0.3):
        alpha = draw_furnished(np.random.default_rng(2), (5.0, 4.0, 3.0), light, light=(level, level))
        assert alpha[5, 0] == pytest.approx(level)
        assert alpha[4, 0] == pytest.approx(0.01)


@pytest.mark.parametrize("use", USES)
def test_every_use_gives_possible_walls_and_no_room_of_stone(use):
    rng = np.random.default_rng(4)
    means = []
    for _ in range(20):
        alpha = draw_furnished(rng, rng.uniform((2.0, 3.0, 2.4), (8.0, 7.0, 3.5)), USES[use])
        assert alpha.shape == (6, 7)
        assert (alpha > 0).all()
        assert (alpha < 1).all()
        means.append(alpha.mean(axis=0))
    mean = np.mean(means, axis=0)
    assert (mean > 0.05).all()  # bare stone has 0.01 to 0.03
    assert mean[0] > 0.5 * mean[3]  # low frequencies are not left out
