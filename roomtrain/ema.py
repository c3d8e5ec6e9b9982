"""An exponential moving average of a model's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from roomtrain.errors import RoomtrainError


class MovingAverage:
    """A copy of a model that follows it: θ̄ ← d·θ̄ + (1 - d)·θ at each :meth:`update`, and θ̄ ← θ at the first.

    With ``warm_up`` the n-th update after the first has d = min(decay, (1 + n) / (10 + n)), as in TensorFlow's
    ``ExponentialMovingAverage``, so that the random start is forgotten within tens of steps in place of 1/(1 - decay). Buffers,
    such as the running statistics of a batch normalisation, are copied, not averaged: they are averages already. Updates are
    counted on the host, so that none of them waits for a GPU.

    Args:
        model: where it is trained; its average is there as well.
        decay: d, in [0, 1).

    Raises:
        RoomtrainError: a decay out of range.
    """

    def __init__(self, model: nn.Module, *, decay: float = 0.999, warm_up: bool = True) -> None:
        if not 0.0 <= decay < 1.0:
            raise RoomtrainError(f"decay = {decay}: it must be in [0, 1), such as 0.999.")
        self.module = deepcopy(model).eval().requires_grad_(False)
        """The model with the averaged parameters, for evaluation."""
        self.updates = 0
        self._decay, self._warm_up = decay, warm_up

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Follow the model by one step."""
        average: list[Tensor] = list(self.module.parameters())
        current: list[Tensor] = list(model.parameters())
        if self.updates == 0:
            torch._foreach_copy_(average, current)
        else:
            n = self.updates
            decay = min(self._decay, (1 + n) / (10 + n)) if self._warm_up else self._decay
            torch._foreach_lerp_(average, current, 1.0 - decay)
        buffers = list(self.module.buffers())
        if buffers:
            torch._foreach_copy_(buffers, list(model.buffers()))
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Return what to save to resume exactly: the count of updates, and the tensors themselves, not copies."""
        return {"updates": self.updates, "module": dict(self.module.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            KeyError, RuntimeError: a state of something else.
        """
        self.module.load_state_dict(state["module"])
        self.updates = int(state["updates"])


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
