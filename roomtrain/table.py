"""A paper's table beside ours: from results alone, as Markdown for people and as values for programs. No torch is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from roomgen.errors import suggest
from roomtrain.errors import RoomtrainError
from roomtrain.layouts import laid_out
from roomtrain.paper import Paper
from roomtrain.targets import Target


def table(paper: Paper, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return all cells: protocol → target → cell → metric → ``mean``, ``std`` over seeds, ``interval``, ``paper``.

    The interval is that of the first seed: 95 % by bootstrap over groups. One seed has no deviation (None). ``seeds`` has the value
    of each, and ``best`` is the ``seed`` of the best and its ``value``; None for a single seed. ``conditions`` has the means under
    other conditions of the test.

    Raises:
        RoomtrainError: results of different presets or data, or one cell of different settings, which do not belong in one table.
    """
    if not results:
        raise RoomtrainError(f"there are no results: `roomtrain train {paper.name} --all` makes them.")
    for name, what in (("preset", "presets"), ("data", "data")):
        if len({json.dumps(result[name], sort_keys=True) for result in results}) > 1:
            raise RoomtrainError(f"these results are of different {what}: make a table of each.")
    by_cell: dict[tuple[str, int], set[str]] = {}
    for result in results:
        by_cell.setdefault((result["cell"], result["seed"]), set()).add(result["settings_hash"])
    for (cell, seed), hashes in by_cell.items():
        if len(hashes) > 1:
            raise RoomtrainError(
                f"there are {len(hashes)} results of {cell}, seed {seed}, with different settings: make a table of each."
            )
    cells: dict[str, Any] = {}
    for protocol in paper.protocols:
        for target in paper.targets:
            of_cell: dict[str, dict[int, dict[str, Any]]] = {}
            for result in results:
                found = result["protocols"].get(protocol, {}).get(target.name)
                if found is not None:
                    of_cell.setdefault(result["cell"], {})[result["seed"]] = found
            for cell, by_seed in of_cell.items():
                cells.setdefault(protocol, {}).setdefault(target.name, {})[cell] = {
                    metric: _summary(
                        target,
                        metric,
                        {seed: by_seed[seed][metric] for seed in sorted(by_seed)},
                        by_seed[min(by_seed)]["interval"][metric],
                        paper.published.values.get((cell, protocol, target.name, metric)),
                    )
                    | {"conditions": _conditions(metric, list(by_seed.values()))}
                    for metric in target.metrics
                }
    first = results[0]
    return {
        "paper": paper.name,
        "preset": first["preset"],
        "reduced": first["reduced"],
        "seeds": sorted({result["seed"] for result in results}),
        "devices": sorted({result["device"].split(",")[0] for result in results}),  # however many threads
        "cells": cells,
    }


def markdown(paper: Paper, values: dict[str, Any]) -> str:
    """Return the table for reading: the paper's layouts, each that has any results.

    Without any, a block per protocol and target, ours with the 95 % interval of the first number.
    """
    seeds = values["seeds"]
    lines = [
        f"Preset `{values['preset']}`, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}, on {', '.join(values['devices'])}."
        + (f" Reduced: {values['reduced']}." if values["reduced"] else "")
    ]
    shown: set[str] = set()
    for layout in paper.layouts():
        if laid := laid_out(paper, layout, values["cells"]):
            lines += ["", *laid]
            shown |= layout.cells
    if shown:
        others = [cell for cell in _cells(values) if cell not in shown]
        if others:
            lines += ["", f"In none of these tables: {', '.join(others)}; `roomtrain table {paper.name} --cell NAME` shows one."]
        return "\n".join(lines)
    for protocol, targets in values["cells"].items():
        lines += ["", f"**{paper.protocols[protocol]}**"]
        for name, cells in targets.items():
            lines += ["", *_block(paper, protocol, paper.target(name), cells)]
    return "\n".join(lines)


def cell_markdown(paper: Paper, values: dict[str, Any], cell: str) -> str:
    """Return one cell for reading: a table per protocol, a row per target, the paper's numbers beside ours.

    Where the paper has layouts, and so many protocols, it is a table per target, and a row per protocol.

    Raises:
        RoomtrainError: there are no results of that cell.
    """
    there = sorted(_cells(values))
    if cell not in there:
        raise RoomtrainError(f"there are no results of {cell!r}.{suggest(cell, there)} Cells: {', '.join(there)}.")
    by_target = bool(paper.layouts())
    tables: dict[str, list[str]] = {}
    for protocol, targets in values["cells"].items():
        for name in (name for name, cells in targets.items() if cell in cells):
            target = paper.target(name)
            found = f"{_ours(target, targets[name][cell])} | {_theirs(paper, cell, protocol, target)}"
            title, row = (target.heading(), f"`{protocol}`") if by_target else (f"protocol `{protocol}`", target.heading())
            tables.setdefault(title, []).append(f"| {row} | {found} |")
    return "\n\n".join("\n".join([f"| {cell}, {title} | here | paper |", "|---|---|---|", *rows]) for title, rows in tables.items())


