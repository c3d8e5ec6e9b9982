"""The command line: one command per noun. Parsing, progress and exit codes only; the work is done where it is imported from.

Exit codes: 0 done, 1 something failed (it is named), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from roomgen import __version__
from roomgen.errors import RoomgenError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Simulate rooms and write their impulse responses, with labels, as WebDataset shards and a Parquet manifest.",
)

DatasetArgument = Annotated[Path, typer.Argument(metavar="DIR", help="folder of a dataset")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs on stdout")]
PresetOption = Annotated[str, typer.Option(help="named settings: mixed, revrir or goetz")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="any setting; `roomgen config` lists them")]

_FLAGS = {
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
    "splits.shares": "--splits",
}
"""Which flag stands for which setting: both for reading flags and for naming them in errors."""


@app.command()
def rooms(
    out: Annotated[Path | None, typer.Option(help="folder that the dataset is written to")] = None,
    n: Annotated[int | None, typer.Option("--n", help="number of rooms  [default: from the preset]")] = None,
    preset: PresetOption = "mixed",
    rirs_per_room: Annotated[int | None, typer.Option(help="positions per room  [default: 10]")] = None,
    fs: Annotated[int | None, typer.Option(help="sampling rate in Hz  [default: 16000; revrir: 8000]")] = None,
    seed: Annotated[int, typer.Option(help="what everything is drawn from")] = 0,
    engine: Annotated[str | None, typer.Option(help="image (exact, fast) or reference (pyroomacoustics)")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, or cuda for image sources on a GPU")] = None,
    workers: Annotated[int | None, typer.Option(help="processes  [default: one per core]")] = None,
    shard_size: Annotated[int | None, typer.Option(help="samples per shard  [default: 1000]")] = None,
    duration: Annotated[str | None, typer.Option(help="auto (to −60 dB), seconds, or revrir")] = None,
    rt60: Annotated[str | None, typer.Option(metavar="S|MIN:MAX", help="RT60 that the rooms shall have, in seconds")] = None,
    air: Annotated[str | None, typer.Option(metavar="T,RH", help="temperature in °C and humidity in %, such as 20,50")] = None,
    splits: Annotated[str | None, typer.Option(metavar="NAME=SHARE,…", help="such as train=0.8,val=0.1,test=0.1")] = None,
    set_: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what it would take; write nothing")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the dataset that is in --out")] = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate rooms: impulse responses with RT60, C50 and volume.

    The same command continues a run that was stopped: finished shards are kept.
    """
    from roomgen.run.local import available_cores
    from roomgen.settings import load_settings

    values = {
        "--n": n,
        "--rirs-per-room": rirs_per_room,
        "--fs": fs,
        "--seed": seed,
        "--engine": engine,
        "--device": device,
        "--shard-size": shard_size,
        "--duration": duration,
        "--air": None if air is None else _numbers(air, ",", "--air", count=2),
        "--rt60": None if rt60 is None else _range(rt60),
        "--splits": None if splits is None else _shares(splits),
    }
    overrides: dict[str, Any] = {key: values[flag] for key, flag in _FLAGS.items() if values[flag] is not None}
    settings = load_settings(preset, {**overrides, **_assignments(set_)}, flags=_FLAGS)
    if workers is not None and not 0 <= workers <= 1024:
        raise RoomgenError(f"--workers {workers} is outside 0…1024 (0: in this process).")
    count = (1 if settings.engine.device == "cuda" else available_cores()) if workers is None else workers
    if dry_run:
        from roomgen.report.summary import estimate_text
        from roomgen.run.estimate import estimate

        result = estimate(settings, workers=count)
        _print(result, as_json, estimate_text)
        return
    if out is None:
        raise RoomgenError("--out is missing: name the folder that the dataset is written to, such as --out shards/")
    from roomgen.report.summary import summary_text
    from roomgen.run.generate import generate

    try:
        result = generate(settings, out, workers=count, overwrite=overwrite)
    except KeyboardInterrupt:
        _complain("interrupted. Finished shards are kept; the same command goes on from there.")
        raise typer.Exit(130) from None
    _print(result, as_json, summary_text)


@app.command()
def label(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.wav…", help="impulse responses, measured or simulated")],
    channel: Annotated[int, typer.Option(help="channel of each file, from 0")] = 0,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV on stdout")] = False,
) -> None:
    """Measure RT60, C50 and the other labels of anybody's impulse responses."""
    from roomgen.label_files import format_csv, format_json, format_table, label_file

    if as_json and as_csv:
        raise RoomgenError("--json and --csv exclude each other.")
    results, failed = [], []
    for file in files:
        try:
            results.append(label_file(file, channel=channel))
        except RoomgenError as error:
            failed.append(error)
    if results or as_json:
        print((format_json if as_json else format_csv if as_csv else format_table)(results).rstrip("\n"))
    for failure in failed:
        _complain(str(failure))
    if failed:
        raise typer.Exit(1)


