"""Datasets of roomgen as banks: contiguous tensors of audio beside their manifest, read by index, on any device.

Nothing here is random. Banks are small enough for memory (a thousand responses, an hour of speech); they are decoded by threads,
whose number changes nothing but the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

import roomgen
from roomgen.errors import DatasetError
from roomgen.files import DATASET_FILE
from roomgen.store.dataset import Dataset
from roomtrain.errors import RoomtrainError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Bank:
    """Audio of some samples of a dataset.

    Args:
        audio: (sample, time) float32, on the device; shorter samples are followed by zeros.
        table: their rows of the manifest, in the same order.
        fs_hz: sampling rate in Hz.
    """

    audio: Tensor
    table: pd.DataFrame
    fs_hz: int

    def __len__(self) -> int:
        return len(self.audio)

    def column(self, name: str) -> Tensor:
        """Return a column of numbers as a (sample,) float32 tensor on the audio's device."""
        return torch.tensor(self.table[name].to_numpy(dtype=np.float32), device=self.audio.device)

    def codes(self, name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return a column of names as (sample,) whole numbers, equal where the names are; numbered in the names' order."""
        names = self.table[name].astype(str).to_numpy()
        return np.unique(names, return_inverse=True)[1].astype(np.int64)


def open_part(root: Path, part: str, *, family: str) -> Dataset:
    """Open one dataset of a paper's folder.

    Raises:
        RoomtrainError: it is not there, or is not of that family.
        DatasetError: it is damaged or of another schema.
    """
    folder = root / part
    if not folder.is_dir():
        raise RoomtrainError(
            f"{root} has no dataset {part}/: make all that the paper needs with `roomgen paper … --out {root}`, "
            f"then give --data {root}."
        )
    dataset = roomgen.open(folder)
    found = str(dataset.info["settings"].get("family"))
    if found != family:
        raise RoomtrainError(f"{folder} holds {found}, where {family} are needed: was it made by `roomgen paper`?")
    return dataset


def load_bank(dataset: Dataset, *, split: str | None = None, device: torch.device | str = "cpu", workers: int = 2) -> Bank:
    """Read the first channel of all samples of a split (None: of all) into one tensor.

    Raises:
        RoomtrainError: the split is empty.
        DatasetError: damaged, not what its manifest says, not finite, or of more than one sampling rate.
    """
    table = dataset.table()
    rows = np.arange(len(table)) if split is None else np.flatnonzero((table["split"] == split).to_numpy())
    if len(rows) == 0:
        splits = ", ".join(sorted(set(table["split"].astype(str)))) or "none"
        raise RoomtrainError(f"{dataset.root} has nothing in the split {split!r}; its splits: {splits}.")
    rates = set(table["fs_hz"].iloc[rows])
    if len(rates) > 1:
        raise DatasetError(f"{dataset.root} has samples of {sorted(rates)} Hz: one rate is needed.")
    longest = int(table["n_samples"].iloc[rows].max())
    audio = np.zeros((len(rows), longest), dtype=np.float32)

    def read(place: int) -> None:
        item = dataset[int(rows[place])]
        expected = (int(table["n_samples"].iloc[rows[place]]), int(table["fs_hz"].iloc[rows[place]]))
        if (item.audio.shape[1], item.fs_hz) != expected:
            raise DatasetError(
                f"{dataset.root}: sample {item.key} has {item.audio.shape[1]} values at {item.fs_hz} Hz, where its manifest says "
                f"{expected[0]} at {expected[1]} Hz. Run `roomgen verify {dataset.root}`."
            )
        audio[place, : item.audio.shape[1]] = item.audio[0]

    read(0)  # once alone: what a dataset opens on first use is then there for all threads
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        list(pool.map(read, range(1, len(rows))))
    if not np.isfinite(audio).all():
        place = int(np.flatnonzero(~np.isfinite(audio).all(axis=1))[0])
        raise DatasetError(f"{dataset.root}: sample {table['key'].iloc[rows[place]]} holds values that are not finite.")
    kept = table.iloc[rows].reset_index(drop=True)
    return Bank(torch.as_tensor(audio).to(device), kept, int(rates.pop()))


def check_disjoint(what: str, groups: Mapping[str, Sequence[str]]) -> None:
    """Raise where two parts of the data share a group (a room, a speaker).

    Args:
        what: what a group is called in the message.
        groups: name of each part to its groups.

    Raises:
        RoomtrainError: two parts share one; the message names both and some of what they share.
    """
    names = list(groups)
    sets = {name: set(groups[name]) for name in names}
    for i, one in enumerate(names):
        for other in names[:i]:
            shared = sorted(sets[one] & sets[other])
            if shared:
                shown = ", ".join(shared[:5]) + (f" and {len(shared) - 5} more" if len(shared) > 5 else "")
                raise RoomtrainError(
                    f"{other} and {one} share {what} {shown}: results on them would be too good. Make the data anew "
                    f"with splits that are disjoint by {what.rstrip('s')}.",
                    exit_code=1,
                )


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """Return what results say of a dataset: its settings' hash, its size, and a hash over its shards' checksums.

    Raises:
        DatasetError: it does not say what its shards are.
    """
    import hashlib

    try:
        sums = "".join(sorted(str(shard["sha256"]) for shard in dataset.info["shards"]))
    except (KeyError, TypeError):
        raise DatasetError(f"{dataset.root / DATASET_FILE} lists no shards with their sha256: it is damaged.") from None
    return {
        "settings_hash": dataset.settings_hash,
        "samples": len(dataset),
        "sha256": hashlib.sha256(sums.encode()).hexdigest()[:16],
        "note": str(dataset.info["settings"].get("note", "")),
    }
