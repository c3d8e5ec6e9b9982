"""The training loop: one for all tasks, on any device, in any number of processes (Lightning Fabric).

Exactness: a batch is a function of (seed, epoch, step), and torch's random numbers (dropout) are seeded anew at every step, so the
state to go on from is the weights, the optimizers and a few counters. Killed at any moment, the same command gives the same losses
as one that was never interrupted, bit for bit on one CPU. In several processes dropout masks are drawn per process.

A step waits for no GPU: losses and norms stay on the device, and are looked at every so many steps. Only the precision "16-mixed"
waits, in torch's own gradient scaler.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from roomtrain.batches import Ahead
from roomtrain.checkpoint import BEST, Saver, fitting, load_last, read_weights
from roomtrain.draws import Draws
from roomtrain.ema import MovingAverage
from roomtrain.errors import RoomtrainError, Stopped
from roomtrain.fit_settings import FitSettings
from roomtrain.journal import Journal, Sink
from roomtrain.means import Means
from roomtrain.models.batch_norm import globalise
from roomtrain.processes import any_of, average_gradients, reduced
from roomtrain.progress import Pace, Progress
from roomtrain.schedules import Plateau, learning_rate
from roomtrain.seeds import Purpose, integer_seed
from roomtrain.signals import StopRequest
from roomtrain.task import SPLITS, Loss, Task

_LOOK_EVERY = 16  # steps between looks at losses on a GPU, and at requests to stop among processes: each look waits for the device
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
    """A fit under way: wrapped model, optimizers, averages, and where it stands."""

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
        loaded = self._restore_weights()
        task.model.to(fabric.device)
        if settings.channels_last:
            task.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if fabric.world_size > 1:
            globalise(task.model)
        scaled = settings.clip_norm is not None and fabric.strategy.precision.precision == "16-mixed"
        self.bare_optimizers = task.optimizers(settings, fabric.device, scaled_and_clipped=scaled)
        self.average = None if settings.ema_decay is None else MovingAverage(task.model, decay=settings.ema_decay)
        self.one_loss = len(self.bare_optimizers) == 1
        self.model = self._wrapped()
        optimizers = fabric.setup_optimizers(*self.bare_optimizers.values())
        self.optimizers = dict(
            zip(self.bare_optimizers, optimizers if isinstance(optimizers, tuple) else (optimizers,), strict=True)
        )
        self.plateau = Plateau(**self.at.plateau)
        self._restore_rest(loaded)
        self.means = Means.of(self.at.means, fabric.device)
        self.steps_per_epoch = -(-task.sizes["train"] // settings.accumulate)
        self.saver = Saver()
        self.ahead = Ahead(task, fabric.device)
        self.began = self.saved_at = time.monotonic()
        self.seconds_before = self.at.seconds
        self.pending: list[tuple[int, int, Tensor]] = []
        self.journal = Journal(folder, after_step=self.at.step, lines=self.at.lines, write=fabric.is_global_zero, sinks=sinks)

    def _restore_weights(self) -> dict[str, Any] | None:
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

    def _restore_rest(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        with fitting(self.folder):
            for name, optimizer in self.bare_optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])
            if self.average is not None:
                self.average.load_state_dict(state["average"])
            self.fabric.strategy.precision.load_state_dict(state["precision"])
            self.task.load_state_dict(state["task"])

    def _wrapped(self) -> nn.Module:
        """Return the model for training: with one optimizer wrapped by Fabric, with several as it is.

        DistributedDataParallel expects one backward pass through all parameters; the passes of a GAN each go through some, so that
        gradients are then averaged by :func:`average_gradients`.
        """
        model = self.task.model
        if self.settings.compile:
            model = torch.compile(model)  # type: ignore[assignment]
        return self.fabric.setup_module(model) if self.one_loss else model

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
            pace.samples += self.step(own)
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
        self.look()
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
                self.saver.best(self.folder, self.evaluated().state_dict())
        self.plateau = self.plateau.after(loss, settings)
        if progress is not None:
            progress.epoch(at.epoch, loss, best=at.best_loss, best_epoch=at.best_epoch)
        at.epoch, at.step_in_epoch = at.epoch + 1, 0
        patience = settings.patience
        at.done = at.epoch >= settings.max_epochs or (patience is not None and at.epoch - 1 - at.best_epoch >= patience)
        self.save()

    def step(self, batches: list[Any]) -> int:
        """Take one step of every optimizer that a loss asks for, over the batches of a step; return how many samples they had."""
        at = self.at
        self.model.train()
        draws = Draws(self.seed, split=0, epoch=at.epoch, device=self.fabric.device)
        batches = [self.task.device_batch(batch, draws) for batch in batches]
        counts = [self.task.count(batch) for batch in batches]
        torch.manual_seed(integer_seed(self.seed, Purpose.MASK, epoch=at.epoch, sample=at.step_in_epoch) + self.fabric.global_rank)
        rate = self.set_learning_rates()
        under_way = [self.task.losses(self.model, batch) for batch in batches]
        phases = 0
        while self._phase(under_way, counts):
            phases += 1
        if not phases:
            raise RoomtrainError(f"{self.task.name} yields no loss.")
        if self.average is not None:
            self.average.update(self.task.model)
        self.means.add("lr", rate, 1)
        at.step, at.step_in_epoch = at.step + 1, at.step_in_epoch + 1
        if self.fabric.device.type != "cpu" and len(self.pending) >= _LOOK_EVERY:
            self.look()
        return sum(counts) * self.fabric.world_size

    def _phase(self, under_way: list[Iterator[Loss]], counts: list[int]) -> bool:
        """Follow the gradient of the next loss, the mean over the batches of a step; False where there is none any more."""
        optimizer, total, which, name = None, sum(counts), "", ""
        for number, (losses, count) in enumerate(zip(under_way, counts, strict=True)):
            with nullcontext() if self.one_loss else self.fabric.autocast():
                loss = next(losses, None)
            if loss is None:
                return False
            if optimizer is None:
                which, name = loss.optimizer, loss.name
                optimizer = self.optimizers[which]
                optimizer.zero_grad(set_to_none=True)
                found = torch.zeros((), device=loss.value.device)
            found = found + loss.value.detach().float() * (count / total)
            for part, value in {loss.name: loss.value, **loss.parts}.items():
                self.means.add(part, value, count)
            last = number == len(under_way) - 1
            share = loss.value * (count / total) if len(under_way) > 1 else loss.value
            if self.one_loss:
                waits = not last and self.fabric.world_size > 1
                with self.fabric.no_backward_sync(self.model, enabled=True) if waits else nullcontext():  # type: ignore[arg-type]
                    self.fabric.backward(share)
            else:
                self.fabric.backward(share)
        assert optimizer is not None
        if not self.one_loss and self.fabric.world_size > 1:
            average_gradients(self.bare_optimizers[which], self.fabric)
        norm = self._clipped(optimizer)
        self.means.add(f"{'' if self.one_loss else name + '_'}grad_norm", norm, 1)
        # A scaled gradient that overflowed is no fault: the scaler leaves its step out, and scales less.
        scaling = self.fabric.strategy.precision.precision == "16-mixed"
        self.pending.append(
            (self.at.epoch, self.at.step_in_epoch, torch.stack([found, torch.zeros_like(found) if scaling else norm]))
        )
        if self.fabric.device.type == "cpu":
            self.look()  # before the weights are spoilt
        optimizer.step()
        return True

    def _clipped(self, optimizer: Any) -> Tensor:
        """Limit the norm of an optimizer's gradients, if the settings say so, and return what it was."""
        if self.settings.clip_norm is not None:
            norm = self.fabric.clip_gradients(self.model, optimizer, max_norm=self.settings.clip_norm, error_if_nonfinite=False)
            assert norm is not None
            return norm.detach().float()
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients).float()

    def look(self) -> None:
        """Stop where a loss or a gradient was not finite, before its weights are saved; in all processes at the same step."""
        if not self.pending:
            return
        found = reduced(torch.stack([values for *_, values in self.pending]), self.fabric).cpu()
        places = [place[:2] for place in self.pending]
        self.pending.clear()
        for (epoch, step), (loss, norm) in zip(places, found.tolist(), strict=True):
            if math.isfinite(loss) and math.isfinite(norm):
                continue
            what = f"the loss is {loss}" if not math.isfinite(loss) else "the gradient is not finite"
            keys = self.task.keys(epoch, step)
            shown = ", ".join(keys[:12]) + (f" and {len(keys) - 12} more" if len(keys) > 12 else "")
            raise RoomtrainError(
                f"{self.task.name}: {what} in epoch {epoch + 1}, step {step + 1}"
                f"{f'; the batch: {shown}' if keys else ''}. The last checkpoint is from before it. "
                "Look at these samples, or lower the learning rate.",
                exit_code=1,
            )

    def set_learning_rates(self) -> float:
        """Set the rates of the step to take, and return that of the first group."""
        at = self.at
        factor = learning_rate(
            1.0,
            self.settings,
            step=at.step,
            epoch_steps=self.steps_per_epoch,
            max_epochs=self.settings.max_epochs,
            plateau=self.plateau.share,
        )
        groups = [group for optimizer in self.bare_optimizers.values() for group in optimizer.param_groups]
        for group in groups:
            group["lr"] = group["initial_lr"] * factor
        return float(groups[0]["lr"])

    def evaluated(self) -> nn.Module:
        """Return the model that is validated and kept: the moving average, where there is one."""
        return self.task.model if self.average is None else self.average.module

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the mean of the losses over the samples of validation, of all processes."""
        model = self.model if self.average is None else self.average.module
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
        if not self.means:
            return
        values = self.means.taken(self.fabric)
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
        if self.fabric.device.type != "cpu" and self.at.step % _LOOK_EVERY:
            return False, False
        asked, save = any_of(mine, self.fabric)
        return asked, save

    def save(self) -> None:
        """Have the checkpoint written; the first process only."""
        self.saved_at = time.monotonic()
        self.look()
        at = self.at
        at.seconds = self.seconds_before + self.saved_at - self.began
        at.plateau = asdict(self.plateau)
        at.means = self.means.plain(self.fabric)
        if not self.fabric.is_global_zero:
            return
        at.lines = self.journal.lines
        state: dict[str, Any] = {
            "position": asdict(at),
            "settings_hash": self.hash,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.bare_optimizers.items()},
            "precision": self.fabric.strategy.precision.state_dict(),
            "task": self.task.state_dict(),
        }
        if self.average is not None:
            state["average"] = self.average.state_dict()
        self.saver.last(self.folder, weights=self.task.model.state_dict(), state=state, step=at.step, first=self.journal.sync)
