"""roomgen's two engines: whether they agree, and how many responses a second each makes."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.accuracy import difference_db
from bench.scenes import random_rooms, typical_room
from bench.timing import best_s
from roomgen.acoustics.images.sources import image_source
from roomgen.acoustics.images.sources_gpu import simulate_batch
from roomgen.acoustics.scene import Scene
from roomtrain.gpu.items import Report, Setup
from roomtrain.gpu.runner import described

_MICS = (1, 4)
_BATCHES = (16, 64, 256, 1024, 4096)
_ENOUGH_S = 4.0  # a batch that takes longer fills the GPU
_GAIN = 1.05  # of a batch four times as large: less, and the GPU is full
_GOAL_DB = -100.0


def engine(setup: Setup, report: Report) -> dict[str, Any]:
    """Return agreement and speed, for each kernel of the GPU's engine.

    Returns:
        ``agreement``: kernel → ``worst_db`` of the difference over random rooms, ``goal_db``, ``met``; ``speed``: the room (105 m³,
        RT60 0.5 s), ``cpu`` and kernel → rows of ``mics``, ``batch`` (of rooms), ``rirs_per_s`` and ``times_cpu``.
    """
    kernels = ("torch", "triton") if setup.device == "cuda" else ("torch",)
    found: dict[str, Any] = {"agreement": {}, "speed": {"room": "105 m³, RT60 0.5 s, 16 kHz, all images", "cpu": []}}
    for kernel in kernels:
        found["agreement"][kernel] = _tried(partial(_agreement, setup, kernel))
        report(found)
    one_s: dict[int, float] = {}
    for mics in _MICS:
        scene = _scene(setup, mics)
        (one_s[mics],) = best_s(1 if setup.rehearsal else 5, partial(image_source, scene, parts=False))
        found["speed"]["cpu"].append({"mics": mics, "batch": 1, "rirs_per_s": mics / one_s[mics]})
    for kernel in kernels:
        rows: list[dict[str, Any]] = []
        found["speed"][kernel] = rows
        for mics in _MICS:
            problem = _tried(partial(_speeds, setup, kernel, mics, one_s[mics], rows))
            if problem is not None:
                rows.append({"mics": mics, **problem})
            report(found)
    return found


def _agreement(setup: Setup, kernel: Any) -> dict[str, Any]:
    rooms, duration_s = (2, 0.05) if setup.rehearsal else (12, 0.5)
    scenes = [room.scene(mics, duration_s=duration_s) for room in random_rooms(rooms) for mics in _MICS]
    scenes += [_scene(setup, mics) for mics in _MICS]
    given = simulate_batch(scenes, device=setup.device, kernel=kernel)
    worst = max(difference_db(one.rir, image_source(scene, parts=False).rir) for scene, one in zip(scenes, given, strict=True))
    return {"scenes": len(scenes), "worst_db": worst, "goal_db": _GOAL_DB, "met": worst < _GOAL_DB}


def _speeds(setup: Setup, kernel: Any, mics: int, one_s: float, rows: list[dict[str, Any]]) -> None:
    """Add a row for each batch, up to the one that fills the GPU."""
    before = 0.0
    for batch in (2,) if setup.rehearsal else _BATCHES:
        scenes = [_scene(setup, mics)] * batch
        (seconds,) = best_s(1 if setup.rehearsal else 3, partial(simulate_batch, scenes, device=setup.device, kernel=kernel))
        rate = mics * batch / seconds
        rows.append({"mics": mics, "batch": batch, "rirs_per_s": rate, "times_cpu": rate / (mics / one_s)})
        if seconds > _ENOUGH_S or rate < _GAIN * before:
            return
        before = rate


def _scene(setup: Setup, mics: int) -> Scene:
    return typical_room().scene(mics, duration_s=0.05 if setup.rehearsal else None)


def _tried(work: Any) -> Any:
    """Return what it returns, or the error as a result: the other kernel may still work."""
    try:
        return work()
    except Exception as error:
        return {"error": described(error)}
