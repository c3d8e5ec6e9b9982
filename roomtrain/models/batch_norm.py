"""Batch normalisation over the batch of all processes: torch's ``SyncBatchNorm`` on GPUs, and its like on CPUs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from roomtrain.errors import RoomtrainError


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """As ``torch.nn.BatchNorm2d``, with mean and variance of all processes' batches together, in float32 at least."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        work = x.float()
        count = torch.full((1,), float(work.numel() // work.shape[1]), device=x.device)
        summed = over_processes(torch.cat([work.sum(dim=(0, 2, 3)), count]))
        n = summed[-1:]
        mean = summed[:-1] / n
        centred = work - mean[:, None, None]
        # Not E[x²] - E[x]²: where the mean is much larger than the deviation, float32 would leave little of it.
        variance = over_processes(centred.square().sum(dim=(0, 2, 3))) / n
        track(self, mean.detach(), (variance * n / (n - 1).clamp(min=1)).detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def over_processes(local: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; gradients go through."""
    summed: Tensor = all_reduce(local)  # type: ignore[no-untyped-call]
    return summed


@torch.no_grad()
def track(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics of a normalisation by those of a batch (variance: unbiased)."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    momentum = norm.momentum if norm.momentum is not None else 0.1
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance, momentum)
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)


def globalise(module: nn.Module) -> nn.Module:
    """Let every ``BatchNorm2d`` in a module go by the batch of all processes, in place; parameters, buffers and their names stay.

    On a GPU it becomes torch's ``SyncBatchNorm``, on a CPU, where that does not run, :class:`GlobalBatchNorm2d`.

    Raises:
        RoomtrainError: a normalisation without scale and shift or without running statistics, or with a cumulative average of them.
    """
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            if not child.affine or not child.track_running_stats or child.momentum is None:
                raise RoomtrainError(f"{name}: {child} cannot be computed over processes; give it the usual options.")
            kind = nn.SyncBatchNorm if child.weight.is_cuda else GlobalBatchNorm2d
            new = kind(child.num_features, eps=child.eps, momentum=child.momentum).to(child.weight.device)
            new.load_state_dict(child.state_dict())
            new.train(child.training)
            setattr(module, name, new)
        else:
            globalise(child)
    return module
