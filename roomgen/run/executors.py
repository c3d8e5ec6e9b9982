"""Where work is done: in this process, or in processes of this machine; results come in the order in which they were asked for.

An executor has one method, ``map``; another one (of a cluster's scheduler) needs no more. Only the order of tasks decides what is
written: bytes do not depend on the executor.

Each process has a pipe of its own and nothing is shared. ``concurrent.futures`` would share one queue of results, and whoever
kills a worker in the middle of a result leaves a thread behind that waits for the rest of it for ever.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from roomgen.errors import RoomgenError

Task = TypeVar("Task")
Result = TypeVar("Result")
Tick: TypeAlias = Callable[[int], object]
"""Tells of samples that were made, while a task goes on."""

_AHEAD = 8  # results a worker may run ahead of who takes them: enough to hide one slow room, little enough to hold in memory
_TELL_S = 0.2  # between two messages of a worker that is at work

# One thread per worker: libraries that start a thread per core would put workers × cores of them on the machine.
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "PRA_NUM_THREADS")


class Executor(Protocol):
    """What does tasks."""

    def map(
        self, function: Callable[[Task, Tick], Result], tasks: Iterable[Task], *, tick: Tick, queue: int = 1
    ) -> Generator[Result, None, None]:
        """Yield ``function(task, tick)`` for every task, in order.

        Args:
            function: it, its tasks and results travel between processes; a worker gets it once and keeps it.
            tasks: taken as they are needed.
            tick: called here with the numbers that the function tells.
            queue: tasks that a worker holds: 2 so that it has the next one while its result is fetched, 1 where tasks are long.

        Raises:
            RoomgenError: a worker was killed (most often: memory ran out); and whatever the function raises.
        """
        ...


def executor_of(workers: int) -> Executor:
    """Return this process (0 workers), or processes of this machine."""
    return Processes(workers) if workers else Here()


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Here:
    """This process."""

    def map(
        self, function: Callable[[Task, Tick], Result], tasks: Iterable[Task], *, tick: Tick, queue: int = 1
    ) -> Generator[Result, None, None]:
        yield from (function(task, tick) for task in tasks)


class Processes:
    """Processes of this machine."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def map(
        self, function: Callable[[Task, Tick], Result], tasks: Iterable[Task], *, tick: Tick, queue: int = 1
    ) -> Generator[Result, None, None]:
        team: dict[Connection, SpawnProcess] = {}
        try:
            _start(team, function, self._workers)
            yield from _in_order(list(team), iter(tasks), tick, queue)
        finally:
            # Also reached when the reader stops early or is interrupted: nobody waits for a room that takes minutes.
            for pipe, process in team.items():
                process.kill()
                process.join()
                pipe.close()


def _in_order(pipes: list[Connection], tasks: Iterator[Any], tick: Tick, queue: int) -> Iterator[Any]:
    """Hand out tasks, collect results as they come, and yield them in the order of the tasks."""
    at_work: dict[Connection, list[int]] = {pipe: [] for pipe in pipes}
    done: dict[int, Any] = {}
    asked = given = 0
    more = True
    while more or given < asked:
        for held in range(queue):  # everybody has one before anybody has two
            for pipe, numbers in at_work.items():
                if more and len(numbers) <= held and asked - given < _AHEAD * len(pipes):
                    try:
                        task = next(tasks)
                    except StopIteration:
                        more = False
                        break
                    _send(pipe, task)
                    numbers.append(asked)
                    asked += 1
        busy = [pipe for pipe, numbers in at_work.items() if numbers]
        ready = wait(busy, timeout=0 if given in done else None) if busy else []
        for pipe in busy:
            if pipe in ready:
                kind, value = _receive(pipe)
                if kind == "tick":
                    tick(value)
                else:
                    done[at_work[pipe].pop(0)] = value
        if given in done:
            yield done.pop(given)
            given += 1


def _send(pipe: Connection, task: Any) -> None:
    try:
        pipe.send(task)
    except OSError:
        raise _died() from None


def _receive(pipe: Connection) -> tuple[Literal["tick", "done"], Any]:
    try:
        kind, value = pipe.recv()
    except (EOFError, OSError):
        raise _died() from None
    if kind == "failed":
        raise value
    return kind, value


def _died() -> RoomgenError:
    return RoomgenError(
        "a worker process died, most often because memory ran out: try fewer --workers or shorter responses. "
        "Finished shards are kept; the same command goes on from there.",
        exit_code=1,
    )


def _start(team: dict[Connection, SpawnProcess], function: Callable[..., Any], workers: int) -> None:
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks, but not the threads
    with _one_thread_each(), _without_interrupts():
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, function), daemon=True)
            process.start()
            theirs.close()  # so that the end of the worker is the end of the pipe
            team[ours] = process


def _serve(pipe: Connection, function: Callable[..., Any]) -> None:
    """Be a worker: answer tasks until the pipe ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        told = _Told(pipe)
        try:
            answer = ("done", function(task, told))
        except Exception as error:
            answer = ("failed", error)
        told.now()
        pipe.send(answer)


class _Told:
    """Sends what a function tells, a few times a second."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._count, self._next = pipe, 0, time.monotonic() + _TELL_S

    def __call__(self, count: int) -> None:
        self._count += count
        if time.monotonic() >= self._next:
            self.now()

    def now(self) -> None:
        if self._count:
            self._pipe.send(("tick", self._count))
        self._count, self._next = 0, time.monotonic() + _TELL_S


def _end_with_parent() -> None:
    """Leave no orphan: a worker whose parent was killed ends at once."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that ignore Ctrl-C from their first instruction on: the parent decides what an interrupt means."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may change signals
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
