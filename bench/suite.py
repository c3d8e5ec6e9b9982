"""Which benchmarks there are, running them, and their results as one object or as text."""

from __future__ import annotations

import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.effort import Effort
from bench.machine import machine
from roomgen.errors import RoomgenError, suggest
from roomgen.report.canvas import new_figure
from roomgen.text import duration, pairs

BENCHMARKS = ("engines", "rt60", "labels", "writer", "dataset", "manifest", "sources", "render", "panorama", "realism", "bras")
_PLOTTED = ("engines", "rt60")
_READ = {"realism": ("root", "data"), "bras": ("root",)}
"""Which benchmarks read a folder that the user names, by which option."""


def run(
    which: str, effort: Effort, *, plot: Path | None = None, root: Path | None = None, data: Path | None = None
) -> dict[str, Any]:
    """Return the results of one benchmark, or of all, with the machine and the settings that they were measured with.

    Args:
        which: a name of :data:`BENCHMARKS`, or ``"all"``: those that need no folder.
        plot: a PNG file to draw. For "realism" it shows that; otherwise it also runs the benchmarks that it shows.
        root: a folder of measured responses for "realism", or of BRAS for "bras".
        data: a dataset that "realism" judges in place of the presets.

    Raises:
        RoomgenError: no such benchmark, a folder that it does not read or lacks, or a file that cannot be written or is no PNG.
    """
    from tqdm import tqdm

    if which not in (*BENCHMARKS, "all"):
        names = ("all", *BENCHMARKS)
        raise RoomgenError(f"unknown benchmark {which!r}.{suggest(which, names)} Benchmarks: {', '.join(names)}.")
    folders = _folders(which, {"root": root, "data": data})
    if effort.rooms < 1:
        raise RoomgenError(f"--rooms {effort.rooms} must be at least 1.")
    if plot is not None:
        _check_plot(plot)
    drawn = _PLOTTED if plot is not None and which != "realism" else ()
    everything = [name for name in BENCHMARKS if name != "bras"]
    chosen = [name for name in BENCHMARKS if name == which or (which == "all" and name in everything) or name in drawn]
    results: dict[str, Any] = {"machine": machine(), "settings": asdict(effort), "seconds": {}}
    with tqdm(chosen, unit="benchmark", dynamic_ncols=True) as bar:
        for name in bar:
            bar.set_description(name)
            begun = time.perf_counter()
            results[name] = import_module(f"bench.{name}").run(effort, **folders.get(name, {}))
            results["seconds"][name] = time.perf_counter() - begun
    if plot is not None:
        from bench.plot import write_plot, write_realism_plot

        (write_realism_plot if which == "realism" else write_plot)(results, plot)
    return results


def text(results: dict[str, Any]) -> str:
    """Return results as tables."""
    parts = [pairs({name: "not installed" if value is None else value for name, value in results["machine"].items()})]
    for name, seconds in results["seconds"].items():
        title = f"{name} ({duration(seconds)})"
        parts.append(f"{title}\n{'=' * len(title)}\n{import_module(f'bench.{name}').text(results[name])}")
    return "\n\n".join(parts)


def _folders(which: str, given: dict[str, Path | None]) -> dict[str, dict[str, Path]]:
    """Return the folders that were named, by benchmark and argument."""
    folders = {name: path for name, path in given.items() if path is not None}
    for option, path in folders.items():
        if option not in _READ.get(which, ()):
            readers = [name for name, options in _READ.items() if option in options]
            raise RoomgenError(f"--{option} {path} is read by {' and '.join(readers)} alone: name one, not {which!r}.")
    if which == "bras" and given["root"] is None:
        raise RoomgenError("bras needs --root FOLDER: where BRAS (https://doi.org/10.14279/depositonce-6726) was unpacked.")
    return {which: folders}


def _check_plot(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise RoomgenError(f"--plot {path} is not a PNG: give a name that ends in .png")
    if not path.parent.is_dir():
        raise RoomgenError(f"--plot {path}: the folder {path.parent} does not exist.")
    new_figure(figsize=(1.0, 1.0))  # refused here where there is nothing to draw with
