"""The training loop: one for all tasks, on any device, in any number of processes (Lightning Fabric).

Exactness: a batch is a function of (seed, epoch, step), and torch's random numbers (dropout) are seeded anew at every step, so the
state to go on from is the weights, the optimizer and a few counters. Killed at any moment, the same command gives the same losses
as one that was never interrupted, bit for bit on one CPU. In several processes dropout masks are drawn per process.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from roomtrain.checkpoint import BEST, fitting, load_last, read_weights, save_last, write_weights
from roomtrain.config import FitSettings
from roomtrain.ema import averaged
from roomtrain.errors import RoomtrainError, Stopped
from roomtrain.journal import Journal
from roomtrain.seeds import Purpose, integer_seed
from roomtrain.signals import StopRequest
from roomtrain.task import Task

_CHECK_EVERY = 16  # steps between looks at the loss on a GPU, where each look waits for it
_LOG_EVERY = 32
_SAVE_EVERY_S = 30.0


@dataclass
class Progress:
    """Where training stands; all of it goes into the checkpoint."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0
    done: bool = False
    lines: int | None = None
    """Lines of the log until here."""


@dataclass(frozen=True)
class Fitted:
    """How a fit ended: epochs run, the best one and its validation loss, optimizer steps, and the seconds of this command."""

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
    show: bool = True,
    tensorboard: bool = True,
) -> Fitted:
    """Train until the patience or the epochs end; :attr:`Task.model` then has the weights of the best epoch.

    Args:
        folder: for checkpoints and logs; one that holds a checkpoint of the same settings is gone on with.
        settings_hash: names all that decides the result.
        stop: looked at after every step.
        show: a progress bar on stderr.

    Raises:
        RoomtrainError: the folder's checkpoint is of other settings; or the loss is not finite (the batch's keys are named); or
            there is nothing to train on.
        Stopped: asked to stop; the state is saved.
    """
    began = time.monotonic()
    if min(task.train_steps, task.val_steps) < 1:
        raise RoomtrainError(
            f"{task.name}: an epoch has {task.train_steps} training batches and {task.val_steps} of validation, where both need 1 "
            "or more: take more samples, or smaller batches."
        )
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(task, settings, folder=folder, fabric=fabric, seed=seed, settings_hash=settings_hash, tensorboard=tensorboard)
    try:
        while not run.at.done:
            run.epoch(stop, show=show and fabric.is_global_zero)
    finally:
        run.journal.close()
    fabric.barrier()  # the first process has written them then
    task.model.load_state_dict(read_weights(folder / BEST))
    return Fitted(run.at.epoch, run.at.best_epoch, run.at.best_loss, run.at.step, time.monotonic() - began)


