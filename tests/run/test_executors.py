"""Executors: results in order wherever they are made, what they tell meanwhile, and no worker that stays."""

import os
import time
from collections.abc import Callable

import pytest

from roomgen.errors import RoomgenError
from roomgen.run.executors import Tick, executor_of


def square(x: int, tick: Tick) -> int:
    tick(x)
    return x * x


def die(_: int, tick: Tick) -> None:
    os._exit(9)


def refuse(number: int, tick: Tick) -> int:
    if number == 3:
        raise RoomgenError("three is one too many.")
    return number


def pid(_: int, tick: Tick) -> int:
    return os.getpid()


def slow(number: int, tick: Tick) -> float:
    for _ in range(number):
        time.sleep(0.1)
        tick(1)
    return time.monotonic()


class Kept:
    """What a worker keeps: how often it was called."""

    calls = 0

    def __call__(self, _: int, tick: Tick) -> tuple[int, int]:
        self.calls += 1
        return os.getpid(), self.calls


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("queue", [1, 2])
def test_results_come_in_order_and_all_ticks_with_them(workers: int, queue: int) -> None:
    told: list[int] = []
    results = list(executor_of(workers).map(square, range(50), tick=told.append, queue=queue))
    assert results == [x * x for x in range(50)]
    assert sum(told) == sum(range(50))


def test_a_long_task_tells_how_far_it_is_before_it_ends() -> None:
    told: list[float] = []
    (ended,) = executor_of(1).map(slow, [8], tick=lambda count: told.extend([time.monotonic()] * count))
    assert len(told) == 8
    assert told[0] < ended


def test_a_worker_gets_the_function_once_and_keeps_it() -> None:
    results = list(executor_of(2).map(Kept(), range(20), tick=int))
    for worker in {process for process, _ in results}:
        counts = [calls for process, calls in results if process == worker]
        assert counts == list(range(1, len(counts) + 1))


def test_long_tasks_go_to_who_is_free() -> None:
    results = list(executor_of(2).map(slow, [8, 1, 1, 1, 1], tick=int))
    assert results.index(max(results)) == 0  # nothing waited behind the long one


def test_what_a_task_raises_is_raised_here() -> None:
    results = executor_of(2).map(refuse, range(10), tick=int)
    with pytest.raises(RoomgenError, match="three is one too many"):
        list(results)


def test_a_worker_that_dies_is_a_clear_error() -> None:
    with pytest.raises(RoomgenError, match="memory ran out"):
        list(executor_of(1).map(die, range(3), tick=int))


def test_no_worker_outlives_a_reader_that_stops() -> None:
    results = executor_of(2).map(pid, range(1000), tick=int)
    pids = {next(results) for _ in range(20)}
    results.close()
    wait_until(lambda: not any(alive(p) for p in pids))


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
