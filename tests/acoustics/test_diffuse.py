"""The diffuse field: its energy against rays and known cases, and what microphones hear of it."""

from __future__ import annotations

import numpy as np
import pytest

from roomgen.acoustics.air import Air, speed_of_sound_m_s
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.decay import decay_curve, decay_time_s, energy_density, predict_rt60_bands_s, predict_rt60_s
from roomgen.acoustics.diffuse_energy import diffuse_energy
from roomgen.acoustics.materials import material_names
from roomgen.acoustics.rooms import Shoebox
from roomgen.errors import RoomgenError
from tests.acoustics.rays import ray_energies, t30_s

C = 343.0


def random_room(seed, **settings):
    rng = np.random.default_rng(seed)
    names = [name for name in material_names() if name != "anechoic"]
    return Shoebox(rng.uniform((3.0, 2.5, 2.3), (10.0, 7.0, 4.0)), absorption=list(rng.choice(names, 6)), **settings)


# Its energy


def test_reverberation_times_are_those_of_rays():
    errors = {scattering: [] for scattering in (0.1, 0.3, 0.6)}
    for scattering, found in errors.items():
        for seed in range(10):
            room = random_room(seed, scattering=scattering)
            energy = diffuse_energy(room, fs_hz=16000, c_m_s=C)
            bands = [0, 3, 6]
            step, bins = 0.002, int(energy.time_s[bands, -1].max() / 0.002)
            alpha = room.absorption(16000)[:, bands]
            rays, unscattered = ray_energies(np.array(room.size_m), alpha, np.full(6, scattering), C, step, bins, 20_000, seed)
            t_s = (np.arange(bins) + 0.5) * step
            specular, diffuse = energy.specular_at(t_s)[bands], energy.diffuse_at(t_s)[bands]
            assert np.abs(specular - unscattered)[:, 1:].max() < 0.03
            found += [t30_s(ours, step) / t30_s(theirs, step) - 1 for ours, theirs in zip(specular + diffuse, rays, strict=True)]
    for found in errors.values():
        assert np.nanmedian(np.abs(found)) < 0.025
        assert abs(np.nanmedian(found)) < 0.015
        assert np.nanpercentile(np.abs(found), 80) < 0.1


@pytest.mark.parametrize("scattering", [0.3, 1.0])
def test_energy_is_kept_where_nothing_absorbs(scattering):
    energy = diffuse_energy(Shoebox((7, 4, 3), absorption=0.0, scattering=scattering), fs_hz=16000, c_m_s=C)
    np.testing.assert_allclose(energy.specular + energy.diffuse, 1.0, atol=1e-5)
    np.testing.assert_allclose(energy.diffuse_at(np.array([10.0])), 1.0, atol=1e-4)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5])
def test_strong_scattering_between_equal_walls_is_eyrings(alpha):
    room = Shoebox((6, 5, 4.5), absorption=alpha, scattering=0.95)
    energy = diffuse_energy(room, fs_hz=16000, c_m_s=C)
    exponent = -np.log(1 - alpha)
    eyring = 24 * np.log(10) * room.volume_m3 / (C * exponent * room.surface_m2)
    # Free paths vary, by 0.342 of their squared mean in a cube (Kuttruff, Room Acoustics, table 5.1 and eq. 5.46).
    assert 6 * np.log(10) / energy.late_rate[3] == pytest.approx(eyring / (1 - 0.342 / 2 * exponent), rel=0.03)
    if alpha < 0.1:
        assert 6 * np.log(10) / energy.late_rate[3] == pytest.approx(eyring, rel=0.03)


def test_a_dead_wall_does_not_take_all():
    # Sabine's and Millington's rooms decay at once; one wall of six takes a sixth of what is diffuse.
    room = Shoebox((5, 5, 5), absorption=[1.0, 0, 0, 0, 0, 0], scattering=1.0)
    energy = diffuse_energy(room, fs_hz=16000, c_m_s=C)
    found = 6 * np.log(10) / energy.late_rate[0]
    # Lambert between six equal faces with form factors 0.2 (opposite 0.1998): power iteration over hits, 4 V / S c each.
    factors = np.full((6, 6), (1 - 0.19982) / 4)
    for wall in range(6):
        factors[wall, wall], factors[wall, wall ^ 1] = 0.0, 0.19982
    kept = np.linalg.eigvals(factors * np.array([0.0, 1, 1, 1, 1, 1])).real.max()
    assert found == pytest.approx(6 * np.log(10) * 4 * 125 / (150 * C) / -np.log(kept), rel=0.06)