class _Run:
    """A fit under way: wrapped model, optimizer, averages, and where it stands."""

    def __init__(
        self, task: Task, settings: FitSettings, *, folder: Path, fabric: Fabric, seed: int, settings_hash: str, tensorboard: bool
    ) -> None:
        self.task, self.settings, self.folder = task, settings, folder
        self.fabric, self.seed, self.hash = fabric, seed, settings_hash
        self.at = Progress()
        optimizer = torch.optim.Adam(task.model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        loaded = load_last(folder)
        if loaded is not None:
            weights, state = loaded
            if state.get("settings_hash") != settings_hash:
                raise RoomtrainError(
                    f"{folder} holds a training with other settings or data ({state.get('settings_hash')}, now {settings_hash}): "
                    "use another --out, or remove the folder."
                )
            with fitting(folder):
                task.model.load_state_dict(weights)
                self.at = Progress(**state["progress"])
        self.model, self.optimizer = fabric.setup(task.model, optimizer)
        self.average: AveragedModel | None = None
        if settings.ema_decay is not None:
            self.average = averaged(task.model, decay=settings.ema_decay)
        if loaded is not None:
            with fitting(folder):
                self.optimizer.load_state_dict(state["optimizer"])
                if self.average is not None:
                    self.average.load_state_dict(state["average"])
                fabric.strategy.precision.load_state_dict(state.get("precision", {}))
        self.saved_at = time.monotonic()
        self.pending: list[tuple[int, int, Tensor]] = []
        self.journal = Journal(
            folder, after_step=self.at.step, lines=self.at.lines, write=fabric.is_global_zero, tensorboard=tensorboard
        )

    def epoch(self, stop: StopRequest | None, *, show: bool) -> None:
        """Train from where it stands to the end of the epoch, validate, and save."""
        at, steps = self.at, self.task.train_steps
        bar = tqdm(
            total=steps,
            initial=at.step_in_epoch,
            desc=f"{self.task.name} {at.epoch + 1}",
            unit="step",
            disable=not (show and sys.stderr.isatty()),
            leave=False,
        )
        with bar:
            while at.step_in_epoch < steps:
                self.step()
                bar.update()
                if at.step % _LOG_EVERY == 0:
                    self.log_train(bar)
                if stop is not None and self.any_asked(stop):
                    self.save()
                    self.fabric.barrier()  # no process goes on from a checkpoint that is not written yet
                    raise Stopped(f"{self.task.name}, epoch {at.epoch + 1}, step {at.step_in_epoch} of {steps}")
                if time.monotonic() - self.saved_at > _SAVE_EVERY_S and at.step_in_epoch < steps:
                    self.save()
        self.check()
        self.log_train()
        values = self.validate()
        self.journal.line("val", epoch=at.epoch, step=at.step, values=values)
        if values["loss"] < at.best_loss:
            at.best_loss, at.best_epoch = values["loss"], at.epoch
            if self.fabric.is_global_zero:
                write_weights(self.folder / BEST, self.evaluated().state_dict())
        if show:
            best = "best so far" if at.best_epoch == at.epoch else f"best {at.best_loss:.4g} in epoch {at.best_epoch + 1}"
            tqdm.write(f"{self.task.name}: epoch {at.epoch + 1}, validation loss {values['loss']:.4g}, {best}", file=sys.stderr)
        at.epoch, at.step_in_epoch = at.epoch + 1, 0
        patience = self.settings.patience
        at.done = at.epoch >= self.settings.max_epochs or (patience is not None and at.epoch - 1 - at.best_epoch >= patience)
        self.save()

    def step(self) -> None:
        """Take one optimizer step."""
        at = self.at
        self.model.train()
        batch = self.task.train_batch(at.epoch, at.step_in_epoch)
        torch.manual_seed(integer_seed(self.seed, Purpose.MASK, epoch=at.epoch, sample=at.step_in_epoch) + self.fabric.global_rank)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        values = self.task.loss(self.model, batch)
        loss = values["loss"]
        # The mean over all processes: where one has no finite loss, all stop at the same step.
        self.pending.append((at.epoch, at.step_in_epoch, self.reduced(loss.detach().clone())))
        if loss.device.type == "cpu" or len(self.pending) >= _CHECK_EVERY:
            self.check()
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if self.settings.clip_norm is not None:
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=self.settings.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.task.model)
        at.step, at.step_in_epoch, at.counted = at.step + 1, at.step_in_epoch + 1, at.counted + 1
        for name, value in values.items():
            at.sums[name] = at.sums.get(name, 0.0) + value.detach()  # type: ignore[assignment]  # a tensor until it is logged

    def check(self) -> None:
        """Stop where a loss was not finite, before its weights are saved."""
        for epoch, step, loss in self.pending:
            if not bool(torch.isfinite(loss)):
                keys = self.task.keys(epoch, step)
                shown = ", ".join(keys[:12]) + (f" and {len(keys) - 12} more" if len(keys) > 12 else "")
                raise RoomtrainError(
                    f"{self.task.name}: the loss is {float(loss)} in epoch {epoch + 1}, step {step + 1}"
                    f"{f'; the batch: {shown}' if keys else ''}. The last checkpoint is from before it. "
                    "Look at these samples, or lower the learning rate.",
                    exit_code=1,
                )
        self.pending.clear()

    def learning_rate(self) -> float:
        """Return the rate of the step to take."""
        settings, step = self.settings, self.at.step
        rate = settings.learning_rate
        if step < settings.warmup_steps:
            return rate * (step + 1) / settings.warmup_steps
        if settings.schedule == "cosine":
            total = settings.max_epochs * self.task.train_steps - settings.warmup_steps
            rate *= 0.5 * (1.0 + math.cos(math.pi * (step - settings.warmup_steps) / max(total, 1)))
        return rate

    def evaluated(self) -> nn.Module:
        """Return the model that is validated and kept: the moving average, where there is one."""
        module: nn.Module = self.task.model if self.average is None else self.average.module
        return module

    def validate(self) -> dict[str, float]:
        """Return the mean of the losses over the validation batches, over all processes."""
        model = self.model if self.average is None else self.average.module
        model.eval()
        sums: dict[str, Tensor] = {}
        with torch.no_grad():
            for step in range(self.task.val_steps):
                with self.fabric.autocast():
                    values = self.task.loss(model, self.task.val_batch(step))
                for name, value in values.items():
                    sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64, device=value.device)) + value.double()
        means = {name: float(self.reduced(value / self.task.val_steps)) for name, value in sums.items()}
        if not math.isfinite(means["loss"]):
            raise RoomtrainError(
                f"{self.task.name}: the validation loss of epoch {self.at.epoch + 1} is {means['loss']}.", exit_code=1
            )
        return means

    def log_train(self, bar: Any = None) -> None:
        """Write the mean of the steps since the last line."""
        at = self.at
        if not at.counted:
            return
        means = {name: float(self.reduced(torch.as_tensor(value / at.counted))) for name, value in at.sums.items()}
        self.journal.line("train", epoch=at.epoch, step=at.step, values=means)
        if bar is not None:
            bar.set_postfix(loss=f"{means['loss']:.4g}")
        at.sums, at.counted = {}, 0

    def any_asked(self, stop: StopRequest) -> bool:
        """Tell whether any process was asked to stop: they all stop at the same step."""
        if self.fabric.world_size == 1:
            return bool(stop.asked)
        return bool(self.reduced(torch.tensor(float(bool(stop.asked)), device=self.fabric.device)) > 0)

    def reduced(self, value: Tensor) -> Tensor:
        """Return the mean over all processes."""
        return self.fabric.all_reduce(value, reduce_op="mean") if self.fabric.world_size > 1 else value  # type: ignore[return-value]

    def save(self) -> None:
        """Write the checkpoint; the first process only."""
        self.saved_at = time.monotonic()
        self.check()
        at = self.at
        if not self.fabric.is_global_zero:
            return
        weights = self.task.model.state_dict()
        # A finite loss can have a gradient that is not, and the loss tells only at the next step.
        wrong = [name for name, tensor in weights.items() if not bool(torch.isfinite(tensor).all())]
        if wrong:
            raise RoomtrainError(
                f"{self.task.name}: after epoch {at.epoch + 1}, step {at.step_in_epoch}, the weights {wrong[0]} are not finite. "
                "The last checkpoint is from before it. Lower the learning rate, or limit clip_norm.",
                exit_code=1,
            )
        at.lines = self.journal.sync()
        progress = {**vars(at), "sums": {name: float(value) for name, value in at.sums.items()}}
        state: dict[str, Any] = {"progress": progress, "settings_hash": self.hash, "optimizer": self.optimizer.state_dict()}
        scaling = self.fabric.strategy.precision.state_dict()
        if scaling:
            state["precision"] = scaling
        if self.average is not None:
            state["average"] = self.average.state_dict()
        save_last(self.folder, weights=weights, state=state, step=at.step)
