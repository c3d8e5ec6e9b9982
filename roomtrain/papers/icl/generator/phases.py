"""The generator's convolutions on a CPU, in two thirds of the time and less: fewer, wider ones at a lower rate.

A transposed convolution of stride 4 is four convolutions, one for each phase of its output, and these are one with four times the
channels. A convolution that ends in one channel gives a CPU nothing to do at once; sixteen neighbouring samples as channels do.
Both are the same functions of the same weights but for the rounding.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

_TOGETHER = 16  # samples of the output that become channels


def applies(x: Tensor) -> bool:
    """Tell whether these ways are the quicker ones."""
    return x.device.type == "cpu"


def transposed(conv: nn.ConvTranspose1d, x: Tensor) -> Tensor:
    """Return what a transposed convolution without a bias makes of (batch, channel, time), its output stride times as long."""
    kernel, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
    places, reach = _of_transposed(kernel, stride, padding)
    # (in, out, kernel) with a zero behind → (in, out, phase, tap) → (phase, out, in, tap)
    taps = functional.pad(conv.weight, (0, 1))[:, :, places].permute(2, 1, 0, 3)
    y = functional.conv1d(x, taps.flatten(0, 1), padding=reach)
    return y.view(len(x), stride, -1, x.shape[2]).permute(0, 2, 3, 1).flatten(2)


def to_one_channel(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """Return what a convolution that ends in one channel and keeps the length makes of (batch, channel, time)."""
    (kernel,) = conv.kernel_size
    places, reach = _of_one_channel(kernel)
    # (1, in, kernel) with a zero behind → (in, phase out, phase in, tap) → (phase out, phase in · in, tap)
    taps = functional.pad(conv.weight[0], (0, 1))[:, places].permute(1, 2, 0, 3)
    maps = x.reshape(len(x), x.shape[1], -1, _TOGETHER).permute(0, 3, 1, 2).flatten(1, 2)
    y = functional.conv1d(maps, taps.flatten(1, 2), padding=reach).transpose(1, 2).flatten(1)[:, None]
    return y if conv.bias is None else y + conv.bias[:, None]


@lru_cache(maxsize=8)
def _of_transposed(kernel: int, stride: int, padding: int) -> tuple[Tensor, int]:
    """Return which weight stands at (phase, tap), ``kernel`` where there is none, and how far the taps reach to either side.

    Output stride·m + p takes input n by the weight stride·(m − n) + p + padding.
    """
    reach = -(-max(kernel - 1 - padding, padding + stride - 1) // stride)
    phase, tap = torch.arange(stride)[:, None], torch.arange(-reach, reach + 1)[None]
    return _within(phase + padding - stride * tap, kernel), reach


@lru_cache(maxsize=8)
def _of_one_channel(kernel: int) -> tuple[Tensor, int]:
    """Return which weight stands at (phase of the output, of the input, tap), ``kernel`` where there is none, and the reach."""
    reach = -(-(kernel // 2) // _TOGETHER)
    phase = torch.arange(_TOGETHER)
    tap = torch.arange(-reach, reach + 1)
    return _within(_TOGETHER * tap[None, None] + phase[None, :, None] - phase[:, None, None] + kernel // 2, kernel), reach


def _within(places: Tensor, kernel: int) -> Tensor:
    return torch.where((places >= 0) & (places < kernel), places, kernel)
