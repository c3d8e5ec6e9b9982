"""Where the time of a training step goes, for any task, and a paper's fast paths against plain torch.

What is measured is what trains: :func:`roomtrain.loop.fit` itself takes the steps, and is watched from outside, through the task
that it is given and the optimizers of that. A paper whose benchmark is more than a step of its default settings says so by an
object ``BENCH`` in a module ``bench`` beside its ``paper``; nothing else has to be done for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from roomgen.text import pairs
from roomtrain.draws import Draws
from roomtrain.errors import RoomtrainError
from roomtrain.fabric import describe_device, start_fabric
from roomtrain.fit_settings import FitSettings
from roomtrain.loop import fit as train
from roomtrain.paper import Data, Paper, Place
from roomtrain.plans import settings_of
from roomtrain.progress import Progress
from roomtrain.task import Loss, Task
from roomtrain.weights import Weights

PARTS = {
    "data": "waiting for data",
    "device_batch": "batch on the device",
    "forward": "forward and loss",
    "backward": "backward",
    "optimizer": "optimizer",
    "rest": "the rest",
}
WARM_UP = 3
"""Steps that do not count: the first ones take memory, choose kernels, and make what is kept."""
_TIMES = 7


@dataclass(frozen=True)
class Case:
    """Settings whose steps are timed: what they differ in from the preset, and what that means."""

    overrides: Mapping[str, Any] = field(default_factory=dict)
    about: str = "default settings"


@dataclass(frozen=True)
class Bench:
    """What is measured of a paper.

    Args:
        cases: by name.
        scale: of the data that are made where none are given: large enough for a batch of the preset "paper".
        rehearsed: settings that are laid over the preset "smoke" where all that counts is whether everything runs.
        against_torch: measures ours and plain torch on a device, see :func:`compared`, by what is done.
    """

    cases: Mapping[str, Case] = field(default_factory=lambda: {"default": Case()})
    scale: float = 0.1
    rehearsed: Mapping[str, Any] = field(default_factory=dict)
    against_torch: Callable[[torch.device], dict[str, dict[str, float]]] | None = None


class Watch:
    """Looks on while a task is trained."""

    def lap(self, part: str) -> None:
        """A part of a step is over, see :data:`PARTS`."""

    def counted(self, samples: int) -> None:
        """A batch of the step has so many samples."""

    def done(self, step: int) -> None:
        """So many steps are taken."""


class Stopwatch(Watch):
    """Takes the time of every part of every step; before each look it waits for the device.

    Args:
        split: False: only whole steps are timed, and no look waits for the device, so that it works as it does in training.
        warm_up: steps that do not count.
    """

    def __init__(self, device: torch.device, *, split: bool, warm_up: int = WARM_UP) -> None:
        self.device, self.split, self.warm_up = device, split, warm_up
        self.steps: list[dict[str, float]] = []
        """Seconds of the parts of each step."""
        self.samples = 0
        self._mark = now(device)
        self._step: dict[str, float] = {}

    def lap(self, part: str) -> None:
        if self.split:
            moment = now(self.device)
            self._step[part] = self._step.get(part, 0.0) + moment - self._mark
            self._mark = moment

    def counted(self, samples: int) -> None:
        self.samples += samples

    def done(self, step: int) -> None:
        self.steps.append(self._step)
        self._step = {}
        if step == self.warm_up and not self.split:
            self._mark = now(self.device)

    @property
    def counting(self) -> list[dict[str, float]]:
        """The steps after the warm-up."""
        return self.steps[self.warm_up :]

    def whole_s(self) -> float:
        """Return the seconds of a step: the median of those that were looked at, else the mean of all after the first."""
        if self.split:
            return median(sum(step.values()) for step in self.counting)
        return (now(self.device) - self._mark) / len(self.counting)


def bench_of(paper: Paper) -> Bench:
    """Return what is measured of a paper."""
    module = type(paper).__module__.rpartition(".")[0] + ".bench"
    if importlib.util.find_spec(module) is None:
        return Bench()
    bench: Bench = importlib.import_module(module).BENCH
    return bench


def run(paper: Paper, data: Path | None, *, device: str, precision: str, steps: int, preset: str = "paper") -> dict[str, Any]:
    """Return where the time of the paper's steps goes.

    Args:
        data: folder of ``roomgen paper``; None: a small one is made for it, which takes a minute or more.
        steps: that are timed, of each case.

    Returns:
        ``machine``; ``step``: case → ``about`` and what :func:`measure` returns; ``against_torch``: ms of ours and of plain torch.

    Raises:
        RoomtrainError: no such device, or data that are too few for a batch.
    """
    bench, fabric = bench_of(paper), start_fabric(device, precision)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = small_data(paper, Path(folder), scale=bench.scale) if data is None else data
        place = Place(fabric.device)
        opened = paper.open(root, place)
        for name, case in bench.cases.items():
            task, fit = first_task(paper, opened, place, preset=preset, overrides=case.overrides)
            found[name] = {"about": case.about, **measure(task, fit, fabric, steps=steps)}
    return {
        "paper": paper.name,
        "machine": {
            "device": describe_device(fabric.device),
            "torch": str(torch.__version__),
            "cores": os.cpu_count(),
            "precision": precision,
        },
        "step": found,
        "against_torch": {} if bench.against_torch is None else bench.against_torch(fabric.device),
    }


def bench_text(result: Mapping[str, Any]) -> str:
    """Return the results for reading."""
    parts = [pairs(result["machine"])]
    for name, step in result["step"].items():
        rows = {title: f"{step[part]:8.2f} ms" for part, title in PARTS.items()}
        rows["the whole"] = f"{step['whole']:8.2f} ms"
        rows["speed"] = f"{step['samples_per_s']:8.1f} samples/s"
        if step["peak_mb"] is not None:
            rows["peak memory"] = f"{step['peak_mb']:8.0f} MB"
        parts.append(f"a step of {name} ({step['about']}; {step['samples']} samples)\n{pairs(rows)}")
    rows = {
        what: f"{both['ours_ms']:8.2f} ms, torch {both['torch_ms']:8.2f} ms: {both['ratio']:.2f} times as fast"
        for what, both in result["against_torch"].items()
    }
    if rows:
        parts.append(f"against plain torch\n{pairs(rows)}")
    return "\n\n".join(parts)


def small_data(paper: Paper, folder: Path, *, scale: float) -> Path:
    """Make a small version of a paper's data, and return the folder: the time of a step does not depend on how much there is."""
    from roomgen.papers.make import make_paper
    from roomgen.papers.parts import Given
    from roomgen.run.executors import available_cores

    make_paper(paper.name, folder, Given(scale=scale), workers=available_cores(), progress=False)
    return folder


