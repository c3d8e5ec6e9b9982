"""What commands share: running a dataset, printing, and what an interrupt leaves."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from roomgen.errors import RoomgenError, printable

if TYPE_CHECKING:
    from roomgen.commands.options import Given
    from roomgen.settings import CommonSettings


def run_dataset(settings: CommonSettings, given: Given, inputs: Mapping[str, Path], *, max_broken: float = 0.01) -> None:
    """Make a dataset and print its summary."""
    from roomgen.run.generate import generate
    from roomgen.run.summary import summary_text

    out, workers = folder(given.out, "the dataset is written to, such as --out shards/"), worker_count(given.workers)
    with kept_on_interrupt():
        result = generate(settings, out, workers=workers, overwrite=given.overwrite, inputs=inputs, max_broken=max_broken)
    print_result(result, given.as_json, summary_text)


def folder(out: Path | None, what: str) -> Path:
    """Return what ``--out`` says; not every use of a command needs it."""
    if out is None:
        raise RoomgenError(f"--out is missing: name the folder that {what}")
    return out


def worker_count(workers: int | None) -> int:
    """Return how many processes to start; None: one per core."""
    from roomgen.run.executors import available_cores

    if workers is not None and not 0 <= workers <= 1024:
        raise RoomgenError(f"--workers {workers} is outside 0…1024 (0: in this process).")
    return available_cores() if workers is None else workers


@contextlib.contextmanager
def kept_on_interrupt() -> Iterator[None]:
    """End with exit code 130 where the user interrupts what can go on later."""
    try:
        yield
    except KeyboardInterrupt:
        complain("interrupted. Finished shards are kept; the same command goes on from there.")
        raise typer.Exit(130) from None


def complain(text: str) -> None:
    """Print an error or a warning, one line on stderr."""
    print(f"roomgen: {text}", file=sys.stderr)


def print_result(result: Any, as_json: bool, as_text: Callable[[Any], str]) -> None:
    """Print a result on stdout, as JSON or as text for people, whose terminals obey nothing that it quotes."""
    lines = [json.dumps(result, ensure_ascii=False)] if as_json else map(printable, as_text(result).split("\n"))
    print("\n".join(lines))
