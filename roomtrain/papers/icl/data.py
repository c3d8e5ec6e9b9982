"""The paper's data: recordings of scenes by several devices, and the responses of other devices that training is augmented with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import roomgen
from roomgen.store.dataset import Dataset
from roomtrain.banks import Bank, MappedBank, load_bank, open_bank
from roomtrain.banks.memory import check_memory
from roomtrain.banks.source import read, select
from roomtrain.datasets import check_disjoint, fingerprint, open_part
from roomtrain.errors import RoomtrainError
from roomtrain.paper import Data, Place
from roomtrain.papers.icl.mel import (
    FS_HZ,
    N_BINS,
    N_FRAMES,
    N_MELS,
    N_SAMPLES,
    UPPER_HZ,
    log_mel,
    mel_bank,
    n_frames,
    power_spectrum,
)

SPLITS = ("train", "val", "test")
RENDERED, RECORDED = "scenes-by-device", "scenes"
RESPONSES = {"vintage": "vintage-dirs", "multi": "multi-dirs", "many": "many-dirs"}
"""Settings' name → dataset of device responses."""


@dataclass(frozen=True)
class Recordings:
    """The recordings of a split: what the manifest says of them, as arrays.

    Args:
        keys, groups: (recording,) names; a group is a place.
        scene, device: (recording,) indices of their names.
        n_samples: (recording,)
    """

    keys: NDArray[np.str_]
    groups: NDArray[np.str_]
    scene: NDArray[np.int64]
    device: NDArray[np.int64]
    n_samples: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def seconds(self) -> NDArray[np.int64]:
        """(recording,) how many whole seconds each has."""
        return self.n_samples // N_SAMPLES


@dataclass(frozen=True)
class Windows:
    """Seconds of recordings, as they are heard outside of training.

    Args:
        log: (window, 128, 100) float16 log-mel spectrograms, on the device, not yet scaled.
        recording: (window,) which recording each is of.
        second: (window,) which second of it.
    """

    log: Tensor
    recording: NDArray[np.int64]
    second: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.recording)


class IclData(Data):
    """The datasets of a folder of ``roomgen paper icl``.

    Args:
        training: False: the test is enough.

    Raises:
        RoomtrainError: a part is missing or of another kind, there is no split of a name, recordings lack scene or device, a place
            is in two splits, or the test has scenes that training has not.
    """

    def __init__(self, root: Path, place: Place, *, training: bool = True) -> None:
        self.root, self.place = root, place
        rendered = (root / RENDERED).is_dir() or not (root / RECORDED).is_dir()
        self.dataset = open_part(root, RENDERED if rendered else RECORDED, family="renders" if rendered else "sources")
        self._table = self.dataset.table(["key", "split", "group", "class_name", "device", "n_samples"])
        self.splits = SPLITS if training else ("test",)
        self._check()

    def _check(self) -> None:
        table, where = self._table, self.dataset.root
        splits = table["split"].astype(str)
        for split in self.splits:
            if not (splits == split).any():
                found = ", ".join(sorted(set(splits)))
                raise RoomtrainError(f"{where} has no split {split!r}, only {found}: make it with `roomgen paper icl`.")
        for column, what in (("class_name", "scene"), ("device", "device")):
            if (table[column].astype(str) == "").any():
                raise RoomtrainError(
                    f"{where} has recordings without a {what} (column {column}): `roomgen paper icl` renders them by devices; of "
                    "TAU Urban Acoustic Scenes it takes the devices' own recordings."
                )
        if other := _other_rates(self.dataset):
            raise RoomtrainError(f"{where} has recordings at {other} Hz; this paper's network takes {FS_HZ} Hz.")
        if int(table["n_samples"].min()) < N_SAMPLES:
            raise RoomtrainError(f"{where} has recordings of less than a second, which is what the network hears at once.")
        groups = {split: sorted(set(table["group"].astype(str)[splits == split])) for split in SPLITS}
        check_disjoint("places", {split: names for split, names in groups.items() if names})
        if "train" in self.splits:
            new = set(table["class_name"].astype(str)[splits != "train"]) - set(self.scenes)
            if new:
                raise RoomtrainError(f"{where} has the scene {sorted(new)[0]!r} in validation or test, and not in training.")

    @cached_property
    def scenes(self) -> tuple[str, ...]:
        """Names of the scenes, in their order."""
        splits = self._table["split"].astype(str)
        chosen = splits == "train" if (splits == "train").any() else splits == "test"
        return tuple(sorted(set(self._table["class_name"].astype(str)[chosen])))

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Names of all devices, those of training first."""
        splits, names = self._table["split"].astype(str), self._table["device"].astype(str)
        seen = set(names[splits == "train"])
        return (*sorted(seen), *sorted(set(names) - seen))

    @cached_property
    def seen(self) -> tuple[str, ...]:
        """Names of the devices of training."""
        return tuple(sorted(set(self._table["device"].astype(str)[self._table["split"].astype(str) == "train"])))

    def fingerprint(self) -> dict[str, Any]:
        parts = {self.dataset.root.name: self.dataset}
        parts |= {name: roomgen.open(self.root / name) for name in RESPONSES.values() if (self.root / name).is_dir()}
        return {name: fingerprint(dataset) for name, dataset in parts.items()}

    def recordings(self, split: str, *, scenes: tuple[str, ...] = ()) -> Recordings:
        """Return the recordings of a split.

        Args:
            scenes: the names that indices stand for; none: those of the data.

        Raises:
            RoomtrainError: a scene that is not among them.
        """
        rows = self._table[(self._table["split"] == split).to_numpy()]
        names = {name: index for index, name in enumerate(scenes or self.scenes)}
        unknown = sorted(set(rows["class_name"].astype(str)) - set(names))
        if unknown:
            raise RoomtrainError(
                f"{self.dataset.root} has the scene {unknown[0]!r}, and the network was trained for {', '.join(names)}."
            )
        devices = {name: index for index, name in enumerate(self.devices)}
        return Recordings(
            rows["key"].to_numpy(dtype=str),
            rows["group"].to_numpy(dtype=str),
            rows["class_name"].astype(str).map(names).to_numpy(dtype=np.int64, copy=True),
            rows["device"].astype(str).map(devices).to_numpy(dtype=np.int64, copy=True),
            rows["n_samples"].to_numpy(dtype=np.int64, copy=True),
        )

    def windows(self, split: str, *, of_each: int | None = None) -> Windows:
        """Return the seconds of a split's recordings: all, or so many of each, evenly spread. Digital silence is left out."""
        return _windows(self._named(), split, of_each, self.place.device, self.place.workers)

    def spectra(self, split: str) -> Tensor:
        """Return (recording, frame, 513) bfloat16: the power spectra of whole recordings, shorter ones followed by zeros."""
        return _spectra(self._named(), split, self.place.device, self.place.workers)

    def audio(self, split: str, kind: Any) -> Bank | MappedBank:
        """Return a split's recordings as audio."""
        return open_bank(self.dataset, split=split, device=self.place.device, workers=self.place.workers, kind=kind)

    def has_responses(self, name: str) -> bool:
        """Return whether there is a dataset of these responses."""
        return (self.root / RESPONSES[name]).is_dir()

    def responses(self, name: str) -> Dataset:
        """Return a dataset of device responses by its name in the settings."""
        return open_part(self.root, RESPONSES[name], family="devices")

    def response_bank(self, name: str) -> Bank:
        """Return all its responses as audio in memory.

        Raises:
            RoomtrainError: they have another rate than the scenes.
        """
        dataset = self.responses(name)
        if other := _other_rates(dataset):
            raise RoomtrainError(
                f"{dataset.root} has responses at {other} Hz, and scenes at {FS_HZ} Hz go through them: make them with "
                "`roomgen paper icl`."
            )
        return load_bank(dataset, device=self.place.device, workers=self.place.workers)

    def _named(self) -> _Named:
        return _Named(self.dataset.root, str(fingerprint(self.dataset)["sha256"]))


