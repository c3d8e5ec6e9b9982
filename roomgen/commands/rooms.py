"""`roomgen rooms` and `roomgen arrays`: room impulse responses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from roomgen.commands.common import (
    DryRunOption,
    JsonOption,
    OutOption,
    OverwriteOption,
    PresetOption,
    SeedOption,
    SetOption,
    ShardSizeOption,
    SplitsOption,
    WorkersOption,
    assignments,
    complain,
    image_size,
    number_range,
    numbers,
    print_result,
    run_dataset,
    shares,
    worker_count,
)
from roomgen.errors import RoomgenError

FLAGS = {
    "rooms.count": "--n",
    "place.rirs_per_room": "--rirs-per-room",
    "signal.fs_hz": "--fs",
    "seed": "--seed",
    "engine.name": "--engine",
    "engine.device": "--device",
    "shard_size": "--shard-size",
    "signal.duration": "--duration",
    "signal.air": "--air",
    "signal.rt60_s": "--rt60",
    "signal.rt60_of": "--rt60-of",
    "signal.rt60_bands_s": "--rt60-bands",
    "splits.shares": "--splits",
    "array.geometry": "--array",
    "panorama": "--panorama",
}
"""Which flag stands for which setting: both for reading flags and for naming them in errors."""

CountOption = Annotated[int | None, typer.Option("--n", help="number of rooms  [default: from the preset]")]
PositionsOption = Annotated[int | None, typer.Option(help="positions per room  [default: 10]")]
RateOption = Annotated[int | None, typer.Option(help="sampling rate in Hz  [default: 16000; revrir: 8000]")]
EngineOption = Annotated[str | None, typer.Option(help="image (exact, fast) or reference (pyroomacoustics)")]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, or cuda for image sources on a GPU")]
DurationOption = Annotated[str | None, typer.Option(help="auto (to −60 dB), octaves (each to −60 dB), seconds, or revrir")]
Rt60Option = Annotated[str | None, typer.Option(metavar="S|MIN:MAX", help="RT60 that the rooms shall have, in seconds")]
Rt60OfOption = Annotated[
    str | None,
    typer.Option(metavar="mid|broadband|1000", help="which RT60: of 500 and 1000 Hz, of all, of 1000 Hz  [default: mid]"),
]
Rt60BandsOption = Annotated[
    str | None, typer.Option(metavar="S,S,…", help="RT60 of every octave from 125 Hz, such as 0.6,0.55,0.5,0.5,0.45,0.4,0.35")
]
Rt60LikeOption = Annotated[Path | None, typer.Option(metavar="FILE", help="RT60 of every octave as in this measured response")]
AirOption = Annotated[str | None, typer.Option(metavar="T,RH", help="temperature in °C and humidity in %, such as 20,50")]
PanoramaOption = Annotated[str | None, typer.Option(metavar="HxW", help="also store a view of the room, such as 192x576")]
PlanOption = Annotated[Path | None, typer.Option(metavar="FILE", help="take the rooms from a Parquet file")]
WritePlanOption = Annotated[Path | None, typer.Option(metavar="FILE", help="write the rooms to a Parquet file, and no dataset")]


def rooms(
    out: OutOption = None,
    n: CountOption = None,
    preset: PresetOption = "mixed",
    rirs_per_room: PositionsOption = None,
    fs: RateOption = None,
    seed: SeedOption = 0,
    engine: EngineOption = None,
    device: DeviceOption = None,
    workers: WorkersOption = None,
    shard_size: ShardSizeOption = None,
    duration: DurationOption = None,
    rt60: Rt60Option = None,
    rt60_of: Rt60OfOption = None,
    rt60_bands: Rt60BandsOption = None,
    rt60_like: Rt60LikeOption = None,
    air: AirOption = None,
    splits: SplitsOption = None,
    panorama: PanoramaOption = None,
    plan: PlanOption = None,
    write_plan: WritePlanOption = None,
    set_: SetOption = None,
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate rooms: impulse responses with RT60, C50 and volume.

    The same command continues a run that was stopped: finished shards are kept.
    """
    values = _values(locals())
    _run(
        values,
        preset,
        set_,
        plan,
        write_plan,
        out,
        workers,
        rt60_like=rt60_like,
        dry_run=dry_run,
        overwrite=overwrite,
        as_json=as_json,
    )