def test_mirrors_feed_no_field():
    energy = diffuse_energy(Shoebox((5, 4, 3), absorption=0.2), fs_hz=16000, c_m_s=C)
    assert np.all(energy.diffuse == 0)


def test_each_band_is_its_own():
    alpha, scattering = np.full((6, 7), 0.2), np.zeros((6, 7))
    alpha[:, 2], scattering[:, 4] = 0.4, 0.3
    energy = diffuse_energy(Shoebox((5, 4, 3), absorption=alpha, scattering=scattering), fs_hz=16000, c_m_s=C)
    alone = diffuse_energy(Shoebox((5, 4, 3), absorption=0.2, scattering=0.3), fs_hz=16000, c_m_s=C)
    np.testing.assert_array_equal(energy.diffuse[4], alone.diffuse[0])
    np.testing.assert_array_equal(np.flatnonzero(energy.diffuse.any(axis=1)), [4])
    assert energy.time_s[2, -1] < energy.time_s[3, -1]


def test_what_was_asked_before_changes_nothing():
    room = random_room(3, scattering=0.2)
    first = diffuse_energy(room, fs_hz=16000, c_m_s=C)
    from roomgen.acoustics import diffuse_energy as module

    module._of_walls.cache_clear()
    again = diffuse_energy(Shoebox(room.size_m, absorption=room.materials, scattering=0.2), fs_hz=16000, c_m_s=C)
    np.testing.assert_array_equal(first.diffuse, again.diffuse)
    np.testing.assert_array_equal(first.specular, again.specular)


# Predictions


def test_predictions_count_what_is_scattered():
    room = Shoebox((6, 5, 4.5), absorption=0.1, scattering=0.9)
    eyring = 24 * np.log(10) * room.volume_m3 / (C * -np.log(0.9) * room.surface_m2)
    assert predict_rt60_bands_s(room, fs_hz=16000)[1:] == pytest.approx(eyring / (1 + 0.342 / 2 * np.log(0.9)), rel=0.03)
    assert predict_rt60_s(room, fs_hz=16000) == pytest.approx(eyring, rel=0.05)
    assert decay_time_s(room, fs_hz=16000) == pytest.approx(eyring, rel=0.05)


def test_predictions_meet_those_of_mirrors():
    room = random_room(4)
    for predict in (predict_rt60_bands_s, lambda *a, **k: decay_time_s(*a, bands="slowest", **k)):
        mirrors = predict(room, fs_hz=16000)
        assert predict(random_room(4, scattering=1e-9), fs_hz=16000) == pytest.approx(mirrors, rel=0.1)


def test_schroeder_integral_and_density_belong_together():
    room, air = random_room(5, scattering=0.3), Air(20, 30)
    t_s = np.linspace(0.0, 6.0, 60_001)
    density, curve = (f(room, fs_hz=16000, t_s=t_s, air=air) for f in (energy_density, decay_curve))
    summed = np.cumsum(density[:, ::-1], axis=1)[:, ::-1] * t_s[1]
    np.testing.assert_allclose(curve[:, :3000:100], summed[:, :3000:100], rtol=0.02)


def test_air_takes_from_what_is_scattered_as_from_images():
    room, air, t_s = random_room(6, scattering=0.4), Air(humidity_pct=30, temperature_c=20), [0.01, 0.3]
    lost = energy_density(room, fs_hz=16000, t_s=t_s, air=air) / energy_density(room, fs_hz=16000, t_s=t_s)
    way = speed_of_sound_m_s(air) * np.array(t_s)
    expected = np.exp(-np.outer(air.energy_absorption_per_m(octave_centers(16000)), way))
    np.testing.assert_allclose(lost, expected, rtol=0.02)


def test_a_room_that_never_decays_is_refused_however_it_scatters():
    with pytest.raises(RoomgenError, match="no finite reverberation time"):
        predict_rt60_s(Shoebox((5, 4, 3), absorption=0.0, scattering=0.5), fs_hz=16000)
    # Two rigid opposite walls keep nothing for ever where they scatter.
    walls = [0.0, 0.0, 0.3, 0.3, 0.3, 0.3]
    assert predict_rt60_s(Shoebox((5, 4, 3), absorption=walls, scattering=0.5), fs_hz=16000) < 1.0
