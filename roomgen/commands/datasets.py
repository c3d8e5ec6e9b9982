"""`roomgen rooms`, `arrays`, `devices`, `sources` and `render`: a dataset of each family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from roomgen.commands.common import complain, print_result, run_dataset, worker_count
from roomgen.commands.options import DEVICES, RENDERS, ROOMS, SOURCES, DryRunOption, Given, MaxBrokenOption, with_options
from roomgen.errors import RoomgenError

Rt60LikeOption = Annotated[Path | None, typer.Option(metavar="FILE", help="RT60 of every octave as in this measured response")]
PlanOption = Annotated[Path | None, typer.Option(metavar="FILE", help="take the rooms from a Parquet file")]
WritePlanOption = Annotated[Path | None, typer.Option(metavar="FILE", help="write the rooms to a Parquet file, and no dataset")]
Kind = Annotated[
    str, typer.Argument(metavar="[microphones|generated|recorders|folder|multi-angle]", help="where responses come from")
]
Responses = Annotated[Path | None, typer.Option(help="folder of measured responses (folder, multi-angle)")]
Model = Annotated[Path | None, typer.Option(metavar="RUN", help="folder of `roomtrain train icl --cell generated` (generated)")]
Listed = Annotated[Path | None, typer.Option(help="list of files and what they are, in place of --pattern")]
CorpusName = Annotated[str, typer.Argument(help="which corpus; `roomgen corpora` lists them; several as one: librispeech+folder")]
Roots = Annotated[
    list[Path] | None, typer.Option(help="folder of the corpus, none for embedded ones; of several one each, in their order")
]


@with_options(ROOMS)
def rooms(
    given: Given,
    rt60_like: Rt60LikeOption = None,
    plan: PlanOption = None,
    write_plan: WritePlanOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Simulate rooms: impulse responses with RT60, C50 and volume.

    The same command continues a run that was stopped: finished shards are kept.
    """
    _rooms(given, "mixed", rt60_like, plan, write_plan, dry_run)


@with_options(ROOMS)
def arrays(
    given: Given,
    array: Annotated[
        str, typer.Option(help="circular4:0.05 (radius in m), linear8:0.04, …, or a CSV of positions")
    ] = "circular4:0.05",
    rt60_like: Rt60LikeOption = None,
    plan: PlanOption = None,
    write_plan: WritePlanOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Simulate microphone arrays: multichannel responses with azimuth, elevation and distance.

    Azimuth and elevation are those of the source in the array's own frame; the array stands turned at random.
    """
    from roomgen.datasets.rooms.presets import array_overrides

    given.flags["array.geometry"] = "--array"
    given.overrides.update({**array_overrides(array), **given.overrides})
    _rooms(given, "mc-simclr", rt60_like, plan, write_plan, dry_run)


def _rooms(given: Given, preset: str, rt60_like: Path | None, plan: Path | None, write_plan: Path | None, dry_run: bool) -> None:
    from roomgen.acoustics.engine import engine_class
    from roomgen.datasets.rooms.pin import write_rooms
    from roomgen.datasets.rooms.pinned import rooms_settings
    from roomgen.datasets.rooms.plan import RoomsPlan
    from roomgen.run.estimate import estimate
    from roomgen.run.rt60_like import with_spectrum
    from roomgen.run.summary import estimate_text, written_text

    overrides = given.overrides
    if rt60_like is not None:
        if plan is not None:
            raise RoomgenError("--rt60-like and --plan exclude each other: the rooms of a plan have their walls.")
        overrides, notes = with_spectrum(rt60_like, preset, overrides, flags=given.flags)
        for note in notes:
            complain(note)
    settings, inputs = rooms_settings(preset, overrides, plan=plan, flags=given.flags)
    warning = RoomsPlan(settings, inputs).empty_splits
    if warning:
        complain(warning)
    workers = given.workers
    if workers is None:
        workers = engine_class(settings.engine.name, settings.engine.device).processes
    if write_plan is not None:
        written = {"plan": str(write_plan), "rooms": write_rooms(settings, write_plan)}
        print_result(written, given.as_json, written_text)
    elif dry_run:
        print_result(estimate(settings, workers=worker_count(workers), inputs=inputs), given.as_json, estimate_text)
    else:
        run_dataset(settings, replace(given, workers=workers), inputs)


@with_options(DEVICES)
def devices(
    given: Given,
    kind: Kind,
    root: Responses = None,
    model: Model = None,
    csv: Listed = None,
    max_broken: MaxBrokenOption = 0.01,
    dry_run: DryRunOption = False,
) -> None:
    """Make or import device responses: microphones by formulas or by a trained network, recorders, folders of measured ones."""
    from roomgen.datasets.devices.plan import DevicesPlan, devices_settings
    from roomgen.run.summary import listing_text

    settings, inputs = devices_settings(kind, root, given.overrides, csv=csv, model=model, flags=given.flags)
    if dry_run:
        print_result(DevicesPlan(settings, inputs).listing(), given.as_json, listing_text)
    else:
        run_dataset(settings, given, inputs, max_broken=max_broken)


@with_options(SOURCES)
def sources(
    given: Given, corpus: CorpusName, root: Roots = None, max_broken: MaxBrokenOption = 0.01, dry_run: DryRunOption = False
) -> None:
    """Turn a corpus into shards: speech, events or scenes, resampled once, cut, split without leaks."""
    from roomgen.datasets.sources.family import sources_settings
    from roomgen.datasets.sources.plan import SourcesPlan
    from roomgen.run.summary import segments_text

    settings, inputs = sources_settings(corpus, root or (), given.overrides, flags=given.flags)
    if dry_run:
        print_result(SourcesPlan(settings, inputs).listing(), given.as_json, segments_text)
    else:
        run_dataset(settings, given, inputs, max_broken=max_broken)


@with_options(RENDERS)
def render(
    given: Given,
    sources: Annotated[Path, typer.Option(help="dataset of sources")],
    rirs: Annotated[Path | None, typer.Option(help="dataset of rooms or arrays to hear them in")] = None,
    devices: Annotated[Path | None, typer.Option(help="dataset of devices to record them with")] = None,
) -> None:
    """Let sources be heard in rooms, through devices and in noise, as audio files with all labels."""
    from roomgen.datasets.renders.plan import renders_settings

    inputs = {name: path for name, path in (("sources", sources), ("rirs", rirs), ("devices", devices)) if path is not None}
    run_dataset(renders_settings(inputs, given.overrides, flags=given.flags), given, inputs)
