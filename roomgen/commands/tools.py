"""Commands that make no dataset: labels of anybody's responses, settings, materials, corpora, benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from roomgen.commands.common import complain, print_result
from roomgen.commands.options import PRESET_HELP, JsonOption, SetOption, assignments
from roomgen.errors import RoomgenError


def label(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.wav…", help="impulse responses, measured or simulated")],
    channel: Annotated[int, typer.Option(help="channel of each file, from 0")] = 0,
    bands: Annotated[str, typer.Option(metavar="[octave|third]", help="octaves from 63 Hz, or their thirds from 50 Hz")] = "octave",
    lateral: Annotated[
        int | None, typer.Option(metavar="CHANNEL", help="channel of a figure-eight beside it: also lateral energy (LF)")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE.wav", help="the source at 10 m in a free field: also strength (G)")
    ] = None,
    why: Annotated[bool, typer.Option("--why", help="tell why values are missing")] = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV on stdout")] = False,
) -> None:
    """Measure RT60, C50, STI and the other labels of anybody's impulse responses."""
    from roomgen.report.label_text import format_csv, format_json, format_table
    from roomgen.run.label import label_file

    if as_json and as_csv:
        raise RoomgenError("--json and --csv exclude each other.")
    if bands not in ("octave", "third"):
        raise RoomgenError(f"--bands {bands} is unknown: octave or third.")
    results, failed = [], []
    for file in files:
        try:
            kind: Literal["octave", "third"] = "third" if bands == "third" else "octave"
            results.append(label_file(file, channel=channel, bands=kind, lateral=lateral, reference=reference))
        except RoomgenError as error:
            failed.append(error)
    if results or as_json:
        print((format_json if as_json else format_csv if as_csv else format_table)(results, why=why).rstrip("\n"))
    for failure in failed:
        complain(str(failure))
    if failed:
        raise typer.Exit(1)


def config(preset: Annotated[str, typer.Option(help=PRESET_HELP)] = "mixed", set_: SetOption = None) -> None:
    """Print all settings of a preset, as JSON, with their dotted names for --set."""
    from roomgen.datasets.rooms.presets import load_settings

    print(json.dumps(load_settings(preset, assignments(set_)).model_dump(mode="json"), indent=1))


def materials(as_json: JsonOption = False) -> None:
    """List the wall materials and their absorption per octave band."""
    from roomgen.acoustics.materials import database
    from roomgen.run.summary import materials_text

    table = {name: dict(zip(map(str, map(int, hz)), values, strict=True)) for name, (hz, values) in sorted(database().items())}
    print_result(table, as_json, materials_text)


def bench(
    which: Annotated[
        str, typer.Argument(metavar="[all|engines|rt60|labels|writer|dataset|manifest|sources|render|panorama|realism|bras]")
    ] = "all",
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="draw realism; else engines and rt60, and measure both")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="measured responses for realism; an unpacked BRAS for bras")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="dataset of rooms that realism judges")] = None,
    rooms: Annotated[
        int | None, typer.Option(help="rooms of engines and realism  [default: 16 and 100; --quick: 4 and 20]")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="a minute in place of ten")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure speed and accuracy, each against a peer in the same run, and how near rooms are to real ones."""
    from dataclasses import replace

    from roomgen.beside import find_benchmarks

    find_benchmarks()
    from bench.effort import QUICK, Effort
    from bench.suite import run, text

    effort = QUICK if quick else Effort()
    if rooms is not None:
        effort = replace(effort, rooms=rooms, realism_rooms=rooms)
    print_result(run(which, effort, plot=plot, root=root, data=data), as_json, text)


def corpora(as_json: JsonOption = False) -> None:
    """List the corpora that `roomgen sources` and `roomgen devices` read: what each is, its licence, how its folder looks."""
    from roomgen.corpora import catalog, catalog_text

    print_result(catalog(), as_json, lambda _: catalog_text())
