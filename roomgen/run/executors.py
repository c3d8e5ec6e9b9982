"""Work on this machine: processes that make samples, and results in the order in which they were asked for.

Samples are made in chunks, many of them to a shard, so that two workers are twice as fast as one however few shards there are.
Only the order of the chunks decides what is written: the bytes do not depend on the number of workers.

Each worker has a pipe of its own and nothing is shared. ``concurrent.futures`` would share one queue of results, and whoever
kills a worker in the middle of a result leaves a thread behind that waits for the rest of it for ever.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from roomgen.errors import RoomgenError

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 8  # chunks a worker may run ahead of the writer: enough to hide one slow room, little enough to hold in memory
_WAITING = 2  # tasks in a worker's pipe: while its result is fetched it has the next one

# One thread per worker: libraries that start a thread per core would put workers × cores of them on the machine.
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "PRA_NUM_THREADS")


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(function: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int) -> Generator[Result, None, None]:
    """Yield ``function(task)`` for every task, in order, computed by worker processes.

    Args:
        function: a function at the top of a module; its tasks and results travel between processes.
        workers: number of processes; 0 computes here, in this process.

    Raises:
        RoomgenError: a worker was killed (most often: memory ran out); and whatever the function raises.
    """
    if workers == 0:
        yield from map(function, tasks)
        return
    team: dict[Connection, SpawnProcess] = {}
    try:
        _start(team, function, workers)
        yield from _in_order(list(team), iter(tasks))
    finally:
        # Also reached when the reader stops early or is interrupted: nobody waits for a room that takes minutes.
        for pipe, process in team.items():
            process.kill()
            process.join()
            pipe.close()


def _in_order(pipes: list[Connection], tasks: Iterator[Any]) -> Iterator[Any]:
    """Hand out tasks, collect results as they come, and yield them in the order of the tasks."""
    at_work: dict[Connection, list[int]] = {pipe: [] for pipe in pipes}
    done: dict[int, Any] = {}
    asked = given = 0
    more = True
    while more or given < asked:
        for pipe, numbers in at_work.items():
            while more and len(numbers) < _WAITING and asked - given < _AHEAD * len(pipes):
                try:
                    task = next(tasks)
                except StopIteration:
                    more = False
                    break
                _send(pipe, task)
                numbers.append(asked)
                asked += 1
        busy = [pipe for pipe, numbers in at_work.items() if numbers]
        ready = wait(busy, timeout=0 if given in done else None)
        for pipe in busy:
            if pipe in ready:
                done[at_work[pipe].pop(0)] = _receive(pipe)
        if given in done:
            yield done.pop(given)
            given += 1


def _send(pipe: Connection, task: Any) -> None:
    try:
        pipe.send(task)
    except OSError:
        raise _died() from None


def _receive(pipe: Connection) -> Any:
    try:
        failed, result = pipe.recv()
    except (EOFError, OSError):
        raise _died() from None
    if failed:
        raise result
    return result


def _died() -> RoomgenError:
    return RoomgenError(
        "a worker process died, most often because memory ran out: try fewer --workers or shorter responses. "
        "Finished shards are kept; the same command goes on from there.",
        exit_code=1,
    )


def _start(team: dict[Connection, SpawnProcess], function: Callable[[Any], Any], workers: int) -> None:
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks, but not the threads
    with _one_thread_each(), _without_interrupts():
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, function), daemon=True)
            process.start()
            theirs.close()  # so that the end of the worker is the end of the pipe
            team[ours] = process


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    """Be a worker: answer tasks until the pipe ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            answer = (False, function(task))
        except Exception as error:
            answer = (True, error)
        pipe.send(answer)


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
