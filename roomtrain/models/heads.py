"""Heads: from an embedding to what is asked of it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from roomtrain.errors import RoomtrainError


class Head(nn.Module):
    """Hidden layers with ReLU, then one number, or one logit per class.

    Args:
        n_inputs: numbers of the embedding.
        n_outputs: 1 for a regression, or the number of classes.
        hidden: width of each hidden layer.
        positive: a last ReLU, as for RT60. See :meth:`start_at`.

    Shape:
        (batch, n_inputs) → (batch,) with one output, else (batch, n_outputs)
    """

    def __init__(self, n_inputs: int, *, n_outputs: int = 1, hidden: tuple[int, ...] = (256, 256), positive: bool = False) -> None:
        super().__init__()
        if n_outputs < 1:
            raise RoomtrainError(f"n_outputs = {n_outputs}: 1 for a regression, or the number of classes.")
        self.positive = positive
        layers: list[nn.Module] = []
        for width, following in pairwise((n_inputs, *hidden)):
            layers += [nn.Linear(width, following), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear((n_inputs, *hidden)[-1], n_outputs))

    def start_at(self, value: float) -> None:
        """Let the untrained head answer about ``value``, such as the mean of the training targets.

        With ``positive`` this is more than a good start: embeddings of length 1 are alike before training, so that the last ReLU
        would shut all of them off with about every second seed, and what is 0 for all samples has no gradient to learn from.
        """
        with torch.no_grad():
            last = self.layers[-1]
            assert isinstance(last, nn.Linear)
            last.bias.fill_(value)

    def forward(self, e: Tensor) -> Tensor:
        y: Tensor = self.layers(e)
        y = y.squeeze(1) if y.shape[1] == 1 else y
        return torch.relu(y) if self.positive else y


def count_parameters(*modules: nn.Module) -> int:
    """Return how many numbers training can change in the modules together."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters() if parameter.requires_grad)