def first_task(paper: Paper, data: Data, place: Place, *, preset: str, overrides: Mapping[str, Any]) -> tuple[Task, FitSettings]:
    """Return the task of a cell's first training, and how it is fitted.

    Raises:
        RoomtrainError: the cell trains nothing, or the data are too few.
    """
    settings = settings_of(paper, preset, overrides)
    for stage in paper.stages(settings, data, place):
        if stage.fit is not None and not stage.needs:
            return stage.make(Weights({})), stage.fit
    raise RoomtrainError(f"{paper.cell_of(settings)} of {paper.name} begins with no training: there is no step to time.")


def measure(task: Task, fit: FitSettings, fabric: Fabric, *, steps: int, warm_up: int = WARM_UP) -> dict[str, Any]:
    """Return where the time of a task's training step goes.

    Args:
        steps: that are timed, after ``warm_up`` others.

    Returns:
        medians in ms of each of :data:`PARTS`, and of the ``whole``; ``samples`` of a step, ``samples_per_s``; ``data_share``, of
        the time, that is spent waiting for data; ``peak_mb`` of a GPU's memory. On a GPU the parts wait for one another, which
        they do not in training: there the whole is measured by itself.
    """
    device = fabric.device
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    parts = Stopwatch(device, split=True, warm_up=warm_up)
    take_steps(task, fit, fabric, steps=warm_up + steps, watch=parts)
    whole = parts
    if on_gpu:
        whole = Stopwatch(device, split=False, warm_up=warm_up)
        take_steps(task, fit, fabric, steps=warm_up + steps, watch=whole)
    found: dict[str, Any] = {name: 1e3 * median(step.get(name, 0.0) for step in parts.counting) for name in PARTS}
    whole_s = whole.whole_s()
    samples = round(parts.samples / len(parts.steps))
    return {
        **found,
        "whole": 1e3 * whole_s,
        "samples": samples,
        "samples_per_s": samples / whole_s,
        "data_share": found["data"] / sum(found.values()),
        "peak_mb": torch.cuda.max_memory_allocated(device) / 1e6 if on_gpu else None,
    }


