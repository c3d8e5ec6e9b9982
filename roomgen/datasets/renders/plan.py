"""Which source is heard through which response and device: the units that the settings of renders describe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roomgen.datasets.family import Inputs, Plan, ShardPlan
from roomgen.datasets.renders.settings import RendersSettings
from roomgen.errors import RoomgenError
from roomgen.settings import resolve
from roomgen.store.dataset import Dataset
from roomgen.streams import Stream, generator

_PER_CHUNK = 16
_MOST_CHANNELS = 8  # that a FLAC file holds
_FAMILIES = {"sources": ("sources", "renders"), "rirs": ("rooms",), "devices": ("devices",)}


class Render(NamedTuple):
    """One render: its number in the dataset, and the numbers of what it is made of in their manifests (−1: none)."""

    number: int
    source: int
    rir: int
    device: int


class RendersPlan(Plan[RendersSettings, Render]):
    """Which source is heard where; a pure function of settings and the manifests of its inputs."""

    def __init__(self, settings: RendersSettings, inputs: Inputs) -> None:
        self.settings = settings
        self.datasets = datasets_of(settings, inputs)
        for name, dataset in self.datasets.items():
            if fingerprint(dataset) != getattr(settings, name):
                raise RoomgenError(
                    f"the dataset {dataset.root} has changed since the rendering was begun: use another --out, or --overwrite.",
                    exit_code=1,
                )
        self.files = sum(len(dataset) for dataset in self.datasets.values())
        self._numbers = {name: _by_split(dataset) for name, dataset in self.datasets.items()}
        self._check_formats()
        if "devices" in self.datasets:
            self._microphones = self.datasets["devices"].table(["microphone"])["microphone"].to_numpy().astype(str)
        splits = list(self._numbers["sources"])
        self._order = {
            split: generator(settings.seed, Stream.ORDER, index).permutation(len(self._numbers["sources"][split]))
            for index, split in enumerate(splits)
        }
        self._choices = {(kind, split): self._heard_in(kind, split) for kind in ("rirs", "devices") for split in splits}
        self._check_names()
        self._pairs: dict[str, NDArray[np.int64]] = {}
        if settings.device_probabilities:
            self._pairs = {split: self._paired(split) for split in splits}
            counts = {split: len(pairs) for split, pairs in self._pairs.items()}
        else:
            counts = {name: len(numbers) * settings.per_source for name, numbers in self._numbers["sources"].items()}
        self.split_sizes = {name: min(count, settings.max_samples.get(name, count)) for name, count in counts.items()}
        if not len(self):
            raise RoomgenError(
                "no renders are left: max_samples or device_probabilities leave out all sources. Let them take more."
            )
        self._starts = dict(zip(self.split_sizes, [0, *accumulate(self.split_sizes.values())], strict=False))

    def chunks(self, shard: ShardPlan) -> Iterator[Sequence[Render]]:
        """Yield the shard's renders, some at a time."""
        for start in range(shard.start, shard.start + shard.count, _PER_CHUNK):
            yield [self._unit(shard.split, i) for i in range(start, min(start + _PER_CHUNK, shard.start + shard.count))]

    def _unit(self, split: str, index: int) -> Render:
        number = self._starts[split] + index
        rirs, devices = self._choices["rirs", split], self._choices["devices", split]
        if self._pairs:
            source, heard_by = (int(value) for value in self._pairs[split][index])
            # A source is in one room whichever device hears it: devices alone make the differences.
            room = generator(self.settings.seed, Stream.PAIR, source).random()
            return Render(number, source, int(rirs[int(room * len(rirs))]) if len(rirs) else -1, heard_by)
        sources = self._numbers["sources"][split]
        order = self._order[split]
        rng = generator(self.settings.seed, Stream.PAIR, number)
        # Every draw is made whether it is used or not, so that adding devices moves no room.
        rir, share, device = rng.random(), rng.random(), rng.random()
        return Render(
            number,
            int(sources[order[index % len(sources)]]),
            int(rirs[int(rir * len(rirs))]) if len(rirs) else -1,
            self._device(split, devices, device) if len(devices) and share < self.settings.device_share else -1,
        )

    def _paired(self, split: str) -> NDArray[np.int64]:
        """Return the (render, 2) numbers of source and device of a split: a source's devices together, sources in their order.

        Whether a device hears a source hangs on seed, source and the device's name alone: another device moves none.
        """
        sources, devices = self._numbers["sources"][split], self._choices["devices", split]
        names, probabilities = self._microphones[devices], self.settings.device_probabilities.get(split, {})
        each = list(dict.fromkeys(names))
        heard = np.full((len(sources), len(each)), -1, dtype=np.int64)
        for column, name in enumerate(each):
            own = devices[names == name]
            digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
            # The n-th row of the device's own draws is that of source n: whether it is heard, and by which response of the device.
            draws = generator(self.settings.seed, Stream.PAIR, 0, digest).random((int(sources.max()) + 1, 2))[sources]
            which = own[(draws[:, 1] * len(own)).astype(np.int64)]
            heard[:, column] = np.where(draws[:, 0] < probabilities.get(name, 1.0), which, -1)
        heard, sources = heard[self._order[split]], sources[self._order[split]]
        rows, columns = np.nonzero(heard >= 0)
        return np.stack([sources[rows], heard[rows, columns]], axis=1)

    def _device(self, split: str, devices: NDArray[np.int64], draw: float) -> int:
        weights = self.settings.device_weights.get(split)
        if not weights:
            return int(devices[int(draw * len(devices))])
        each = np.cumsum([weights.get(name, 1.0) for name in self._microphones[devices]])
        return int(devices[np.searchsorted(each, draw * each[-1], side="right")])

    def _heard_in(self, kind: str, split: str) -> NDArray[np.int64]:
        if kind not in self._numbers:
            return np.zeros(0, dtype=np.int64)
        by_split = self._numbers[kind]
        if not self.settings.match_splits:
            return np.concatenate(list(by_split.values()))
        if split not in by_split:
            raise RoomgenError(
                f"the {kind} have no split {split!r}, only {', '.join(by_split)}; the sources have "
                f"{', '.join(self._numbers['sources'])}. Make both with the same splits, or let any meet any with --any-split."
            )
        return by_split[split]

    def _check_formats(self) -> None:
        rates = {name: _rate(dataset) for name, dataset in self.datasets.items()}
        if len(set(rates.values())) > 1:
            shown = ", ".join(f"{name} {rate} Hz" for name, rate in rates.items())
            raise RoomgenError(f"sampling rates differ: {shown}. Make them alike with --fs.")
        channels = {name: sorted(set(dataset.table(["n_channels"])["n_channels"])) for name, dataset in self.datasets.items()}
        most = max(max(counts) for counts in channels.values())
        if most > _MOST_CHANNELS:
            raise RoomgenError(f"{most} channels are more than a FLAC file holds ({_MOST_CHANNELS}): render with smaller arrays.")
        heard = channels.get("rirs", [1])
        if max(channels["sources"]) > 1 and max(heard) > 1 and channels["sources"] != heard:
            raise RoomgenError(
                f"sources of {max(channels['sources'])} channels cannot go through responses of {max(heard)}: make the sources "
                "with --channels mono."
            )

    def _check_names(self) -> None:
        splits = self._numbers["sources"]
        for setting in ("max_samples", "device_weights", "device_probabilities"):
            for split in getattr(self.settings, setting):
                if split not in splits:
                    raise RoomgenError(f"{setting} names a split {split!r}; the sources have {', '.join(splits)}.")
        for setting in ("device_weights", "device_probabilities"):
            for split, named in getattr(self.settings, setting).items():
                known = sorted(set(self._microphones[self._choices["devices", split]])) if "devices" in self._numbers else []
                unknown = [name for name in named if name not in known]
                if unknown:
                    raise RoomgenError(
                        f"{setting} names {unknown[0]!r}, which is no device of {split}; there are: {', '.join(known) or 'none'}."
                    )


