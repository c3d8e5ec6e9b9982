"""Optimizers by their settings: which of torch's, what decays, and one fused kernel where there is one."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from roomtrain.errors import RoomtrainError
from roomtrain.fit_settings import OptimizerSettings

_FUSED = {"adam", "adamw", "sgd"}
_FUSED_DEVICES = {"cpu", "cuda"}


def build(
    parameters: Iterable[tuple[str, nn.Parameter]],
    settings: OptimizerSettings,
    device_type: str,
    *,
    scaled_and_clipped: bool = False,
) -> torch.optim.Optimizer:
    """Return an optimizer of the named parameters that are trained; each of its groups keeps its rate as ``initial_lr``.

    Args:
        parameters: as of ``model.named_parameters()``; those that need no gradient are left out.
        device_type: where they are, such as "cuda".
        scaled_and_clipped: gradients are scaled ("16-mixed") and also clipped. A fused step takes the scale away by itself, too
            late for clipping, and Fabric refuses both together: there the step is not fused, whatever the settings say.

    Raises:
        RoomtrainError: there is nothing to train.
    """
    trained = [parameter for _, parameter in parameters if parameter.requires_grad]
    if not trained:
        raise RoomtrainError("the model has no parameters that are trained: let some of them need a gradient.")
    groups = [{"params": trained, "weight_decay": settings.weight_decay}]
    if settings.decay == "weights" and settings.weight_decay:
        groups = [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
    groups = [{**group, "initial_lr": settings.learning_rate} for group in groups if group["params"]]
    # None leaves the choice to torch, which then takes all tensors at once where it can; False would be one after the other.
    possible = settings.optimizer in _FUSED and device_type in _FUSED_DEVICES and not scaled_and_clipped
    fused = True if settings.fused and possible else None
    rate = settings.learning_rate
    match settings.optimizer:
        case "adam":
            return torch.optim.Adam(groups, lr=rate, betas=settings.betas, eps=settings.eps, fused=fused)
        case "adamw":
            return torch.optim.AdamW(groups, lr=rate, betas=settings.betas, eps=settings.eps, fused=fused)
        case "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, nesterov=settings.nesterov, fused=fused)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=rate, alpha=settings.alpha, eps=settings.eps, momentum=settings.momentum)
