"""The engine against a float64 list of images, and against what is known without any engine."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

from bench import brute_force
from roomgen.acoustics.air import Air
from roomgen.acoustics.directivity import Directivity
from roomgen.acoustics.engine import simulate
from roomgen.acoustics.highpass import highpass
from roomgen.acoustics.images.sources import add_pair, image_source
from roomgen.acoustics.images.tables import image_axes, scene_synthesis
from roomgen.acoustics.materials import material_names
from roomgen.acoustics.prediction.decay import energy_density
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions, make_scene
from roomgen.errors import RoomgenError

MIXED = ["carpet_cotton", 0.2, "hard_surface", 0.1, "ceiling_plasterboard", 0.5]


def error_db(found, wanted):
    wanted = np.asarray(wanted, dtype=np.float64)
    with np.errstate(divide="ignore"):  # no error at all is -inf dB
        return 10 * np.log10(np.sum((found - wanted) ** 2) / np.sum(wanted**2))


def random_scene(seed, *, fs_hz=16000, mics=1, **settings):
    rng = np.random.default_rng(seed)
    absorption = settings.pop("absorption", list(rng.choice([name for name in material_names() if name != "anechoic"], 6)))
    room = Shoebox(rng.uniform(2.2, 6.0, 3), absorption=absorption)
    sources, places = (rng.uniform(0.1, 0.9, (n, 3)) * room.size_m for n in (1, mics))
    settings.setdefault("duration_s", 0.15)
    return make_scene(room, sources=sources, mics=places, fs_hz=fs_hz, **settings)


def count_images(scene):
    axes = image_axes(scene)
    grid = np.zeros((2 * scene_synthesis(scene).n_fft, axes[0].gains.shape[1]), dtype=np.float32)
    return add_pair(grid, scene, axes, 0, 0)


# The direct sound


@pytest.mark.parametrize("fs_hz", [8000, 16000, 44100, 48000])
def test_direct_sound_arrives_on_time_and_flat(fs_hz):
    scene = random_scene(1, fs_hz=fs_hz, options=ImageOptions(max_order=0))
    distance = np.linalg.norm(scene.sources_m[0] - scene.mics_m[0])
    spectrum = np.fft.rfft(image_source(scene).rir[0, 0].astype(np.float64))
    freq = np.fft.rfftfreq(scene.n_samples)
    used = (freq > 0.01) & (freq < 0.45)
    delay = -np.polyfit(2 * np.pi * freq[used], np.unwrap(np.angle(spectrum[used])), 1)[0]
    assert delay == pytest.approx(distance * fs_hz / 343.0, abs=0.001)
    np.testing.assert_allclose(20 * np.log10(np.abs(spectrum[used]) * 4 * np.pi * distance), 0.0, atol=0.05)


def test_one_image_only_in_a_room_of_dead_walls():
    room = Shoebox((4, 3, 2.5), absorption=1.0)
    places = {"sources": [[1, 1, 1]], "mics": [[3, 2, 1.5]], "duration_s": 0.1}
    dead = make_scene(room, **places)
    assert count_images(dead) == 1
    alone = make_scene(Shoebox(room.size_m, absorption=0.3), **places, options=ImageOptions(max_order=0))
    np.testing.assert_array_equal(image_source(dead).rir, image_source(alone).rir)
    assert image_source(dead).drr_db[0, 0] == np.inf


def test_response_shorter_than_the_way_is_silent():
    scene = make_scene(Shoebox((40, 3, 3)), sources=[[1, 1, 1]], mics=[[39, 1, 1]], duration_s=0.05)
    response = image_source(scene)
    assert np.all(response.rir == 0)
    assert np.isnan(response.drr_db[0, 0])


def test_a_duration_shorter_than_the_way_warns():
    places = {"sources": [[1, 1, 1]], "mics": [[39, 1, 1]]}
    with pytest.warns(UserWarning, match=r"ends before the direct sound arrives at 0\.111 s"):
        simulate(Shoebox((40, 3, 3)), **places, duration_s=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate(Shoebox((40, 3, 3)), **places, duration_s=0.12)


# The list of images


@pytest.mark.parametrize("order", [0, 1, 2, 10])
def test_order_diamond_has_the_known_number_of_images(order):
    scene = random_scene(2, absorption=0.01, duration_s=0.7, options=ImageOptions(max_order=order))
    assert count_images(scene) == (2 * order + 1) * (2 * order**2 + 2 * order + 3) // 3


@pytest.mark.parametrize("seed", range(3))
def test_sphere_holds_the_images_of_the_list(seed):
    scene = random_scene(seed, absorption=0.05)
    assert count_images(scene) == len(brute_force.images(scene).distance_m)


CASES = {
    "random materials": {},
    "8 kHz": {"fs_hz": 8000},
    "44.1 kHz": {"fs_hz": 44100},
    "48 kHz": {"fs_hz": 48000},
    "16 lanes": {"fs_hz": 192000, "duration_s": 0.04},
    "three bands": {"fs_hz": 1000},
    "several microphones": {"mics": 3},
    "air": {"air": (30.0, 15.0)},
    "air at 96 kHz": {"air": (20.0, 20.0), "fs_hz": 96000, "duration_s": 0.08},
    "air and equal walls": {"air": (20.0, 50.0), "absorption": 0.2},
    "equal walls": {"absorption": 0.2},
    "dead and rigid walls": {"absorption": [1.0, 0.0, 0.0, "carpet_cotton", 0.0, 0.5]},
    "directivity": {"source_directivity": Directivity.named("cardioid", azimuth_deg=200, elevation_deg=-30),
                        "mic_directivity": Directivity.named("bidirectional", azimuth_deg=40, elevation_deg=10)},
    "one end directive": {"source_directivity": Directivity.named("hypercardioid", azimuth_deg=-75)},
    "low order": {"options": ImageOptions(max_order=3)},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_a_float64_list(case, seed):
    scene = random_scene(seed, **CASES[case])
    response = image_source(scene)
    for mic in range(len(scene.mics_m)):
        wanted = brute_force.band_rirs(scene, mic=mic)
        assert error_db(response.rir[0, mic], wanted.sum(axis=0)) < -90
        assert error_db(response.band_rirs[0, mic], wanted) < -85


def test_end_of_the_response_is_exact():
    scene = random_scene(5, absorption=0.05)
    assert error_db(image_source(scene).rir[0, 0, -40:], brute_force.rir(scene)[-40:]) < -80


@pytest.mark.parametrize("case", ["several microphones", "equal walls", "air", "high-pass"])
def test_drr_is_that_of_the_list(case):
    settings = CASES.get(case, {"options": ImageOptions(highpass_hz=200.0)})
    scene = random_scene(6, **settings)
    alone = replace(scene, options=ImageOptions(max_order=0))
    for mic in range(len(scene.mics_m)):
        direct, whole = (brute_force.rir(s, mic=mic).astype(np.float32) for s in (alone, scene))
        if case == "high-pass":
            direct, whole = (highpass(rir, fs_hz=16000, corner_hz=200.0) for rir in (direct, whole))
        wanted = 10 * np.log10(np.sum(direct**2) / np.sum((whole - direct) ** 2))
        assert image_source(scene).drr_db[0, mic] == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("absorption", [0.2, MIXED])
def test_drr_of_the_direct_sound_alone_is_infinite(absorption):
    scene = random_scene(6, absorption=absorption, options=ImageOptions(max_order=0))
    assert image_source(scene).drr_db[0, 0] == np.inf


def test_responses_do_not_depend_on_the_parts_asked_for():
    for absorption in (MIXED, 0.2):
        scene = random_scene(7, absorption=absorption)
        whole, rir = image_source(scene), image_source(scene, parts=False)
        np.testing.assert_array_equal(whole.rir, rir.rir)
        assert rir.band_rirs is None
        assert error_db(whole.band_rirs.sum(axis=2), whole.rir) < -110


# Symmetries


@pytest.mark.parametrize("seed", range(3))
def test_reciprocity(seed):
    scene = random_scene(seed)
    swapped = make_scene(scene.room, sources=scene.mics_m, mics=scene.sources_m, duration_s=0.15)
    assert error_db(image_source(swapped).rir, image_source(scene).rir) < -95


@pytest.mark.parametrize("axis", range(3))
def test_mirrored_room_sounds_the_same(axis):
    source, mic, size = np.array([1.1, 2.0, 0.9]), np.array([3.0, 1.2, 1.6]), np.array([4.2, 3.1, 2.6])
    walls = MIXED.copy()
    walls[2 * axis], walls[2 * axis + 1] = walls[2 * axis + 1], walls[2 * axis]
    flip = np.where(np.arange(3) == axis, -1, 1)
    mirror = [flip * p + (flip < 0) * size for p in (source, mic)]
    one = simulate(Shoebox(size, absorption=MIXED), sources=[source], mics=[mic], duration_s=0.15)
    other = simulate(Shoebox(size, absorption=walls), sources=[mirror[0]], mics=[mirror[1]], duration_s=0.15)
    assert error_db(other, one) < -95


def test_turned_room_sounds_the_same():
    source, mic, size = np.array([1.1, 2.0, 0.9]), np.array([3.0, 1.2, 1.6]), np.array([4.2, 3.1, 2.6])
    turn = [2, 0, 1]
    walls = [MIXED[2 * k + side] for k in turn for side in (0, 1)]
    one = simulate(Shoebox(size, absorption=MIXED), sources=[source], mics=[mic], duration_s=0.15)
    other = simulate(Shoebox(size[turn], absorption=walls), sources=[source[turn]], mics=[mic[turn]], duration_s=0.15)
    assert error_db(other, one) < -110


def test_equal_walls_are_equal_bands():
    alpha = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])[:, None]
    places = {"sources": [[1, 1, 1]], "mics": [[3, 2, 1.5]], "duration_s": 0.2}
    one = simulate(Shoebox((4, 3, 2.5), absorption=alpha), **places)
    seven = np.tile(alpha, (1, 7))
    seven[0, 0] += 1e-9  # makes the engine compute seven bands
    assert error_db(simulate(Shoebox((4, 3, 2.5), absorption=seven), **places), one) < -90


# Physics


def test_rigid_room_rings_at_its_modes():
    size = np.array([2.0, 1.7, 1.3])
    corner, opposite = 0.02 * size, 0.98 * size
    rir = simulate(Shoebox(size, absorption=0.0), sources=[corner], mics=[opposite], fs_hz=1000, duration_s=0.8)[0, 0]
    spectrum = np.abs(np.fft.rfft(rir * np.hanning(len(rir)), 1 << 16))
    freq = np.fft.rfftfreq(1 << 16, 1 / 1000)
    modes = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3)
    modes_hz = np.sort(343.0 / 2 * np.linalg.norm(modes / size, axis=1))
    for mode in modes_hz[(modes_hz > 80) & (modes_hz < 170)]:
        near = np.abs(freq - mode) < 2.5
        assert freq[near][np.argmax(spectrum[near])] == pytest.approx(mode, abs=0.5)


@pytest.mark.parametrize(("uniform", "tolerance"), [(True, 0.02), (False, 0.05)])
def test_images_decay_as_predicted(uniform, tolerance):
    errors = []
    for seed in range(3 if uniform else 8):
        walls = 0.15 if uniform else np.random.default_rng(seed).uniform(0.02, 0.5, (6, 7))
        scene = random_scene(seed, duration_s=0.3, absorption=walls)
        found = brute_force.images(scene)
        edges = np.linspace(0.06, 0.3, 13)
        slabs = [np.histogram(found.distance_m / 343.0, edges, weights=a**2)[0] for a in found.amplitude.T]
        t_s = np.linspace(0.06, 0.3, 1201)
        predicted = energy_density(scene.room, fs_hz=16000, t_s=t_s)[:, :-1].reshape(len(slabs), 12, -1).sum(axis=2)
        slopes = [np.polyfit(edges[:-1], np.log(energy).T, 1)[0] for energy in (np.array(slabs), predicted)]
        errors.append(np.abs(slopes[0] / slopes[1] - 1))
    assert np.median(errors) < tolerance


@pytest.mark.parametrize(
    ("size", "absorption", "duration_s", "fs_hz"),
    [
        ((3, 2.5, 2.2), 0.001, 0.6, 16000),
        ((30, 25, 14), 0.1, 0.3, 48000),
        ((2, 2, 2), 0.0, 0.2, 44100),
        ((100, 100, 1), 0.1, 0.2, 8000),
    ],
)
def test_extreme_rooms_give_finite_responses(size, absorption, duration_s, fs_hz):
    room = Shoebox(size, absorption=absorption)
    source, mic = 0.3 * np.array(size), 0.6 * np.array(size)
    response = image_source(make_scene(room, sources=[source], mics=[mic], fs_hz=fs_hz, duration_s=duration_s))
    assert response.rir.shape == (1, 1, int(np.ceil(duration_s * fs_hz - 1e-9)))
    assert np.isfinite(response.rir).all()
    assert np.isfinite(response.band_rirs).all()


# Options


def test_high_pass_is_causal_and_takes_the_offset_away():
    settings = {"absorption": 0.05, "duration_s": 0.3}
    plain, passed = (image_source(random_scene(8, **settings, options=ImageOptions(highpass_hz=corner))) for corner in (None, 40.0))
    np.testing.assert_array_equal(passed.rir, highpass(plain.rir, fs_hz=16000, corner_hz=40.0))
    assert abs(passed.rir.sum()) < 0.05 * abs(plain.rir.sum())
    assert error_db(passed.band_rirs.sum(axis=2), passed.rir) < -100


def test_high_pass_above_half_the_sampling_rate_is_refused():
    with pytest.raises(RoomgenError, match="half the sampling rate"):
        image_source(random_scene(8, options=ImageOptions(highpass_hz=8000.0)))


def test_random_moves_spare_direct_sound_and_first_reflections():
    for order, same in ((1, True), (2, False)):
        plain = image_source(random_scene(9, options=ImageOptions(max_order=order))).rir
        moved = image_source(random_scene(9, options=ImageOptions(max_order=order, randomize_m=0.08))).rir
        assert np.array_equal(plain, moved) is same


def test_random_moves_are_those_of_the_seed_at_every_microphone():
    options = ImageOptions(randomize_m=0.08, seed=3)
    scene = random_scene(9, mics=3, options=options)
    together = image_source(scene).rir
    for m, mic in enumerate(scene.mics_m):
        alone = simulate(scene.room, sources=scene.sources_m, mics=[mic], duration_s=0.15, options=options)
        np.testing.assert_array_equal(alone[0, 0], together[0, m])
    other = image_source(random_scene(9, mics=3, options=ImageOptions(randomize_m=0.08, seed=4))).rir
    assert error_db(other, together) > -20


def test_random_moves_stay_within_their_bound():
    from roomgen.acoustics.images.kernels import moved

    offsets, axes = np.array([3.0, -4.0, 12.0]), np.arange(3)
    found = np.sqrt([moved(np.array([n, -1, 2]), offsets, axes, 0.08, 7) for n in range(-500, 500)])
    assert np.abs(found - 13).max() < 0.08 * np.sqrt(3)
    assert np.std(found) == pytest.approx(0.08 / np.sqrt(3), rel=0.1)
    turned = moved(np.array([2, 5, -1]), offsets[[2, 0, 1]], np.array([2, 0, 1]), 0.08, 7)
    assert turned == pytest.approx(moved(np.array([5, -1, 2]), offsets, axes, 0.08, 7), rel=1e-12)


def test_noise_tail_is_seeded_and_continues_the_level():
    settings = {"absorption": [0.1, 0.15, 0.12, 0.2, 0.1, 0.15], "duration_s": 0.4, "mics": 2}
    exact = image_source(random_scene(10, **settings)).rir[0]
    tail = image_source(random_scene(10, **settings, options=ImageOptions(tail_after_s=0.15, seed=1))).rir[0]
    again = image_source(random_scene(10, **settings, options=ImageOptions(tail_after_s=0.15, seed=1))).rir[0]
    other = image_source(random_scene(10, **settings, options=ImageOptions(tail_after_s=0.15, seed=2))).rir[0]
    np.testing.assert_array_equal(tail, again)
    until = int(0.13 * 16000) - 41  # from where pulses of the tail reach back
    assert error_db(tail[:, :until], exact[:, :until]) < -60
    assert error_db(other[:, until + 400 :], tail[:, until + 400 :]) > 0
    for first in (2440, 3400, 4400):  # above 500 Hz: below, images of positive sign add up coherently, which noise cannot
        pieces = [np.fft.rfft(rir[:, first : first + 1000]) for rir in (exact, tail)]
        energies = [np.sum(np.abs(piece[:, 32:]) ** 2) for piece in pieces]
        assert 10 * np.log10(energies[1] / energies[0]) == pytest.approx(0.0, abs=1.0)


def test_tail_has_the_level_of_a_room_with_dead_walls():
    settings = {"absorption": [0.05, 0.05, 1.0, 0.8, 0.1, 0.2], "duration_s": 0.4}
    exact = image_source(random_scene(11, **settings)).band_rirs[0, 0, -1]
    tail = image_source(random_scene(11, **settings, options=ImageOptions(tail_after_s=0.15))).band_rirs[0, 0, -1]
    energies = [np.sum(rir[2440:4440] ** 2) for rir in (exact, tail)]
    assert 10 * np.log10(energies[1] / energies[0]) == pytest.approx(0.0, abs=2.0)


def test_tail_goes_through_the_air_once():
    settings = {"absorption": 0.1, "duration_s": 0.3, "fs_hz": 16000, "air": Air(20.0, 20.0)}
    energies = []
    for seed in range(11, 17):
        for options in (ImageOptions(), ImageOptions(tail_after_s=0.15)):
            heard = image_source(random_scene(seed, **settings, options=options)).band_rirs[0, 0, -1, 2600:]
            energies.append(np.sum(heard**2))
    assert 10 * np.log10(np.median(np.divide(energies[1::2], energies[::2]))) == pytest.approx(0.0, abs=0.8)


# Determinism and start


@pytest.mark.parametrize("absorption", [0.1, MIXED])
def test_repeated_calls_give_the_same_bytes(absorption):
    scenes = [random_scene(12, absorption=absorption, mics=2), random_scene(13, fs_hz=48000)]
    first = image_source(scenes[0])
    image_source(scenes[1])
    second = image_source(scenes[0])
    assert first.rir.tobytes() == second.rir.tobytes()
    assert first.band_rirs.tobytes() == second.band_rirs.tobytes()


def test_compiling_is_announced_once_and_numba_waits_for_its_use(tmp_path):
    program = (
        "import sys; from roomgen.acoustics.images import sources; assert 'numba' not in sys.modules;"
        "from roomgen.acoustics.images.kernels import warm_up; warm_up()"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    said = [
        subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True).stderr
        for _ in range(2)
    ]
    assert "compiling" in said[0]
    assert said[1] == ""


def test_edge_of_the_band_is_that_of_its_integral():
    from roomgen.acoustics.images import spreading

    freq = np.random.default_rng(1).uniform(0, 0.6, 5000)
    # The transform of the windowed pulse, summed over time finely enough.
    t_s = (np.arange(-40 * 64, 40 * 64) + 0.5) / 64
    pulse = np.sinc(t_s) * 0.5 * (1 + np.cos(np.pi * t_s / 40)) / 64
    summed = np.cos(2 * np.pi * np.outer(freq[:200], t_s)) @ pulse
    np.testing.assert_allclose(spreading.edge_response(freq[:200]), summed, atol=2e-5)
    np.testing.assert_allclose(spreading.edge_response(freq), spreading._edge_integral(freq), atol=2e-14)
