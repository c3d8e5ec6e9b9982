"""What commands share: options, readers of option texts, running a dataset, printing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from roomgen.errors import RoomgenError

DatasetArgument = Annotated[Path, typer.Argument(metavar="DIR", help="folder of a dataset")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs on stdout")]
OutOption = Annotated[Path | None, typer.Option(help="folder that the dataset is written to")]
PresetOption = Annotated[str, typer.Option(help="named settings: mixed, revrir, goetz, mc-simclr or mvsd")]
SeedOption = Annotated[int, typer.Option(help="what everything is drawn from")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="any setting; `roomgen config` lists them")]
SplitsOption = Annotated[str | None, typer.Option(metavar="NAME=SHARE,…", help="such as train=0.8,val=0.1,test=0.1")]
ShardSizeOption = Annotated[int | None, typer.Option(help="samples per shard  [default: 1000]")]
WorkersOption = Annotated[int | None, typer.Option(help="processes  [default: one per core]")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="replace the dataset that is in --out")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="say what it would take; write nothing")]
MaxBrokenOption = Annotated[float, typer.Option(help="share of input files that may be unreadable", min=0.0, max=1.0)]


def run_dataset(
    settings: Any,
    out: Path | None,
    *,
    workers: int | None,
    overwrite: bool,
    as_json: bool,
    inputs: Mapping[str, Path] | None = None,
    max_broken: float = 0.01,
) -> None:
    """Make a dataset and print its summary."""
    from roomgen.run.generate import generate
    from roomgen.run.summary import summary_text

    if out is None:
        raise RoomgenError("--out is missing: name the folder that the dataset is written to, such as --out shards/")
    try:
        result = generate(settings, out, workers=worker_count(workers), overwrite=overwrite, inputs=inputs, max_broken=max_broken)
    except KeyboardInterrupt:
        complain("interrupted. Finished shards are kept; the same command goes on from there.")
        raise typer.Exit(130) from None
    print_result(result, as_json, summary_text)


def worker_count(workers: int | None) -> int:
    """Return how many processes to start; None: one per core."""
    from roomgen.run.executors import available_cores

    if workers is not None and not 0 <= workers <= 1024:
        raise RoomgenError(f"--workers {workers} is outside 0…1024 (0: in this process).")
    return available_cores() if workers is None else workers


def complain(text: str) -> None:
    """Print an error, one line on stderr."""
    print(f"roomgen: {text}", file=sys.stderr)


def print_result(result: Any, as_json: bool, as_text: Any) -> None:
    """Print a result on stdout, as JSON or as text for people."""
    print(json.dumps(result, ensure_ascii=False) if as_json else as_text(result))


def numbers(text: str, separator: str, flag: str, *, count: int) -> tuple[float, ...]:
    """Read exactly ``count`` numbers from an option."""
    try:
        values = tuple(float(part) for part in text.split(separator))
    except ValueError:
        values = ()
    if len(values) != count:
        raise RoomgenError(f"{flag} {text!r} is not {count} numbers with {separator!r} between them.")
    return values


def number_range(text: str, flag: str, unit: str) -> tuple[float, float]:
    """Read one number or MIN:MAX."""
    low, *rest = numbers(text, ":", flag, count=1 + text.count(":"))
    if len(rest) > 1:
        raise RoomgenError(f"{flag} {text!r} is neither one number nor MIN:MAX, in {unit}.")
    return low, (rest[0] if rest else low)


def shares(text: str) -> dict[str, float]:
    """Read ``train=0.8,val=0.1,test=0.1``."""
    result = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        result[name.strip()] = numbers(value, ",", f"--splits {name}", count=1)[0]
    return result


def image_size(text: str, flag: str) -> tuple[int, int]:
    """Read ``HEIGHTxWIDTH`` in pixels."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise RoomgenError(f"{flag} {text!r} is not HEIGHTxWIDTH in pixels, such as 192x576.")
    return int(parts[0]), int(parts[1])


def assignments(texts: list[str] | None) -> dict[str, Any]:
    """Read all ``--set key=value``."""
    from roomgen.settings import parse_assignment

    return dict(parse_assignment(text) for text in texts or [])
