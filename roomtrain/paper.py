"""What a paper is to roomtrain, and where papers are found.

A paper is a package in ``roomtrain/papers`` whose module ``paper`` holds an object ``PAPER``. Its name is that of the package with
dashes. Nothing else has to be told of it: commands, folders, results and tables follow from what it says here.

Importing ``paper`` must not import torch: tables and comparisons are made without.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from roomgen.errors import suggest
from roomtrain.config import RunSettings
from roomtrain.errors import RoomtrainError
from roomtrain.fit_settings import FitSettings
from roomtrain.predictions import Answers
from roomtrain.targets import Target

if TYPE_CHECKING:
    import torch

    from roomtrain.listen import Listener
    from roomtrain.probe import Probed
    from roomtrain.task import Task
    from roomtrain.weights import Weights


@dataclass(frozen=True)
class Cell:
    """A cell of a paper's table: its name, and the settings (dotted key to value) that it differs in."""

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One training of a run; a run has one or more, in order.

    Args:
        name: "upstream", "room/c50": its folder in the run.
        make: makes its task from the weights of the stages before it, when it is its turn.
        fit: how it is fitted; None: nothing is trained, and the task's model is kept as it was made.
        needs: the stages whose weights ``make`` asks for.
        shared: where several cells have the stage in common, what decides its result (a hash); it is then trained once for all.
        alone: one process is enough; the others wait.
    """

    name: str
    make: Callable[[Weights], Task]
    fit: FitSettings | None
    needs: tuple[str, ...] = ()
    shared: str | None = None
    alone: bool = False


@dataclass(frozen=True)
class Breakdown:
    """Errors shown over the truth of one target: its name, and the edges of the bins."""

    target: str
    edges: tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """The paper's own numbers, and how its table is laid out.

    Args:
        source: which table of which paper.
        values: (cell, protocol, target, metric) → number; shares in 0…1.
        columns: titles of the columns of a block, where the paper has no layouts.
    """

    source: str
    values: Mapping[tuple[str, str, str, str], float]
    columns: tuple[str, ...] = ("here", "paper")


@dataclass(frozen=True)
class Column:
    """A column of a table: one metric of one target by one protocol.

    Args:
        metric: "": the one that stands for the target.
        interval: below the values stands the 95 % interval of the first seed.
        best: below the rows of several seeds stands the seed that is best in this column, for papers that tell of their best run.
    """

    title: str
    protocol: str
    target: str
    metric: str = ""
    interval: bool = False
    best: bool = False


@dataclass(frozen=True)
class Layout:
    """A table of the paper, laid out as it has it.

    Args:
        title: which table, and of what.
        columns: at most one of them is ``best``.
        rows: title → cell, or cell and a condition of its test, such as a baseline's answers; those without results are left out.
        notes: sentences under the table.
    """

    title: str
    columns: tuple[Column, ...]
    rows: Mapping[str, str | tuple[str, str]]
    notes: tuple[str, ...] = ()

    @property
    def cells(self) -> set[str]:
        """The cells that its rows are of."""
        return {row if isinstance(row, str) else row[0] for row in self.rows.values()}


@dataclass(frozen=True)
class Place:
    """Where a process works: its device, its number among all processes, and the threads that read the data."""

    device: torch.device
    rank: int = 0
    world: int = 1
    workers: int = 2


class Data(ABC):
    """A paper's datasets, opened and checked."""

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Return, for each part, what names its bytes: see :func:`roomtrain.datasets.fingerprint`."""


class Paper(ABC):
    """One paper: what it estimates, how, and what it found."""

    name: ClassVar[str]
    title: ClassVar[str]
    """Authors, title, where and when."""
    Settings: ClassVar[type[RunSettings]]
    parts: ClassVar[Mapping[str, str]]
    """Dataset folder → family: what ``roomgen paper`` makes and training needs."""
    targets: ClassVar[tuple[Target, ...]]
    protocols: ClassVar[Mapping[str, str]]
    """How training and test are divided, in the order of the table: name → what it means."""
    pools: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Protocol → the protocols whose answers it takes together: it has none of its own, and is measured where all of them are
    there. Keys are unique among them, and groups of the same name are the same."""
    published: ClassVar[Published]
    presets: ClassVar[str] = "roomtrain"
    """Package whose folder ``presets`` holds NAME-paper.toml, NAME-small.toml and NAME-smoke.toml."""
    breakdown: ClassVar[Breakdown | None] = None
    owned: ClassVar[tuple[str, ...]] = ()
    """Settings that the cells of the table set: ``--set`` of one beside ``--all`` is refused."""

    @abstractmethod
    def cells(self) -> list[Cell]:
        """Return the cells of the paper's table, in the order in which they are trained: what belongs together first."""

    def beyond(self) -> list[Cell]:
        """Return cells that are none of the paper's: trained where they are named, and not by ``--all``."""
        return []

    @abstractmethod
    def cell_of(self, settings: Any) -> str:
        """Return the name of the cell that settings describe."""

    def rows(self, cells: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the rows of the table for the cells that there are: title → the cells of its columns."""
        return {cell: (cell,) for cell in cells}

    def layouts(self) -> Sequence[Layout]:
        """Return the paper's tables; none: a block of :meth:`rows` for each protocol and target."""
        return ()

    @abstractmethod
    def open(self, root: Path, place: Place, *, training: bool = True) -> Data:
        """Open the datasets; ``training`` False: those of the test are enough, and nothing is checked against training.

        Raises:
            RoomtrainError: a part is missing, of another kind, or splits share what they must not.
            DatasetError: a part is damaged.
        """

    def settled(self, settings: Any, data: Any) -> Any:
        """Return settings with what follows from the data filled in, such as the names of classes: a run keeps them so.

        What is filled in is marked idle: it decides nothing that the data do not.

        Raises:
            RoomtrainError: the data lack a part that these settings ask for.
        """
        return settings

    @abstractmethod
    def stages(self, settings: Any, data: Any, place: Place) -> list[Stage]:
        """Return what is trained, in order."""

    @abstractmethod
    def predict(self, settings: Any, data: Any, weights: Weights, place: Place) -> Iterator[Answers]:
        """Yield the answers of the trained cell to the test samples."""

    def listener(self, settings: Any, weights: Weights | None, *, protocol: str | None = None) -> Listener:
        """Return the networks ready for anybody's audio.

        Args:
            weights: None: the networks as they are made, for those of an export to be loaded into their ``modules``.

        Raises:
            RoomtrainError: the paper has none, or no such protocol.
        """
        raise RoomtrainError(f"{self.name} does not listen to recordings.")

    def probed(self, settings: Any, data: Any, weights: Weights, place: Place, *, protocol: str) -> Probed:
        """Return embeddings and labels of training and test samples, for :mod:`roomtrain.probe`.

        Raises:
            RoomtrainError: the paper has no embeddings to probe.
        """
        raise RoomtrainError(f"{self.name} has no embeddings to probe.")

    def figures(self, results: Sequence[dict[str, Any]], out: Path, *, data: Path | None, runs: Sequence[Path]) -> list[Path]:
        """Draw the paper's figures from results, and from data and trained runs where they are given; return the files."""
        return []

    def bench(self, data: Path | None, *, device: str, precision: str, steps: int, preset: str = "paper") -> dict[str, Any]:
        """Measure where the time of a training step goes: see :mod:`roomtrain.bench`."""
        from roomtrain.bench import run

        return run(self, data, device=device, precision=precision, steps=steps, preset=preset)

    def target(self, name: str) -> Target:
        """Return a target by its name."""
        return next(target for target in self.targets if target.name == name)

    def members(self, protocol: str) -> tuple[str, ...]:
        """Return the protocols that a protocol's answers are stored by: those of a pool, or itself."""
        return self.pools.get(protocol, (protocol,))

    def protocol(self, name: str | None, have: Sequence[str]) -> str:
        """Return the protocol that is asked for, or the last one of the paper that a run has: it asks the most of the networks.

        Raises:
            RoomtrainError: the run has none of that name.
        """
        chosen = [protocol for protocol in self.protocols if protocol in have][-1] if name is None else name
        if chosen not in have:
            raise RoomtrainError(f"unknown protocol {chosen!r}.{suggest(chosen, have)} There is {', '.join(have)}.")
        return chosen


def _found() -> dict[str, str]:
    import roomtrain.papers

    packages = pkgutil.iter_modules(roomtrain.papers.__path__)
    return {p.name.replace("_", "-"): f"roomtrain.papers.{p.name}.paper" for p in packages if p.ispkg}


PAPERS: dict[str, str] = _found()
"""Name → module that holds ``PAPER``; it is imported when it is asked for."""


def get_paper(name: str) -> Paper:
    """Return a paper by its name.

    Raises:
        RoomtrainError: there is none of that name; the message lists all.
    """
    if name not in PAPERS:
        raise RoomtrainError(f"unknown paper {name!r}.{suggest(name, PAPERS)} Papers: {', '.join(sorted(PAPERS))}.")
    paper: Paper = importlib.import_module(PAPERS[name]).PAPER
    return paper
