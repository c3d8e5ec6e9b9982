"""`roomtrain train`: one cell of a paper's table, all of them, or a sweep."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roomgen.settings import parse_assignment
from roomtrain.commands.common import (
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    PaperArgument,
    PrecisionOption,
    PresetOption,
    SeedOption,
    SetOption,
    WorkersOption,
    complain,
    print_result,
)
from roomtrain.errors import RoomtrainError, Stopped
from roomtrain.jobs import is_job, n_jobs
from roomtrain.journal import SINKS, Sink
from roomtrain.paper import Paper, Place, get_paper
from roomtrain.plans import Planned, plan
from roomtrain.results import RESULTS, results_text

if TYPE_CHECKING:
    from roomtrain.run import Command


def train(
    paper: PaperArgument,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run; a run that is there is gone on with")] = None,
    preset: PresetOption = "paper",
    config: ConfigOption = None,
    cell: Annotated[str | None, typer.Option(metavar="NAME", help="a cell of the paper's table, by name or number")] = None,
    all_cells: Annotated[bool, typer.Option("--all", help="every cell of the paper's table, each in a folder of --out")] = False,
    sweep: Annotated[
        list[str] | None, typer.Option(metavar="KEY=A,B", help="a cell for every value; may be repeated: every combination")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="with --all or --sweep: so many seeds of each cell, from --seed on  [default: of the preset; 1 of a sweep]"
        ),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = None,
    workers: WorkersOption = 2,
    jobs: Annotated[
        int, typer.Option(help="with --all or --sweep: so many cells at a time, each in a process with its share of the processors")
    ] = 1,
    log: Annotated[str, typer.Option(help="where the log goes beside its file: tensorboard, wandb, both or none")] = "tensorboard",
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a paper's models and write their results; the same command goes on where it was stopped."""
    found = get_paper(paper)
    for given, flag in ((data, "--data"), (out, "--out")):
        if given is None:
            raise RoomtrainError(
                f"{flag} is missing, such as --data data/{paper} --out runs/{paper}. `roomgen paper {paper}` makes the data."
            )
    assert data is not None
    assert out is not None
    if seeds is not None and not 1 <= seeds <= 100:
        raise RoomtrainError(f"--seeds {seeds} is outside 1…100.")
    if not 1 <= jobs <= 64:
        raise RoomtrainError(f"--jobs {jobs} is outside 1…64.")
    if jobs > 1 and "RANK" in os.environ:
        raise RoomtrainError("--jobs and torchrun exclude each other: the processes of one train the same cell.")
    overrides = dict(parse_assignment(text) for text in set_ or [])
    if precision is not None:
        overrides["precision"] = precision
    planned = plan(
        found,
        preset,
        overrides,
        out,
        config=config,
        cell=cell,
        every=all_cells,
        sweep=sweep or (),
        seed=seed,
        seeds=seeds,
    )
    sinks = _sinks(log)
    if jobs > 1 and len(planned) > 1:
        from roomtrain.fabric import start_fabric

        start_fabric(device, planned[0].settings.precision)  # what is wrong is told once, and not by each
        _check(found, planned, data)
        _side_by_side(min(jobs, len(planned)))
    results = _train_all(found, planned, data, device=device, workers=workers, sinks=sinks)
    text = "\n".join(results_text(found, result) for result in results)
    if int(os.environ.get("RANK", "0")) == 0:
        print_result(results if all_cells or sweep else results[0], as_json, text)


def _check(paper: Paper, planned: list[Planned], data: Path) -> None:
    """Open the data and see that they have what every cell asks for: none shall find out hours later."""
    import torch

    opened = paper.open(data, Place(torch.device("cpu")))
    for one in planned:
        paper.settled(one.settings, opened)


def _side_by_side(jobs: int) -> None:
    """Train in several processes, and leave where one failed or all were stopped."""
    from roomtrain.jobs import side_by_side

    code, asked = side_by_side(jobs, _without_jobs(sys.argv[1:]))
    if code or asked:
        raise typer.Exit(code)


def _without_jobs(arguments: list[str]) -> list[str]:
    kept = [text for text, before in zip(arguments, ["", *arguments], strict=False) if "--jobs" not in (text, before)]
    return [text for text in kept if not text.startswith("--jobs=")]


def _sinks(log: str) -> tuple[Sink, ...]:
    if log == "none":
        return ()
    names = SINKS if log == "both" else tuple(part.strip() for part in log.split(","))
    wrong = [name for name in names if name not in SINKS]
    if wrong:
        raise RoomtrainError(f"--log {log!r}: give tensorboard, wandb, both or none.")
    return names  # type: ignore[return-value]


def _train_all(
    paper: Paper, planned: list[Planned], data: Path, *, device: str, workers: int, sinks: tuple[Sink, ...]
) -> list[dict[str, Any]]:
    """Train what nobody trains yet, one after the other, and return all results that there are then."""
    from roomtrain.fabric import start_fabric
    from roomtrain.progress import Progress
    from roomtrain.run import Command
    from roomtrain.signals import StopRequest

    settings = planned[0].settings
    fabric = start_fabric(device, settings.precision, tf32=settings.tf32)
    if not is_job():
        _check(paper, planned, data)
    progress = Progress() if fabric.is_global_zero else None
    shared = planned[0].folder.parent if len(planned) > 1 else None
    results: list[dict[str, Any]] = []
    with StopRequest() as stop:
        command = Command(fabric, stop=stop, progress=progress, sinks=sinks, workers=workers, shared=shared)
        for number, one in enumerate(planned, start=1):
            if progress is not None:
                progress.coming(sum(not (later.folder / RESULTS).is_file() for later in planned[number:]) / n_jobs())
            try:
                result = _train_one(paper, one, data, command, alone=len(planned) == 1)
            except Stopped as where:
                if fabric.is_global_zero:
                    complain(f"{stop.asked}: stopped and saved in {one.folder} ({where}). The same command goes on from there.")
                raise typer.Exit(0) from None
            if result is not None:
                results.append(result)
    return results


def _train_one(paper: Paper, planned: Planned, data: Path, command: Command, *, alone: bool) -> dict[str, Any] | None:
    """Return the results of one cell, or None where another command trains it."""
    from roomtrain.fabric import held
    from roomtrain.run import train as train_cell

    with held(planned.folder, command.fabric) as mine:
        if mine:
            return train_cell(paper, planned.settings, cell=planned.cell, root=data, out=planned.folder, command=command)
    if alone:
        raise RoomtrainError(f"another command is training {planned.folder}: wait for it, or use another --out.", exit_code=1)
    if command.fabric.is_global_zero and not is_job():
        complain(f"{planned.folder}: another command is training it; going on with the others.")
    return None
