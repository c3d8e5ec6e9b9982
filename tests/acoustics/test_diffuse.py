"""The diffuse field: its energy against rays and known cases, and what microphones hear of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from roomgen.acoustics.air import Air, speed_of_sound_m_s
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.diffuse.energy import diffuse_energy
from roomgen.acoustics.directivity import Directivity
from roomgen.acoustics.images.sources import add_pair, image_source
from roomgen.acoustics.images.tables import image_axes, scene_synthesis
from roomgen.acoustics.materials import material_names
from roomgen.acoustics.prediction.decay import decay_time_s, energy_density, predict_rt60_bands_s, predict_rt60_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions, make_scene
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
    from roomgen.acoustics.diffuse import energy as module

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


# What microphones hear

PULSES = {"absorption": [0.1, 0.15, 0.12, 0.2, 0.1, 0.15], "scattering": 0.6}
SIZE = (6.2, 4.7, 3.1)


def heard(mics, *, source=(1.2, 3.1, 1.4), walls=None, engine=image_source, **settings):
    settings.setdefault("duration_s", 0.4)
    return engine(make_scene(Shoebox(SIZE, **(walls or PULSES)), sources=[source], mics=mics, **settings)).rir[0].astype(float)


def field_alone(mics, **settings):
    """What is scattered: the response less that of its images, which lose the same."""
    mirrors = {"absorption": 1 - np.outer(1 - np.array(PULSES["absorption"]), np.full(7, 0.4))}
    options = settings.pop("options", ImageOptions())
    whole = heard(mics, options=replace(options, specular_floor_db=None), **settings)
    return whole - heard(mics, walls=mirrors, options=options, **settings)


def test_scattering_of_nothing_changes_no_byte():
    mics = [[4.0, 1.5, 1.2]]
    for nothing in (0.0, np.zeros((6, 7)), dict.fromkeys(("west", "east", "south", "north", "floor", "ceiling"), 0)):
        walls = {"absorption": PULSES["absorption"], "scattering": nothing}
        mirrors = {"absorption": PULSES["absorption"]}
        assert heard(mics, walls=walls).tobytes() == heard(mics, walls=mirrors).tobytes()


@pytest.mark.parametrize("distance", [0.05, 0.2])
def test_coherence_of_two_microphones_is_that_of_a_diffuse_field(distance):
    cross, power, freq = 0.0, 0.0, np.fft.rfftfreq(1024, 1 / 16000)
    for seed in range(12):
        pair = field_alone([[4.0, 1.5, 1.2], [4.0 + distance, 1.5, 1.2]], options=ImageOptions(seed=seed))
        blocks = pair[:, 1600 : 1600 + 4096].reshape(2, 4, 1024) * np.hanning(1024)
        spectra = np.fft.rfft(blocks)
        cross = cross + (spectra[0] * spectra[1].conj()).sum(axis=0).real
        power = power + np.abs(spectra[0]) ** 2 + np.abs(spectra[1]) ** 2
    power = power.sum(axis=0) / 2
    for low, high in ((200, 500), (500, 1000), (1000, 2000), (2000, 4000)):
        band = (freq >= low) & (freq < high)
        expected = np.sinc(2 * freq[band] * distance / C)  # sin(kd) / (kd)
        assert cross[band].sum() / power[band].sum() == pytest.approx(np.average(expected, weights=power[band]), abs=0.1)


def test_field_has_the_predicted_energy():
    energy, count = 0.0, 12
    rng = np.random.default_rng(1)
    for seed in range(count):
        source, mic = (rng.uniform(0.2, 0.8, 3) * SIZE for _ in range(2))
        energy = energy + np.sum(field_alone([mic], source=source, options=ImageOptions(seed=seed))[0].reshape(8, -1) ** 2, axis=1)
    t_s = (np.arange(6400) + 0.5) / 16000
    scattered = diffuse_energy(Shoebox(SIZE, **PULSES), fs_hz=16000, c_m_s=C).diffuse_at(t_s)[3].reshape(8, -1).sum(axis=1)
    expected = count * scattered * C / (4 * np.pi * np.prod(SIZE)) / 16000
    np.testing.assert_allclose(10 * np.log10(energy / expected)[1:], 0.0, atol=0.7)


def test_nothing_comes_before_the_direct_sound():
    mic, source = np.array([5.9, 0.3, 2.9]), np.array([0.3, 4.4, 0.2])
    found = field_alone([mic], source=source)[0]
    direct = int(np.linalg.norm(mic - source) / C * 16000)
    assert np.abs(found[: direct - 41]).max() < 1e-3 * np.abs(found).max()
    assert np.abs(found[direct : direct + 400]).max() > 0.1 * np.abs(found).max()


def test_every_microphone_hears_the_same_field_whatever_others_there_are():
    mics = [[4.0, 1.5, 1.2], [1.0, 4.0, 2.0], [4.1, 1.5, 1.2]]
    together = heard(mics)
    for mic, found in zip(mics, together, strict=True):
        np.testing.assert_array_equal(heard([mic])[0], found)
    assert not np.array_equal(heard(mics, options=ImageOptions(seed=1)), together)
    early = heard(mics, duration_s=0.2)
    np.testing.assert_allclose(early[:, :2000], together[:, :2000], atol=1e-6 * np.abs(together).max())


def test_directivities_weigh_the_field_by_their_mean_over_directions():
    plain = np.sum(field_alone([[4.0, 1.5, 1.2]]) ** 2)
    for pattern, gain in (("cardioid", 1 / 3), ("bidirectional", 1 / 3), ("hypercardioid", 1 / 4)):
        looking = Directivity.named(pattern, azimuth_deg=50, elevation_deg=20)
        for end in ("source_directivity", "mic_directivity"):
            found = np.mean(
                [np.sum(field_alone([[4.0, 1.5, 1.2]], options=ImageOptions(seed=s), **{end: looking}) ** 2) for s in (0, 1)]
            )
            assert 10 * np.log10(found / plain / gain) == pytest.approx(0.0, abs=1.0)


def test_sound_reaches_the_microphone_first_that_is_nearer_to_where_it_comes_from():
    looking = Directivity.named("cardioid", azimuth_deg=0)  # towards +x
    pair = field_alone([[3.0, 1.5, 1.2], [3.0 + 8 * C / 16000, 1.5, 1.2]], mic_directivity=looking)
    lags = np.correlate(pair[0], pair[1], "full")  # positive lags: the first is later
    middle = len(pair[0]) - 1
    assert lags[middle + 2 : middle + 9].max() > 2 * lags[middle - 8 : middle - 1].max()


def test_images_end_below_the_field():
    exact, mics = ImageOptions(specular_floor_db=None), [[4.0, 1.5, 1.2]]
    whole, ended = heard(mics, options=exact), heard(mics)
    rough = heard(mics, options=ImageOptions(specular_floor_db=20.0))
    assert not np.array_equal(whole, ended)
    late = slice(int(0.2 * 16000), None)
    assert 10 * np.log10(np.sum((ended - whole)[:, late] ** 2) / np.sum(whole[:, late] ** 2)) < -30
    assert np.sum((rough - whole) ** 2) > np.sum((ended - whole) ** 2)
    with pytest.raises(RoomgenError, match=r"specular_floor_db = 5\.0 is not possible: give at least 20 dB"):
        ImageOptions(specular_floor_db=5.0)


def test_reverberation_time_varies_over_positions_as_in_a_diffuse_field():
    # ISO 3382-2, eq. 2: s(T) = 0.88 T sqrt((1 + 1.90 / n) / (N B T)) for T20, with T30 0.55 and 1.52; here n = N = 1.
    walls = {"absorption": 0.15, "scattering": 0.8}
    rng, found = np.random.default_rng(2), []
    band = signal.butter(4, (1000 / 2**0.5, 1000 * 2**0.5), "band", fs=16000, output="sos")
    for seed in range(24):
        source, mic = (rng.uniform(0.2, 0.8, 3) * SIZE for _ in range(2))
        rir = heard([mic], source=source, walls=walls, duration_s=0.6, options=ImageOptions(seed=seed))[0]
        found.append(t30_s(signal.sosfilt(band, rir) ** 2, 1 / 16000))
    mean = np.mean(found)
    expected = 0.55 * mean * np.sqrt((1 + 1.52) / (1000 / 2**0.5 * mean))
    assert 0.5 * expected < np.std(found) < 1.6 * expected
    assert mean == pytest.approx(predict_rt60_bands_s(Shoebox(SIZE, **walls), fs_hz=16000)[3], rel=0.05)


def test_fast_mode_is_one_field_for_an_array():
    walls, mics = {"absorption": PULSES["absorption"]}, [[4.0, 1.5, 1.2], [4.05, 1.5, 1.2]]
    fast = heard(mics, walls=walls, options=ImageOptions(tail_after_s=0.1, highpass_hz=100.0))[:, 1700:4500]
    low = np.fft.rfft(fast * np.hanning(2800))[:, 20:200]  # 110…1140 Hz
    coherence = np.sum(low[0] * low[1].conj()).real / np.sqrt(np.prod(np.sum(np.abs(low) ** 2, axis=1)))
    assert coherence > 0.9


def test_fast_mode_goes_on_with_what_walls_scatter():
    mics = [[4.0, 1.5, 1.2]]
    exact, fast = (heard(mics, options=ImageOptions(tail_after_s=after)) for after in (None, 0.05))
    energies = [np.sum(rir[0, 1000:].reshape(6, -1) ** 2, axis=1) for rir in (exact[:, : 1000 + 5400], fast[:, : 1000 + 5400])]
    np.testing.assert_allclose(10 * np.log10(energies[1] / energies[0]), 0.0, atol=2.0)


def test_rows_that_the_field_covers_are_left_out():
    room = Shoebox(SIZE, absorption=0.06, scattering=0.3)
    counts, responses = [], []
    for floor_db in (40.0, None):
        options = ImageOptions(specular_floor_db=floor_db)
        scene = make_scene(room, sources=[[1.2, 3.1, 1.4]], mics=[[4.0, 1.5, 1.2]], duration_s=1.2, options=options)
        axes = image_axes(scene)
        grid = np.zeros((2 * scene_synthesis(scene).n_fft, axes[0].gains.shape[1]), dtype=np.float32)
        counts.append(add_pair(grid, scene, axes, 0, 0))
        responses.append(image_source(scene).rir[0, 0].astype(float).reshape(10, -1))
    assert counts[0] < 0.1 * counts[1]
    lost = np.sum((responses[0] - responses[1]) ** 2, axis=1) / np.sum(responses[1] ** 2, axis=1)
    assert 10 * np.log10(lost.max()) < -40