def arrays(
    array: Annotated[
        str, typer.Option(help="circular4:0.05 (radius in m), linear8:0.04, …, or a CSV of positions")
    ] = "circular4:0.05",
    out: OutOption = None,
    n: CountOption = None,
    preset: PresetOption = "mc-simclr",
    rirs_per_room: PositionsOption = None,
    fs: RateOption = None,
    seed: SeedOption = 0,
    engine: EngineOption = None,
    device: DeviceOption = None,
    workers: WorkersOption = None,
    shard_size: ShardSizeOption = None,
    duration: DurationOption = None,
    rt60: Rt60Option = None,
    rt60_of: Rt60OfOption = None,
    rt60_bands: Rt60BandsOption = None,
    rt60_like: Rt60LikeOption = None,
    air: AirOption = None,
    splits: SplitsOption = None,
    panorama: PanoramaOption = None,
    plan: PlanOption = None,
    write_plan: WritePlanOption = None,
    set_: SetOption = None,
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate microphone arrays: multichannel responses with azimuth, elevation and distance.

    Azimuth and elevation are those of the source in the array's own frame; the array stands turned at random.
    """
    values = {**_values(locals()), **_array(array)}
    _run(
        values,
        preset,
        set_,
        plan,
        write_plan,
        out,
        workers,
        rt60_like=rt60_like,
        dry_run=dry_run,
        overwrite=overwrite,
        as_json=as_json,
    )


def _values(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the flags of both commands stand for, dotted key to value."""
    values = {
        "rooms.count": given["n"],
        "place.rirs_per_room": given["rirs_per_room"],
        "signal.fs_hz": given["fs"],
        "seed": given["seed"],
        "engine.name": given["engine"],
        "engine.device": given["device"],
        "shard_size": given["shard_size"],
        "signal.duration": given["duration"],
        "signal.air": None if given["air"] is None else numbers(given["air"], ",", "--air", count=2),
        "signal.rt60_s": None if given["rt60"] is None else number_range(given["rt60"], "--rt60", "seconds"),
        "signal.rt60_of": given["rt60_of"],
        "signal.rt60_bands_s": None if given["rt60_bands"] is None else _rt60_bands(given["rt60_bands"]),
        "splits.shares": None if given["splits"] is None else shares(given["splits"]),
        "panorama": None if given["panorama"] is None else image_size(given["panorama"], "--panorama"),
    }
    return {key: value for key, value in values.items() if value is not None}


def _rt60_bands(text: str) -> tuple[float, ...]:
    return numbers(text, ",", "--rt60-bands", count=1 + text.count(","))


def _like(path: Path, preset: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the overrides with the octave spectrum of a measured response."""
    from roomgen.datasets.rooms.rt60_like import rt60_like
    from roomgen.datasets.rooms.settings import load_settings

    for key in ("signal.rt60_s", "signal.rt60_bands_s"):
        if key in overrides:
            raise RoomgenError(f"--rt60-like and {FLAGS[key]} exclude each other: leave one out.")
    rate = load_settings(preset, {"signal.rt60_s": (0.5, 0.5), **overrides}, flags=FLAGS).signal.fs_hz
    measured = rt60_like(path, rate)
    for note in measured.notes:
        complain(note)
    return {**overrides, "signal.rt60_bands_s": measured.bands_s}


def _array(text: str) -> dict[str, Any]:
    if not text.lower().endswith(".csv"):
        return {"array.geometry": text}
    from roomgen.acoustics.arrays import read_array_csv

    array = read_array_csv(Path(text))
    return {"array.geometry": array.name, "array.positions_m": array.positions_m, "array.patterns": array.patterns}


def _run(
    values: dict[str, Any],
    preset: str,
    set_: list[str] | None,
    plan: Path | None,
    write_plan: Path | None,
    out: Path | None,
    workers: int | None,
    *,
    rt60_like: Path | None,
    dry_run: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    from roomgen.datasets.rooms.settings import DatasetSettings, load_settings
    from roomgen.settings import resolve

    overrides = {**values, **assignments(set_)}
    inputs: dict[str, Path] = {}
    if rt60_like is not None:
        if plan is not None:
            raise RoomgenError("--rt60-like and --plan exclude each other: the rooms of a plan have their walls.")
        overrides = _like(rt60_like, preset, overrides)
    if plan is None:
        settings = load_settings(preset, overrides, flags=FLAGS)
    else:
        from roomgen.datasets.rooms.pinned import plan_overrides

        carried, follows = plan_overrides(plan)
        inputs["plan"] = plan
        if carried is None:
            settings = load_settings(preset, {**overrides, **follows}, flags=FLAGS)
        else:  # its own settings; what is asked for here is laid over them
            if overrides.get("seed") == 0:
                del overrides["seed"]
            settings = resolve(carried, {**overrides, **follows}, model=DatasetSettings, flags=FLAGS)
    if settings.engine.device == "cuda" and workers is None:
        workers = 1
    if write_plan is not None:
        from roomgen.datasets.rooms.pinned import write_rooms

        print_result({"plan": str(write_plan), "rooms": write_rooms(settings, write_plan)}, as_json, _plan_text)
        return
    if dry_run:
        from roomgen.run.estimate import estimate
        from roomgen.run.summary import estimate_text

        print_result(estimate(settings, workers=worker_count(workers), inputs=inputs), as_json, estimate_text)
        return
    if out is None:
        raise RoomgenError("--out is missing: name the folder that the dataset is written to, such as --out shards/")
    run_dataset(settings, out, workers=workers, overwrite=overwrite, as_json=as_json, inputs=inputs)


def _plan_text(result: dict[str, Any]) -> str:
    return f"{result['plan']}: {result['rooms']} rooms. `roomgen rooms --plan {result['plan']} --out DIR` makes their dataset."
