"""A moving source: exact where it is known, a mean of two places in between."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import fftconvolve

from roomgen.acoustics.directivity import Directivity
from roomgen.acoustics.engine import simulate
from roomgen.acoustics.moving import simulate_moving
from roomgen.acoustics.rooms import Shoebox
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


def test_sound_between_nodes_is_faded_linearly():
    pulse = np.zeros(4000, dtype=np.float32)
    pulse[1200] = 1.0
    heard = simulate_moving(pulse, ROOM, path_m=[START, END], times_s=[0.1, 0.3], **SETTINGS)
    wanted = 0.75 * standing(pulse, START) + 0.25 * standing(pulse, END)
    assert np.abs(heard - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_a_source_that_turns():
    turns = [Directivity.named("cardioid", azimuth_deg=a) for a in (0, 180)]
    path = {"path_m": [START, START], "times_s": [0.1, 0.3]}
    heard = simulate_moving(SIGNAL, ROOM, **path, source_directivity=turns, **SETTINGS)
    fixed = simulate_moving(SIGNAL, ROOM, **path, source_directivity=turns[0], **SETTINGS)
    np.testing.assert_allclose(heard[:, :800], fixed[:, :800], atol=1e-5)
    assert np.abs(heard - fixed).max() > 0.01


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
