"""Each paper's data, the time of its steps in every precision, and whether they wait for the GPU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

import torch
from lightning_fabric import Fabric

from roomtrain.bench import Watch, bench_of, first_task, measure, small_data, take_steps
from roomtrain.fabric import start_fabric
from roomtrain.fit_settings import FitSettings
from roomtrain.gpu.items import Report, Setup
from roomtrain.gpu.runner import described
from roomtrain.paper import Place, get_paper
from roomtrain.task import Task

REHEARSED_SCALE = 0.02
VARIANTS: dict[str, dict[str, Any]] = {
    "32-true": {"precision": "32-true"},
    "32-true, TF32": {"precision": "32-true", "tf32": True},
    "bf16-mixed": {"precision": "bf16-mixed"},
}
_WARM_UP = 2
_CHECKED = 3  # with those before fewer, also of a GAN, than lie between two looks at the losses, which wait as they shall
EVERY_HELP: dict[str, Any] = {"ema_decay": 0.999, "clip_norm": 1.0, "fused": True}
"""Settings of a fit that add something to every step."""


def data(setup: Setup, report: Report, name: str) -> dict[str, Any]:
    """Make a paper's data, unless they were given."""
    paper = get_paper(name)
    root = setup.given(paper)
    if root is not None:
        return {"given": str(root)}
    began = time.monotonic()
    scale = REHEARSED_SCALE if setup.rehearsal else bench_of(paper).scale
    small_data(paper, setup.made(paper), scale=scale)
    return {"scale": scale, "made_in_s": round(time.monotonic() - began, 1)}


def steps(setup: Setup, report: Report, name: str, *, compiled: bool = False) -> dict[str, Any]:
    """Return case → variant → what :func:`roomtrain.bench.measure` says of a step, or the error."""
    found: dict[str, Any] = {}
    short = setup.rehearsal and compiled  # tracing takes its time
    for case, task, fit in _tasks(setup, name, one=short):
        found[case] = {}
        for variant, how in list(VARIANTS.items())[-1 if short else 0 :]:
            try:
                fabric = start_fabric(setup.device, **how)
                used = fit.model_copy(update={"compile": compiled})
                found[case][variant] = measure(
                    task, used, fabric, **({"steps": 1, "warm_up": 1} if setup.rehearsal else {"steps": 30})
                )
            except Exception as error:
                found[case][variant] = {"error": described(error)}
            report(found)
    return found


def compiled_steps(setup: Setup, report: Report, name: str) -> dict[str, Any]:
    """As :func:`steps`, with torch.compile; a rehearsal traces the model and runs it as it is, for compiling takes minutes."""
    if setup.rehearsal:
        torch.compile = partial(torch.compile, backend="eager")
    return steps(setup, report, name, compiled=True)


def waits(setup: Setup, report: Report, name: str) -> dict[str, Any]:
    """Return case → how it is fitted → whether it ``passes``: no step waits for the GPU, else a ``message`` says where.

    Without a GPU nobody can tell (None); what goes wrong otherwise is a message, too.
    """
    found: dict[str, Any] = {}
    helps: dict[str, dict[str, Any]] = {"as published": {}, "with average, clipping, fused optimizer": EVERY_HELP}
    ways = list(product(helps, ("32-true", "bf16-mixed")))
    for case, task, fit in _tasks(setup, name, one=setup.rehearsal):
        found[case] = {}
        for title, precision in ways[::3] if setup.rehearsal else ways:
            fabric = start_fabric(setup.device, precision)
            message = waiting(task, fit.model_copy(update=helps[title]), fabric)
            checked: dict[str, Any] = {"passes": message is None} if setup.device == "cuda" else {"passes": None}
            found[case][f"{title}, {precision}"] = checked if message is None else {**checked, "message": message}
            report(found)
    return found


def waiting(task: Task, fit: FitSettings, fabric: Fabric) -> str | None:
    """Train a task for a few steps, and return where one of the later ones waited for the GPU, or whatever went wrong there."""
    try:
        with _default_mode(fabric.device):
            take_steps(task, fit, fabric, steps=_WARM_UP + _CHECKED, watch=_NoWaiting(fabric.device))
    except Exception as error:
        return described(error)
    return None


class _NoWaiting(Watch):
    """Has CUDA refuse, after the first steps, whatever waits for it: in steps, and where their data come from."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"

    def done(self, step: int) -> None:
        if self._on_gpu and step == _WARM_UP:
            torch.cuda.set_sync_debug_mode("error")
        elif self._on_gpu and step == _WARM_UP + _CHECKED:
            torch.cuda.set_sync_debug_mode("default")


@contextmanager
def _default_mode(device: torch.device) -> Iterator[None]:
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def _tasks(setup: Setup, name: str, *, one: bool = False) -> Iterator[tuple[str, Task, FitSettings]]:
    """Yield the tasks that a paper's benchmark measures, by name; or the first one alone."""
    paper, place = get_paper(name), Place(torch.device(setup.device))
    opened = paper.open(setup.root(paper), place)
    bench = bench_of(paper)
    for name, case in list(bench.cases.items())[: 1 if one else None]:
        overrides = {**(bench.rehearsed if setup.rehearsal else {}), **case.overrides}
        yield name, *first_task(paper, opened, place, preset=setup.preset, overrides=overrides)
