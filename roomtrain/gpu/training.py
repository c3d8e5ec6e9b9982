"""A short training as users have it: killed and resumed it must give the same losses; and how busy it keeps the GPU."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.profiler import ProfilerActivity, profile

from roomtrain.bench import Watch, bench_of, first_task, now, take_steps
from roomtrain.checkpoint import load_last
from roomtrain.fabric import start_fabric
from roomtrain.fit_settings import FitSettings
from roomtrain.gpu.items import Report, Setup
from roomtrain.journal import SPEED, read_log
from roomtrain.loop import fit as train
from roomtrain.paper import Place, get_paper
from roomtrain.progress import Progress
from roomtrain.task import Task

_EPOCHS = 2
_WARM_UP = 3


def training(setup: Setup, report: Report, name: str) -> dict[str, Any]:
    """Train the first stage of a paper's small preset: whole, once more, and killed and resumed.

    Returns:
        ``steps``; where the training was ``killed``, and resumed from; ``resumed``: whether log and weights of that one are those
        of the whole one, bit by bit, and the first step whose losses differ; ``repeated``: the same of a second whole one, for a
        GPU may not even repeat itself; ``samples_per_s``, ``data_share`` of the time spent waiting for data, ``peak_mb`` of memory;
        ``busy``: the share of the time in which the GPU computes.
    """
    kill_at = 4 if setup.rehearsal else 190
    # The killed one comes first: it is forked, and must be before this process uses CUDA.
    killed = multiprocessing.get_context("fork").Process(target=_killed, args=(setup, name, kill_at))
    killed.start()
    killed.join()
    fabric = start_fabric(setup.device)
    task, fit = _task(setup, name)
    untrained = {key: value.clone() for key, value in task.model.state_dict().items()}
    if setup.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    folders = {which: setup.folder / "training" / which for which in ("whole", "again", "killed")}
    kept = load_last(folders["killed"])
    found: dict[str, Any] = {
        "killed": killed.exitcode == -signal.SIGKILL,
        "killed_at_step": kill_at,
        "resumed_from_step": None if kept is None else kept[1]["step"],
    }
    for which, folder in folders.items():
        task.model.load_state_dict(untrained)
        fitted = _fit(task, fit, folder, fabric)
        if which == "whole":
            found |= {"steps": fitted, **_speed(folder)}
            found["peak_mb"] = torch.cuda.max_memory_allocated() / 1e6 if setup.device == "cuda" else None
        else:
            found["resumed" if which == "killed" else "repeated"] = _compared(folders["whole"], folder)
        report(found)
    task.model.load_state_dict(untrained)
    busy = _Busy(fabric.device, steps=1 if setup.rehearsal else 40)
    take_steps(task, fit, fabric, steps=_WARM_UP + busy.steps, watch=busy)
    return found | {"busy": busy.result()}


def _task(setup: Setup, name: str) -> tuple[Task, FitSettings]:
    paper, place = get_paper(name), Place(torch.device(setup.device))
    preset, overrides = ("smoke", bench_of(paper).rehearsed) if setup.rehearsal else ("small", {})
    task, fit = first_task(paper, paper.open(setup.root(paper), place), place, preset=preset, overrides=overrides)
    return task, fit.model_copy(update={"max_epochs": _EPOCHS, "patience": None})


def _fit(task: Task, fit: FitSettings, folder: Path, fabric: Fabric, *, kill_at: int | None = None) -> int:
    """Train, and return the number of steps."""
    fitted = train(task, fit, folder=folder, fabric=fabric, seed=0, settings_hash="", progress=_Quiet(kill_at))
    return fitted.steps


def _killed(setup: Setup, name: str, kill_at: int) -> None:
    task, fit = _task(setup, name)
    # Saved after every step that finds the last checkpoint written: the kill falls between two, or into the midst of one.
    often = fit.model_copy(update={"save_every_s": 0.0})
    _fit(task, often, setup.folder / "training" / "killed", start_fabric(setup.device), kill_at=kill_at)


class _Quiet(Progress):
    """Shows nothing, and kills the process at a step."""

    def __init__(self, kill_at: int | None) -> None:
        super().__init__()
        self._kill_at = kill_at

    def begins(self, task: str, steps: int, epochs: int, *, done: int) -> None:
        pass

    def step(self, step: int) -> None:
        if step == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def logged(self, values: Mapping[str, float], speed: Mapping[str, float]) -> None:
        pass

    def epoch(self, epoch: int, loss: float, *, best: float, best_epoch: int) -> None:
        pass


def _speed(folder: Path) -> dict[str, float]:
    """Return the medians of what the training itself wrote of its speed."""
    lines = [json.loads(line) for line in (folder / SPEED).read_text(encoding="utf-8").splitlines()]
    rows = lines[1:] or lines  # the first ones have chosen kernels, and made what is kept
    return {
        "samples_per_s": median(row["samples_per_s"] for row in rows),
        "step_ms": 1e3 * median(row["step_s"] for row in rows),
        "data_share": median(row["data_s"] / row["step_s"] for row in rows),
    }


def _compared(whole: Path, other: Path) -> dict[str, Any]:
    """Tell whether two trainings left the same lines and weights, and where their losses part."""
    lines, others = read_log(whole), read_log(other)
    weights, other_weights = ((load_last(folder) or ({}, {}))[0] for folder in (whole, other))
    apart = [(one["step"], abs(one["loss"] - two["loss"])) for one, two in zip(lines, others, strict=False) if one != two]
    return {
        "equal_losses": lines == others,
        "equal_weights": weights.keys() == other_weights.keys()
        and all(torch.equal(w, other_weights[k]) for k, w in weights.items()),
        "lines": len(lines),
        "first_difference_at_step": apart[0][0] if apart else None,
        "largest_difference": max((size for _, size in apart), default=0.0),
    }


class _Busy(Watch):
    """Profiles the steps after the warm-up."""

    def __init__(self, device: torch.device, *, steps: int) -> None:
        self.steps, self._device = steps, device
        self._on_gpu = device.type == "cuda"
        self._profile = profile(activities=[ProfilerActivity.CUDA if self._on_gpu else ProfilerActivity.CPU])
        self._wall_s = 0.0

    def done(self, step: int) -> None:
        if step == _WARM_UP:
            self._profile.start()
            self._wall_s = -now(self._device)
        elif step == _WARM_UP + self.steps:
            self._wall_s += now(self._device)
            self._profile.stop()

    def result(self) -> dict[str, Any]:
        """Return the ``share`` of the time in which a kernel ran (without a GPU: any operation), and what it is made of."""
        kind = torch.autograd.DeviceType.CUDA if self._on_gpu else torch.autograd.DeviceType.CPU  # type: ignore[attr-defined]
        ranges = [
            (event.time_range.start, event.time_range.end)
            for event in self._profile.events() or ()  # type: ignore[no-untyped-call]
            if event.device_type == kind and not event.is_user_annotation and not event.name.startswith(("Memcpy", "Memset"))
        ]
        kernels_s = 1e-6 * covered(ranges)
        step_ms = 1e3 * self._wall_s / self.steps
        return {
            "share": kernels_s / self._wall_s,
            "step_ms": step_ms,
            "steps": self.steps,
            "kernels_a_step": len(ranges) / self.steps,
        }


def covered(ranges: Sequence[tuple[float, float]]) -> float:
    """Return how long at least one of some (begin, end) lasted."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(ranges):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
