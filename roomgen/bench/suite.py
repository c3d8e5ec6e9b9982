"""Which benchmarks there are, running them, and their results as one object or as text."""

from __future__ import annotations

import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from roomgen.bench.effort import Effort
from roomgen.bench.machine import machine
from roomgen.errors import RoomgenError, suggest
from roomgen.text import duration, pairs

BENCHMARKS = ("engines", "rt60", "labels", "writer", "dataset", "manifest", "sources", "render", "panorama")
_PLOTTED = ("engines", "rt60")


def run(which: str, effort: Effort, *, plot: Path | None = None) -> dict[str, Any]:
    """Return the results of one benchmark, or of all, with the machine and the settings that they were measured with.

    Args:
        which: a name of :data:`BENCHMARKS`, or ``"all"``.
        plot: a PNG file to draw, which also runs the benchmarks that it shows.

    Raises:
        RoomgenError: no such benchmark, or a file that cannot be written or is no PNG.
    """
    from tqdm import tqdm

    if which not in (*BENCHMARKS, "all"):
        names = ("all", *BENCHMARKS)
        raise RoomgenError(f"unknown benchmark {which!r}.{suggest(which, names)} Benchmarks: {', '.join(names)}.")
    if effort.rooms < 1:
        raise RoomgenError(f"--rooms {effort.rooms} must be at least 1.")
    if plot is not None:
        _check_plot(plot)
    chosen = [name for name in BENCHMARKS if which in (name, "all") or (plot is not None and name in _PLOTTED)]
    results: dict[str, Any] = {"machine": machine(), "settings": asdict(effort), "seconds": {}}
    with tqdm(chosen, unit="benchmark", dynamic_ncols=True) as bar:
        for name in bar:
            bar.set_description(name)
            begun = time.perf_counter()
            results[name] = import_module(f"roomgen.bench.{name}").run(effort)
            results["seconds"][name] = time.perf_counter() - begun
    if plot is not None:
        from roomgen.bench.plot import write_plot

        write_plot(results, plot)
    return results


def text(results: dict[str, Any]) -> str:
    """Return results as tables."""
    parts = [pairs({name: "not installed" if value is None else value for name, value in results["machine"].items()})]
    for name, seconds in results["seconds"].items():
        title = f"{name} ({duration(seconds)})"
        parts.append(f"{title}\n{'=' * len(title)}\n{import_module(f'roomgen.bench.{name}').text(results[name])}")
    return "\n\n".join(parts)


def _check_plot(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise RoomgenError(f"--plot {path} is not a PNG: give a name that ends in .png")
    if not path.parent.is_dir():
        raise RoomgenError(f"--plot {path}: the folder {path.parent} does not exist.")
