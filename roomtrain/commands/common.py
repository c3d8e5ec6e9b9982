"""What commands share: options and printing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from roomtrain.paper import PAPERS

PaperArgument = Annotated[str, typer.Argument(metavar="PAPER", help=", ".join(sorted(PAPERS)))]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="folder that `roomtrain train` wrote")]
DataOption = Annotated[Path | None, typer.Option(help="folder that `roomgen paper` wrote")]
PresetOption = Annotated[str, typer.Option(help="paper (as published), small (two cores) or smoke (seconds)")]
ConfigOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TOML of settings that are laid over the preset, and under --set")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="any setting; `roomtrain config` lists them")
]
SeedOption = Annotated[int, typer.Option(help="what everything is drawn from")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda")]
PrecisionOption = Annotated[str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed  [default: of the preset]")]
WorkersOption = Annotated[int, typer.Option(help="threads that read the data", min=1, max=256)]
ProtocolOption = Annotated[str | None, typer.Option(help="one of the paper's  [default: the one that asks the most]")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs on stdout")]


def print_result(result: Any, as_json: bool, text: str) -> None:
    """Print a result on stdout, as JSON or as text for people."""
    print(json.dumps(result, ensure_ascii=False) if as_json else text)


def complain(text: str) -> None:
    """Print an error, one line on stderr."""
    print(f"roomtrain: {text}", file=sys.stderr)
