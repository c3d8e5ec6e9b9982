"""What commands share: options, Fabric, printing."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roomgen.errors import suggest
from roomgen.files import lock, writing
from roomtrain.errors import RoomtrainError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PAPERS = ("goetz",)

PaperArgument = Annotated[str, typer.Argument(metavar="PAPER", help="goetz")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="folder that `roomtrain train` wrote")]
DataOption = Annotated[Path | None, typer.Option(help="folder that `roomgen paper` wrote")]
PresetOption = Annotated[str, typer.Option(help="paper (as published), small (two cores) or smoke (seconds)")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="any setting; `roomtrain config` lists them")
]
SeedOption = Annotated[int, typer.Option(help="what everything is drawn from")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda")]
PrecisionOption = Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed")]
WorkersOption = Annotated[int, typer.Option(help="threads that read the data")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs on stdout")]

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def check_paper(name: str) -> str:
    """Return the paper's name, or raise an error that lists all."""
    if name not in PAPERS:
        raise RoomtrainError(f"unknown paper {name!r}.{suggest(name, PAPERS)} Papers: {', '.join(PAPERS)}.")
    return name


def start_fabric(device: str, precision: str) -> Fabric:
    """Return Fabric for this device, launched: one process, or those that torchrun started.

    Raises:
        RoomtrainError: no such device or precision here.
    """
    import os

    import torch
    from lightning_fabric import Fabric

    from roomtrain.allocator import keep_freed_memory

    if device not in ("auto", "cpu", "cuda"):
        raise RoomtrainError(f"--device {device!r}: give auto, cpu or cuda.")
    if precision not in PRECISIONS:
        raise RoomtrainError(f"--precision {precision!r}.{suggest(precision, PRECISIONS)} Precisions: {', '.join(PRECISIONS)}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise RoomtrainError(
            "--device cuda: torch finds no GPU here. Give --device cpu, or run on a machine with one.", exit_code=1
        )
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if chosen == "cpu" and precision == "16-mixed":
        raise RoomtrainError("--precision 16-mixed needs a GPU: on a CPU give 32-true or bf16-mixed.")
    if chosen == "cpu":
        keep_freed_memory()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        per_node = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
        fabric = Fabric(accelerator=chosen, strategy="ddp", devices=per_node, num_nodes=processes // per_node, precision=precision)  # type: ignore[arg-type]
    else:
        fabric = Fabric(accelerator=chosen, devices=1, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    return fabric


@contextlib.contextmanager
def held(folder: Path, fabric: Fabric) -> Iterator[bool]:
    """Hold a run's folder for this command, all its processes together, if no other holds it, and tell which.

    A folder that was made to hold it, and in which nothing was begun, is removed again.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with contextlib.ExitStack() as stack:
            mine = True
            if fabric.is_global_zero:
                with writing(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                mine = stack.enter_context(lock(folder))
            yield bool(fabric.broadcast(mine))
    finally:
        if fabric.is_global_zero:
            for path in made:
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()


def print_result(result: Any, as_json: bool, text: str) -> None:
    """Print a result on stdout, as JSON or as text for people."""
    print(json.dumps(result, ensure_ascii=False) if as_json else text)


def complain(text: str) -> None:
    """Print an error, one line on stderr."""
    print(f"roomtrain: {text}", file=sys.stderr)
