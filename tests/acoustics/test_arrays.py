"""Microphone arrays: geometries by name and from files, and directions that rendered sound agrees with."""

import numpy as np
import pytest

import roomgen as rg
from roomgen.acoustics.arrays import MicArray, direction_in_frame_deg, named_array, read_array_csv
from roomgen.acoustics.directivity import PATTERNS
from roomgen.errors import RoomgenError


def test_named_geometries():
    circle = np.asarray(named_array("circular4:0.05").positions_m)
    np.testing.assert_allclose(circle, [[0.05, 0, 0], [0, 0.05, 0], [-0.05, 0, 0], [0, -0.05, 0]], atol=1e-12)
    line = np.asarray(named_array("linear8:0.04").positions_m)
    np.testing.assert_allclose(np.diff(line[:, 1]), -0.04)
    np.testing.assert_allclose(line.mean(axis=0), 0, atol=1e-12)
    square = np.asarray(named_array("square:0.1").positions_m)
    np.testing.assert_allclose(np.linalg.norm(np.roll(square, -1, axis=0) - square, axis=1), 0.1)
    ears = np.asarray(named_array("binaural-spaced").positions_m)
    assert ears[0, 1] == 0.0875
    assert ears[1, 1] == -0.0875


def test_a_tetrahedron_has_equal_edges_on_its_sphere():
    array = named_array("tetra:0.042/cardioid")
    mics = np.asarray(array.positions_m)
    np.testing.assert_allclose(np.linalg.norm(mics, axis=1), 0.042, atol=1e-9)
    edges = [np.linalg.norm(mics[i] - mics[j]) for i in range(4) for j in range(i)]
    np.testing.assert_allclose(edges, 0.042 * np.sqrt(8 / 3), atol=1e-9)
    _, patterns = array.placed((1, 2, 3))
    for mic, pattern in zip(mics, patterns, strict=True):
        assert pattern.p == PATTERNS["cardioid"]
        np.testing.assert_allclose(pattern.axis, mic / 0.042, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("circle4:0.05", "Did you mean 'circular'"),
        ("circular1:0.05", "give 2 to 64"),
        ("circular4:-1", "between 0.001 and 10"),
        ("square5:0.1", "square has 4"),
        ("tetra:0.04/kardioid", "Did you mean 'cardioid'"),
        ("binaural-spaced:0.2", "has no size"),
        ("", "unknown array"),
    ],
)
def test_a_wrong_name_is_told_what_would_be_right(name, said):
    with pytest.raises(RoomgenError, match=said):
        named_array(name)


def test_an_array_from_a_file(tmp_path):
    path = tmp_path / "pair.csv"
    path.write_text("x_m,y_m,z_m,pattern,azimuth_deg\n0,0.1,0,cardioid,90\n0,-0.1,0,omni,\n")
    array = read_array_csv(path)
    assert array == MicArray("pair", ((0.0, 0.1, 0.0), (0.0, -0.1, 0.0)), ((0.5, 90.0, 0.0), (1.0, 0.0, 0.0)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x,y,z\n0,0,0\n", "must have x_m,y_m,z_m"),
        ("x_m,y_m,z_m\n0,zero,0\n", "line 2"),
        ("x_m,y_m,z_m\n", "0 microphones"),
        ("x_m,y_m,z_m\n0,0\n", "line 2"),
        ("x_m,y_m,z_m\n0,0,99\n", "within 10 m"),
        ("x_m,y_m,z_m,pattern\n0,0,0,kardioid\n", "unknown pattern"),
    ],
)
def test_a_bad_array_file_is_one_clear_line(tmp_path, text, said):
    path = tmp_path / "array.csv"
    path.write_text(text)
    with pytest.raises(RoomgenError, match=said):
        read_array_csv(path)


