"""Table 2 of the paper beside ours: made from results.json files alone, as Markdown for people and as values for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from roomgen.files import write_text
from roomtrain.errors import RoomtrainError
from roomtrain.papers.goetz.evaluate import RESULTS, read_results
from roomtrain.papers.goetz.settings import STRATEGIES

METRICS = {
    "rt60": ("rmse", "corr", "bias"),
    "rt60_mid": ("rmse", "corr", "bias"),
    "c50": ("rmse", "corr", "bias"),
    "volume": ("accuracy", "precision", "recall"),
}
NAMES = {
    "rt60": "RT60 in s: RMSE / correlation / bias",
    "rt60_mid": "RT60 of the 500 and 1000 Hz octaves in s: RMSE / correlation / bias",
    "c50": "C50 in dB: RMSE / correlation / bias",
    "volume": "volume above 160 m³ in %: accuracy / precision / recall",
}
PROTOCOLS = {
    "sample": "Responses drawn from all rooms for every sample, as the paper describes it: test speech is new, test rooms are not",
    "room": "Rooms apart: no room of the test is heard in training",
}

PAPER: dict[str, dict[str, tuple[float, float, float]]] = {
    "rt60": {
        "supervised": (0.2228, 0.9037, 0.0304),
        "untrained": (0.5056, 0.1993, np.nan),
        "soft-0.01": (0.2699, 0.8496, 0.0344),
        "hard-0.01": (0.2369, 0.8870, 0.0322),
        "posind-0.01": (0.2146, 0.9089, 0.0296),
        "soft-0.1": (0.2345, 0.8878, 0.0027),
        "hard-0.1": (0.2426, 0.8787, 0.0069),
        "posind-0.1": (0.2217, 0.9048, 0.0028),
        "soft-1": (0.2500, 0.8768, 0.0450),
        "hard-1": (0.2770, 0.8399, -0.0043),
        "posind-1": (0.2284, 0.8937, 0.0220),
    },
    "c50": {
        "supervised": (1.9756, 0.9241, 1.0281),
        "soft-0.01": (1.7561, 0.9208, 0.3187),
        "hard-0.01": (2.0057, 0.9227, 0.9820),
        "posind-0.01": (2.2386, 0.8908, 1.0001),
        "soft-0.1": (1.8903, 0.9223, 0.4303),
        "hard-0.1": (2.0411, 0.9142, 0.8401),
        "posind-0.1": (2.0813, 0.9063, 0.8936),
        "soft-1": (1.7887, 0.9181, 0.3901),
        "hard-1": (2.0101, 0.9032, 0.7059),
        "posind-1": (2.3873, 0.8597, 0.7434),
    },
    "volume": {
        "supervised": (0.6895, 0.7066, 0.7016),
        "soft-0.01": (0.6953, 0.7146, 0.7103),
        "hard-0.01": (0.7070, 0.7252, 0.7199),
        "posind-0.01": (0.7422, 0.7320, 0.7328),
        "soft-0.1": (0.7129, 0.7241, 0.7165),
        "hard-0.1": (0.6797, 0.7014, 0.6992),
        "posind-0.1": (0.7305, 0.7586, 0.7602),
        "soft-1": (0.7109, 0.7376, 0.7383),
        "hard-1": (0.6758, 0.6943, 0.6905),
        "posind-1": (0.6836, 0.7024, 0.6984),
    },
}
"""Götz et al. (2023), Table 2, and of the untrained encoder section 4; shares in 0…1."""


def results_in(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the results in some folders: of runs (``results.json``, searched below them) or published (any JSON).

    Raises:
        RoomtrainError: a folder without results, or a file that is none.
    """
    results: list[dict[str, Any]] = []
    for folder in folders:
        paths = sorted({*folder.rglob(RESULTS), *folder.glob("*.json")} - {*folder.glob("settings.json")})
        if not paths:
            raise RoomtrainError(f"{folder} has no results: there is no {RESULTS} in it. `roomtrain train goetz` writes them.")
        results += [read_results(path) for path in paths]
    return results


