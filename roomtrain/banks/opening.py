"""A dataset's samples as a bank."""

from __future__ import annotations

import hashlib
import json
import re
from math import prod
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from roomgen.errors import suggest
from roomgen.store.dataset import Dataset
from roomtrain.banks.bank import Bank
from roomtrain.banks.build import Put, mapped_records
from roomtrain.banks.mapped import MappedBank, record_type, to_records
from roomtrain.banks.memory import check_memory, processes_here
from roomtrain.banks.source import Source, read, select
from roomtrain.datasets import fingerprint
from roomtrain.errors import RoomtrainError

Kind = Literal["memory", "mapped-16", "mapped-32"]
"""In memory; or in a file, as float16 (see :mod:`roomtrain.banks.halves`) or as float32."""

_LAYOUT = 1  # of mapped files: another number makes all of them anew
_COPIED = 64  # samples at a time


def open_bank(
    dataset: Dataset,
    *,
    split: str | None = None,
    channels: int | None = 1,
    device: torch.device | str = "cpu",
    workers: int = 2,
    kind: Kind = "memory",
) -> Bank | MappedBank:
    """Return a bank of the kind that the settings name.

    Where several processes of one machine train together, the dataset is decoded once: each of them then copies its bank in memory
    from a mapped file of float32.

    Args:
        dataset: what to read.
        split: all samples of this split; None: of all.
        channels: the first so many channels; None: all.
        device: where the samples are used.
        workers: threads that decode.
        kind: see :data:`Kind`.

    Raises:
        RoomtrainError: no such kind, the split is empty, a sample has fewer channels, or it does not fit.
        DatasetError: damaged, not what its manifest says, not finite, or of more than one sampling rate.
    """
    if kind not in get_args(Kind):
        raise RoomtrainError(f"a bank of kind {kind!r}.{suggest(kind, get_args(Kind))} Kinds: {', '.join(get_args(Kind))}.")
    source, target = select(dataset, split=split, channels=channels), torch.device(device)
    if kind == "memory":
        return _loaded(source, target, workers=workers)
    return _mapped(source, target, workers=workers, half=kind == "mapped-16")


def load_bank(
    dataset: Dataset,
    *,
    split: str | None = None,
    channels: int | None = 1,
    device: torch.device | str = "cpu",
    workers: int = 2,
) -> Bank:
    """Read samples into the memory of a device; arguments and errors as those of :func:`open_bank`."""
    return _loaded(select(dataset, split=split, channels=channels), torch.device(device), workers=workers)


def map_bank(
    dataset: Dataset,
    *,
    split: str | None = None,
    channels: int | None = 1,
    device: torch.device | str = "cpu",
    workers: int = 2,
    half: bool = True,
) -> MappedBank:
    """Map the file of these samples, float16 or float32, built if need be; the rest as :func:`open_bank`."""
    return _mapped(select(dataset, split=split, channels=channels), torch.device(device), workers=workers, half=half)


def _loaded(source: Source, device: torch.device, *, workers: int) -> Bank:
    check_memory(4 * prod(source.shape), device, what=f"the audio of {source.dataset.root}")
    audio = torch.empty(source.shape, dtype=torch.float32, device=device)

    def put(part: slice, samples: NDArray[np.float32]) -> None:
        if device.type == "cpu":
            audio.numpy()[part] = samples  # by this thread alone: torch would share a mere copy out among threads of its own
        else:
            audio[part] = torch.from_numpy(samples).to(device)

    if processes_here() == 1:
        read(source, put, workers=workers)
    else:
        shared = _mapped(source, torch.device("cpu"), workers=workers, half=False)
        for start in range(0, len(source), _COPIED):
            part = slice(start, min(start + _COPIED, len(source)))
            put(part, shared.rows(np.arange(part.start, part.stop)).numpy())
    return Bank(audio, source.table, source.fs_hz)


def _mapped(source: Source, device: torch.device, *, workers: int, half: bool) -> MappedBank:
    def fill(put: Put) -> None:
        read(source, lambda part, samples: put(part, to_records(samples, half=half)), workers=workers)

    dtype = record_type(source.n_channels, source.n_samples, half=half)
    records = mapped_records(_name(source, half=half), dtype, len(source), fill)
    return MappedBank(records, np.arange(len(source)), source.table, source.fs_hz, source.n_samples, device)


def _name(source: Source, *, half: bool) -> str:
    """Return a name that tells what the file holds: which samples of which dataset, in which order and form."""
    sha256 = fingerprint(source.dataset)["sha256"]
    form = f"{source.n_channels}ch-{'float16' if half else 'float32'}"
    digest = hashlib.sha256(json.dumps([_LAYOUT, sha256, source.split, form, source.table["shard"].astype(str).tolist()]).encode())
    for column in ("offset", "nbytes", "n_samples"):  # also where the manifest was cut down to some of its rows
        digest.update(source.table[column].to_numpy(dtype="<i8").tobytes())
    readable = re.sub(r"[^A-Za-z0-9_-]", "-", source.split or "all")[:40]
    return f"{sha256}-{readable}-{form}-{digest.hexdigest()[:16]}"
