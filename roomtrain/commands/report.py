"""`roomtrain table`, `figures` and `config`: what was reached, in pictures too, and all settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from roomgen.settings import parse_assignment
from roomtrain.commands.common import (
    ConfigOption,
    DataOption,
    JsonOption,
    PaperArgument,
    PresetOption,
    SetOption,
    print_result,
)
from roomtrain.errors import RoomtrainError
from roomtrain.paper import get_paper

RunsOption = Annotated[Path | None, typer.Option(help="folder of runs  [default: the results that come with roomtrain]")]
SeveralRunsOption = Annotated[
    list[Path] | None,
    typer.Option(help="folder of runs; several beside each other with --cell  [default: the results that come with roomtrain]"),
]


def table(
    paper: PaperArgument,
    runs: SeveralRunsOption = None,
    cell: Annotated[str | None, typer.Option(metavar="NAME", help="this cell alone, a row per target")] = None,
    publish: Annotated[Path | None, typer.Option(metavar="DIR", help="also copy the results there, a small file per run")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the paper's table beside ours, mean ± standard deviation over seeds, with 95 % intervals over rooms."""
    from roomtrain import results as found
    from roomtrain import table as tables

    chosen = get_paper(paper)
    if runs is not None and len(runs) > 1:
        if cell is None or publish is not None:
            raise RoomtrainError("several --runs are for one --cell, and for reading: name the cell, and leave out --publish.")
        beside = {folder.name: tables.table(chosen, found.results_in([folder], chosen)) for folder in runs}
        if len(beside) < len(runs):
            raise RoomtrainError("two of the --runs have the same name, which their columns would have: rename a folder.")
        print_result(beside, as_json, tables.beside_markdown(chosen, beside, cell))
        return
    results = found.published_results(chosen) if not runs else found.results_in(runs, chosen)
    values = tables.table(chosen, results)
    if publish is not None:
        found.publish(results, publish)
    text = tables.markdown(chosen, values) if cell is None else tables.cell_markdown(chosen, values, cell)
    print_result(values, as_json, text)


def figures(
    paper: PaperArgument,
    runs: RunsOption = None,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help="folder for the PNGs")] = Path("figures"),
    rooms: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="runs whose embeddings are drawn; may be repeated")
    ] = None,
) -> None:
    """Draw the paper's figures: from results (--runs), and from data and trained runs where they are given (--data, --rooms)."""
    from roomtrain import results as found

    chosen = get_paper(paper)
    results = found.published_results(chosen) if runs is None else found.results_in([runs], chosen)
    shown = rooms or ([] if runs is None else sorted({path.parent for path in runs.rglob("settings.json")}))
    drawn = chosen.figures(results, out, data=data, runs=shown)
    if not drawn:
        raise RoomtrainError("there is nothing to draw: give --runs (trained) or --data.")
    for path in drawn:
        print(f"drawn      {path}")


def config(
    paper: PaperArgument,
    preset: PresetOption = "paper",
    config: ConfigOption = None,
    cell: Annotated[str | None, typer.Option(metavar="NAME", help="a cell of the paper's table, by name or number")] = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print every setting of a preset, with overrides laid over it."""
    from roomtrain.plans import find_cell, settings_of

    chosen = get_paper(paper)
    overrides = dict(parse_assignment(text) for text in set_ or [])
    if cell is not None:
        overrides |= find_cell(chosen, cell).overrides
    settings = settings_of(chosen, preset, overrides, config=config)
    values = settings.model_dump(mode="json")
    print_result({**values, "hash": settings.hash()}, as_json, "\n".join(_leaves(values)))


def _leaves(values: object, prefix: str = "") -> list[str]:
    if not isinstance(values, dict):
        return [f"{prefix} = {json.dumps(values)}"]
    return [line for name, inner in values.items() for line in _leaves(inner, f"{prefix}.{name}" if prefix else name)]
