"""`roomtrain train`: one cell of a paper's table, or all of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roomgen.errors import suggest
from roomgen.settings import parse_assignment
from roomtrain.commands.common import (
    DataOption,
    DeviceOption,
    JsonOption,
    PaperArgument,
    PrecisionOption,
    PresetOption,
    SeedOption,
    SetOption,
    WorkersOption,
    check_paper,
    complain,
    held,
    print_result,
    start_fabric,
)
from roomtrain.errors import RoomtrainError, Stopped

if TYPE_CHECKING:
    from roomtrain.papers.goetz.settings import GoetzSettings


def train(
    paper: PaperArgument,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run; a run that is there is gone on with")] = None,
    preset: PresetOption = "paper",
    all_cells: Annotated[bool, typer.Option("--all", help="every cell of the paper's table, each in a folder of --out")] = False,
    scan: Annotated[
        str | None, typer.Option(metavar="STRATEGY", help="a finer scan of the temperature: soft, hard or posind")
    ] = None,
    seeds: Annotated[int, typer.Option(help="with --all or --scan: so many seeds of each cell, from --seed on")] = 1,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "32-true",
    workers: WorkersOption = 2,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a paper's models and write their results; the same command goes on where it was stopped."""
    check_paper(paper)
    for given, flag in ((data, "--data"), (out, "--out")):
        if given is None:
            raise RoomtrainError(
                f"{flag} is missing, such as --data data/{paper} --out runs/{paper}. `roomgen paper {paper}` makes the data."
            )
    assert data is not None
    assert out is not None
    overrides = dict(parse_assignment(text) for text in set_ or [])
    if "seed" in overrides:
        raise RoomtrainError("--set seed=…: give --seed.")
    if not 1 <= seeds <= 100:
        raise RoomtrainError(f"--seeds {seeds} is outside 1…100.")
    cells = _cells(overrides, all_cells=all_cells, scan=scan)
    if seeds > 1 and cells is None:
        raise RoomtrainError("--seeds is for --all and --scan; for one cell give --seed.")
    runs = _runs(preset, overrides, out, cells=cells, seeds=range(seed, seed + seeds))
    results = _train_all(runs, data, device=device, precision=precision, workers=workers)
    text = "\n".join(result_text(result) for result in results)
    if int(os.environ.get("RANK", "0")) == 0:
        print_result(results[0] if cells is None else results, as_json, text)


def _cells(overrides: dict[str, Any], *, all_cells: bool, scan: str | None) -> list[dict[str, Any]] | None:
    """Return the overrides of all cells that are asked for, or None for the one of the settings."""
    from roomtrain.papers.goetz.cells import table_cells, temperature_scan
    from roomtrain.papers.goetz.settings import STRATEGIES

    if not all_cells and scan is None:
        return None
    if all_cells and scan is not None:
        raise RoomtrainError("--all and --scan exclude each other: give them different folders, one after the other.")
    flag = "--all" if all_cells else "--scan"
    given = [key for key in ("strategy", "upstream.temperature") if key in overrides]
    if given:
        raise RoomtrainError(f"--set {given[0]}=… and {flag} exclude each other: {flag} sets it.")
    if scan is None:
        return table_cells()
    if scan not in STRATEGIES:
        raise RoomtrainError(f"--scan {scan!r}.{suggest(scan, STRATEGIES)} Strategies: {', '.join(STRATEGIES)}.")
    return temperature_scan(scan)


def _runs(
    preset: str, overrides: dict[str, Any], out: Path, *, cells: list[dict[str, Any]] | None, seeds: range
) -> list[tuple[Path, GoetzSettings]]:
    """Return folder and settings of every run; wrong settings are told before anything is trained."""
    from roomtrain.config import load_settings
    from roomtrain.papers.goetz.settings import GoetzSettings

    if cells is None:
        return [(out, load_settings("goetz", preset, {**overrides, "seed": seeds[0]}, model=GoetzSettings))]
    runs = []
    for seed in seeds:
        for cell in cells:
            settings = load_settings("goetz", preset, {**overrides, **cell, "seed": seed}, model=GoetzSettings)
            runs.append((out / f"{settings.cell}-seed{seed}", settings))
    return runs


def _train_all(
    runs: list[tuple[Path, GoetzSettings]], data: Path, *, device: str, precision: str, workers: int
) -> list[dict[str, Any]]:
    from roomtrain.papers.goetz.evaluate import RESULTS, read_results, train_and_measure
    from roomtrain.papers.goetz.run import Training
    from roomtrain.signals import StopRequest

    fabric = start_fabric(device, precision)
    results: list[dict[str, Any]] = []
    with StopRequest() as stop:
        for folder, settings in runs:
            with held(folder, fabric) as mine:
                if not mine and len(runs) == 1:
                    raise RoomtrainError(f"another command is training {folder}: wait for it, or use another --out.", exit_code=1)
                if not mine:
                    complain(f"{folder}: another command is training it; going on with the others.")
                    continue
                shared = folder.parent if len(runs) > 1 else None
                training = Training(settings, data, folder, fabric=fabric, stop=stop, workers=workers, shared=shared)
                if (folder / RESULTS).is_file():
                    results.append(read_results(folder / RESULTS))
                    continue
                try:
                    results.append(train_and_measure(training))
                except Stopped as where:
                    complain(f"{stop.asked}: stopped and saved in {folder} ({where}). The same command goes on from there.")
                    raise typer.Exit(0) from None
    return results


def result_text(result: dict[str, Any]) -> str:
    """Return a run's results for reading."""
    lines = [f"{result['cell']}, seed {result['seed']}, preset {result['preset']}"]
    if result["reduced"]:
        lines[0] += f" (reduced: {result['reduced']})"
    for protocol, targets in result["protocols"].items():
        for target, values in targets.items():
            shown = []
            for name in values["interval"]:
                low, high = values["interval"][name]
                shown.append(f"{name} {_number(values[name])} ({_number(low)} to {_number(high)})")
            lines.append(f"  {protocol:<7} {target:<9} {', '.join(shown)}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"
