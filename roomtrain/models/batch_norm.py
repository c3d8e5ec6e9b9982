"""Batch normalisation over the batch of all processes, on GPUs and CPUs (``torch.nn.SyncBatchNorm`` is for GPUs alone)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """As ``torch.nn.BatchNorm2d``, with mean and variance of all processes' batches together, in float32 at least."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        work = x.float()
        count = torch.full((1,), float(work.numel() // work.shape[1]), device=x.device)
        total, squares, n = summed_over_processes(work.sum(dim=(0, 2, 3)), work.square().sum(dim=(0, 2, 3)), count)
        mean = total / n
        variance = (squares / n - mean.square()).clamp(min=0)
        track(self, mean.detach(), (variance * n / (n - 1)).detach())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return ((work - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def summed_over_processes(total: Tensor, squares: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (channel,) sums, (channel,) sums of squares and the (1,) count over all processes; gradients go through."""
    channels = len(total)
    summed: Tensor = all_reduce(torch.cat([total, squares, count]))  # type: ignore[no-untyped-call]
    return summed[:channels], summed[channels:-1], summed[-1:]


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
    """Replace every ``BatchNorm2d`` of a module, in place; parameters, buffers and their names stay."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            new = GlobalBatchNorm2d(child.num_features, eps=child.eps, momentum=child.momentum)
            new.load_state_dict(child.state_dict())
            setattr(module, name, new)
        else:
            globalise(child)
    return module
