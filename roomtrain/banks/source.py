"""What a bank is read from: samples of a dataset, checked against their manifest, and read shard by shard by threads.

Every shard is opened once for some hundred samples, not once for each, and responses that roomgen wrote as WAV are taken as they
lie, without a decoder: 550 000 responses are read in seconds where ``dataset[i]`` takes minutes. Nothing here is random, and the
number of threads changes nothing but the time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roomgen.audio import decode_audio, encode_wav
from roomgen.errors import DatasetError
from roomgen.store.dataset import Dataset
from roomgen.store.folder import inside_data
from roomtrain.errors import RoomtrainError

if TYPE_CHECKING:
    import pandas as pd

_CHUNK_BYTES = 8e6  # a thread's memory: more gains nothing
_CHUNK_SAMPLES = 512
_HEADER_BYTES = len(encode_wav(np.zeros((1, 0), dtype=np.float32), fs_hz=1))


@dataclass(frozen=True)
class Source:
    """Samples that a bank shall hold.

    Args:
        dataset: where they lie.
        split: which of them; None: all.
        table: their rows of the manifest.
        fs_hz: sampling rate in Hz.
        n_channels: so many channels of each, from the first on.
    """

    dataset: Dataset
    split: str | None
    table: pd.DataFrame
    fs_hz: int
    n_channels: int

    def __len__(self) -> int:
        return len(self.table)

    @property
    def n_samples(self) -> int:
        """Length of the longest."""
        return max(int(self.table["n_samples"].max()), 0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sample, channel, time) of them all."""
        return len(self), self.n_channels, self.n_samples


def select(dataset: Dataset, *, split: str | None, channels: int | None) -> Source:
    """Return the samples of a split (None: all), of each the first ``channels`` (None: all that it has).

    Raises:
        RoomtrainError: the split is empty, or a sample has fewer channels.
        DatasetError: the samples have more than one sampling rate.
    """
    if channels is not None and channels < 1:
        raise RoomtrainError(f"channels = {channels}: give 1 or more, or None for all.")
    table = dataset.table()
    rows = np.arange(len(table)) if split is None else np.flatnonzero((table["split"] == split).to_numpy())
    if len(rows) == 0:
        splits = ", ".join(sorted(set(table["split"].astype(str)))) or "none"
        raise RoomtrainError(f"{dataset.root} has nothing in the split {split!r}; its splits: {splits}.")
    table = table.iloc[rows].reset_index(drop=True)
    rates = set(table["fs_hz"])
    if len(rates) > 1:
        raise DatasetError(f"{dataset.root} has samples of {sorted(rates)} Hz: one rate is needed.")
    found = table["n_channels"].to_numpy()
    if channels is None and found.min() != found.max():
        raise RoomtrainError(
            f"{dataset.root} has samples of {found.min()} to {found.max()} channels: give channels = {found.min()} or fewer."
        )
    wanted = int(found[0]) if channels is None else channels
    if found.min() < wanted:
        place = int(np.flatnonzero(found < wanted)[0])
        raise RoomtrainError(
            f"{dataset.root}: sample {table['key'].iloc[place]} has {_channels(found[place])}, where {wanted} are needed: "
            f"give channels = {found.min()} or fewer, or a dataset of arrays."
        )
    return Source(dataset, split, table, int(rates.pop()), wanted)