def take_steps(task: Task, fit: FitSettings, fabric: Fabric, *, steps: int, watch: Watch) -> None:
    """Train a task for so many steps, in the loop of every training; no validation, and nothing is kept but the weights."""
    quiet = fit.model_copy(update={"save_every_s": 1e9, "patience": None})
    with tempfile.TemporaryDirectory() as folder:
        try:
            train(
                _Watched(task, watch, steps=steps * fit.accumulate),
                quiet,
                folder=Path(folder),
                fabric=fabric,
                seed=0,
                settings_hash="",
                progress=_Steps(watch, steps),
            )
        except _Enough:
            return


def compared(device: torch.device, ours: Callable[[], Any], plain: Callable[[], Any]) -> dict[str, float]:
    """Return medians of both in ms, taken in turn, and how many times as fast ours is."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(_TIMES + 1):
        for kept, function in zip(times, (ours, plain), strict=True):
            begun = now(device)
            function()
            if number:
                kept.append(1e3 * (now(device) - begun))
    mine, theirs = median(times[0]), median(times[1])
    return {"ours_ms": mine, "torch_ms": theirs, "ratio": theirs / mine}


def now(device: torch.device) -> float:
    """Return the time in s, when a device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class _Enough(BaseException):
    """Ends a training that was watched for long enough."""


class _Steps(Progress):
    """Shows nothing; tells the watch of steps, and ends the training after the last."""

    def __init__(self, watch: Watch, steps: int) -> None:
        super().__init__()
        self._watch, self._steps = watch, steps

    def begins(self, task: str, steps: int, epochs: int, *, done: int) -> None:
        pass

    def step(self, step: int) -> None:
        self._watch.lap("rest")
        self._watch.done(step)
        if step >= self._steps:
            raise _Enough

    def logged(self, values: Mapping[str, float], speed: Mapping[str, float]) -> None:
        pass


class _Watched(Task):
    """A task as it is, whose training epochs are laid end to end, and which tells how far a step is."""

    def __init__(self, task: Task, watch: Watch, *, steps: int) -> None:
        self.task, self.watch = task, watch
        self.name, self.model, self.judged_by = task.name, task.model, task.judged_by
        self.sizes = {"train": steps, "val": 1}
        self._open = "rest"

    def host_batch(self, split: str, epoch: int, step: int) -> Any:
        return self.task.host_batch(split, *divmod(step, self.task.sizes[split]))

    def device_batch(self, batch: Any, draws: Draws) -> Any:
        self.watch.lap("data")
        made = self.task.device_batch(batch, draws)
        self.watch.lap("device_batch")
        self._open = "rest"
        return made

    def losses(self, model: nn.Module, batch: Any) -> Iterator[Loss]:
        under_way = self.task.losses(model, batch)
        while True:
            self.watch.lap(self._open)
            try:
                loss = next(under_way)
            except StopIteration:
                return
            self.watch.lap("forward")
            self._open = "backward"
            yield loss

    def count(self, batch: Any) -> int:
        samples = self.task.count(batch)
        self.watch.counted(samples)
        return samples

    def optimizers(
        self, fit: FitSettings, device: torch.device, *, scaled_and_clipped: bool = False
    ) -> dict[str, torch.optim.Optimizer]:
        found = self.task.optimizers(fit, device, scaled_and_clipped=scaled_and_clipped)
        for optimizer in found.values():
            optimizer.register_step_pre_hook(lambda *_: self.watch.lap("backward"))
            optimizer.register_step_post_hook(lambda *_: self._stepped())
        return found

    def _stepped(self) -> None:
        self.watch.lap("optimizer")
        self._open = "rest"

    def state_dict(self) -> dict[str, Any]:
        return self.task.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.task.load_state_dict(state)

    def keys(self, epoch: int, step: int) -> list[str]:
        return self.task.keys(*divmod(step, self.task.sizes["train"]))
