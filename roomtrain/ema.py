"""An exponential moving average of a model's parameters, on torch's own ``AveragedModel``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from roomtrain.errors import RoomtrainError


def averaged(model: nn.Module, *, decay: float = 0.999, warm_up: bool = True) -> AveragedModel:
    """Return a copy of the model that follows it: θ̄ ← d·θ̄ + (1 - d)·θ at each ``update_parameters(model)``.

    The first update copies the parameters. With ``warm_up`` the n-th after it has d = min(decay, (1 + n) / (10 + n)), as in
    TensorFlow's ``ExponentialMovingAverage``, so that the random start is forgotten within tens of steps in place of 1/(1 - decay).
    Buffers, such as the running statistics of a batch normalisation, are copied, not averaged: they are averages already.

    The result is a module: call it for evaluation, and keep its ``state_dict()``, which counts the updates, to resume exactly. Its
    ``.module`` is the model with the averaged parameters.

    Args:
        decay: d, in [0, 1).

    Raises:
        RoomtrainError: a decay out of range.
    """
    if not 0.0 <= decay < 1.0:
        raise RoomtrainError(f"decay = {decay}: it must be in [0, 1), such as 0.999.")

    @torch.no_grad()
    def move(average: Sequence[Tensor], current: Sequence[Tensor], n_updates: Tensor | int) -> None:
        n = int(n_updates)
        d = min(decay, (1 + n) / (10 + n)) if warm_up else decay
        torch._foreach_lerp_(list(average), list(current), 1.0 - d)

    return AveragedModel(model, multi_avg_fn=move, use_buffers=False)
