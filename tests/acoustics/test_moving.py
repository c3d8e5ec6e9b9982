"""A moving source: a convolution where it rests, and the sum over moving image sources where it does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import fftconvolve

from roomgen.acoustics.directivity import Directivity
from roomgen.acoustics.engine import simulate
from roomgen.acoustics.moving import simulate_moving
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions
from roomgen.errors import RoomgenError

ROOM = Shoebox((5, 4, 3), absorption=["carpet_cotton", 0.2, 0.3, 0.2, 0.1, 0.5])
MICS = [[3.0, 2.0, 1.5], [3.1, 2.0, 1.5]]
START, END = [1.0, 1.0, 1.2], [1.5, 2.0, 1.2]
SIGNAL = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
SETTINGS = {"mics": MICS, "fs_hz": 8000, "duration_s": 0.2}


def standing(signal, place):
    return fftconvolve(signal[None, :], simulate(ROOM, sources=[place], **SETTINGS)[0].astype(np.float64), axes=1)


@pytest.mark.parametrize("times_s", [[0.0], [0.0, 0.3], [-1.0, 0.1, 0.2, 9.0]])
def test_a_source_that_stands_still_is_a_convolution(times_s):
    heard = simulate_moving(SIGNAL, ROOM, path_m=[START] * len(times_s), times_s=times_s, **SETTINGS)
    wanted = standing(SIGNAL, START)
    assert heard.shape == wanted.shape
    assert np.abs(heard - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_pulses_at_nodes_are_heard_from_there():
    pulses = np.zeros(4000, dtype=np.float32)
    pulses[[800, 2400]] = 1.0
    heard = simulate_moving(pulses, ROOM, path_m=[START, END], times_s=[0.1, 0.3], **SETTINGS)
    wanted = standing(np.where(np.arange(4000) == 800, 1.0, 0.0), START) + standing(
        np.where(np.arange(4000) == 2400, 1.0, 0.0), END
    )
    assert np.abs(heard - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_sound_within_a_step_is_faded_linearly():
    pulse = np.zeros(4000, dtype=np.float32)
    pulse[1200] = 1.0
    path = {"path_m": [START, END], "times_s": [0.1, 0.3], "highest_hz": 1.0}  # steps of 43 m: the nodes alone
    heard = simulate_moving(pulse, ROOM, **path, **SETTINGS)
    wanted = 0.75 * standing(pulse, START) + 0.25 * standing(pulse, END)
    assert np.abs(heard - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_a_source_that_turns():
    turns = [Directivity.named("cardioid", azimuth_deg=a) for a in (0, 180)]
    path = {"path_m": [START, START], "times_s": [0.1, 0.3]}
    heard = simulate_moving(SIGNAL, ROOM, **path, source_directivity=turns, **SETTINGS)
    fixed = simulate_moving(SIGNAL, ROOM, **path, source_directivity=turns[0], **SETTINGS)
    np.testing.assert_allclose(heard[:, :800], fixed[:, :800], atol=1e-5)
    assert np.abs(heard - fixed).max() > 0.01


@pytest.mark.parametrize(("first_deg", "last_deg", "halfway_deg"), [(-60, 120, 30), (170, -160, -175), (-170, 150, 170)])
def test_a_turn_goes_the_shorter_way_round(first_deg, last_deg, halfway_deg):
    pulse = np.where(np.arange(4000) == 1600, 1.0, 0.0)
    turns = [Directivity.named("cardioid", azimuth_deg=a) for a in (first_deg, last_deg)]
    heard = simulate_moving(pulse, ROOM, path_m=[START, START], times_s=[0.1, 0.3], source_directivity=turns, **SETTINGS)
    halfway = Directivity.named("cardioid", azimuth_deg=halfway_deg)
    wanted = simulate_moving(pulse, ROOM, path_m=[START], times_s=[0.0], source_directivity=halfway, **SETTINGS)
    assert np.abs(heard - wanted).max() < 0.02 * np.abs(wanted).max()


WALK = np.array([[1.0, 1.0, 1.2], [2.0, 1.6, 1.4]])
WALK_S, WALK_FS_HZ, ALPHA = 0.3, 16000, 0.36
BOX = Shoebox((5, 4, 3), absorption=ALPHA)


def walking_tone(hz, count):
    """What is heard of a tone from a source that walks and its six first images: each sound has left when it was underway for.

    s(τ) / (4 π d(τ)) / (1 + d'(τ) / c) at t = τ + d(τ) / c (P. M. Morse and K. U. Ingard, Theoretical Acoustics, 1968, ch. 11).
    """
    t, total = np.arange(count) / WALK_FS_HZ, np.zeros(count)
    for image in range(-1, 6):
        axis, far = image // 2, image % 2

        def distance(when, image=image, axis=axis, far=far):
            place = WALK[0] + (WALK[1] - WALK[0]) * np.clip(when / WALK_S, 0, 1)[:, None]
            if image >= 0:
                place[:, axis] = 2 * far * BOX.size_m[axis] - place[:, axis]
            return np.linalg.norm(place - MICS[0], axis=1)

        left = t.copy()
        for _ in range(12):
            left = t - distance(left) / 343.0
        approach = (distance(left + 1e-5) - distance(left - 1e-5)) / 2e-5 / 343.0
        gain = 1.0 if image < 0 else np.sqrt(1 - ALPHA)
        total += gain / (4 * np.pi * distance(left)) * np.sin(2 * np.pi * hz * left) / (1 + approach)
    return total


def walk_error_db(hz, nodes, highest_hz):
    tone = np.sin(2 * np.pi * hz * np.arange(int(WALK_S * WALK_FS_HZ)) / WALK_FS_HZ)
    share = np.linspace(0, 1, nodes)[:, None]
    (heard,) = simulate_moving(
        tone,
        BOX,
        path_m=WALK[0] * (1 - share) + WALK[1] * share,
        times_s=WALK_S * share[:, 0],
        mics=MICS[:1],
        fs_hz=WALK_FS_HZ,
        duration_s=0.06,
        options=ImageOptions(max_order=1),
        highest_hz=highest_hz,
    )
    inside = slice(1000, len(tone) - 300)  # all images have begun, none has ended
    wanted = walking_tone(hz, len(heard))
    return 10 * np.log10(np.sum((heard - wanted)[inside] ** 2) / np.sum(wanted[inside] ** 2))


def test_two_nodes_are_enough_for_a_straight_walk():
    assert walk_error_db(2000.0, 2, None) < -24
    assert walk_error_db(2000.0, 2, 8000.0) < -45
    assert walk_error_db(500.0, 2, None) < -24


def test_steps_cost_what_is_said_of_them():
    assert walk_error_db(2000.0, 2, 2000.0) == pytest.approx(-26, abs=2)
    assert walk_error_db(1000.0, 2, 2000.0) == pytest.approx(-38, abs=2)  # 12 dB per octave
    assert walk_error_db(1000.0, 13, 1.0) == pytest.approx(-13, abs=2)  # 10 cm, as given
    assert walk_error_db(2000.0, 2, 1.0) > -1  # no Doppler shift at all


def test_more_nodes_on_the_same_walk_change_nothing_that_is_heard():
    tone = np.sin(2 * np.pi * 1500 * np.arange(2400) / 8000)
    few, many = (
        simulate_moving(tone, ROOM, path_m=np.linspace(START, END, n), times_s=np.linspace(0, 0.3, n), **SETTINGS) for n in (2, 7)
    )
    assert np.sum((few - many) ** 2) < 10**-2.5 * np.sum(few**2)


@pytest.mark.parametrize(
    ("times_s", "signal", "message"),
    [
        ([0.0], SIGNAL, "needs 2 times"),
        ([0.2, 0.1], SIGNAL, "rise"),
        ([0.0, 1.0], [], "one channel"),
        ([0.0, 1.0], np.zeros((2, 9)), "one channel"),
    ],
)
def test_what_fits_no_path_is_refused(times_s, signal, message):
    with pytest.raises(RoomgenError, match=message):
        simulate_moving(signal, ROOM, path_m=[START, END], times_s=times_s, **SETTINGS)


@pytest.mark.parametrize("highest_hz", [0.0, -100.0, np.nan])
def test_a_frequency_that_is_none_is_refused(highest_hz):
    with pytest.raises(RoomgenError, match="positive frequency"):
        simulate_moving(SIGNAL, ROOM, path_m=[START, END], times_s=[0.0, 1.0], highest_hz=highest_hz, **SETTINGS)
