"""Which cells a command trains, each with its settings and folder: one, all of the paper's table, or a sweep of settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from roomgen.errors import suggest
from roomgen.settings import parse_assignment
from roomtrain.config import RunSettings, load_settings
from roomtrain.errors import RoomtrainError
from roomtrain.paper import Cell, Paper


@dataclass(frozen=True)
class Planned:
    """One training: the cell's name, its settings, and the folder of its run."""

    cell: str
    settings: RunSettings
    folder: Path


def settings_of(
    paper: Paper, preset: str, overrides: Mapping[str, Any], *, config: Path | None = None, seed: int | None = None
) -> RunSettings:
    """Return a preset's settings with those of a TOML file, then overrides (dotted key to value), laid over it.

    Raises:
        RoomtrainError: no such preset, or a file that is not TOML.
        RoomgenError: no such setting, or a value that is not allowed.
    """
    laid = {**({} if config is None else _leaves(_read(config))), **overrides}
    if seed is not None:
        if "seed" in overrides:
            raise RoomtrainError("--set seed=…: give --seed.")
        laid["seed"] = seed
    return load_settings(paper.name, preset, laid, model=paper.Settings, package=paper.presets)


def plan(
    paper: Paper,
    preset: str,
    overrides: Mapping[str, Any],
    out: Path,
    *,
    config: Path | None = None,
    cell: str | None = None,
    every: bool = False,
    sweep: Sequence[str] = (),
    seed: int = 0,
    seeds: int | None = None,
) -> list[Planned]:
    """Return what is to be trained, in order; wrong settings are told before anything is.

    Args:
        cell: a cell of the paper's table, by its name or number (from 1).
        every: all cells of the table.
        sweep: ``key=a,b`` each: every combination of the values.
        seed: the first.
        seeds: of each cell of the table or sweep; all are trained with the first before any is with the second. None: as many as
            the settings of each cell of the table say, and one of a sweep.

    Raises:
        RoomtrainError: choices that exclude each other, or settings that are wrong.
    """
    chosen = [flag for flag, given in (("--cell", cell), ("--all", every), ("--sweep", sweep)) if given]
    if len(chosen) > 1:
        raise RoomtrainError(f"{' and '.join(chosen)} exclude each other: give them different folders, one after the other.")
    owned = [key for key in paper.owned if key in overrides]
    if owned and chosen and chosen[0] != "--sweep":
        raise RoomtrainError(f"--set {owned[0]}=… and {chosen[0]} exclude each other: {chosen[0]} sets it.")

    def made(more: Mapping[str, Any], seed: int) -> RunSettings:
        return settings_of(paper, preset, {**overrides, **more}, config=config, seed=seed)

    if not every and not sweep:
        if seeds not in (None, 1):
            raise RoomtrainError("--seeds is for --all and --sweep; for one cell give --seed.")
        settings = made({} if cell is None else find_cell(paper, cell).overrides, seed)
        return [Planned(paper.cell_of(settings), settings, out)]
    cells = paper.cells() if every else _swept(paper, sweep, made)
    many = [seeds or (made(one.overrides, seed).seeds if every else 1) for one in cells]
    return [
        Planned(one.name, made(one.overrides, number), out / f"{_as_folder(one.name)}-seed{number}")
        for number in range(seed, seed + max(many))
        for one, own in zip(cells, many, strict=True)
        if number < seed + own
    ]


def find_cell(paper: Paper, name: str) -> Cell:
    """Return a cell of the paper's table, or one beyond it, by its name or its number (from 1).

    Raises:
        RoomtrainError: there is none; the message lists all.
    """
    cells = [*paper.cells(), *paper.beyond()]
    found = [cell for number, cell in enumerate(cells, start=1) if name in (cell.name, str(number))]
    if not found:
        names = [cell.name for cell in cells]
        listed = ", ".join(f"{number} {each}" for number, each in enumerate(names, start=1))
        raise RoomtrainError(f"--cell {name!r}: the paper's table has no such cell.{suggest(name, names)} Cells: {listed}.")
    return found[0]


def _swept(paper: Paper, sweep: Sequence[str], made: Any) -> list[Cell]:
    """Return a cell for every combination, called as the paper calls it, and by what is swept where that tells them not apart."""
    axes: dict[str, list[Any]] = {}
    for text in sweep:
        key, equals, values = text.partition("=")
        if not equals or not values.strip() or not key.strip():
            raise RoomtrainError(f"--sweep {text!r} is not key=a,b, such as --sweep dropout=0,0.1,0.2")
        if key.strip() in axes:
            raise RoomtrainError(f"--sweep {key.strip()}=… is given twice: list all its values in one.")
        axes[key.strip()] = [parse_assignment(f"{key}={value}")[1] for value in values.split(",")]
    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    names = [paper.cell_of(made(point, 0)) for point in points]
    if len(set(names)) < len(names):
        names = [
            f"{name} {', '.join(f'{key}={value}' for key, value in point.items())}"
            for name, point in zip(names, points, strict=True)
        ]
    if len(set(names)) < len(names):
        raise RoomtrainError(f"--sweep {' '.join(sweep)} has a value twice: give each once.")
    return [Cell(name, point) for name, point in zip(names, points, strict=True)]


def _as_folder(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-._=," else "_" for c in name.replace(", ", ","))


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RoomtrainError(f"--config {config}: there is no such file.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RoomtrainError(f"--config {config} is not readable as TOML ({error}).") from None


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