def beside_markdown(paper: Paper, values: Mapping[str, dict[str, Any]], cell: str) -> str:
    """Return one cell of several sets of results, such as trainings on other data: a table per protocol, a column per set.

    Raises:
        RoomtrainError: a set has no results of that cell.
    """
    for name, one in values.items():
        if cell not in _cells(one):
            raise RoomtrainError(f"{name} has no results of {cell!r}. Its cells: {', '.join(sorted(_cells(one)))}.")
    blocks = []
    for protocol, title in paper.protocols.items():
        sets = {name: one["cells"].get(protocol, {}) for name, one in values.items()}
        rows = []
        for target in paper.targets:
            found = [cells.get(target.name, {}).get(cell) for cells in sets.values()]
            if any(found):
                texts = [*(_ours(target, one) for one in found), _theirs(paper, cell, protocol, target)]
                rows.append(f"| {target.heading()} | {' | '.join(texts)} |")
        if rows:
            head = f"| {cell} | {' | '.join(sets)} | paper |"
            blocks.append("\n".join([f"**{title}**", "", head, f"|{'---|' * (2 + len(sets))}", *rows]))
    return "\n\n".join(blocks)


def _cells(values: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(cell for targets in values["cells"].values() for cells in targets.values() for cell in cells))


def _block(paper: Paper, protocol: str, target: Target, cells: dict[str, Any]) -> list[str]:
    columns = paper.published.columns
    lines = [f"| {target.heading()} | {' | '.join(columns)} |", f"|{'---|' * (1 + len(columns))}"]
    for title, row in paper.rows(list(cells)).items():
        ours = [_ours(target, cells.get(cell)) for cell in row]
        theirs = [_theirs(paper, cell, protocol, target) for cell in row]
        if len(row) == len(columns):
            lines.append(f"| {title} | {' | '.join(ours)} |")
            if any(theirs):
                lines.append(f"| *paper* | {' | '.join(theirs)} |")
            continue
        # A cell that all columns have in common: the paper's number stands beside ours, what is left over stays empty.
        beside = f" *paper:* {theirs[0]}" if theirs[0] and columns[1] != "paper" else f" {theirs[0]}" if theirs[0] else ""
        lines.append(f"| {title} | {ours[0]} |{beside} |{' |' * (len(columns) - 2)}")
    return lines


def _conditions(metric: str, found: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the mean over seeds of a metric under each condition that any of them was tested in."""
    values: dict[str, list[float]] = {}
    for one in found:
        for name, metrics in one.get("conditions", {}).items():
            if metrics[metric] is not None:
                values.setdefault(name, []).append(metrics[metric])
    return {name: float(np.mean(each)) for name, each in values.items()}


def _summary(
    target: Target, metric: str, found: Mapping[int, float | None], interval: Sequence[float | None], paper: float | None
) -> dict[str, Any]:
    known = {seed: value for seed, value in found.items() if value is not None}
    values = list(known.values())
    best = min(known, key=lambda seed: target.badness(metric, known[seed])) if len(known) > 1 else None
    return {
        "mean": float(np.mean(values)) if known else None,
        "std": float(np.std(values, ddof=1)) if len(known) > 1 else None,
        "interval": list(interval),
        "paper": paper,
        "seeds": {str(seed): value for seed, value in found.items()},
        "best": None if best is None else {"seed": best, "value": known[best]},
    }


def _ours(target: Target, values: dict[str, Any] | None) -> str:
    if values is None:
        return "—"
    shown = []
    for place, (metric, summary) in enumerate(values.items()):
        text = target.text(metric, summary["mean"])
        if summary["std"] is not None:
            text += f" ± {target.text(metric, summary['std'])}"
        if place == 0 and summary["interval"][0] is not None:
            text += f" ({'–'.join(target.text(metric, end) for end in summary['interval'])})"
        shown.append(text)
    return " / ".join(shown)


def _theirs(paper: Paper, cell: str, protocol: str, target: Target) -> str:
    values = [paper.published.values.get((cell, protocol, target.name, metric)) for metric in target.metrics]
    if all(value is None for value in values):
        return ""
    return f"*{' / '.join(target.text(metric, value) for metric, value in zip(target.metrics, values, strict=True))}*"
