"""What a dry run says of time and size, with a clock that only the work moves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.presets import load_settings
from roomgen.run import estimate as module
from roomgen.run.estimate import estimate

PLANNING_S, MAKING_S, COMPILING_S = 0.2, 0.05, 30.0
ROOMS, RIRS = 6, 4
FAMILY = {"name": "small", "min_m": [3.0, 3.0, 2.5], "max_m": [5.0, 4.0, 3.0]}


@pytest.fixture
def clock(monkeypatch):
    """A clock that planning a room and making a sample move; the first sample takes longer."""
    clock = SimpleNamespace(now_s=100.0, made=0, making_s=MAKING_S)
    plan_row, bytes_of = RoomsPlan.row, module._bytes_of

    def row(*arguments):
        clock.now_s += PLANNING_S
        return plan_row(*arguments)

    def made(*arguments):
        clock.now_s += clock.making_s if clock.made else COMPILING_S
        clock.made += 1
        return bytes_of(*arguments)

    monkeypatch.setattr(RoomsPlan, "row", row)
    monkeypatch.setattr(module, "_bytes_of", made)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock.now_s))
    return clock


def settings(**overrides):
    fixed = {"rooms.count": ROOMS, "rooms.families": [FAMILY], "place.rirs_per_room": RIRS, "signal.fs_hz": 8000}
    return load_settings("goetz", {**fixed, **overrides})


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_time_is_that_of_samples_and_their_share_of_a_room_s_plan(clock, workers):
    found = estimate(settings(), workers=workers)
    each_s = MAKING_S + PLANNING_S / RIRS
    assert found["ms_per_sample"] == pytest.approx(1000 * each_s)
    assert found["expected_s"] == pytest.approx(ROOMS * RIRS * each_s / max(workers, 1))


def test_many_rooms_are_judged_by_some(clock):
    found = estimate(settings(**{"rooms.count": 10_000}), workers=2)
    assert found["expected_s"] == pytest.approx(10_000 * RIRS * (MAKING_S + PLANNING_S / RIRS) / 2)
    assert clock.made <= 25
    assert clock.now_s < 100 + COMPILING_S + 11  # five seconds for plans, five for samples


def test_slow_samples_are_judged_by_few(clock):
    clock.making_s = 0.8
    found = estimate(settings(**{"rooms.count": 100}), workers=1)
    assert clock.made == 1 + 7  # the first more than five seconds
    assert found["calibrated_samples"] == 7
    assert found["ms_per_sample"] == pytest.approx(800 + 1000 * PLANNING_S / RIRS)
