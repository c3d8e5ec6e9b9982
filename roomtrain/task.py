"""What the training loop is told of a task. A paper's tasks own model, batches, losses and metrics; the loop knows none of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from roomtrain.draws import Draws
from roomtrain.fit_settings import FitSettings
from roomtrain.optimizers import build

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Loss:
    """A scalar whose gradient is followed by one optimizer.

    Args:
        value: (), the mean over the batch.
        parts: what else is worth logging, scalars too, as the mean over the batch.
        optimizer: which of :meth:`Task.optimizers` takes a step.
        name: what it is called in the log.
    """

    value: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    optimizer: str = "all"
    name: str = "loss"


class Task(ABC):
    """One thing to learn.

    Batches are pure functions of (split, epoch, step): the loop can ask for any of them at any time, which is what makes resuming
    exact. With several processes each gets its own part of a batch.
    """

    name: str
    model: nn.Module
    """All that is trained, as one module; the loop wraps, moves and saves it."""
    sizes: Mapping[str, int]
    """Batches of an epoch, by split: "train" and "val"."""
    judged_by: str = "loss"
    """The value of validation that says which epoch is best; smaller is better."""

    @abstractmethod
    def host_batch(self, split: str, epoch: int, step: int) -> Any:
        """Return what is made of a batch on the CPU: indices, or audio that is read from a file.

        It is called from another thread, ahead of its step. Tensors in (nested) tuples, lists and dicts are moved to the device.
        That of "val" should not depend on the epoch.
        """

    def device_batch(self, batch: Any, draws: Draws) -> Any:
        """Return the batch that the losses take: what is done to it on the device, such as reverberation, noise and crops.

        Args:
            batch: of :meth:`host_batch`, moved to the device.
            draws: random numbers of this split and epoch; those of validation are the same in every epoch.
        """
        return batch

    @abstractmethod
    def losses(self, model: nn.Module, batch: Any) -> Iterator[Loss]:
        """Yield losses; after each its optimizer has taken a step when the next is asked for.

        Most tasks yield once. A GAN yields the loss of its discriminator, then that of its generator, once or several times. In
        validation nothing steps.

        Args:
            model: :attr:`model` as the loop has wrapped it, or its moving average.
        """

    @abstractmethod
    def count(self, batch: Any) -> int:
        """Return how many samples a batch of :meth:`device_batch` has: its weight in a mean over batches."""

    def optimizers(
        self, fit: FitSettings, device: torch.device, *, scaled_and_clipped: bool = False
    ) -> dict[str, torch.optim.Optimizer]:
        """Return the optimizers by name; between them they have every parameter that is trained.

        Args:
            scaled_and_clipped: whether gradients are both, see :func:`roomtrain.optimizers.build`.
        """
        return {"all": build(self.model.named_parameters(), fit, device.type, scaled_and_clipped=scaled_and_clipped)}

    def state_dict(self) -> dict[str, Any]:
        """Return what else decides how training goes on (a queue, a curriculum): tensors and plain values."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 (most tasks have none)
        """Take up what :meth:`state_dict` returned."""

    def keys(self, epoch: int, step: int) -> list[str]:
        """Return names of the samples of a training batch, of all processes, to be told where something goes wrong."""
        return []
