"""What the training loop is told of a task. A paper's tasks own model, batches, loss and metrics; the loop knows none of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class Task(ABC):
    """One thing to learn.

    Batches are pure functions of (epoch, step): the loop can ask for any of them at any time, which is what makes resuming exact.
    With several processes ``train_batch`` and ``val_batch`` return this process' part of the batch.
    """

    name: str
    model: nn.Module
    """All that is trained; the loop wraps, moves and saves it."""
    train_steps: int
    """Batches of an epoch."""
    val_steps: int

    @abstractmethod
    def train_batch(self, epoch: int, step: int) -> Any:
        """Return a batch of training data, on the device."""

    @abstractmethod
    def val_batch(self, step: int) -> Any:
        """Return a batch of validation data, the same in every epoch."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return scalars: ``loss``, whose gradient is followed, and what else is worth logging, as the mean over the batch.

        Args:
            model: :attr:`model` as the loop has wrapped it, or its moving average.
        """

    def keys(self, epoch: int, step: int) -> list[str]:
        """Return names of the samples of a training batch, to be told where something goes wrong."""
        return []
