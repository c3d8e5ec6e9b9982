"""The training loop: one for all tasks, on any device, in any number of processes (Lightning Fabric).

Exactness: a batch is a function of (seed, epoch, step), and torch's random numbers (dropout) are seeded anew at every step, so the
state to go on from is the weights, the optimizers and a few counters. Killed at any moment, the same command gives the same losses
as one that was never interrupted, bit for bit on one CPU. In several processes dropout masks are drawn per process.

A step waits for no GPU: losses and norms stay on the device, and are looked at every so many steps (see :mod:`roomtrain.steps`).
Only the precision "16-mixed" waits, in torch's own gradient scaler.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from roomtrain.batches import Ahead
from roomtrain.checkpoint import BEST, Saver, fitting, load_last, read_weights
from roomtrain.draws import Draws
from roomtrain.errors import RoomtrainError, Stopped
from roomtrain.fit_settings import FitSettings
from roomtrain.journal import Journal, Sink
from roomtrain.means import Means
from roomtrain.processes import any_of
from roomtrain.progress import Pace, Progress
from roomtrain.schedules import Plateau, learning_rate
from roomtrain.signals import StopRequest
from roomtrain.steps import LOOK_EVERY, Stepper
from roomtrain.task import SPLITS, Task

_LOG_EVERY = 32


@dataclass
class Position:
    """Where training stands; all of it goes into the checkpoint."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    plateau: dict[str, Any] = field(default_factory=dict)
    means: dict[str, list[float]] = field(default_factory=dict)
    """Of the log's next line, so far: see :class:`roomtrain.means.Means`."""
    done: bool = False
    lines: int | None = None
    """Lines of the log until here."""
    seconds: float = 0.0
    """Of all commands together."""


@dataclass(frozen=True)
class Fitted:
    """How a fit ended: epochs run, the best one (from 0) and its validation loss, optimizer steps, seconds of all commands."""

    epochs: int
    best_epoch: int
    best_loss: float
    steps: int
    seconds: float


