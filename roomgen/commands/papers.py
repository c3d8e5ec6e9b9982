"""`roomgen paper`: all datasets of a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from roomgen.commands.common import folder, kept_on_interrupt, print_result, worker_count
from roomgen.commands.options import JsonOption, MaxBrokenOption, OverwriteOption, WorkersOption


def paper(
    name: Annotated[str, typer.Argument(metavar="[revrir|goetz|mvsd|mc-simclr|icl]", help="which paper")],
    out: Annotated[Path | None, typer.Option(help="folder that its datasets are written to")] = None,
    scale: Annotated[float, typer.Option(help="share of the paper's counts, such as 0.01")] = 1.0,
    speech: Annotated[
        list[Path] | None,
        typer.Option(help="LibriSpeech, speechocean762 or any folder of speech; may be repeated  [default: embedded voices]"),
    ] = None,
    overlap: Annotated[
        float, typer.Option(metavar="SHARE", help="goetz, mvsd: share of a segment of speech that the next one repeats")
    ] = 0.0,
    speech_level: Annotated[
        float | None,
        typer.Option(metavar="DB", help="goetz: RMS level of every segment of speech, such as -26  [default: as recorded]"),
    ] = None,
    walls: Annotated[
        str,
        typer.Option(metavar="[random|measured|flat]", help="goetz: walls as the paper says, as in measured rooms, or flat"),
    ] = "random",
    events: Annotated[Path | None, typer.Option(help="FSDnoisy18k, ESC-50, ESC-10 or a folder  [default: procedural]")] = None,
    scenes: Annotated[
        Path | None, typer.Option(help="TAU 2022 Mobile, SoundSpaces-Speech, … or a folder  [default: procedural]")
    ] = None,
    dirs: Annotated[list[Path] | None, typer.Option(help="MicIRP or Multi-angle; may be repeated  [default: parametric]")] = None,
    seed: Annotated[int, typer.Option(help="what everything is drawn from")] = 0,
    write_plans: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write its rooms and devices to Parquet files, and no dataset")
    ] = None,
    workers: WorkersOption = None,
    max_broken: MaxBrokenOption = 0.01,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build all datasets of a paper: real corpora where their folders are given, embedded stand-ins where not."""
    from roomgen.papers import make as papers
    from roomgen.papers.parts import Given

    given = Given(
        speech=tuple(speech or ()),
        events=events,
        scenes=scenes,
        dirs=tuple(dirs or ()),
        scale=scale,
        seed=seed,
        overlap=overlap,
        speech_level_db=speech_level,
        walls=walls,
    )
    if write_plans is not None:
        print_result(papers.write_plans(name, write_plans, given), as_json, papers.plans_text)
        return
    out = folder(out, "the paper's datasets are written to, such as --out papers/")
    with kept_on_interrupt():
        result = papers.make_paper(name, out, given, workers=worker_count(workers), overwrite=overwrite, max_broken=max_broken)
    print_result(result, as_json, papers.paper_text)
