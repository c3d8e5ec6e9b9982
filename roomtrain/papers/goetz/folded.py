"""Blocks of convolution, ReLU and batch normalisation, computed with less traffic to memory: for few channels on a CPU.

A network with five channels moves numbers more than it calculates. Two things help, and neither changes what is computed:

- *Channels last.* With the channels side by side, oneDNN's convolutions are several times faster. Torch's batch normalisation
  is several times slower then, so that nothing would be won, but:
- *Folding.* A batch normalisation is y = g·r + b per channel, with g = γ/√(σ² + ε) and b = β - g·μ. What follows is a convolution
  without padding, so that W * (g·r + b) + c = (W·g) * r + (c + ΣW·b): the scale goes into the next weights, the shift into the next
  bias, and y is never written. Of the normalisation only the means and variances of r remain, and in the backward pass their share
  of its gradient, (∂L/∂μ + 2 (r - μ) ∂L/∂σ²) / N.

The modules stay what they are: their parameters, buffers and state dict are those of ``nn.Conv2d`` and ``nn.BatchNorm2d``, and
calling them one after the other gives the same numbers to the rounding of float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from roomtrain.models.batch_norm import track

Block = tuple[nn.Conv2d, nn.BatchNorm2d]
_CACHED = 1 << 17  # float32 numbers in a part: 0.5 MB


def applies(x: Tensor, blocks: Sequence[Block]) -> bool:
    """Return whether :func:`forward` gives what the modules would: float32 on the CPU, and every normalisation a plain one."""
    plain = all(
        type(norm) is nn.BatchNorm2d and norm.affine and norm.track_running_stats and norm.momentum is not None
        for _, norm in blocks
    )
    unpadded = all(conv.padding == (0, 0) and conv.groups == 1 for conv, _ in blocks)  # padding would see 0, not the shift
    return plain and unpadded and x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def forward(x: Tensor, blocks: Sequence[Block], *, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """Return what conv → ReLU → norm, block after block, makes of scale·x + shift.

    In training mode it updates the running statistics as well.

    Args:
        scale, shift: (channel,) of the input, both or neither; they go into the first weights as those of a normalisation do.

    Shape:
        (batch, channel, height, width) → (batch, channel, height, width) of the last block
    """
    _, channels, height, width = x.shape
    if channels == 1:  # any layout is both; name the one that is meant, or the convolution takes the other
        x = x.contiguous().as_strided(x.shape, (height * width, 1, width, 1))
    for conv, norm in blocks:
        weight, bias = conv.weight, conv.bias
        if scale is not None and shift is not None:
            shifted = (weight * shift[:, None, None]).sum(dim=(1, 2, 3))
            weight, bias = weight * scale[:, None, None], shifted if bias is None else bias + shifted
        weight = weight.contiguous(memory_format=torch.channels_last)
        x = functional.conv2d(x, weight, bias, conv.stride, dilation=conv.dilation)
        if norm.training:
            x, mean, variance = _relu_moments(x)
            count = x.numel() // x.shape[1]
            track(norm, mean.detach(), variance.detach() * (count / max(count - 1, 1)))
        else:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            x, mean, variance = functional.relu(x), norm.running_mean, norm.running_var
        scale = norm.weight * (variance + norm.eps).rsqrt()
        shift = norm.bias - scale * mean
    assert scale is not None
    assert shift is not None
    return x * scale[:, None, None] + shift[:, None, None]


def _relu_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return cast(tuple[Tensor, Tensor, Tensor], _ReluMoments.apply(x))  # type: ignore[no-untyped-call]


class _ReluMoments(torch.autograd.Function):
    """r = max(x, 0) in the place of x, and its mean and variance per channel, with one backward pass for the three."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if not x.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        else:
            ctx.mark_dirty(x)
        rows, channels = _rows(x), x.shape[1]
        total = torch.zeros(rows.shape[1], dtype=torch.float64)
        squares = torch.zeros(rows.shape[1], dtype=torch.float64)
        for part in _parts(rows):
            torch.relu_(part)
            total += part.sum(dim=0)
            squares += (part * part).sum(dim=0)
        count = x.numel() // channels
        mean = total.view(-1, channels).sum(dim=0) / count
        variance = (squares.view(-1, channels).sum(dim=0) / count - mean.square()).clamp_(min=0.0)
        mean, variance = mean.float(), variance.float()
        ctx.save_for_backward(x, mean)
        return x, mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad_r, grad_mean, grad_variance = grads
        r, mean = ctx.saved_tensors
        channels = r.shape[1]
        count = r.numel() // channels
        slope = 2.0 / count * grad_variance
        offset = grad_mean / count - slope * mean
        grad = torch.empty_like(r, memory_format=torch.channels_last)
        rows, given, out = _rows(r), _rows(grad_r.contiguous(memory_format=torch.channels_last)), _rows(grad)
        slope, offset = (x.repeat(rows.shape[1] // channels) for x in (slope, offset))
        for row, g, o in zip(_parts(rows), _parts(given), _parts(out), strict=True):
            torch.addcmul(g, row, slope, out=o)
            o += offset
            torch.ops.aten.threshold_backward.grad_input(o, row, 0, grad_input=o)
        return grad


def _rows(x: Tensor) -> Tensor:
    """View a channels-last (batch, channel, height, width) as (batch·height, width·channel), wide enough to be quick along rows."""
    batch, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).view(batch * height, width * channels)


def _parts(rows: Tensor) -> tuple[Tensor, ...]:
    """Cut (row, number) into parts that stay in the cache from one step to the next."""
    return torch.split(rows, max(1, _CACHED // rows.shape[1]))