def read(source: Source, put: Callable[[slice, NDArray[np.float32]], None], *, workers: int) -> None:
    """Read all samples, some at a time.

    Args:
        put: called with the places of some samples in the source and their (sample, channel, time) audio, shorter samples followed
            by zeros; by several threads at once and in any order, with every place once.
        workers: threads that read, decode and put.

    Raises:
        DatasetError: damaged, not what the manifest says, or not finite.
    """
    import pandas as pd

    shard_of, names = pd.factorize(source.table["shard"].astype(str))
    paths = [inside_data(source.dataset.root, name) for name in names]
    columns = [shard_of, *(source.table[name].to_numpy() for name in ("offset", "nbytes", "key", "n_samples", "n_channels"))]

    def task(part: slice) -> None:
        audio = np.zeros((part.stop - part.start, *source.shape[1:]), dtype=np.float32)
        with _Shards(source, paths) as shards:
            for row, place in zip(audio, zip(*(column[part].tolist() for column in columns), strict=True), strict=True):
                sample = shards.sample(*place)
                row[:, : sample.shape[1]] = sample[: source.n_channels]
        put(part, audio)

    pool = ThreadPoolExecutor(max(workers, 1))
    try:
        for _ in pool.map(task, _parts(source)):
            pass
    finally:
        pool.shutdown(cancel_futures=True)  # what is damaged is told at once, not when all the rest has been read


def _parts(source: Source) -> Iterator[slice]:
    each = 4 * source.n_channels * max(source.n_samples, 1)
    step = max(1, min(_CHUNK_SAMPLES, int(_CHUNK_BYTES / each)))
    return (slice(start, min(start + step, len(source))) for start in range(0, len(source), step))


class _Shards(ExitStack):
    """Samples out of shards that stay open until it is left."""

    def __init__(self, source: Source, paths: list[Path]) -> None:
        super().__init__()
        self._source, self._paths = source, paths
        self._root = source.dataset.root
        self._open: dict[int, tuple[int, int]] = {}

    def sample(self, shard: int, offset: int, nbytes: int, key: str, n_samples: int, n_channels: int) -> NDArray[Any]:
        """Return (channel, time) float32, with all channels."""
        path = self._paths[shard]
        if shard not in self._open:
            self._open[shard] = self._opened(path)
        descriptor, size = self._open[shard]
        if not (min(offset, nbytes) >= 0 and offset + nbytes <= size):
            raise DatasetError(f"{path} ends before sample {key}: it was cut short. Run `roomgen verify {self._root}`.")
        data = os.pread(descriptor, nbytes, offset)
        audio = _as_written(data, n_channels, n_samples, self._source.fs_hz)
        if audio is None:
            audio, fs_hz = decode_audio(data, name=f"sample {key} in {path.name}")
            if (*audio.shape, fs_hz) != (n_channels, n_samples, self._source.fs_hz):
                raise DatasetError(
                    f"{self._root}: sample {key} has {_size(*audio.shape)} at {fs_hz} Hz, where its manifest says "
                    f"{_size(n_channels, n_samples)} at {self._source.fs_hz} Hz. Run `roomgen verify {self._root}`."
                )
        if not np.isfinite(audio[: self._source.n_channels]).all():
            raise DatasetError(f"{self._root}: sample {key} holds values that are not finite.")
        return audio

    def _opened(self, path: Path) -> tuple[int, int]:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise DatasetError(f"{path} is missing: run `roomgen verify {self._root}`.") from None
        self.callback(os.close, descriptor)
        return descriptor, os.fstat(descriptor).st_size


def _as_written(data: bytes, n_channels: int, n_samples: int, fs_hz: int) -> NDArray[np.float32] | None:
    """Return (channel, time) of a WAV that begins just as roomgen begins one of this size; None: let a decoder look at it."""
    if min(n_channels, n_samples) < 1 or len(data) != _HEADER_BYTES + 4 * n_channels * n_samples:
        return None
    if not data.startswith(_header(n_channels, n_samples, fs_hz)):
        return None
    return np.frombuffer(data, dtype="<f4", offset=_HEADER_BYTES).reshape(n_samples, n_channels).T


@lru_cache(maxsize=4096)
def _header(n_channels: int, n_samples: int, fs_hz: int) -> bytes:
    return encode_wav(np.zeros((n_channels, n_samples), dtype=np.float32), fs_hz=fs_hz)[:_HEADER_BYTES]


def _size(n_channels: int, n_samples: int) -> str:
    return f"{n_samples} values" if n_channels == 1 else f"{_channels(n_channels)} of {n_samples} values"


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
