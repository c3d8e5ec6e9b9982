"""What is shown while a training runs: how long all of it will take, as far as that can be known, and a line now and then."""

import pytest

from roomtrain import progress
from roomtrain.progress import Pace, Progress


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_the_pace_is_samples_steps_and_waits(clock: Clock) -> None:
    pace = Pace()
    for _ in range(4):
        clock.now += 0.5
        pace.data()
        clock.now += 1.5
        pace.samples += 30
        pace.step()
    assert pace.taken() == {"samples_per_s": 15.0, "step_s": 2.0, "data_s": 0.5}
    clock.now += 1.0
    pace.data()
    pace.samples += 10
    pace.step()
    assert pace.taken() == {"samples_per_s": 10.0, "step_s": 1.0, "data_s": 1.0}


def test_the_time_left_is_that_of_all_stages_of_all_cells(clock: Clock) -> None:
    shown = Progress()
    shown.coming(1)
    shown.cell("one", ["first", "second"])
    shown.stage()
    shown.begins("first", 10, 2, done=0)
    assert shown.left() == ""  # nothing is known yet
    clock.now += 20
    shown.step(5)
    assert shown.left() == ", 60 s of this stage left"  # how long the second takes nobody knows
    clock.now += 60
    shown.step(20)
    shown.ended(trained=True)
    shown.stage()
    shown.begins("second", 4, 1, done=0)
    clock.now += 8
    shown.step(2)
    shown.ended(trained=False)  # was done before: says nothing of the time that it takes
    shown.coming(0)
    shown.cell("two", ["first", "second"])
    shown.stage()
    shown.begins("first", 10, 2, done=10)
    clock.now += 10
    shown.step(15)
    assert shown.left() == ", 10 s of this stage left"
    shown.step(20)
    shown.ended(trained=True)
    shown.stage()
    shown.begins("second", 4, 1, done=0)
    clock.now += 3
    shown.step(1)
    assert shown.left() == ", 9 s left"


def test_cells_that_others_take_are_no_time_of_ours(clock: Clock) -> None:
    shown = Progress()
    shown.coming(2.5)  # five, of two processes
    shown.cell("one", ["only"])
    shown.stage()
    shown.begins("only", 10, 1, done=0)
    clock.now += 10
    shown.step(10)
    shown.ended(trained=True)
    shown.coming(1.5)
    shown.cell("two", ["only"])
    shown.stage()
    shown.begins("only", 10, 1, done=0)
    clock.now += 5
    shown.step(5)
    assert shown.left() == ", 20 s left"


def test_elsewhere_than_on_a_terminal_there_is_a_line_a_minute_and_one_an_epoch(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Progress()
    shown.cell("soft-0.1", ["upstream"])
    shown.stage()
    shown.begins("upstream", 100, 1, done=0)
    shown.logged({"loss": 1.25}, {"samples_per_s": 850.0, "step_s": 0.1, "data_s": 0.0})
    for step in range(1, 100):
        clock.now += 2
        shown.step(step)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3  # after 62, 124 and 186 seconds
    assert lines[0] == "soft-0.1 · upstream: step 31 of 100, loss 1.25, 850 samples/s, 138 s left".replace("138 s", "2 min 18 s")
    shown.epoch(0, 1.5, best=1.5, best_epoch=0)
    assert "epoch 1, validation loss 1.5, best so far" in capsys.readouterr().err
