"""What a family of datasets is: rooms, devices, sources or renders. One class each says how its samples are planned and made.

The rest of roomgen (shards, resume, verifying, cards, the command line) knows families only through this class. A sample is made
from its settings, its inputs and its planned row alone; inputs (a corpus, other datasets) are folders, whose contents the
settings name by fingerprint, so that equal settings mean equal bytes wherever the folders lie.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import DatasetError
from roomgen.settings import CommonSettings, check_settings
from roomgen.store.columns import Column
from roomgen.store.samples import Sample

Inputs = Mapping[str, Path]
"""Name of an input (``corpus``, ``rirs``, …) to its folder or file."""

Row = Mapping[str, Any]
"""Columns of a sample in the manifest; which ones hangs on the family."""

SettingsOf = TypeVar("SettingsOf", bound=CommonSettings)
Unit = TypeVar("Unit")
"""What a plan says of one sample, or of a few that are made together."""

LARGEST_SHARD = 1000
LEAST_SHARDS, LEAST_IN_SHARD = 8, 16
"""A loader with several workers, or several machines, share a split out shard by shard."""


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


def shards_of(split_sizes: Mapping[str, int], shard_size: int | None) -> tuple[ShardPlan, ...]:
    """Return all shards, split by split.

    Args:
        split_sizes: samples of each split.
        shard_size: samples of a shard; None: as many as give the first split at least eight shards, up to 1000, if those
            eight have at least 16 samples each.
    """
    if shard_size is None:
        first, shard_size = next(iter(split_sizes.values()), 0), LARGEST_SHARD
        if first >= LEAST_SHARDS * LEAST_IN_SHARD:
            shard_size = min(-(-first // LEAST_SHARDS), LARGEST_SHARD)
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


@dataclass(frozen=True)
class Chunk(Generic[Unit]):
    """A few samples of one shard, as they travel to a worker."""

    split: str
    units: Sequence[Unit]


class Plan(ABC, Generic[SettingsOf, Unit]):
    """Which sample stands in which shard; a pure function of settings and inputs."""

    settings: SettingsOf
    split_sizes: dict[str, int]
    """Samples of each split, in the order of the shards."""
    broken: tuple[Broken, ...] = ()
    """What was found unusable while planning."""
    files: int = 0
    """Input files that could be broken; 0 where there are none."""

    @cached_property
    def shards(self) -> tuple[ShardPlan, ...]:
        """All shards, split by split."""
        return shards_of(self.split_sizes, self.settings.shard_size)

    def __len__(self) -> int:
        return sum(self.split_sizes.values())

    @abstractmethod
    def chunks(self, shard: ShardPlan) -> Iterator[Sequence[Unit]]:
        """Yield the shard's samples, a few at a time and in their order."""


@dataclass(frozen=True)
class Card:
    """What a dataset's card says of its family: a title, sentences, what the tars hold, an example for pandas, and tags."""

    title: str
    text: str
    members: str
    example: str
    tags: tuple[str, ...]


class Job(ABC, Generic[SettingsOf, Unit]):
    """One dataset of a family: its settings, where its inputs lie, and what follows from them. See the module's text.

    What is costly (the plan, opened inputs) is made when it is asked for, and kept. A job travels to a worker as its settings and
    the paths of its inputs.

    Args:
        settings: of the dataset.
        inputs: folders or files that it is made from.
    """

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

    def __init__(self, settings: SettingsOf, inputs: Inputs | None = None) -> None:
        self.settings, self.inputs = settings, dict(inputs or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return _job_again, (self.name, self.settings.model_dump_json(), self.inputs)

    @property
    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """The columns of the manifest."""

    @property
    @abstractmethod
    def members(self) -> tuple[str, ...]:
        """The endings of every sample's members, sorted."""

    @property
    @abstractmethod
    def plan(self) -> Plan[SettingsOf, Unit]:
        """The plan; errors in settings or inputs are raised here, before anything is written."""

    @abstractmethod
    def make(self, chunk: Chunk[Unit]) -> Iterator[Sample | Broken]:
        """Yield the samples of one of the plan's chunks; runs in a worker."""

    @abstractmethod
    def remake(self, row: Row) -> Sample:
        """Return a sample made anew from its row.

        Raises:
            RoomgenError: what it was made from is no longer there.
        """

    @abstractmethod
    def measured(self, row: Row, audio: NDArray[np.float32]) -> dict[str, Any]:
        """Return the columns that are measured in the audio of a sample, measured anew."""

    @abstractmethod
    def card(self, totals: Mapping[str, Any]) -> Card:
        """Return what the dataset's card says."""

    def check(self) -> None:
        """Raise a RoomgenError where this machine cannot make such a dataset; called before anything is written."""

    def prepare(self) -> None:
        """Do once, before samples are made, what each worker would otherwise do (compile), or what takes long (hash inputs)."""


AnyJob: TypeAlias = Job[Any, Any]
Family: TypeAlias = type[AnyJob]
"""A family is the class of its jobs: name, what a sample is called, and what sums a dataset up."""

_FAMILIES = {
    "rooms": "roomgen.datasets.rooms.family:RoomsJob",
    "devices": "roomgen.datasets.devices.family:DevicesJob",
    "sources": "roomgen.datasets.sources.family:SourcesJob",
    "renders": "roomgen.datasets.renders.family:RendersJob",
}


def family_of(name: str) -> Family:
    """Return a family by name.

    Raises:
        DatasetError: no such family: a damaged dataset, or one of a later roomgen.
    """
    if name not in _FAMILIES:
        raise DatasetError(f"unknown family of datasets {name!r}; this roomgen knows {', '.join(_FAMILIES)}.")
    module, _, attribute = _FAMILIES[name].partition(":")
    family: Family = getattr(import_module(module), attribute)
    return family


def job_of(tree: Mapping[str, Any], inputs: Inputs | None = None) -> AnyJob:
    """Return the job whose settings are a tree of plain values (those of ``dataset.json``).

    Raises:
        RoomgenError: they are not valid.
    """
    family = family_of(str(tree.get("family")))
    return family(check_settings(tree, model=family.settings_model), inputs)


def _job_again(name: str, settings_json: str, inputs: dict[str, Path]) -> AnyJob:
    family = family_of(name)
    return family(family.settings_model.model_validate_json(settings_json), inputs)
