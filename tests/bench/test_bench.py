"""Every benchmark with the least work: its structure and whether its numbers can be true, never how fast it is."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from bench import engines, fresh, memory, scenes, suite, throughput, timing
from bench.effort import Effort
from bench.peer import banded_rirs
from bench.process import run_python
from roomgen.errors import RoomgenError

TINY = Effort(
    rooms=1,
    repeats=1,
    asked=1,
    samples=3,
    dataset_rooms=2,
    manifest_rows=50,
    gpu_chunk=2,
    recordings=1,
    renders=2,
    views=1,
    realism_rooms=1,
    positions=1,
)
NEED_NO_FOLDER = tuple(name for name in suite.BENCHMARKS if name != "bras")


@pytest.fixture(autouse=True)
def dead_rooms(monkeypatch):
    """Rooms that are over soon, so that pyroomacoustics is as well."""
    monkeypatch.setattr(throughput, "typical_room", lambda: scenes.solved_room((3.0, 3.5, 3.0), 0.15))
    monkeypatch.setattr(engines, "ORDERS", ("1", "rt"))
    monkeypatch.setattr(scenes.BenchRoom, "rt_order", 3)
    monkeypatch.setattr(engines, "random_rooms", lambda count: [scenes.solved_room((3.0, 3.5, 3.0), 0.2)] * count)


def check_numbers(tree):
    """All numbers are finite; those of speeds, sizes and times are positive."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            check_numbers(value)
            if isinstance(value, float) and name.endswith(("_ms", "_s", "_mb", "ratio", "seconds", "megabytes", "ns_per_image")):
                assert value > 0, name
    elif isinstance(tree, list):
        for value in tree:
            check_numbers(value)
    elif isinstance(tree, float):
        assert np.isfinite(tree)


@pytest.mark.parametrize("name", NEED_NO_FOLDER)
def test_a_benchmark_gives_numbers_that_can_be_true(name):
    results = suite.run(name, TINY)
    assert set(results) == {"machine", "settings", "seconds", name}
    check_numbers(results)
    assert json.loads(json.dumps(results, allow_nan=False))[name].keys() == results[name].keys()
    assert f"{name} (" in suite.text(results)


def test_engines_are_compared_at_the_same_images(monkeypatch):
    for part in (fresh, throughput, memory):
        monkeypatch.setattr(part, "run", lambda *_: {})
    monkeypatch.setattr(engines, "best_s", lambda repeats, *work: (0.004, 0.096, 0.008))
    for case in engines.run(TINY)["cases"]:
        assert case["difference_db"] < -45
        assert case["images"] == {"1": 7, "rt": 63}[case["order"]]
        assert (case["ours_ms"], case["peer_ms"], case["sphere_ms"], case["ratio"]) == pytest.approx((4.0, 96.0, 8.0, 24.0))


@pytest.mark.parametrize(("ratio", "verdict"), [(14.9, "MISSED"), (15.1, "met")])
def test_a_ratio_below_its_goal_is_told(ratio, verdict):
    case = {"order": "rt", "mics": 1, "images": 63, "ours_ms": 1.0, "peer_ms": ratio, "ratio": ratio, "difference_db": -50.0}
    assert f": {verdict}" in engines.goals_text([{**case, "sphere_images": 100, "sphere_ms": 2.0}], {"1": 15.0})


def test_the_shortest_time_of_each_counts_but_not_the_first(monkeypatch):
    clock, order = SimpleNamespace(now_s=5.0), []
    ours, peer = iter((1.0, 3.0, 2.0, 4.0)), iter((0.5, 30.0, 40.0, 20.0))

    def work(name, times):
        order.append(name)
        clock.now_s += next(times)

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock.now_s))
    found = timing.best_s(3, lambda: work("ours", ours), lambda: work("peer", peer))
    assert found == (2.0, 20.0)
    assert order == ["ours", "peer"] * 4  # in turns, so that a slow second meets both


def test_the_shortest_time_of_each_stage_counts_but_not_the_first_round(monkeypatch):
    clock, rounds = SimpleNamespace(now_s=5.0), iter([(0.1, 0.1), (3.0, 7.0), (4.0, 6.0)])

    def stages():
        for name, taken_s in zip(("images", "labels"), next(rounds), strict=True):
            clock.now_s += taken_s
            yield name

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock.now_s))
    assert timing.best_stages_s(2, stages) == {"images": 3.0, "labels": 6.0}


def test_picture_is_a_png_and_brings_its_benchmarks(tmp_path):
    picture = tmp_path / "bench.png"
    results = suite.run("writer", TINY, plot=picture)
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert {"writer", "engines", "rt60"} <= results.keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("engine", TINY), "Did you mean 'engines'"),
        (("all", Effort(rooms=0)), "at least 1"),
    ],
)
def test_wrong_usage_is_named(arguments, message):
    with pytest.raises(RoomgenError, match=message):
        suite.run(*arguments)


@pytest.mark.parametrize("name", ["bench.svg", "nowhere/bench.png"])
def test_a_picture_that_cannot_be_is_refused_before_anything_runs(tmp_path, name):
    with pytest.raises(RoomgenError, match="--plot"):
        suite.run("all", TINY, plot=tmp_path / name)


def test_json_on_the_command_line():
    ran = run_python(["-m", "roomgen.cli", "bench", "labels", "--quick", "--json"])
    assert json.loads(ran.stdout)["labels"]["cases"][0]["ours_per_s"] > 0
    assert ran.seconds > 0


def test_a_program_that_fails_is_named():
    with pytest.raises(RoomgenError, match="no such thing"):
        run_python(["-c", "raise SystemExit('no such thing')"])


def test_peak_of_a_program_is_its_own():
    large = np.ones(40_000_000)  # what this process holds is not counted
    ran = run_python(["-c", "import time; x = bytearray(100_000_000); time.sleep(0.1)"])
    assert large.nbytes == 320_000_000
    assert ran.peak_mb is None or 100 < ran.peak_mb < 200


def test_memory_says_whether_its_goal_is_met():
    found = {"size_m": [5.0, 5.0, 4.0], "rt60_s": 2.0, "duration_s": 2.4, "seconds": 1.0, "limit_mb": 500.0}
    assert "MISSED" in memory.text({**found, "peak_mb": 501.0})
    assert "not known" in memory.text({**found, "peak_mb": None})


def test_diamond_is_long_enough_for_every_image():
    room = scenes.random_rooms(1)[0]
    theirs = banded_rirs(room.room, source_m=room.source_m, mics_m=room.mics_m[:1], fs_hz=scenes.FS_HZ, order=4)[0]
    scene = room.diamond(1, 4)
    # pyroomacoustics begins 40 samples early, and rounds its length up by some.
    assert abs(scene.n_samples - (len(theirs) - 40)) < 60


def test_rooms_are_the_same_each_time():
    one, other = (scenes.random_rooms(3)[2] for _ in range(2))
    assert one.room.materials == other.room.materials
    np.testing.assert_array_equal(one.mics_m, other.mics_m)
    assert one.rt_order == other.rt_order
