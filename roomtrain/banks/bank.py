"""What every bank can do, and the bank that lies in the memory of a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roomtrain.errors import RoomtrainError

if TYPE_CHECKING:
    import pandas as pd

Indices: TypeAlias = NDArray[np.integer[Any]] | Tensor
"""(batch,) numbers of samples, 0 ≤ number < len(bank); the same one may come more than once."""


class Rows(Protocol):
    """Samples that are read by index; what takes a bank takes any kind of it."""

    @property
    def table(self) -> pd.DataFrame:
        """Rows of the manifest, in the samples' order."""

    @property
    def fs_hz(self) -> int:
        """Sampling rate in Hz."""

    @property
    def device(self) -> torch.device:
        """Where the samples are used; ``rows`` gives them there, or on the CPU in pinned memory."""

    @property
    def n_channels(self) -> int: ...

    @property
    def n_samples(self) -> int:
        """Length of the longest sample; shorter ones are followed by zeros."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> Tensor: ...

    def codes(self, name: str) -> NDArray[np.int64]: ...

    def rows(self, indices: Indices) -> Tensor:
        """Return (batch, channel, time) float32; ``rows(…).to(bank.device, non_blocking=True)`` is right for every kind."""

    def part(self, which: NDArray[Any] | Tensor) -> Rows: ...


class Labelled(ABC):
    """The side of a bank that is its manifest."""

    table: pd.DataFrame

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the samples are used."""

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> Tensor:
        """Return a column of numbers as a (sample,) float32 tensor on the device."""
        return torch.tensor(self.table[name].to_numpy(dtype=np.float32), device=self.device)

    def codes(self, name: str) -> NDArray[np.int64]:
        """Return a column of names as (sample,) whole numbers, equal where the names are; numbered in the names' order."""
        names = self.table[name].astype(str).to_numpy()
        return np.unique(names, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, eq=False)
class Bank(Labelled):
    """Samples in the memory of a device.

    Args:
        audio: (sample, channel, time) float32, on the device; shorter samples are followed by zeros.
        table: their rows of the manifest, in the same order.
        fs_hz: sampling rate in Hz.
    """

    audio: Tensor
    table: pd.DataFrame
    fs_hz: int

    def __post_init__(self) -> None:
        if self.audio.ndim != 3 or len(self.audio) != len(self.table):
            raise RoomtrainError(
                f"a bank takes audio (sample, channel, time) and a row for each sample, "
                f"not {tuple(self.audio.shape)} and {len(self.table)} rows."
            )

    @property
    def device(self) -> torch.device:
        """Where the audio lies."""
        return self.audio.device

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.audio.shape[1])

    @property
    def n_samples(self) -> int:
        """Length of the audio."""
        return int(self.audio.shape[2])

    def rows(self, indices: Indices) -> Tensor:
        """Return (batch, channel, time) float32 on the device; a GPU is not waited for.

        Raises:
            RoomtrainError: a number outside the bank, among indices on the CPU.
        """
        return self.audio.index_select(0, on_device(indices, len(self), self.device))

    def part(self, which: NDArray[Any] | Tensor) -> Bank:
        """Return some of the samples, by (sample,) booleans or by indices, as long as the longest of them."""
        places, table, longest = part_of(self.table, which)
        return Bank(self.audio[torch.as_tensor(places, device=self.device), :, :longest], table, self.fs_hz)


def on_device(indices: Indices, count: int, device: torch.device) -> Tensor:
    """Return indices as a tensor on a device; on their way to a GPU nothing waits for them.

    Raises:
        RoomtrainError: a number outside 0…count − 1, among indices on the CPU. On a GPU only the kernel that reads can tell.
    """
    if isinstance(indices, Tensor) and indices.device.type != "cpu":
        return indices.to(device)
    places = torch.from_numpy(on_host(indices, count))
    return places.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else places.to(device)


def on_host(indices: Indices, count: int) -> NDArray[np.int64]:
    """Return indices as an array; those on a GPU are waited for.

    Raises:
        RoomtrainError: a number outside 0…count − 1, or no list of whole numbers.
    """
    places = indices.cpu().numpy() if isinstance(indices, Tensor) else np.asarray(indices)
    if places.ndim != 1 or places.dtype.kind not in "iu":
        raise RoomtrainError(f"samples are asked for by a list of whole numbers, not by {places.dtype} of shape {places.shape}.")
    if len(places) and not (places.min() >= 0 and places.max() < count):
        wrong = places[(places < 0) | (places >= count)][0]
        raise RoomtrainError(f"sample {wrong} of a bank of {count}: its samples are 0 to {count - 1}.")
    return places.astype(np.int64, copy=False)


def part_of(table: pd.DataFrame, which: NDArray[Any] | Tensor) -> tuple[NDArray[np.int64], pd.DataFrame, int]:
    """Return the places, the rows and the longest length of some samples.

    Raises:
        RoomtrainError: none of them, or booleans of another number of samples.
    """
    chosen = which.cpu().numpy() if isinstance(which, Tensor) else np.asarray(which)
    if chosen.dtype == np.bool_:
        if chosen.shape != (len(table),):
            raise RoomtrainError(f"a part of a bank of {len(table)} takes as many booleans, not {chosen.shape}.")
        chosen = np.flatnonzero(chosen)
    if not len(chosen):
        raise RoomtrainError("a part of a bank must hold a sample: none was chosen.")
    places = on_host(chosen, len(table))
    rows = table.iloc[places].reset_index(drop=True)
    return places, rows, int(rows["n_samples"].max())