def fit(
    task: Task,
    settings: FitSettings,
    *,
    folder: Path,
    fabric: Fabric,
    seed: int,
    settings_hash: str,
    stop: StopRequest | None = None,
    progress: Progress | None = None,
    sinks: Sequence[Sink] = (),
) -> Fitted:
    """Train until the patience or the epochs end; :attr:`Task.model` then has the weights of the best epoch.

    Args:
        folder: for checkpoints and logs; one that holds a checkpoint of the same settings is gone on with.
        settings_hash: names all that decides the result.
        stop: looked at between steps.
        progress: shown on stderr; None: nothing is.
        sinks: where the log goes besides its file.

    Raises:
        RoomtrainError: the folder's checkpoint is of other settings; or a loss or gradient is not finite (the batch's keys are
            named); or there is nothing to train on.
        Stopped: asked to stop; the state is saved.
    """
    if min(task.sizes[split] for split in SPLITS) < 1:
        raise RoomtrainError(
            f"{task.name}: an epoch has {task.sizes['train']} training batches and {task.sizes['val']} of validation, where both "
            "need 1 or more: take more samples, or smaller batches."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with closing(_Run(task, settings, folder=folder, fabric=fabric, seed=seed, settings_hash=settings_hash, sinks=sinks)) as run:
        if progress is not None:
            progress.begins(task.name, run.steps_per_epoch, settings.max_epochs, done=run.at.step)
        while not run.at.done:
            run.epoch(stop, progress)
        run.saver.flush()
    fabric.barrier()  # the first process has written them then
    task.model.load_state_dict(read_weights(folder / BEST))
    at = run.at
    return Fitted(at.epoch, at.best_epoch, at.best_loss, at.step, at.seconds)


class _Run:
    """A fit under way: what takes its steps, and where it stands."""

    def __init__(
        self,
        task: Task,
        settings: FitSettings,
        *,
        folder: Path,
        fabric: Fabric,
        seed: int,
        settings_hash: str,
        sinks: Sequence[Sink],
    ) -> None:
        self.task, self.settings, self.folder = task, settings, folder
        self.fabric, self.seed, self.hash = fabric, seed, settings_hash
        self.at = Position()
        state = self._restored()
        self.steps = Stepper(task, settings, fabric, seed=seed)
        if state is not None:
            with fitting(folder):
                self.steps.load_state_dict(state)
                self.steps.means = Means.of(self.at.means, fabric.device)
        self.plateau = Plateau(**self.at.plateau)
        self.steps_per_epoch = -(-task.sizes["train"] // settings.accumulate)
        self.saver = Saver()
        self.ahead = Ahead(task, fabric.device)
        self.began = self.saved_at = time.monotonic()
        self.seconds_before = self.at.seconds
        self.journal = Journal(folder, after_step=self.at.step, lines=self.at.lines, write=fabric.is_global_zero, sinks=sinks)

    def _restored(self) -> dict[str, Any] | None:
        """Take up weights and position of the folder's checkpoint, if there is one, and return the rest of it."""
        loaded = load_last(self.folder)
        if loaded is None:
            return None
        weights, state = loaded
        if state.get("settings_hash") != self.hash:
            raise RoomtrainError(
                f"{self.folder} holds a training with other settings or data ({state.get('settings_hash')}, now {self.hash}): "
                "use another --out, or remove the folder."
            )
        with fitting(self.folder):
            self.task.model.load_state_dict(weights)
            self.at = Position(**state["position"])
        return state

    def close(self) -> None:
        """End threads and files, whatever happened."""
        self.ahead.close()
        self.saver.close()
        self.journal.close()

    def epoch(self, stop: StopRequest | None, progress: Progress | None) -> None:
        """Train from where it stands to the end of the epoch, validate, and save."""
        at, steps = self.at, self.steps_per_epoch
        sizes, k = self.task.sizes["train"], self.settings.accumulate
        batches = self.ahead.batches("train", at.epoch, range(at.step_in_epoch * k, sizes))
        pace = Pace()
        while at.step_in_epoch < steps:
            own = [batch for _, batch in zip(range(min(k, sizes - at.step_in_epoch * k)), batches, strict=False)]
            pace.data()
            pace.samples += self.steps.take(own, epoch=at.epoch, number=at.step_in_epoch, factor=self.factor())
            at.step, at.step_in_epoch = at.step + 1, at.step_in_epoch + 1
            pace.step()
            if progress is not None:
                progress.step(at.step)
            if at.step % _LOG_EVERY == 0:
                self.log_train(progress, pace)
            asked, due = self.asked(stop)
            if asked:
                self.save()
                self.saver.flush()
                self.fabric.barrier()  # no process goes on from a checkpoint that is not written yet
                raise Stopped(f"{self.task.name}, epoch {at.epoch + 1}, step {at.step_in_epoch} of {steps}")
            if due and at.step_in_epoch < steps:
                self.save()
        self.steps.look()
        self.log_train(progress, pace)
        self.end_of_epoch(self.validate(), progress)

    def end_of_epoch(self, values: dict[str, float], progress: Progress | None) -> None:
        """Write down the validation, keep the weights if they are the best so far, and decide whether to go on."""
        at, settings = self.at, self.settings
        loss = values[self.task.judged_by]
        self.journal.line("val", epoch=at.epoch, step=at.step, values=values)
        if loss < at.best_loss:
            at.best_loss, at.best_epoch = loss, at.epoch
            if self.fabric.is_global_zero:
                self.saver.best(self.folder, self.steps.evaluated().state_dict())
        self.plateau = self.plateau.after(loss, settings)
        if progress is not None:
            progress.epoch(at.epoch, loss, best=at.best_loss, best_epoch=at.best_epoch)
        at.epoch, at.step_in_epoch = at.epoch + 1, 0
        patience = settings.patience
        at.done = at.epoch >= settings.max_epochs or (patience is not None and at.epoch - 1 - at.best_epoch >= patience)
        self.save()

    def factor(self) -> float:
        """Return the factor of the learning rates of the step to take."""
        return learning_rate(
            1.0,
            self.settings,
            step=self.at.step,
            epoch_steps=self.steps_per_epoch,
            max_epochs=self.settings.max_epochs,
            plateau=self.plateau.share,
        )

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the mean of the losses over the samples of validation, of all processes."""
        model = self.steps.model if self.steps.average is None else self.steps.average.module
        model.eval()
        draws = Draws(self.seed, split=1, device=self.fabric.device)  # of epoch 0, whichever it is: the same noise every time
        means = Means.of({}, self.fabric.device)
        for batch in self.ahead.batches("val", 0, range(self.task.sizes["val"])):
            batch = self.task.device_batch(batch, draws)
            count = self.task.count(batch)
            with self.fabric.autocast():
                for loss in self.task.losses(model, batch):
                    for part, value in {loss.name: loss.value, **loss.parts}.items():
                        means.add(part, value, count)
        values = means.taken(self.fabric)
        for name, mean in values.items():
            if not math.isfinite(mean):
                raise RoomtrainError(
                    f"{self.task.name}: the validation {name} of epoch {self.at.epoch + 1} is {mean}.", exit_code=1
                )
        return values

    def log_train(self, progress: Progress | None, pace: Pace) -> None:
        """Write the mean of the steps since the last line, and how fast they were."""
        if not self.steps.means:
            return
        values = self.steps.means.taken(self.fabric)
        self.journal.line("train", epoch=self.at.epoch, step=self.at.step, values=values)
        speed = pace.taken()
        self.journal.speed(epoch=self.at.epoch, step=self.at.step, values=speed)
        if progress is not None:
            progress.logged(values, speed)

    def asked(self, stop: StopRequest | None) -> tuple[bool, bool]:
        """Tell whether any process was asked to stop, and whether the first finds it time to save: all do so at the same step."""
        due = time.monotonic() - self.saved_at > self.settings.save_every_s and not self.saver.busy
        mine = [stop is not None and bool(stop.asked), due and self.fabric.is_global_zero]
        if self.fabric.world_size == 1:
            return mine[0], mine[1]
        if self.fabric.device.type != "cpu" and self.at.step % LOOK_EVERY:
            return False, False
        asked, save = any_of(mine, self.fabric)
        return asked, save

    def save(self) -> None:
        """Have the checkpoint written; the first process only."""
        self.saved_at = time.monotonic()
        self.steps.look()
        at = self.at
        at.seconds = self.seconds_before + self.saved_at - self.began
        at.plateau = asdict(self.plateau)
        at.means = self.steps.means.plain(self.fabric)
        if not self.fabric.is_global_zero:
            return
        at.lines = self.journal.lines
        state = {"position": asdict(at), "settings_hash": self.hash, **self.steps.state_dict()}
        self.saver.last(self.folder, weights=self.task.model.state_dict(), state=state, step=at.step, first=self.journal.sync)