@app.command()
def verify(
    root: DatasetArgument,
    deep: Annotated[
        bool, typer.Option("--deep", help="also decode all audio; measure and simulate a sample of rows again")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that a dataset is whole and is what it says."""
    from roomgen.store.verify import verify as check

    problems = check(root, deep=deep)
    if as_json:
        print(json.dumps({"dataset": str(root), "deep": deep, "problems": problems}))
    elif problems:
        print("\n".join(problems))
        _complain(f"{root}: {len(problems)} problem{'s' if len(problems) > 1 else ''} found.")
    else:
        print(f"{root}: nothing wrong was found{' (deep)' if deep else ''}.")
    if problems:
        raise typer.Exit(1)


@app.command()
def inspect(
    root: DatasetArgument,
    key: Annotated[str | None, typer.Argument(help="a sample; leave out for a summary of the dataset")] = None,
    out: Annotated[Path, typer.Option(help="folder for the sample's picture and WAV")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Summarize a dataset; or show one sample: its row, its decay as PNG, its WAV."""
    from roomgen.report.summary import dataset_text, row_text
    from roomgen.store.dataset import Dataset

    dataset = Dataset(root)
    if key is None:
        _print(dataset.info, as_json, dataset_text)
        return
    from roomgen.report.decay_plot import write_sample

    item = dataset[key]
    picture, audio = write_sample(item, out)
    _print(item.row | {"png": str(picture), "wav": str(audio)}, as_json, row_text)


@app.command()
def replay(root: DatasetArgument, key: Annotated[str, typer.Argument(help="a sample")], as_json: JsonOption = False) -> None:
    """Simulate a sample again from its row and compare; exit code 1 if it is not the same."""
    from roomgen.settings import check_settings
    from roomgen.store.compare import compare_with_simulation
    from roomgen.store.dataset import Dataset

    dataset = Dataset(root)
    comparison = compare_with_simulation(check_settings(dataset.info["settings"]), dataset[key])
    result = {
        "key": key,
        "same": comparison.same,
        "identical": comparison.identical,
        "difference_db": None if comparison.identical else comparison.difference_db,
        "labels": comparison.labels,
    }
    _print(result, as_json, lambda _: f"{key}: {comparison.text}")
    if not comparison.same:
        raise typer.Exit(1)


@app.command()
def config(preset: PresetOption = "mixed", set_: SetOption = None) -> None:
    """Print all settings of a preset, as JSON, with their dotted names for --set."""
    from roomgen.settings import load_settings

    print(json.dumps(load_settings(preset, _assignments(set_)).model_dump(mode="json"), indent=1))


@app.command()
def materials(as_json: JsonOption = False) -> None:
    """List the wall materials and their absorption per octave band."""
    from roomgen.acoustics.materials import database
    from roomgen.report.summary import materials_text

    table = {name: dict(zip(map(str, map(int, hz)), values, strict=True)) for name, (hz, values) in sorted(database().items())}
    _print(table, as_json, materials_text)


@app.command()
def bench(
    which: Annotated[str, typer.Argument(metavar="[all|engines|rt60|labels|writer|dataset|manifest]")] = "all",
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="draw engines and rt60; measures both")] = None,
    rooms: Annotated[int | None, typer.Option(help="rooms to compare the engines in  [default: 16; --quick: 4]")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="a minute in place of ten")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure speed and accuracy, each against a peer in the same run."""
    from dataclasses import replace

    from roomgen.bench.effort import QUICK, Effort
    from roomgen.bench.suite import run, text

    effort = QUICK if quick else Effort()
    _print(run(which, effort if rooms is None else replace(effort, rooms=rooms), plot=plot), as_json, text)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False
) -> None:
    if version:
        print(f"roomgen {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line: every expected failure is one line on stderr and an exit code."""
    try:
        app()
    except RoomgenError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        sys.exit(1)


def _complain(text: str) -> None:
    print(f"roomgen: {text}", file=sys.stderr)


def _print(result: Any, as_json: bool, as_text: Any) -> None:
    print(json.dumps(result, ensure_ascii=False) if as_json else as_text(result))


def _numbers(text: str, separator: str, flag: str, *, count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(separator))
    except ValueError:
        values = ()
    if len(values) != count:
        raise RoomgenError(f"{flag} {text!r} is not {count} numbers with {separator!r} between them.")
    return values


def _range(text: str) -> tuple[float, float]:
    low, *rest = _numbers(text, ":", "--rt60", count=1 + text.count(":"))
    if len(rest) > 1:
        raise RoomgenError(f"--rt60 {text!r} is neither one number nor MIN:MAX, in seconds.")
    return low, (rest[0] if rest else low)


def _shares(text: str) -> dict[str, float]:
    shares = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        shares[name.strip()] = _numbers(value, ",", f"--splits {name}", count=1)[0]
    return shares


def _assignments(texts: list[str] | None) -> dict[str, Any]:
    from roomgen.settings import parse_assignment

    return dict(parse_assignment(text) for text in texts or [])


if __name__ == "__main__":
    main()
