"""An exponential moving average of a model's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

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
