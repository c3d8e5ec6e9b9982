"""What several processes do together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor


def reduced(value: Tensor, fabric: Fabric) -> Tensor:
    """Return the mean over all processes."""
    return fabric.all_reduce(value, reduce_op="mean") if fabric.world_size > 1 else value  # type: ignore[return-value]


def any_of(mine: Sequence[bool], fabric: Fabric) -> list[bool]:
    """Tell of each whether it is true in any process."""
    flags = torch.tensor([float(flag) for flag in mine], device=fabric.device)
    return [value > 0 for value in reduced(flags, fabric).tolist()]


def gathered(x: Tensor) -> Tensor:
    """Return the rows of all processes, one after another; gradients go back to each."""
    if x.is_floating_point():
        from torch.distributed.nn.functional import all_gather

        parts = all_gather(x)  # type: ignore[no-untyped-call]
    else:
        parts = [torch.empty_like(x) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, x)
    return torch.cat(list(parts))


def average_gradients(optimizer: torch.optim.Optimizer, fabric: Fabric) -> None:
    """Replace the gradients of an optimizer's parameters by their mean over all processes, in one transfer."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = reduced(torch.cat([gradient.flatten() for gradient in gradients]), fabric)
    for parameter, part in zip(parameters, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        parameter.grad = part.view_as(parameter).clone()
