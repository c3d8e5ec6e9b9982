"""pyroomacoustics in our conventions, and our engine beside it."""

from __future__ import annotations

import numpy as np
import pyroomacoustics as pra
import pytest

from bench import brute_force
from roomgen.acoustics.directivity import Directivity
from roomgen.acoustics.engine import simulate
from roomgen.acoustics.images.sources import image_source
from roomgen.acoustics.reference import image_count, order_within, reference
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions, make_scene
from roomgen.errors import RoomgenError
from tests.acoustics.test_image_source import error_db, random_scene

CASES = {
    "random materials": {},
    "8 kHz": {"fs_hz": 8000},
    "48 kHz": {"fs_hz": 48000},
    "several microphones": {"mics": 3},
    "equal walls": {"absorption": 0.2},
    "air": {"air": (20.0, 50.0)},
    "warm air and equal walls": {"air": (35.0, 30.0), "absorption": 0.2},
    "directivity": {
        "source_directivity": Directivity.named("cardioid", azimuth_deg=200, elevation_deg=-30),
        "mic_directivity": Directivity.named("subcardioid", azimuth_deg=40, elevation_deg=10),
    },
    "low order": {"options": ImageOptions(max_order=4)},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_engine_agrees_with_pyroomacoustics(case, seed):
    scene = random_scene(seed, **{"duration_s": 0.2, **CASES[case]})
    # Band filters ring before a sound as well. Order by order, pyroomacoustics also has images that arrive after the end; ours
    # stop there. So the last 50 ms are left out. What remains is the error of the sinc table of pyroomacoustics.
    heard = slice(0, int(0.15 * scene.fs_hz))
    assert error_db(image_source(scene).rir[..., heard], reference(scene).rir[..., heard]) < -50


def test_high_pass_is_the_engines_own():
    scene = random_scene(2, options=ImageOptions(highpass_hz=30.0))
    assert error_db(image_source(scene).rir, reference(scene).rir) < -45  # less energy is left, with the same error


@pytest.mark.parametrize("seed", range(4))
def test_order_holds_every_image_of_the_response(seed):
    scene = random_scene(seed, mics=2)
    assert order_within(scene) == max(brute_force.images(scene, mic=m).order.max() for m in range(2))


def test_image_count():
    assert [image_count(order) for order in (0, 1, 2, 10, 20)] == [1, 7, 25, 1561, 11521]


def test_globals_of_pyroomacoustics_are_put_back():
    pra.constants.set("num_threads", 7)
    pra.constants.set("frac_delay_length", 21)
    try:
        scene = random_scene(3, options=ImageOptions(max_order=2))
        found = reference(scene).rir
        assert (pra.constants.get("num_threads"), pra.constants.get("frac_delay_length")) == (7, 21)
        assert pra.constants.get("rir_hpf_enable")
        assert error_db(found, image_source(scene).rir) < -50
    finally:
        pra.parameters._constants.clear()


def test_scattering_walls_are_refused():
    room = Shoebox((4, 3, 2.5), absorption=0.2, scattering=0.1)
    with pytest.raises(RoomgenError, match="hears scattered energy once"):
        reference(make_scene(room, sources=[[1, 1, 1]], mics=[[3, 2, 1]], duration_s=0.05))


@pytest.mark.parametrize("options", [ImageOptions(randomize_m=0.08), ImageOptions(tail_after_s=0.1)])
def test_options_that_it_lacks_are_refused(options):
    with pytest.raises(RoomgenError, match="engine='image'"):
        reference(random_scene(4, options=options))


def test_a_response_of_too_many_images_is_refused_before_memory_runs_out():
    with pytest.raises(RoomgenError, match="shorter duration_s"):
        reference(make_scene(Shoebox((4, 3, 2.5)), sources=[[1, 1, 1]], mics=[[2, 2, 2]], duration_s=5.0))


def test_is_an_engine_of_simulate():
    places = {"sources": [[1, 1, 1]], "mics": [[2, 2, 2]], "duration_s": 0.1}
    rirs = [simulate(Shoebox((4, 3, 2.5)), **places, engine=name) for name in ("image", "reference")]
    assert rirs[0].shape == rirs[1].shape == (1, 1, 1600)
    assert np.abs(rirs[0] - rirs[1]).max() < 0.005 * np.abs(rirs[0]).max()