def published_results() -> list[dict[str, Any]]:
    """Return the results that come with roomtrain."""
    folder = resources.files("roomtrain") / "results" / "goetz"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name) if folder.is_dir() else []
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def publish(results: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write each run's results into a folder, as ``CELL-seedN.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for result in results:
        path = folder / f"{result['cell']}-seed{result['seed']}.json"
        write_text(path, json.dumps(result, indent=1) + "\n")
        paths.append(path)
    return paths


def table(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return all cells: protocol → target → cell → metric → ``mean``, ``std`` over seeds, ``interval``, ``paper``.

    The interval is that of the first seed: 95 % by bootstrap over rooms. One seed has no deviation (None).

    Raises:
        RoomtrainError: results of different presets or data, which do not belong in one table.
    """
    for name, what in (("preset", "presets"), ("data", "data")):
        values = {json.dumps(result[name], sort_keys=True) for result in results}
        if len(values) > 1:
            raise RoomtrainError(f"these results are of different {what}: make a table of each.")
    if not results:
        raise RoomtrainError("there are no results: `roomtrain train goetz --all` makes them.")
    cells: dict[str, Any] = {}
    for protocol in PROTOCOLS:
        for target, metrics in METRICS.items():
            of_cell: dict[str, list[dict[str, Any]]] = {}
            for result in results:
                found = result["protocols"].get(protocol, {}).get(target)
                if found is not None:
                    of_cell.setdefault(result["cell"], []).append(found)
            for cell, found in of_cell.items():
                paper = PAPER.get(target, {}).get(cell)
                cells.setdefault(protocol, {}).setdefault(target, {})[cell] = {
                    metric: _summary([values[metric] for values in found], found[0]["interval"][metric], paper, place)
                    for place, metric in enumerate(metrics)
                }
    first = results[0]
    return {
        "paper": "goetz",
        "preset": first["preset"],
        "reduced": first["reduced"],
        "seeds": sorted({result["seed"] for result in results}),
        "devices": sorted({result["device"].split(",")[0] for result in results}),  # however many threads
        "cells": cells,
    }


def markdown(values: dict[str, Any]) -> str:
    """Return the table for reading: a block per protocol and target, ours with the 95 % interval of the first number."""
    seeds = values["seeds"]
    lines = [
        f"Preset `{values['preset']}`, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}, on {', '.join(values['devices'])}."
        + (f" Reduced: {values['reduced']}." if values["reduced"] else "")
    ]
    for protocol, targets in values["cells"].items():
        lines += ["", f"**{PROTOCOLS[protocol]}**"]
        for target, cells in targets.items():
            lines += ["", f"| {NAMES[target]} | soft | hard | posind |", "|---|---|---|---|"]
            temperatures = sorted({cell.split("-")[1] for cell in cells if "-" in cell}, key=float)
            for temperature in temperatures:
                shown = [_cell(cells.get(f"{strategy}-{temperature}"), target) for strategy in STRATEGIES]
                lines.append(f"| τ = {temperature} | {' | '.join(shown)} |")
                if target in PAPER and protocol == "sample":  # the paper's protocol
                    paper = [_paper_cell(target, f"{strategy}-{temperature}") for strategy in STRATEGIES]
                    lines.append(f"| *paper* | {' | '.join(paper)} |")
            for cell in ("supervised", "untrained"):
                if cell in cells:
                    paper_text = _paper_cell(target, cell) if protocol == "sample" else ""
                    lines.append(f"| {cell} | {_cell(cells[cell], target)} |{f' *paper:* {paper_text}' if paper_text else ''} | |")
    return "\n".join(lines)


def _summary(
    found: list[float | None], interval: Sequence[float | None], paper: Sequence[float] | None, place: int
) -> dict[str, Any]:
    known = [value for value in found if value is not None]
    return {
        "mean": float(np.mean(known)) if known else None,
        "std": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "interval": list(interval),
        "paper": None if paper is None or not np.isfinite(paper[place]) else paper[place],
    }


def _cell(values: dict[str, Any] | None, target: str) -> str:
    if values is None:
        return "—"
    shown = []
    for place, summary in enumerate(values.values()):
        text = _number(summary["mean"], target)
        if summary["std"] is not None:
            text += f" ± {_number(summary['std'], target)}"
        if place == 0:
            low, high = summary["interval"]
            text += f" ({_number(low, target)}–{_number(high, target)})"
        shown.append(text)
    return " / ".join(shown)


def _paper_cell(target: str, cell: str) -> str:
    values = PAPER.get(target, {}).get(cell)
    return "" if values is None else "*" + " / ".join(_number(value, target) for value in values) + "*"


def _number(value: float | None, target: str) -> str:
    if value is None or not np.isfinite(value):
        return "—"
    return f"{100 * value:.1f}" if target == "volume" else f"{value:.3f}"
