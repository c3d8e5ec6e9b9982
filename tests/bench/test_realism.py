"""Realism: ratios of labels that are known by hand, folders of responses, and a verdict on a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench import measured_rooms, realism, suite
from bench.decay_statistics import (
    decays_of,
    diffuse_spread,
    judge,
    position_spread,
    quantiles,
    ratios,
    relative_spectra,
    share_apart,
)
from bench.effort import Effort
from roomgen.errors import RoomgenError

TINY = Effort(realism_rooms=1, positions=1)
ROWS = [
    {
        "room_id": "a",
        "rt60_bands_s": [1.2, 0.9, 0.9, 1.1, 0.8, 0.5, 0.4],
        "edt_bands_s": [1.0, 1.0, 1.0, 0.88, 1.0, 1.0, 1.0],
        "c50_bands_db": [-4.0, 0.0, 1.0, 3.0, 5.0, 6.0, 8.0],
        "rt60_s": 1.0,
        "edt_s": 0.7,
    },
    {"room_id": "b", "rt60_bands_s": [4.0, 1.0, 0.5, 1.5, 1.0, 1.0], "rt60_s": float("nan"), "edt_s": None},
    {"room_id": "b", "rt60_bands_s": [None, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]},
]


def test_ratios_are_those_of_the_labels():
    found = ratios(decays_of(ROWS))
    np.testing.assert_allclose(found["t30_125_over_mid"], [1.2, 4.0, np.nan])
    np.testing.assert_allclose(found["t30_8k_over_mid"], [0.4, np.nan, 1.0])
    np.testing.assert_allclose(found["apart"], [1.2 / 0.5, 4.0 / 0.5, np.nan])
    np.testing.assert_allclose(found["edt_over_t30_1k"], [0.8, np.nan, np.nan])
    np.testing.assert_allclose(found["edt_over_t30"], [0.7, np.nan, np.nan])
    np.testing.assert_allclose(found["c50_tilt_db"], [-7.0, np.nan, np.nan])


def test_a_share_is_of_what_is_known():
    assert share_apart(decays_of(ROWS)) == pytest.approx(0.5)
    assert np.isnan(share_apart(decays_of(ROWS[2:])))


def test_bands_stand_where_their_frequencies_say():
    row = {"file": "x.wav", "band_hz": [63.0, 125.0, 250.0, 500.0, 1000.0], "rt60_bands_s": [9.0, 2.0, 1.0, 1.0, 1.0]}
    decays = decays_of([row])
    np.testing.assert_allclose(relative_spectra(decays)[0, :4], [2.0, 1.0, 1.0, 1.0])
    assert np.isnan(relative_spectra(decays)[0, 4:]).all()
    assert decays.room.tolist() == ["x.wav"]


def test_spread_over_positions_is_that_of_each_room():
    def row(room, t30_s):
        return {"room_id": room, "rt60_bands_s": [1.0, 1.0, 1.0, t30_s, 1.0, 1.0, 1.0]}

    rows = [row("x", 0.9), row("y", 3.0), row("x", 1.1), row("y", 3.0), row("x", 1.0), row("y", 3.0), row("lonely", 1.0)]
    found, expected = position_spread(decays_of(rows))
    np.testing.assert_allclose(found, [0.1, 0.0], atol=1e-12)
    np.testing.assert_allclose(expected, [diffuse_spread(1.0, 1000.0), diffuse_spread(3.0, 1000.0)])


def test_a_diffuse_field_varies_by_three_percent():
    assert diffuse_spread(0.5, 1000.0) == pytest.approx(0.0313, abs=2e-4)  # ISO 3382-2 by hand: 0.55 √(1.152 / 355)
    assert diffuse_spread(0.5, 4000.0) == pytest.approx(0.5 * diffuse_spread(0.5, 1000.0))


def test_quantiles_leave_out_what_is_not_known():
    assert quantiles([np.nan, *range(11)]) == pytest.approx([1.0, 5.0, 9.0])
    assert quantiles([np.nan]) is None


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [
        ("t30_125_over_mid", [0.1, 1.6, 9.0], True),
        ("t30_125_over_mid", [0.1, 1.61, 9.0], False),
        ("t30_125_over_mid", [0.1, 0.89, 9.0], False),
        ("share_apart", 0.1, True),
        ("share_apart", 0.11, False),
        ("edt_over_t30_1k", [0.1, 0.69, 1.0], False),
        ("c50_tilt_db", [-9.0, -5.0, 0.0], True),
        ("c50_tilt_db", [-9.0, -5.1, 0.0], False),
        ("c50_tilt_db", None, None),
    ],
)
def test_goals_are_met_within_their_limits(name, value, met):
    assert realism.goals_met({**judge(decays_of(ROWS)), name: value})[name] is met


def decay(t60_s, fs_hz=16000, seed=0):
    t = np.arange(int(1.3 * t60_s * fs_hz)) / fs_hz
    return np.random.default_rng(seed).standard_normal(len(t)) * 10 ** (-3 * t / t60_s)


def test_a_folder_of_responses_is_labelled(tmp_path):
    (tmp_path / "deeper").mkdir()
    silent = np.zeros(16000)
    hall = decay(1.0)
    soundfile.write(tmp_path / "hall.wav", np.stack([hall, np.zeros_like(hall)], axis=1), 16000, "FLOAT")
    soundfile.write(tmp_path / "deeper" / "booth.flac", 0.2 * decay(0.4, seed=1), 16000)
    soundfile.write(tmp_path / "silence.wav", silent, 16000)
    (tmp_path / "notes.txt").write_text("not audio")
    result = realism.run(TINY, root=tmp_path, data=None)
    assert result["measured"]["rooms"] == 2
    assert len(result["not_labelled"]) == 1
    assert "silence.wav" in result["not_labelled"][0]
    assert result["measured"]["apart"][1] == pytest.approx(1.0, abs=0.4)
    assert result["measured"]["edt_over_t30"][1] == pytest.approx(1.0, abs=0.1)
    assert "1 files could not be labelled" in realism.text(result)


@pytest.mark.parametrize("content", [[], ["silence.wav"]])
def test_a_folder_without_responses_is_refused(tmp_path, content):
    for name in content:
        soundfile.write(tmp_path / name, np.zeros(16000), 16000)
    with pytest.raises(RoomgenError, match="none of"):
        measured_rooms.measured_rows(tmp_path)
    with pytest.raises(RoomgenError, match="not a folder"):
        measured_rooms.measured_rows(tmp_path / "nowhere")


def test_without_a_folder_the_table_stands_and_says_what_it_lacks():
    measured = judge(decays_of(measured_rooms.published_rows()))
    assert measured["rooms"] == 9
    assert measured["share_apart"] == 0.0
    assert 0.9 < measured["t30_125_over_mid"][1] < 1.6
    assert measured["edt_over_t30_1k"] is None
    assert measured["c50_tilt_db"] is None


def test_the_table_is_that_of_the_rooms(shared_data):
    rows, failed = measured_rooms.measured_rows(shared_data / "measured_rirs")
    assert not failed
    found = decays_of(rows).t30_bands_s[:, 2:6]  # 500…4000 Hz: at the ends, filters differ
    table = decays_of(measured_rooms.published_rows()).t30_bands_s[:, 2:6]
    nearest = np.array([np.abs(found / line - 1.0).max(axis=1).min() for line in table])
    assert len(rows) == len(table)
    assert (nearest < 0.12).all()


def test_a_dataset_is_judged(made_once):
    result = realism.run(TINY, data=made_once)
    (one,) = result["simulated"]
    assert (one["responses"], one["rooms"]) == (18, 6)
    assert one["edt_over_t30_1k"] is not None
    assert str(made_once) in realism.text(result)


def test_of_a_large_dataset_whole_rooms_are_read():
    room = np.arange(1000) % 50
    chosen = realism.whole_rooms(room, 200)
    assert np.bincount(room[chosen], minlength=50).tolist().count(20) == 10
    assert len(chosen) == 200
    assert {0, 49} <= set(room[chosen])
    assert realism.whole_rooms(room, 10**6) == list(range(1000))
    assert len(realism.whole_rooms(room, 1)) == 20


def test_rooms_with_the_same_walls_everywhere_meet_the_goals_that_blind_materials_miss(monkeypatch):
    flat = {"walls.absorption": 0.3, "signal.air": None}
    monkeypatch.setattr(realism, "SETS", (("flat", "goetz", flat), ("blind", "goetz", {"walls.model": "random"})))
    result = realism.run(Effort(realism_rooms=8, positions=3))
    even, blind = result["simulated"]
    assert even["goals"]["t30_125_over_mid"]
    assert even["goals"]["share_apart"]
    assert not blind["goals"]["t30_125_over_mid"]
    assert not blind["goals"]["share_apart"]
    assert even["apart"][1] < 1.5 < blind["apart"][1]
    assert "MISSED" in realism.text(result)


def test_the_picture_of_realism_needs_no_other_benchmark(tmp_path):
    picture = tmp_path / "realism.png"
    results = suite.run("realism", TINY, plot=picture)
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "engines" not in results


@pytest.mark.parametrize(
    ("which", "folders", "message"),
    [
        ("engines", {"root": "x"}, "--root x is read by realism and bras alone"),
        ("all", {"data": "x"}, "--data x is read by realism alone"),
        ("bras", {}, "bras needs --root"),
    ],
)
def test_folders_that_are_not_read_are_refused(which, folders, message):
    with pytest.raises(RoomgenError, match=message):
        suite.run(which, TINY, **{name: Path(path) for name, path in folders.items()})
