"""What a family of datasets is: rooms, devices, sources or renders. One class each says how its samples are planned and made.

The rest of roomgen (shards, resume, verifying, cards, the command line) knows families only through this class. A sample is made
from its settings, its inputs and its planned row alone; inputs (a corpus, other datasets) are folders, whose contents the
settings name by fingerprint, so that equal settings mean equal bytes wherever the folders lie.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import DatasetError
from roomgen.settings import CommonSettings
from roomgen.store.columns import Column
from roomgen.store.samples import Sample

Inputs = Mapping[str, Path]
"""Name of an input (``corpus``, ``rirs``, …) to its folder or file."""


@dataclass(frozen=True)
class ShardPlan:
    """One shard: ``count`` samples of a split, from its ``start``-th on."""

    split: str
    index: int
    start: int
    count: int

    @property
    def stem(self) -> str:
        """File name without its ending: ``train-000000``."""
        return f"{self.split}-{self.index:06d}"


def shards_of(split_sizes: Mapping[str, int], shard_size: int) -> tuple[ShardPlan, ...]:
    """Return all shards, split by split."""
    return tuple(
        ShardPlan(split, number, start, min(shard_size, total - start))
        for split, total in split_sizes.items()
        for number, start in enumerate(range(0, total, shard_size))
    )


def apportion(weights: list[float] | list[int], total: int) -> list[int]:
    """Divide ``total`` in proportion to the weights by largest remainder; earlier ones win ties."""
    exact = np.asarray(weights, dtype=np.float64) * total / np.sum(weights)
    counts = np.floor(exact + 1e-9).astype(int)
    for i in np.argsort(-(exact - counts), kind="stable")[: total - counts.sum()]:
        counts[i] += 1
    return [int(c) for c in counts]


@dataclass(frozen=True)
class Broken:
    """An input that could not be read, or a part of one that cannot be used: its samples are left out.

    Only whole inputs count against the share that may be broken.
    """

    name: str
    reason: str
    counts: bool = True


class Plan(Protocol):
    """Which sample stands in which shard; a pure function of settings and inputs."""

    @property
    def shards(self) -> tuple[ShardPlan, ...]: ...

    @property
    def split_sizes(self) -> dict[str, int]: ...

    @property
    def broken(self) -> tuple[Broken, ...]: ...

    @property
    def files(self) -> int:
        """Input files that could be broken; 0 where there are none."""
        ...

    def __len__(self) -> int: ...

    def chunks(self, shard: ShardPlan) -> Iterator[Sequence[Any]]:
        """Yield the shard's samples, a few at a time and in their order, as what travels to a worker."""
        ...


@dataclass(frozen=True)
class Card:
    """What a dataset's card says of its family: a title, sentences, what the tars hold, an example for pandas, and tags."""

    title: str
    text: str
    members: str
    example: str
    tags: tuple[str, ...]


class Family(ABC):
    """One family; see the module's text. Instances carry nothing."""

    name: ClassVar[str]
    unit: ClassVar[str]
    """What one sample is called in a progress bar."""
    settings_model: ClassVar[type[CommonSettings]]
    audio_member: ClassVar[str]
    """Ending of the member that index access reads."""
    spreads: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Columns whose spread sums a dataset up, with their title and unit."""
    counts: ClassVar[Mapping[str, str]] = {}
    """Columns whose distinct values are counted, with what they are."""

    @abstractmethod
    def columns(self, settings: Any) -> tuple[Column, ...]:
        """Return the columns of the manifest."""

    @abstractmethod
    def members(self, settings: Any) -> tuple[str, ...]:
        """Return the endings of every sample's members, sorted."""

    @abstractmethod
    def plan(self, settings: Any, inputs: Inputs) -> Plan:
        """Return the plan; errors in settings or inputs are raised here, before anything is written."""

    @abstractmethod
    def make(self, settings: Any, inputs: Inputs, split: str, units: Sequence[Any]) -> Iterator[Sample | Broken]:
        """Yield the samples of one of the plan's chunks; runs in a worker."""

    @abstractmethod
    def again(self, settings: Any, inputs: Inputs, row: Mapping[str, Any]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Return (channel, time) audio and the measured columns of a sample, made anew from its row."""

    @abstractmethod
    def measured(self, settings: Any, row: Mapping[str, Any], audio: NDArray[np.float32]) -> dict[str, Any]:
        """Return the columns that are measured in the audio of a sample, measured anew."""

    @abstractmethod
    def card(self, settings: Mapping[str, Any], totals: Mapping[str, Any]) -> Card:
        """Return what the dataset's card says."""

    def prepare(self, settings: Any) -> None:  # noqa: B027 (most families have nothing to do)
        """Do once, before workers start, what each of them would otherwise do (compile)."""

    def check(self, settings: Any) -> None:  # noqa: B027 (most families need nothing special)
        """Raise a RoomgenError where this machine cannot make such a dataset; called before anything is written."""


_FAMILIES = {
    "rooms": "roomgen.datasets.rooms.family:RoomsFamily",
    "devices": "roomgen.datasets.devices.family:DevicesFamily",
    "sources": "roomgen.datasets.sources.family:SourcesFamily",
    "renders": "roomgen.datasets.renders.family:RendersFamily",
}


def family_of(name: str) -> Family:
    """Return a family by name.

    Raises:
        DatasetError: no such family: a damaged dataset, or one of a later roomgen.
    """
    if name not in _FAMILIES:
        raise DatasetError(f"unknown family of datasets {name!r}; this roomgen knows {', '.join(_FAMILIES)}.")
    module, _, attribute = _FAMILIES[name].partition(":")
    family: Family = getattr(import_module(module), attribute)()
    return family


def settings_of(tree: Mapping[str, Any]) -> tuple[Family, Any]:
    """Return family and settings that a tree of plain values (``dataset.json``) describes.

    Raises:
        RoomgenError: they are not valid.
    """
    from roomgen.settings import check_settings

    family = family_of(str(tree.get("family")))
    return family, check_settings(tree, model=family.settings_model)
