"""Work on this machine: processes that make samples, and results in the order in which they were asked for.

Samples are made in chunks, many of them to a shard, so that two workers are twice as fast as one however few shards there are.
Only the order of the chunks decides what is written: the bytes do not depend on the number of workers.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from roomgen.errors import RoomgenError

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 8  # chunks a worker may run ahead of the writer: enough to hide one slow room, little enough to hold in memory

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
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks, but not the threads
    with _one_thread_each():
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    waiting: deque[Future[Result]] = deque()
    try:
        with _one_thread_each():  # processes are started when work arrives
            for task in tasks:
                waiting.append(pool.submit(function, task))
                if len(waiting) >= workers * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        pool.shutdown()
    except BrokenProcessPool:
        raise RoomgenError(
            "a worker process died, most often because memory ran out: try fewer --workers or shorter responses. "
            "Finished shards are kept; the same command goes on from there.",
            exit_code=1,
        ) from None
    finally:
        # Also reached when the reader stops early or is interrupted: nobody waits for a room that takes minutes.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.kill()


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


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave no orphan: a worker whose parent was killed ends at once."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
