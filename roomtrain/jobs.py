"""Several trainings side by side on one machine: the same command in as many processes, which share the cells out among them.

Small models on a CPU gain little from a second thread and everything from a second process. Cells are shared out by their folders'
locks, as between any commands; whatever a process does not finish, another or the next command goes on with.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from roomtrain.signals import StopRequest

_JOB = "ROOMTRAIN_JOB"
_ASK_AGAIN_S = 0.5


def is_job() -> bool:
    """Return whether this process is one of several of a command."""
    return _JOB in os.environ


def n_jobs() -> int:
    """Return how many processes of a command share its cells, this one among them."""
    return int(os.environ.get(_JOB, "1"))


def side_by_side(count: int, arguments: Sequence[str]) -> tuple[int, str]:
    """Run ``roomtrain`` with these arguments in so many processes, each with its share of the processors, and wait for them.

    Asked to stop, they are asked as well; where one fails, the others are.

    Returns:
        exit code: 0, or that of the first process that failed; and the signal that asked to stop, "" for none.
    """
    threads = str(max((os.cpu_count() or 1) // count, 1))
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads), _JOB: str(count)}
    command = [sys.executable, "-m", "roomtrain.cli", *arguments]
    with StopRequest() as stop:
        # A group of its own each: an interrupt at the keyboard comes from here alone, and once.
        jobs = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True) for _ in range(count)]
        try:
            failed, asked = 0, False
            while running := [job for job in jobs if job.poll() is None]:
                failed = failed or next((code for job in jobs if (code := job.poll())), 0)
                if (stop.asked or failed) and not asked:
                    asked = True
                    for job in running:
                        job.send_signal(signal.SIGTERM)
                try:
                    running[0].wait(_ASK_AGAIN_S)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            for job in jobs:
                if job.poll() is None:
                    job.kill()
    return failed or next((job.returncode for job in jobs if job.returncode), 0), stop.asked