def _other_rates(dataset: Dataset) -> str:
    """Return the sampling rates of a dataset; "" where there is only the right one."""
    rates = sorted(set(dataset.table(["fs_hz"])["fs_hz"]))
    return "" if rates == [FS_HZ] else ", ".join(map(str, rates))


@dataclass(frozen=True)
class _Named:
    """A dataset's folder, and what names its bytes: what is made of it can be kept for the next training on it."""

    root: Path
    sha256: str


@lru_cache(maxsize=4)
def _windows(named: _Named, split: str, of_each: int | None, device: torch.device, workers: int) -> Windows:
    source = select(roomgen.open(named.root), split=split, channels=1)
    seconds = source.table["n_samples"].to_numpy(dtype=np.int64) // N_SAMPLES
    chosen = [np.arange(n) if of_each is None or of_each >= n else _spread(int(n), of_each) for n in seconds]
    first = np.cumsum([0, *(len(numbers) for numbers in chosen)])
    recording = np.repeat(np.arange(len(source)), np.diff(first))
    second = np.concatenate(chosen)
    check_memory(2 * len(second) * N_MELS * N_FRAMES, device, what=f"the spectrograms of {named.root}")
    log = torch.empty((len(second), N_MELS, N_FRAMES), dtype=torch.float16, device=device)
    heard = np.ones(len(second), dtype=bool)
    bank = mel_bank(torch.tensor(UPPER_HZ, device=device))

    def put(part: slice, audio: NDArray[np.float32]) -> None:
        for row, samples in zip(range(part.start, part.stop), audio[:, 0], strict=True):
            own = slice(first[row], first[row + 1])
            pieces = np.stack([samples[s * N_SAMPLES : (s + 1) * N_SAMPLES] for s in chosen[row]])
            heard[own] = pieces.any(axis=1)
            log[own] = log_mel(power_spectrum(torch.from_numpy(pieces).to(device)), bank).half()

    _each(source, put, workers=workers)
    if not heard.any():
        raise RoomtrainError(f"{named.root} has nothing but digital silence in the split {split!r}.")
    if heard.all():
        return Windows(log, recording, second)
    return Windows(log[torch.from_numpy(heard).to(device)], recording[heard], second[heard])


@lru_cache(maxsize=2)
def _spectra(named: _Named, split: str, device: torch.device, workers: int) -> Tensor:
    source = select(roomgen.open(named.root), split=split, channels=1)
    shape = (len(source), n_frames(source.n_samples), N_BINS)
    check_memory(2 * shape[0] * shape[1] * shape[2], device, what=f"the power spectra of {named.root}")
    spectra = torch.empty(shape, dtype=torch.bfloat16, device=device)

    def put(part: slice, audio: NDArray[np.float32]) -> None:
        for row, samples in zip(range(part.start, part.stop), audio, strict=True):
            spectra[row] = power_spectrum(torch.from_numpy(samples).to(device))[0].to(torch.bfloat16)

    _each(source, put, workers=workers)
    return spectra


def _each(source: Any, put: Callable[[slice, NDArray[np.float32]], None], *, workers: int) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one for each thread that reads: together they would hinder each other
    try:
        read(source, put, workers=workers)
    finally:
        torch.set_num_threads(threads)


def _spread(n: int, count: int) -> NDArray[np.int64]:
    """Return so many of n numbers, each in the middle of its share."""
    return ((np.arange(count) + 0.5) * n / count).astype(np.int64)
