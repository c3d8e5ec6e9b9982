"""Whole programs: how long they run and how much memory they take."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roomgen.errors import RoomgenError

_LOOK_EVERY_S = 0.005
_REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Ran:
    """A program that ended well: its time, its peak of resident memory (None where the system does not tell), its stdout."""

    seconds: float
    peak_mb: float | None
    stdout: str


def run_python(arguments: Sequence[str]) -> Ran:
    """Run ``python arguments`` and watch it.

    Raises:
        RoomgenError: it failed; the message ends with what it said last.
    """
    peak: float | None = None
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err, text=True, env=_with_benchmarks()
        )
        try:
            while process.poll() is None:
                peak = _peak_mb(process.pid) or peak
                time.sleep(_LOOK_EVERY_S)
        finally:
            process.kill()
            process.wait()
        seconds = time.perf_counter() - begun
        for file in (out, err):
            file.seek(0)
        if process.returncode:
            last = (err.read().strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise RoomgenError(f"python {' '.join(arguments)}: {last}", exit_code=1)
        return Ran(seconds, peak, out.read())


def _with_benchmarks() -> dict[str, str]:
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{_REPOSITORY}{os.pathsep}{before}" if before else str(_REPOSITORY)}


def _peak_mb(pid: int) -> float | None:
    """Return the peak so far of a running process; Linux only.

    Not ``ru_maxrss``: on Linux a new process inherits that of the one that started it.
    """
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 / 1e6 if found else None
