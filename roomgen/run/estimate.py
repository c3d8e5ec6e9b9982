"""What a dataset will cost, before it is made: counts from the plan, lengths and times from a few of its samples."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from roomgen.datasets.family import Inputs
from roomgen.datasets.rooms.family import make
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.reachable import check_target
from roomgen.datasets.rooms.settings import DatasetSettings

_PLANNED_ROOMS = 200
_SIMULATED = 24
_LONGEST_S = 5.0


def estimate(settings: DatasetSettings, *, workers: int, inputs: Inputs | None = None) -> dict[str, Any]:
    """Return shards, samples, and the expected hours of audio, bytes and seconds of a dataset; writes nothing.

    Lengths are the mean over up to 200 rooms spread over the plan, time and bytes those of up to 24 of them, simulated warm, so
    that compilation is not counted; fewer, where either takes more than five seconds. The time of a room's own plan, which a
    target RT60 makes long, is shared by its samples.

    Args:
        settings: of the dataset.
        workers: processes that will share the work.
        inputs: the file of rooms, where the settings take them from one.
    """
    from tqdm import tqdm

    check_target(settings)
    plan = RoomsPlan(settings, inputs)
    rooms = np.unique(np.linspace(0, settings.rooms.count - 1, _PLANNED_ROOMS).astype(int))
    split = next(iter(settings.splits.shares))
    rows, planning_s = [], 0.0
    order = np.random.default_rng(0).permutation(rooms)
    for room in tqdm(order, desc="planning", unit="room", delay=1.0, leave=False, dynamic_ncols=True):
        begun = time.perf_counter()
        rows.append(plan.row(split, int(room), 0))
        planning_s += time.perf_counter() - begun
        if planning_s > _LONGEST_S:
            break
    seconds_each = float(np.mean([row["n_samples"] for row in rows])) / settings.signal.fs_hz
    # The first one is simulated twice: its first time pays for compiling and loading.
    chosen = rows[:_SIMULATED]
    overhead = _bytes_of(settings, chosen[0]) - 4 * chosen[0]["n_samples"]
    begun = time.perf_counter()
    done: list[int] = []
    for row in chosen:
        _bytes_of(settings, row)
        done.append(row["n_samples"])
        if time.perf_counter() - begun > _LONGEST_S:
            break
    time_each = (time.perf_counter() - begun) / len(done) + planning_s / len(rows) / settings.place.rirs_per_room
    total = len(plan)
    return {
        "rooms": settings.rooms.count,
        "samples": total,
        "shards": len(plan.shards),
        "splits": plan.split_sizes,
        "hours": round(total * seconds_each / 3600, 4),
        "bytes": int(total * (4 * seconds_each * settings.signal.fs_hz + overhead)),
        "calibrated_samples": len(done),
        "ms_per_sample": round(1000 * time_each, 3),
        "workers": workers,
        "expected_s": round(total * time_each / max(workers, 1), 2),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "settings_hash": settings.hash(),
    }


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    with contextlib.suppress(OSError, StopIteration):  # Linux; getrusage there begins with the peak of the parent process
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _bytes_of(settings: DatasetSettings, row: dict[str, Any]) -> int:
    """Make a sample and return how many bytes it takes in a tar, headers and padding included."""
    (sample,) = make(settings, [row])
    return sum(512 + -(-len(data) // 512) * 512 for data in sample.members.values())
