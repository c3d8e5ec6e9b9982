"""The bank whose audio lies in a file: for what does not fit into memory, or what many processes of a machine share.

The file is a ``.npy`` of one record a sample, all of one size: ``audio`` (channel, time), followed by zeros where the sample is
shorter, and, for float16, the ``scale`` that it is multiplied by. The system reads what is asked for and keeps as much of it in
memory as is free, once for all processes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roomtrain.banks.bank import Indices, Labelled, on_host, part_of
from roomtrain.banks.halves import from_halves, to_halves

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class MappedBank(Labelled):
    """Samples in a file that is mapped.

    Args:
        records: (record,) of :func:`record_type`, mapped for reading.
        places: (sample,) numbers of the samples' records.
        table: their rows of the manifest, in the same order.
        fs_hz: sampling rate in Hz.
        n_samples: length that rows have; what is later is left out.
        target: device that the rows are for.
    """

    records: NDArray[np.void]
    places: NDArray[np.int64]
    table: pd.DataFrame
    fs_hz: int
    n_samples: int
    target: torch.device

    @property
    def device(self) -> torch.device:
        """Where the samples are used."""
        return self.target

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.records.dtype["audio"].shape[0])

    def rows(self, indices: Indices) -> Tensor:
        """Return (batch, channel, time) float32 on the CPU, in pinned memory if they are for a GPU.

        Only these samples are read. Any thread may call it.

        Raises:
            RoomtrainError: a number outside the bank.
        """
        # Whole records are copied first: the type's fields do not lie side by side, and indexing by field would be far slower.
        records = self.records.take(self.places[on_host(indices, len(self))])
        audio = records["audio"][:, :, : self.n_samples]
        result = torch.empty(audio.shape, dtype=torch.float32, pin_memory=self.target.type == "cuda")
        if "scale" in (records.dtype.names or ()):
            from_halves(records["scale"], audio, into=result)
        else:
            result.copy_(torch.from_numpy(audio))
        return result

    def part(self, which: NDArray[Any] | Tensor) -> MappedBank:
        """Return some of the samples, by (sample,) booleans or by indices, as long as the longest of them; nothing is copied."""
        chosen, table, longest = part_of(self.table, which)
        return replace(self, places=self.places[chosen], table=table, n_samples=min(longest, self.n_samples))


def record_type(n_channels: int, n_samples: int, *, half: bool) -> np.dtype[np.void]:
    """Return the type of a sample in the file."""
    if not half:
        return np.dtype([("audio", "<f4", (n_channels, n_samples))])
    return np.dtype([("scale", "<f4"), ("audio", "<f2", (n_channels, n_samples))], align=True)


def to_records(audio: NDArray[np.float32], *, half: bool) -> NDArray[np.void]:
    """Return (sample,) records of (sample, channel, time) audio."""
    records = np.zeros(len(audio), dtype=record_type(*audio.shape[1:], half=half))
    if half:
        records["scale"], records["audio"] = to_halves(audio)
    else:
        records["audio"] = audio
    return records
