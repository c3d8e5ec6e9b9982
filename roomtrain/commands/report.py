"""`roomtrain table`, `figures`, `config` and `bench`: what was reached, in pictures too; all settings; where the time goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from roomgen.settings import parse_assignment
from roomtrain.commands.common import (
    DataOption,
    DeviceOption,
    JsonOption,
    PaperArgument,
    PrecisionOption,
    PresetOption,
    SetOption,
    check_paper,
    print_result,
)
from roomtrain.errors import RoomtrainError

RunsOption = Annotated[Path | None, typer.Option(help="folder of runs  [default: the results that come with roomtrain]")]


def table(
    paper: PaperArgument,
    runs: RunsOption = None,
    publish: Annotated[Path | None, typer.Option(metavar="DIR", help="also copy the results there, a small file per run")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the paper's table beside ours, mean ± standard deviation over seeds, with 95 % intervals over rooms."""
    from roomtrain.papers.goetz import table as tables

    check_paper(paper)
    results = tables.published_results() if runs is None else tables.results_in([runs])
    values = tables.table(results)
    if publish is not None:
        tables.publish(results, publish)
    print_result(values, as_json, tables.markdown(values))


def figures(
    paper: PaperArgument,
    runs: RunsOption = None,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help="folder for the PNGs")] = Path("figures"),
    rooms: Annotated[
        list[Path] | None, typer.Option(metavar="RUN", help="runs whose embeddings of five rooms are drawn; may be repeated")
    ] = None,
) -> None:
    """Draw the paper's figures: distributions and rooms (with --data), temperature scan and errors (from --runs)."""
    from roomtrain.papers.goetz import figures as drawings
    from roomtrain.papers.goetz import table as tables

    check_paper(paper)
    results = tables.published_results() if runs is None else tables.results_in([runs])
    drawn = []
    if results:
        drawn += [drawings.draw_temperatures(results, out), drawings.draw_errors(results, out)]
    if data is not None:
        drawn.append(drawings.draw_distributions(data, out))
        shown = rooms or ([] if runs is None else drawings.soft_and_hard(runs))
        if shown:
            drawn.append(drawings.draw_rooms(shown, data, out))
    if not drawn:
        raise RoomtrainError("there is nothing to draw: give --runs (trained) or --data.")
    for path in drawn:
        print(f"drawn      {path}")


def config(paper: PaperArgument, preset: PresetOption = "paper", set_: SetOption = None, as_json: JsonOption = False) -> None:
    """Print every setting of a preset, with overrides laid over it."""
    from roomtrain.config import load_settings
    from roomtrain.papers.goetz.settings import GoetzSettings

    check_paper(paper)
    settings = load_settings("goetz", preset, dict(parse_assignment(text) for text in set_ or []), model=GoetzSettings)
    values = settings.model_dump(mode="json")
    print_result({**values, "hash": settings.hash()}, as_json, "\n".join(_leaves(values)))


def bench(
    data: DataOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "32-true",
    steps: Annotated[int, typer.Option(help="training steps that are timed", min=3, max=10_000)] = 40,
    as_json: JsonOption = False,
) -> None:
    """Measure where the time of a training step goes, and the fast paths against plain torch."""
    from roomtrain.papers.goetz.bench import run, text

    result = run(data, device=device, precision=precision, steps=steps)
    print_result(result, as_json, text(result))


def _leaves(values: object, prefix: str = "") -> list[str]:
    if not isinstance(values, dict):
        return [f"{prefix} = {json.dumps(values)}"]
    return [line for name, inner in values.items() for line in _leaves(inner, f"{prefix}.{name}" if prefix else name)]
