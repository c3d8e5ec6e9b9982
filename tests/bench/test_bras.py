"""The seminar room of BRAS, on a miniature of its folders: what is read, what box becomes of it, and what is said of both."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from bench import bras, bras_scene, suite
from bench.effort import Effort
from roomgen.acoustics.bands import octave_centers
from roomgen.errors import RoomgenError

THIRDS_HZ = [20 * 2 ** (n / 3) for n in range(31)]
MATERIALS = ("ceiling", "concrete", "floor", "plaster", "windows")
SURFACES = "3 Surface descriptions/_csv/fitted_estimates"
RESPONSES = "1 Scene descriptions/CR2 small room (seminar room)/RIRs/wav"
CENTERS = octave_centers(16000)
# Areas in m² of the materials in the model of the room, published with the authors' own simulations (L. Aspöck, 2020).
AREAS_M2 = {"ceiling": 51.62, "concrete": 56.94, "floor": 49.29, "plaster": 34.93, "windows": 9.75}


def write_surface(root, name, absorption, scattering=0.1, folder=SURFACES):
    path = root / folder / f"mat_CR2_{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = np.broadcast_to(np.array([[0.0], [absorption], [scattering]]), (3, 31)).copy()
    table[0] = THIRDS_HZ
    np.savetxt(path, table, delimiter=",", fmt="%g")
    return path


def write_response(root, pair, t60_s):
    path = root / RESPONSES / f"CR2_RIR_{pair}_Dodecahedron.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(int(1.5 * t60_s * 44100)) / 44100
    noise = np.random.default_rng(len(pair)).standard_normal(len(t)) * 10 ** (-3 * t / t60_s)
    soundfile.write(path, 0.1 * noise, 44100)
    return path


@pytest.fixture
def miniature(tmp_path):
    for name in MATERIALS:
        write_surface(tmp_path, name, 0.2, scattering=0.4)
    for pair in ("LS1_MP1", "LS2_MP4"):
        write_response(tmp_path, pair, 0.4)
    return tmp_path


def test_measured_and_simulated_stand_side_by_side(miniature):
    results = suite.run("bras", Effort(), root=miniature)
    found = json.loads(json.dumps(results, allow_nan=False))["bras"]
    assert found["pairs"] == ["LS1_MP1", "LS2_MP4"]
    assert found["estimates"] == "fitted_estimates"
    np.testing.assert_allclose(found["measured"]["rt60_bands_s"][1:], 0.4, rtol=0.15)  # the noise was made so
    # Eyring's formula for the area of the model in the volume of the room: between mirrors sound rings longer, by less than half.
    eyring_s = 55.3 / 343 * 145.7 / (-202.5 * np.log(1 - 0.2))
    mirrors = np.array(found["simulated"]["mirrors"]["rt60_bands_s"])
    assert 0.95 * eyring_s < mirrors.mean() < 1.5 * eyring_s
    scattering = np.array(found["simulated"]["scattering"]["rt60_bands_s"])
    assert 0.9 * eyring_s < scattering.mean() < mirrors.mean()
    text = suite.text(results)
    assert "T30 s, measured" in text
    assert "off by dB" in text


def test_more_absorption_is_a_shorter_decay(miniature):
    before = bras.run(Effort(), root=miniature)["simulated"]["mirrors"]
    for name in MATERIALS:
        write_surface(miniature, name, 0.4)
    after = bras.run(Effort(), root=miniature)["simulated"]["mirrors"]
    assert np.mean(after["rt60_bands_s"]) < 0.7 * np.mean(before["rt60_bands_s"])
    assert np.mean(after["c80_bands_db"]) > 2.0 + np.mean(before["c80_bands_db"])


def test_the_box_absorbs_as_much_as_the_room(tmp_path):
    alphas = dict(zip(MATERIALS, (0.01, 0.02, 0.03, 0.04, 0.05), strict=True))
    surfaces = {name: bras_scene.read_surface(write_surface(tmp_path, name, alpha)) for name, alpha in alphas.items()}
    room = bras_scene.box(surfaces, CENTERS, scattering=True)
    assert room.volume_m3 == pytest.approx(145.7)
    for name, alpha in alphas.items():  # each material with its area
        quiet = {**surfaces, name: bras_scene.read_surface(write_surface(tmp_path, name, 0.0))}
        without = bras_scene.box(quiet, CENTERS, scattering=True)
        lost_m2 = (room.absorption(16000) - without.absorption(16000)).T @ room.wall_areas_m2
        np.testing.assert_allclose(lost_m2, alpha * AREAS_M2[name], rtol=0.01)
    np.testing.assert_allclose(room.scattering(16000), 0.1)
    assert not bras_scene.box(surfaces, CENTERS, scattering=False).scatters


def test_octaves_are_means_of_their_thirds(tmp_path):
    path = write_surface(tmp_path, "floor", 0.1)
    table = np.loadtxt(path, delimiter=",")
    inside = [int(np.argmin(np.abs(table[0] - hz))) for hz in (800, 1000, 1250)]
    table[1, inside], table[2, inside] = (0.2, 0.3, 0.7), (0.0, 0.3, 0.6)
    np.savetxt(path, table.T, delimiter=",")  # three columns are read as well
    absorption, scattering = bras_scene.read_surface(path).in_octaves(CENTERS)
    np.testing.assert_allclose(absorption, [0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1])
    np.testing.assert_allclose(scattering, [0.1, 0.1, 0.1, 0.3, 0.1, 0.1, 0.1])


def test_fitted_estimates_come_before_initial_ones(miniature):
    write_surface(miniature, "floor", 0.9, folder="3 Surface descriptions/_csv/initial_estimates")
    scene = bras_scene.read_seminar_room(miniature)
    assert scene.surfaces["floor"].absorption[0] == pytest.approx(0.2)


def test_everybody_stands_in_the_box(miniature):
    scene = bras_scene.read_seminar_room(miniature)
    room = bras_scene.box(scene.surfaces, CENTERS, scattering=False)
    assert room.contains(np.concatenate([*scene.sources_m.values(), np.stack(list(scene.mics_m.values()))])).all()
    between = scene.mics_m["MP2"][:2] - scene.sources_m["LS1"][0, :2]
    np.testing.assert_allclose(between, [0.439 - 0.931, -0.147 + 2.547])  # moved with the room, not within it
    assert scene.sources_m["LS2"][:, 2].tolist() == [0.46, 0.723, 1.023]


def test_positions_of_a_file_take_the_place_of_the_published_ones(miniature):
    before = bras_scene.read_seminar_room(miniature)
    (miniature / "positions.csv").write_text("LS1, 0.0, 0.0, 1.5\nMP9, 0.439, -0.147, 1.23\n")
    write_response(miniature, "LS1_MP9", 0.4)
    scene = bras_scene.read_seminar_room(miniature)
    assert scene.sources_m["LS1"].shape == (1, 3)
    np.testing.assert_allclose(scene.mics_m["MP9"], before.mics_m["MP2"])
    assert ("LS1", "MP9") in scene.responses
    (miniature / "positions.csv").write_text("LS1, 0.0, north, 1.5\n")
    with pytest.raises(RoomgenError, match="line 1"):
        bras_scene.read_seminar_room(miniature)


def test_what_is_missing_is_named_with_the_folders_it_is_looked_for_in(tmp_path):
    with pytest.raises(RoomgenError, match="not a folder"):
        bras_scene.read_seminar_room(tmp_path / "nowhere")
    with pytest.raises(RoomgenError, match=r"no file mat_CR2_ceiling\.csv.*fitted_estimates"):
        bras_scene.read_seminar_room(tmp_path)
    for name in MATERIALS:
        write_surface(tmp_path, name, 0.1)
    with pytest.raises(RoomgenError, match=r"CR2_RIR_LS\*_MP\*_Dodecahedron\.wav"):
        bras_scene.read_seminar_room(tmp_path)
    write_response(tmp_path, "LS1_MP7", 0.1)
    with pytest.raises(RoomgenError, match="no position for LS1 or MP7"):
        bras_scene.read_seminar_room(tmp_path)


@pytest.mark.parametrize("content", ["", "a,b,c\n", "1,2\n0.1,0.2\n", "1,2\n0.1,1.2\n0.1,0.2\n", "2,1\n0.1,0.2\n0.1,0.2\n"])
def test_a_surface_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "mat_CR2_floor.csv"
    path.write_text(content)
    with pytest.raises(RoomgenError, match=r"mat_CR2_floor\.csv"):
        bras_scene.read_surface(path)
