"""Changes to training samples, batched and on the device: one operation for the batch, another number for each row."""

from __future__ import annotations

import torch
from torch import Tensor

from roomtrain.errors import RoomtrainError


def roll_each(x: Tensor, shifts: Tensor) -> Tensor:
    """Turn each sample round along its last axis by a number of its own, as ``torch.roll`` does with one.

    Args:
        x: samples.
        shifts: int64, any; what is turned out at the end comes in at the beginning.

    Shape:
        x (batch, …, time), shifts (batch,) → (batch, …, time)

    Raises:
        RoomtrainError: shapes that do not fit.
    """
    if x.ndim < 2 or not x.shape[-1] or shifts.shape != x.shape[:1] or shifts.dtype != torch.int64:
        raise RoomtrainError(
            f"roll_each takes x (batch, …, time) and shifts (batch,) int64, not {tuple(x.shape)} and {tuple(shifts.shape)} "
            f"{shifts.dtype}."
        )
    shifts = shifts.to(x.device, non_blocking=True)
    places = (torch.arange(x.shape[-1], device=x.device) - shifts[:, None]) % x.shape[-1]
    places = places.view(len(x), *[1] * (x.ndim - 2), x.shape[-1])
    return x.gather(-1, places.expand_as(x))