def test_turning_the_array_turns_what_it_says_of_directions():
    center = np.float32([2, 2, 1])
    for azimuth in (-179.0, -90.0, 0.0, 30.0, 180.0):
        source = center + np.float32([np.cos(np.deg2rad(azimuth)), np.sin(np.deg2rad(azimuth)), 0.5])
        for yaw in (-170.0, -30.0, 0.0, 45.0, 180.0):
            seen, elevation = direction_in_frame_deg(source, center, yaw_deg=yaw)
            assert -180 < seen <= 180
            assert (seen - (azimuth - yaw) + 180) % 360 - 180 == pytest.approx(0, abs=1e-4)
            assert elevation == pytest.approx(np.degrees(np.arctan2(0.5, 1)), abs=1e-4)
    mics, _ = named_array("circular4:0.05").placed((2, 2, 1), yaw_deg=90.0)
    np.testing.assert_allclose(mics[0], [2, 2.05, 1], atol=1e-12)


@pytest.fixture(scope="module")
def scenes():
    """Noise from known azimuths, heard by a turned circular array, in free space and in a room of RT60 0.25 s."""
    array, yaw, center = named_array("circular4:0.05"), 40.0, np.array([2.6, 2.2, 1.4])
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(16000)
    scenes = []
    for absorption in ("1.0", "0.55"):
        room = rg.Shoebox((6.0, 5.0, 3.2), absorption=float(absorption))
        for azimuth in (-150.0, -65.0, 10.0, 95.0, 170.0):
            turn = np.deg2rad(azimuth)
            source = center + 1.6 * np.array([np.cos(turn), np.sin(turn), 0.0])
            mics, _ = array.placed(center, yaw_deg=yaw)
            rir = rg.simulate(room, sources=[source], mics=mics, fs_hz=16000, duration_s=0.3)[0]
            heard = np.stack([np.convolve(noise, h)[:16000] for h in rir])
            label, _ = direction_in_frame_deg(np.float32(source), np.float32(center), yaw_deg=yaw)
            scenes.append((np.asarray(array.positions_m), heard, label))
    return scenes


def whitened_correlations(mics, heard, fs_hz=16000, c_m_s=343.0):
    """Return azimuths in steps of 1° and, for each pair, its whitened cross-correlation at that azimuth's delay."""
    azimuths = np.arange(-180.0, 180.0)
    turn = np.deg2rad(azimuths)
    directions = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=1)
    spectra = np.fft.rfft(heard, axis=1)
    omega = 2 * np.pi * np.fft.rfftfreq(heard.shape[1], 1 / fs_hz)
    used = (omega > 2 * np.pi * 200) & (omega < 2 * np.pi * 3200)  # below where 10 cm alias
    powers = []
    for i in range(len(mics)):
        for j in range(i):
            cross = spectra[i] * np.conj(spectra[j])
            cross = (cross / np.abs(cross))[used]
            delay_s = -(directions @ (mics[i] - mics[j])) / c_m_s  # of i behind j
            powers.append(np.real(np.exp(1j * np.outer(delay_s, omega[used])) @ cross))
    return azimuths, np.stack(powers)


def difference_deg(a, b):
    return abs((a - b + 180) % 360 - 180)


def test_srp_phat_finds_the_labelled_azimuth(scenes):
    for mics, heard, label in scenes:
        azimuths, pairs = whitened_correlations(mics, heard)
        assert difference_deg(azimuths[pairs.sum(axis=0).argmax()], label) <= 3


def test_gcc_phat_of_opposite_microphones_finds_the_labelled_delay(scenes):
    """Two pairs across the circle give cosine and sine of the azimuth."""
    for _, heard, label in scenes:
        found = []
        for i, j in ((0, 2), (1, 3)):
            spectra = np.fft.rfft(heard[[i, j]], 32768, axis=1)
            cross = spectra[0] * np.conj(spectra[1])
            band = np.arange(len(cross)) < len(cross) * 0.8
            whitened = np.where(band, cross / np.maximum(np.abs(cross), 1e-12), 0)
            correlation = np.fft.irfft(whitened, 32768 * 16)
            lags = np.fft.fftfreq(len(correlation), 1 / len(correlation))
            near = np.abs(lags) <= 0.1 / 343 * 16000 * 16 + 1
            best = lags[near][correlation[near].argmax()] / 16 / 16000
            found.append(-best * 343 / 0.1)
        assert difference_deg(np.degrees(np.arctan2(found[1], found[0])), label) <= 3
