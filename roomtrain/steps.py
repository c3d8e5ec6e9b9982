"""Taking steps: the model as Fabric wraps it, its optimizers, and losses and gradients that are looked at without waiting for them.

A step takes one or more batches (accumulation) and as many losses as the task yields, each followed by its own optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from roomtrain.draws import Draws
from roomtrain.ema import MovingAverage
from roomtrain.errors import RoomtrainError
from roomtrain.fit_settings import FitSettings
from roomtrain.means import Means
from roomtrain.models.batch_norm import globalise
from roomtrain.processes import average_gradients, reduced
from roomtrain.seeds import Purpose, integer_seed
from roomtrain.task import Loss, Task

LOOK_EVERY = 16
"""Steps between looks at losses on a GPU, and at what other processes ask for: each look waits for the device."""


class Stepper:
    """What a step changes: the task's model, its optimizers, and its moving average.

    Args:
        task: its model is moved to Fabric's device and made ready for its processes.
        seed: of the task's random numbers and of torch's.
    """

    def __init__(self, task: Task, settings: FitSettings, fabric: Fabric, *, seed: int) -> None:
        self.task, self.settings, self.fabric, self.seed = task, settings, fabric, seed
        task.model.to(fabric.device)
        if settings.channels_last:
            task.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if fabric.world_size > 1:
            globalise(task.model)
        self.scaling = fabric.strategy.precision.precision == "16-mixed"
        scaled_and_clipped = self.scaling and settings.clip_norm is not None
        self.bare_optimizers = task.optimizers(settings, fabric.device, scaled_and_clipped=scaled_and_clipped)
        self.average = None if settings.ema_decay is None else MovingAverage(task.model, decay=settings.ema_decay)
        self.one_loss = len(self.bare_optimizers) == 1
        self.model = self._wrapped()
        wrapped = fabric.setup_optimizers(*self.bare_optimizers.values())
        listed = wrapped if isinstance(wrapped, tuple) else (wrapped,)  # one comes alone
        self.optimizers = dict(zip(self.bare_optimizers, listed, strict=True))
        self.means = Means(fabric.device)
        """Of what the steps since the last line of the log found."""
        self._pending: list[tuple[int, int, Tensor]] = []

    def _wrapped(self) -> nn.Module:
        """Return the model for training: with one optimizer wrapped by Fabric, with several as it is.

        DistributedDataParallel expects one backward pass through all parameters; the passes of a GAN each go through some, so that
        gradients are then averaged by :func:`average_gradients`.
        """
        model = self.task.model
        if self.settings.compile:
            model = torch.compile(model)  # type: ignore[assignment]
        return self.fabric.setup_module(model) if self.one_loss else model

    def take(self, batches: list[Any], *, epoch: int, number: int, factor: float) -> int:
        """Take one step of every optimizer that a loss asks for, over some batches; return how many samples they had.

        Args:
            batches: of :meth:`Task.host_batch`, on the device.
            epoch, number: which step it is: of which epoch, and in it.
            factor: of the learning rates.

        Raises:
            RoomtrainError: what :meth:`look` raises, or a task without a loss.
        """
        self.model.train()
        draws = Draws(self.seed, split=0, epoch=epoch, device=self.fabric.device)
        batches = [self.task.device_batch(batch, draws) for batch in batches]
        counts = [self.task.count(batch) for batch in batches]
        torch.manual_seed(integer_seed(self.seed, Purpose.MASK, epoch=epoch, sample=number) + self.fabric.global_rank)
        self.means.add("lr", self._set_rates(factor), 1)
        under_way = [self.task.losses(self.model, batch) for batch in batches]
        phases = 0
        while self._phase(under_way, counts, (epoch, number)):
            phases += 1
        if not phases:
            raise RoomtrainError(f"{self.task.name} yields no loss.")
        if self.average is not None:
            self.average.update(self.task.model)
        if self.fabric.device.type != "cpu" and len(self._pending) >= LOOK_EVERY:
            self.look()
        return sum(counts) * self.fabric.world_size

    def _phase(self, under_way: list[Iterator[Loss]], counts: list[int], place: tuple[int, int]) -> bool:
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
        self._pending.append((*place, torch.stack([found, torch.zeros_like(norm) if self.scaling else norm])))
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
        if not self._pending:
            return
        found = reduced(torch.stack([values for *_, values in self._pending]), self.fabric).cpu()
        places = [place[:2] for place in self._pending]
        self._pending.clear()
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

    def _set_rates(self, factor: float) -> float:
        """Set the rates of the step to take, and return that of the first group."""
        groups = [group for optimizer in self.bare_optimizers.values() for group in optimizer.param_groups]
        for group in groups:
            group["lr"] = group["initial_lr"] * factor
        return float(groups[0]["lr"])

    def evaluated(self) -> nn.Module:
        """Return the model that is validated and kept: the moving average, where there is one."""
        return self.task.model if self.average is None else self.average.module

    def state_dict(self) -> dict[str, Any]:
        """Return all but the weights that decides how training goes on: tensors and plain values."""
        state = {
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.bare_optimizers.items()},
            "precision": self.fabric.strategy.precision.state_dict(),
            "task": self.task.state_dict(),
        }
        return state if self.average is None else {**state, "average": self.average.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state_dict` returned; the weights are the model's own."""
        for name, optimizer in self.bare_optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.task.load_state_dict(state["task"])