def renders_settings(inputs: Inputs, overrides: Mapping[str, Any], *, flags: Mapping[str, str] | None = None) -> RendersSettings:
    """Return the settings of renders of these datasets, with overrides (dotted key to value) laid over the defaults."""
    datasets = {name: Dataset(path) for name, path in inputs.items()}
    for name, dataset in datasets.items():
        family = dataset.info["settings"].get("family")
        if family not in _FAMILIES[name]:
            raise RoomgenError(f"--{name} {dataset.root} is a dataset of {family}: give one of {' or '.join(_FAMILIES[name])}.")
    tree: dict[str, Any] = {name: fingerprint(dataset) for name, dataset in datasets.items()}
    return resolve(tree, overrides, model=RendersSettings, flags=flags)


def fingerprint(dataset: Dataset) -> str:
    """Return 16 hex digits that name the bytes of a finished dataset."""
    info = dataset.info
    text = json.dumps([info["settings_hash"], [[shard["name"], shard["sha256"]] for shard in info["shards"]]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def datasets_of(settings: RendersSettings, inputs: Inputs) -> dict[str, Dataset]:
    """Return the datasets that renders are made of, opened, by their names.

    Raises:
        RoomgenError: one is not given, or is not finished.
    """
    named = [name for name in _FAMILIES if getattr(settings, name) is not None]
    for name in named:
        if name not in inputs:
            raise RoomgenError(f"the {name} dataset is missing: give its folder with --{name}.")
    return {name: Dataset(inputs[name]) for name in named}


def _by_split(dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    splits = dataset.table(["split"])["split"].astype(str)
    return {str(name): np.flatnonzero(splits.to_numpy() == name) for name in dict.fromkeys(splits)}


def _rate(dataset: Dataset) -> int:
    rates = sorted(set(dataset.table(["fs_hz"])["fs_hz"]))
    if len(rates) != 1:
        raise RoomgenError(f"{dataset.root} mixes sampling rates {rates}: make it with one.")
    return int(rates[0])
