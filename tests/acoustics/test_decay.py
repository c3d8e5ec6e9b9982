"""The predicted decay against lists of images, closed forms, measured responses and its own limits."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import wofz

from bench.brute_force import images
from roomgen.acoustics.air import Air
from roomgen.acoustics.images.sources import image_source
from roomgen.acoustics.labels.measure import measure
from roomgen.acoustics.materials import material_names
from roomgen.acoustics.prediction import coherence, decay
from roomgen.acoustics.prediction.decay import (
    Mixture,
    decay_time_s,
    energy_density,
    predict_rt60_bands_s,
    predict_rt60_s,
)
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions, make_scene
from roomgen.errors import RoomgenError

FS = 1000.0  # three octave bands: lists of images stay short


def random_rooms(count: int, seed: int = 0) -> Iterator[Shoebox]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        size = [*rng.uniform(3, 7, 2), rng.uniform(2.5, 4)]
        yield Shoebox(size, absorption=list(rng.choice(material_names(), 6)))


def image_energy(room: Shoebox, duration_s: float, *, air: Air | None = None) -> NDArray[np.float64]:
    """Energy of all images in every band and millisecond."""
    size = np.asarray(room.size_m)
    scene = make_scene(room, sources=[0.31 * size], mics=[0.72 * size], fs_hz=FS, duration_s=duration_s, air=air)
    found = images(scene)
    at = (found.distance_m * FS / scene.c_m_s).astype(int)
    rows = [np.bincount(at, weights=a**2, minlength=scene.n_samples)[: scene.n_samples] for a in found.amplitude.T]
    return np.stack(rows)


def t30(energy: NDArray[np.float64]) -> float:
    left = np.cumsum(energy[::-1])[::-1]
    level = 10 * np.log10(left / left[0])
    inside = (level <= -5) & (level >= -35)
    return float(-60 / np.polyfit(np.flatnonzero(inside) / FS, level[inside], 1)[0])


def images_only_t30(room: Shoebox) -> NDArray[np.float64]:
    t = (np.arange(int(6 * FS)) + 0.5) / FS
    return np.array([t30(band) for band in energy_density(room, fs_hz=FS, t_s=t)])


def test_energy_density_is_that_of_the_images() -> None:
    room = Shoebox((5, 4, 3), absorption=[0.1, 0.3, 0.05, 0.2, 0.4, 0.1])
    counted = image_energy(room, 0.5)[0]
    for start in (0.1, 0.2, 0.35):
        t = np.arange(start, start + 0.1, 1 / FS)
        expected = energy_density(room, fs_hz=FS, t_s=t)[0].sum() / FS
        assert counted[int(start * FS) : int(start * FS) + len(t)].sum() == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("size", [(4.0, 4.0, 4.0), (6.0, 4.5, 3.0), (3.0, 8.0, 2.6)])
@pytest.mark.parametrize("alpha", [0.1, 0.25])
def test_t30_of_images_with_uniform_walls_is_within_2_percent(size: tuple[float, float, float], alpha: float) -> None:
    room = Shoebox(size, absorption=alpha)
    predicted = images_only_t30(room)[0]
    assert t30(image_energy(room, 0.8 * predicted)[0]) == pytest.approx(predicted, rel=0.02)


def test_t30_of_images_with_random_walls_is_within_5_percent_in_the_median() -> None:
    errors = []
    for room in random_rooms(16):
        predicted = images_only_t30(room)
        if predicted.max() > 0.9:
            continue  # its images are too many for a list
        counted = image_energy(room, 1.0)
        errors += [abs(t30(c) / p - 1) for c, p in zip(counted, predicted, strict=True)]
    assert len(errors) >= 6
    assert np.median(errors) < 0.05


def test_early_energy_is_that_of_images_however_dead_the_walls() -> None:
    room = Shoebox((4, 3, 2.5), absorption=1.0)
    at_once = energy_density(room, fs_hz=16000, t_s=0.0)
    np.testing.assert_allclose(at_once, 343 / (4 * np.pi * 30))


def test_curve_is_the_integral_of_the_density() -> None:
    mixture = Mixture(np.array([[1.0, 0.02, 0.0], [0.3, 0.5, 2.0]]), np.array([[40.0, 9.0, 1.0], [20.0, 11.0, 14.0]]))
    t = np.linspace(0, 1, 2001)
    density, curve = mixture.density(t), mixture.curve(t)
    between = curve[:, :-1] - curve[:, 1:]
    np.testing.assert_allclose(between, 0.5 * t[1] * (density[:, :-1] + density[:, 1:]), rtol=1e-3)
    assert np.all(np.diff(curve, axis=1) < 0)


@pytest.mark.parametrize("scattering", [0.0, 0.3])
@pytest.mark.parametrize("level_db", [-10.0, -35.0, -60.0])
def test_decay_times_are_those_of_the_density_s_integral(scattering: float, level_db: float) -> None:
    room = Shoebox((5, 4, 3), absorption=[0.1, 0.3, 0.05, 0.2, 0.4, 0.1], scattering=scattering)
    air, t = Air(20, 30), np.linspace(0, 6, 60_001)
    left = np.cumsum(energy_density(room, fs_hz=FS, t_s=t, air=air, modes=True)[:, ::-1], axis=1)[:, ::-1]
    fallen_s = t[np.argmax(left <= 10 ** (level_db / 10) * left[:, :1], axis=1)]
    found = decay_time_s(room, fs_hz=FS, air=air, level_db=level_db, bands="slowest")
    assert found == pytest.approx(fallen_s.max(), rel=0.02)


def test_mixture_of_one_exponential_has_its_own_decay_time() -> None:
    one = Mixture(np.array([[2.0]]), np.array([[6 * np.log(10) / 0.7]]))
    assert decay.rt60_s(one)[0] == pytest.approx(0.7)
    np.testing.assert_allclose(one.time_s_at(-5, -35, -60)[0], [0.7 / 12, 0.7 * 35 / 60, 0.7], rtol=1e-6)


def test_two_slopes_give_the_regression_of_their_sampled_curve() -> None:
    mixture = Mixture(np.array([[1.0, 0.02]]), np.array([[40.0, 9.0]]))
    t = np.arange(0, 3, 1e-4)
    level = mixture.level_db(t)[0]
    inside = (level <= -5) & (level >= -35)
    assert decay.rt60_s(mixture)[0] == pytest.approx(-60 / np.polyfit(t[inside], level[inside], 1)[0], rel=1e-3)


def test_sound_in_a_uniform_cube_decays_between_its_axes_and_its_diagonals() -> None:
    # g lies between kappa (along an axis) and sqrt(3) kappa (along a diagonal), so the whole decay does too.
    alpha, side = 0.3, 4.0
    slowest = 6 * np.log(10) / 343 * side / -np.log(1 - alpha)
    cube = Shoebox((side,) * 3, absorption=alpha)
    assert slowest / np.sqrt(3) < images_only_t30(cube)[0] < slowest


def test_small_absorption_follows_sabine() -> None:
    # In a cube with equal walls all directions decay alike to within a few percent, which is what Sabine assumes.
    cube = Shoebox((5, 5, 5), absorption=0.02)
    sabine = 24 * np.log(10) / 343 * cube.volume_m3 / (cube.surface_m2 * 0.02)
    early = decay.energy_density(cube, fs_hz=FS, t_s=[0.0, 0.1])[0]
    assert 6 * np.log(10) * 0.1 / np.log(early[0] / early[1]) == pytest.approx(sabine, rel=0.02)


def test_more_absorption_or_air_or_less_room_means_less_reverberation() -> None:
    room = next(random_rooms(1, seed=5))
    by_scale = [predict_rt60_s(room.scaled(s), fs_hz=16000) for s in (0.25, 0.5, 1.0, 2.0)]
    assert np.all(np.diff(by_scale) < 0)
    dry = Air(temperature_c=20, humidity_pct=15)
    assert np.all(predict_rt60_bands_s(room, fs_hz=16000, air=dry) < predict_rt60_bands_s(room, fs_hz=16000))
    twice = Shoebox(2 * np.asarray(room.size_m), absorption=list(room.materials or ()))
    np.testing.assert_allclose(images_only_t30(twice), 2 * images_only_t30(room), rtol=0.05)


def test_air_is_what_the_images_lose() -> None:
    room, air = Shoebox((5, 4, 3), absorption=0.2), Air(temperature_c=10, humidity_pct=20)
    lost = energy_density(room, fs_hz=16000, t_s=0.3, air=air) / energy_density(room, fs_hz=16000, t_s=0.3)
    c = air.speed_of_sound_m_s
    walls = energy_density(room, fs_hz=16000, t_s=0.3 * c / 343)[0, 0] / energy_density(room, fs_hz=16000, t_s=0.3)[0, 0]
    expected = np.exp(-air.energy_absorption_per_m((125.0, 1000.0, 8000.0)) * c * 0.3) * walls * c / 343
    np.testing.assert_allclose(lost[[0, 3, 6], 0], expected, rtol=1e-6)


def test_mean_over_directions_is_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = list(random_rooms(20, seed=9))

    def predictions() -> NDArray[np.float64]:
        decay._octant.cache_clear()
        decay._responses.cache_clear()
        return np.array([predict_rt60_s(room, fs_hz=16000) for room in rooms])

    usual = predictions()
    monkeypatch.setattr(decay, "_NODES", 60)
    fine = predictions()
    monkeypatch.undo()
    predictions()
    np.testing.assert_allclose(usual, fine, rtol=0.005)


def test_predictions_are_those_of_responses() -> None:
    ratios = []
    rng = np.random.default_rng(2)
    for room in random_rooms(16, seed=11):
        duration = decay_time_s(room, fs_hz=8000, bands="slowest")
        if duration > 2.0:
            continue
        source, mic = (rng.uniform(0.5, np.asarray(room.size_m) - 0.5) for _ in range(2))
        scene = make_scene(
            room, sources=[source], mics=[mic], fs_hz=8000, duration_s=duration, options=ImageOptions(highpass_hz=20)
        )
        measured = measure(image_source(scene, parts=False).rir[0, 0], fs_hz=8000, noise="none")
        ratios.append(
            [measured.rt60_s / predict_rt60_s(room, fs_hz=8000), *(measured.rt60_bands_s / predict_rt60_bands_s(room, fs_hz=8000))]
        )
    assert len(ratios) >= 6
    middle = np.nanmedian(ratios, axis=0)
    assert middle[0] == pytest.approx(1.0, abs=0.15)
    np.testing.assert_allclose(middle[1:], 1.0, atol=0.35)


def test_modes_of_a_rigid_room_are_as_many_as_there_are() -> None:
    # Incoherent images are all lattice points of a full space over 8; modes that lie on planes and axes are what is missing.
    size, fs = (5.0, 4.0, 3.0), 800.0
    weight, rate, _ = coherence.coherent_terms(np.zeros((3, 2)), size, fs_hz=fs, c_m_s=343.0)
    assert np.all(rate == 0.0)
    n = np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[1:]
    freq = np.linalg.norm(n / np.asarray(size), axis=1) * 343.0 / 2
    low, high = coherence._LOWEST_HZ, coherence._LOWEST_HZ * 2**4
    inside = (freq >= low) & (freq < high)
    modes = np.sum(freq[inside] ** -2)  # a mode at f has 1/f² of energy
    incoherent = 4 * np.pi * 60 / 343**3 * (high - low)
    assert modes / incoherent == pytest.approx(1 + weight.sum() * (0.5 * fs) / (high - low), rel=0.05)


def test_grazing_sound_decays_as_the_fresnel_zone_widens() -> None:
    x = np.geomspace(1e-3, 300, 50)
    exact = np.abs(wofz(1j * np.sqrt(1j * x))) ** 2
    fit = np.exp(-np.outer(x, coherence._GRAZING_RATE)) @ coherence._GRAZING_SHARE
    np.testing.assert_allclose(fit[x < 30], exact[x < 30], rtol=0.06)
    np.testing.assert_allclose(fit, exact, rtol=0.2)


def test_durations() -> None:
    room = next(random_rooms(1, seed=7))
    whole, slowest = (decay_time_s(room, fs_hz=16000, bands=b) for b in ("sum", "slowest"))  # type: ignore[arg-type]
    assert decay_time_s(room, fs_hz=16000, level_db=-30) < whole < slowest


@pytest.mark.parametrize("walls", [[0, 0, 0.5, 0.5, 0.5, 0.5], 0.0])
def test_a_room_that_never_decays_asks_for_a_duration(walls: list[float] | float) -> None:
    room = Shoebox((5, 4, 3), absorption=walls)
    for predict in (decay_time_s, predict_rt60_s, predict_rt60_bands_s):
        with pytest.raises(RoomgenError, match="Give a duration"):
            predict(room, fs_hz=16000)
    assert np.isfinite(decay_time_s(room, fs_hz=16000, air=Air()))
    assert np.isfinite(energy_density(room, fs_hz=16000, t_s=1.0)).all()


@pytest.mark.parametrize("walls", [1.0, [1, 1, 1, 1, 0.02, 0.02], [0.01, 1, 1, 1, 1, 1]])
def test_dead_walls_have_a_finite_decay(walls: list[float] | float) -> None:
    room = Shoebox((5, 4, 3), absorption=walls)
    assert 0 < predict_rt60_s(room, fs_hz=16000) < decay_time_s(room, fs_hz=16000, level_db=-300)
