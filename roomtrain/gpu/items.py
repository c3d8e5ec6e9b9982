"""Which items there are, how long they take, and what they are told. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roomtrain.errors import RoomtrainError
from roomtrain.paper import PAPERS, Paper

Report = Callable[[dict[str, Any]], None]
"""Takes an item's result so far: what is kept of it if it is cut off."""

TRAINED = "goetz"
"""The paper whose training is killed and resumed."""
_DATA_S = 45.0  # of one paper in the mean, on two cores


@dataclass(frozen=True)
class Item:
    """One thing to measure or check.

    Args:
        name: its key in the results.
        about: what it shows.
        call: "module:function" of (:class:`Setup`, :data:`Report`, ``*arguments``), which returns the result: plain values.
        expected_s: on a GPU.
        limit_s: it is cut off then, or earlier where time is short.
    """

    name: str
    about: str
    call: str
    expected_s: float
    limit_s: float
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setup:
    """What all items have in common.

    Args:
        device: "cuda" or "cpu".
        rehearsal: tiny sizes, to see whether everything runs.
        data: folder with a folder of each paper's data, as far as there are any.
        folder: for what is made; it goes away at the end.
    """

    device: str
    rehearsal: bool
    data: Path | None = None
    folder: Path = Path()

    def given(self, paper: Paper) -> Path | None:
        """Return the paper's data that were given, or None."""
        root = None if self.data is None else self.data / paper.name
        return root if root is not None and root.is_dir() else None

    def made(self, paper: Paper) -> Path:
        """Return the folder that a paper's data are made in."""
        return self.folder / "data" / paper.name

    def root(self, paper: Paper) -> Path:
        """Return where a paper's data lie.

        Raises:
            RoomtrainError: there are none.
        """
        root = self.given(paper) or self.made(paper)
        if not (root / "paper.json").is_file():
            raise RoomtrainError(
                f"there are no data of {paper.name}: see the item 'data {paper.name}', or give --data.", exit_code=1
            )
        return root

    @property
    def preset(self) -> str:
        """The preset of papers' settings."""
        return "smoke" if self.rehearsal else "paper"


def chosen_items(*, rehearsal: bool) -> list[Item]:
    """Return the items in their order: what matters most, and what later ones need, first."""
    papers = sorted(PAPERS)

    def each(name: str, about: str, function: str, expected_s: float, limit_s: float) -> list[Item]:
        call = f"roomtrain.gpu.steps:{function}"
        return [Item(f"{name} {paper}", about.format(paper), call, expected_s, limit_s, (paper,)) for paper in papers]

    compiled = "a step of {} with torch.compile" if not rehearsal else "a step of {} as torch.compile traces it, not compiled"
    return [
        Item("machine", "GPU, driver, versions, and the commit of the code", "roomtrain.gpu.machine:machine", 8, 30),
        Item("draws", "random numbers: those of the CPU, bit by bit", "roomtrain.gpu.machine:draws", 10, 30),
        Item("engine", "roomgen's engines: agreement in dB, and responses a second", "roomtrain.gpu.engine:engine", 60, 120),
        *each("data", "small data of {} are made, unless given", "data", _DATA_S, 150),
        *each("waits", "no step of {} waits for the GPU", "waits", 30, 60),
        Item(
            "training",
            f"{TRAINED} trained, killed and resumed: the same losses? How busy is the GPU?",
            "roomtrain.gpu.training:training",
            60,
            120,
            (TRAINED,),
        ),
        *each("steps", "a step of {} in 32 bits, with TF32, in bf16", "steps", 45, 90),
        *each("compiled steps", compiled, "compiled_steps", 90, 240),
    ]
