"""The paper's tables as figures, from results alone: log-loss by device, the search, the probe, and what more microphones bring."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roomtrain import figures, table
from roomtrain.paper import Paper
from roomtrain.papers.icl import looks
from roomtrain.papers.icl.published import DEVICES
from roomtrain.papers.icl.response_figures import draw_responses
from roomtrain.papers.icl.run_figures import draw_confusions, draw_differences, draw_embeddings, finished
from roomtrain.targets import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SEARCH_NAME, _MANY_NAME = re.compile(r"(alpha|lambda)-([\d.]+)"), re.compile(r"many-(\d+)")
_CHOSEN = ("lambda", 0.5)
"""Where the cell "icl" stands in the search."""
_OURS: dict[str, Any] = {"color": figures.COLOURS[0], "marker": "o", "linestyle": "-", "linewidth": 0.8}
_THEIRS: dict[str, Any] = {**_OURS, **looks.HOLLOW, "linestyle": figures.LINES[2]}
_MANY: dict[str, Any] = {**_OURS, "color": figures.COLOURS[5], "marker": "P"}
_ASIDE = 0.02
"""Share of an axis by which seeds and the paper's points of a curve stand aside of ours."""
_LEVEL: dict[str, Any] = {"linewidth": 0.8, "zorder": 1}

Cells = Mapping[str, Mapping[str, Any]]
"""Cell → metric → what :func:`roomtrain.table.table` says of it."""


def draw(paper: Paper, results: Sequence[dict[str, Any]], out: Path, *, data: Path | None, runs: Sequence[Path]) -> list[Path]:
    """Draw what there is something for, say on stderr what is left out and why, and return the files.

    Args:
        results: of cells of the paper, of one preset and the same data.
        data: folder of ``roomgen paper``: for responses, and with ``runs`` for embeddings.
        runs: folders of runs: for differences, confusions and embeddings.

    Raises:
        RoomtrainError: results or runs that do not belong in one figure, or runs of other scenes than the data's.
        DatasetError: a dataset is damaged.
    """
    drawn: list[Path | None] = []
    with figures.style():
        if results:
            values, notes = table.table(paper, results), looks.result_notes(results)
            drawn.append(draw_log_loss(paper, values, notes, out))
            drawn.append(draw_search(paper, values, notes, out))
            drawn.append(draw_probe(paper, values, notes, out, chance=_chance(results)))
            drawn.append(draw_microphones(paper, values, notes, out))
        there = finished(paper, runs)
        drawn.append(draw_differences(paper, there, out))
        drawn.append(draw_confusions(paper, there, out))
        drawn += draw_responses(data, out)
        drawn.append(draw_embeddings(paper, there, data, out))
    return [path for path in drawn if path is not None]


def draw_log_loss(paper: Paper, values: Mapping[str, Any], notes: Sequence[str], out: Path) -> Path | None:
    """Draw Table 3: the log-loss of every row, by device, and by family with intervals."""
    rows = [cell for cell in looks.ROWS if cell in _cells(values, "overall", "log_loss") or _on_devices(values, cell)]
    if not rows:
        looks.left_out("log-loss", f"there are no results of {', '.join(looks.ROWS)}.")
        return None
    title = "Log-loss of a second, the lower the better: by the device that recorded it, and in the mean of each family"
    figure, body = looks.new_figure(figures.PAGE_IN, 4.6, title, [looks.interval_words(values), *notes])
    by_device, by_family = body.subplots(2, 1, sharey=True)
    for axis, names, interval in ((by_device, DEVICES, False), (by_family, tuple(looks.POOLS), True)):
        _grouped(axis, paper, values, rows, names, interval=interval)
        axis.set_ylabel("log-loss")
    by_device.set_xticks(range(len(DEVICES)), DEVICES)
    for number, (title, _) in enumerate(looks.FAMILIES.values()):
        by_device.text(3 * number + 1, 1.0, title, transform=by_device.get_xaxis_transform(), ha="center", va="bottom")
    by_family.set_xticks(range(len(looks.POOLS)), list(looks.POOLS.values()))
    body.legend(handles=looks.row_handles(rows, seeds=len(values["seeds"])), loc="outside lower center", ncols=5)
    return figures.save(figure, out / "log-loss.png")


def _grouped(
    axis: Axes, paper: Paper, values: Mapping[str, Any], rows: Sequence[str], protocols: Sequence[str], *, interval: bool
) -> None:
    """Draw the rows side by side at each protocol, a line between every two families."""
    target, metric = paper.target("log_loss"), "mean"
    for place, protocol in enumerate(protocols):
        cells = _cells(values, protocol, target.name)
        for at, cell in zip(looks.side_by_side(place, len(rows)), rows, strict=True):
            ours, theirs = cells.get(cell, {}).get(metric), paper.published.values.get((cell, protocol, target.name, metric))
            looks.points(axis, at, target, metric, ours, theirs, look=looks.LOOKS[cell], interval=interval)
    for place in range(len(protocols) - 1):
        ends = len(protocols) != len(DEVICES) or place % 3 == 2
        axis.axvline(place + 0.5, color="0.6" if ends else "0.9", linewidth=0.5, zorder=0)
    axis.set_xlim(-0.5, len(protocols) - 0.5)
    axis.tick_params(axis="x", length=0)


def draw_search(paper: Paper, values: Mapping[str, Any], notes: Sequence[str], out: Path) -> Path | None:
    """Draw Table 1: log-loss and accuracy over the threshold α and over the weight λ, with the paper's."""
    shown = [("log_loss", "mean", "log-loss"), ("scene", "accuracy", "accuracy in %")]
    columns = (("alpha", "threshold α, at λ = 10"), ("lambda", "weight λ, at α = 0.2"))
    if not {place for target, metric, _ in shown for place in _found(values, target, metric)} - {_CHOSEN}:
        looks.left_out("search", "there are no results of alpha-… or lambda-… cells.")
        return None
    seeds = max(len(one["seeds"]) for target, metric, _ in shown for one in _found(values, target, metric).values())
    several = ["At λ = 0.5 stands the mean of the seeds of “icl”."] if seeds > 1 else []
    slip = "The paper prints the same numbers for λ = 0.1 and λ = 3, one of which must be a slip."
    title = "The search for the inverse contrastive loss: scenes of all nine devices over its threshold and its weight"
    figure, body = looks.new_figure(figures.PAGE_IN, 3.7, title, [looks.interval_words(values), *several, slip, *notes])
    axes = body.subplots(2, 2, sharex="col", squeeze=False)
    for row, (name, metric, title) in zip(axes, shown, strict=True):
        target, found = paper.target(name), _found(values, name, metric)
        for axis, (which, label) in zip(row, columns, strict=True):
            theirs = {
                place[1]: value
                for (cell, *where), value in paper.published.values.items()
                if where == ["search", name, metric] and (place := _searched(cell)) is not None and place[0] == which
            }
            ours = {value: one for (searched, value), one in found.items() if searched == which}
            if which == "lambda":
                axis.set_xscale("log")
            ticks = sorted({*ours, *theirs})
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.minorticks_off()
            _curve(axis, target, metric, ours, theirs, look=_OURS)
            _level(axis, target, metric, _cells(values, "search", name), looks.BASELINE)
            axis.set(ylabel=title, xlabel=label if axis in axes[-1] else "")
    handles = _curve_handles(_OURS, ours="ours", seeds=seeds > 1, theirs=True)
    if looks.BASELINE in _cells(values, "search", "log_loss"):
        handles.append(_level_handle(looks.BASELINE, "ours without ICL"))
    body.legend(handles=handles, loc="outside lower center", ncols=4)
    return figures.save(figure, out / "search.png")


def draw_probe(paper: Paper, values: Mapping[str, Any], notes: Sequence[str], out: Path, *, chance: float) -> Path | None:
    """Draw Table 2: how often a probe tells the device from the embedding of every row, beside guessing."""
    target, metric = paper.target("device"), "accuracy"
    cells = _cells(values, "probe", target.name)
    rows = [cell for cell in looks.ROWS if cell in cells]
    if not rows:
        looks.left_out("probe", f"there are no results of a probe of {', '.join(looks.ROWS)}.")
        return None
    title = "Share of seconds whose device a probe tells\nfrom the embedding: less is better"
    figure, body = looks.new_figure(figures.COLUMN_IN, 1.15 + 0.24 * len(rows), title, [looks.interval_words(values), *notes])
    axis = body.subplots()
    for place, cell in enumerate(rows):
        theirs = paper.published.values.get((cell, "probe", target.name, metric))
        at = (place + 0.28, float(place), float(place))
        looks.points(axis, at, target, metric, cells[cell][metric], theirs, look=looks.LOOKS[cell], flat=True)
    axis.axvline(100.0 * chance, color=figures.GREY, linestyle=figures.LINES[1], **_LEVEL)
    axis.set_yticks(range(len(rows)), [looks.ROWS[cell] for cell in rows])
    axis.tick_params(axis="y", length=0)
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0.0, 100.0), xlabel=figures.metric_label(target, metric))
    handles = [*looks.kind_handles(seeds=len(values["seeds"])), _chance_handle(chance)]
    body.legend(handles=handles, loc="outside lower center", ncols=2)
    return figures.save(figure, out / "probe.png")


def draw_microphones(paper: Paper, values: Mapping[str, Any], notes: Sequence[str], out: Path) -> Path | None:
    """Draw the log-loss on unseen devices over the number of simulated microphones whose responses training hears."""
    target, metric = paper.target("log_loss"), "mean"
    cells = _cells(values, "unseen", target.name)
    ours = {float(match[1]): cells[cell][metric] for cell in cells if (match := _MANY_NAME.fullmatch(cell))}
    if not ours:
        looks.left_out("microphones", "there are no results of many-N cells (augment.responses=many, augment.microphones=N).")
        return None
    title = "Log-loss on unseen devices over the number\nof simulated microphones heard in training"
    figure, body = looks.new_figure(figures.COLUMN_IN, 2.6, title, [looks.interval_words(values), *notes])
    axis = body.subplots()
    axis.set_xscale("log")
    axis.set_xticks(sorted(ours), [f"{n:g}" for n in sorted(ours)])
    axis.minorticks_off()
    _curve(axis, target, metric, ours, {}, look=_MANY)
    shown = [(cell, words) for cell, words in ((looks.BASELINE, "no responses"), ("multi", "multi DIRs")) if cell in cells]
    for cell, _ in shown:
        _level(axis, target, metric, cells, cell)
    axis.set(xlabel="simulated microphones", ylabel="log-loss")
    seeds = len(values["seeds"])
    words = f"ours, mean of {seeds} seeds" if seeds > 1 else "ours"
    handles = _curve_handles(_MANY, ours=words, seeds=seeds > 1, theirs=False)
    body.legend(handles=[*handles, *(_level_handle(cell, words) for cell, words in shown)], loc="outside lower center", ncols=2)
    return figures.save(figure, out / "microphones.png")


def _curve(
    axis: Axes, target: Target, metric: str, ours: Mapping[float, Any], theirs: Mapping[float, float], *, look: Mapping[str, Any]
) -> None:
    """Draw a number over another: ours with intervals and seeds, and the paper's, hollow on a dotted line beside it."""
    ends = np.array([min([*ours, *theirs]), max([*ours, *theirs])])
    logarithmic = axis.get_xscale() == "log"
    span = float(np.diff(np.log(ends) if logarithmic else ends)[0]) or 1.0

    def aside(x: float, steps: int) -> float:
        return float(x * np.exp(_ASIDE * span * steps) if logarithmic else x + _ASIDE * span * steps)

    means = {x: one["mean"] for x, one in ours.items()}
    beside = {aside(x, 1): value for x, value in theirs.items()}
    for known, how in ((beside, _THEIRS), (means, look)):
        x = sorted(known)
        axis.plot(x, figures.metric_values(target, metric, [known[one] for one in x]), **{**how, "marker": "", "zorder": 2})
    for place in sorted({*ours, *theirs}):
        at = (aside(place, -1), place, aside(place, 1))
        looks.points(axis, at, target, metric, ours.get(place), theirs.get(place), look=look)


def _curve_handles(look: Mapping[str, Any], *, ours: str, seeds: bool, theirs: bool) -> list[Any]:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=ours, **look)]
    if seeds:
        handles.append(Line2D([], [], label="each seed", **{**look, "linestyle": "none", **looks.SEED}))
    return [*handles, Line2D([], [], label="the paper's", **_THEIRS)] if theirs else handles


def _chance_handle(chance: float) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=figures.GREY, linestyle=figures.LINES[1], label=f"guessing: {100.0 * chance:.1f} %", **_LEVEL)


def _level(axis: Axes, target: Target, metric: str, cells: Cells, cell: str) -> None:
    """Draw the mean of a cell as a horizontal line, where there is one."""
    if cell in cells:
        mean = figures.metric_values(target, metric, cells[cell][metric]["mean"])
        axis.axhline(float(mean), color=looks.LOOKS[cell]["color"], linestyle=_level_style(cell), **_LEVEL)


def _level_handle(cell: str, words: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=looks.LOOKS[cell]["color"], linestyle=_level_style(cell), label=words, **_LEVEL)


def _level_style(cell: str) -> Any:
    return figures.LINES[1] if cell == looks.BASELINE else figures.LINES[3]


def _cells(values: Mapping[str, Any], protocol: str, target: str) -> Cells:
    found: Cells = values["cells"].get(protocol, {}).get(target, {})
    return found


def _on_devices(values: Mapping[str, Any], cell: str) -> bool:
    return any(cell in _cells(values, device, "log_loss") for device in DEVICES)


def _found(values: Mapping[str, Any], target: str, metric: str) -> dict[tuple[str, float], Any]:
    """Return what a cell of the search varies and its value → what was measured."""
    cells = _cells(values, "search", target)
    return {place: cells[cell][metric] for cell in cells if (place := _searched(cell)) is not None}


def _searched(cell: str) -> tuple[str, float] | None:
    """Return what a cell of the search varies, and its value."""
    if cell == "icl":
        return _CHOSEN
    match = _SEARCH_NAME.fullmatch(cell)
    return None if match is None else (match[1], float(match[2]))


def _chance(results: Sequence[Mapping[str, Any]]) -> float:
    """Return how often it is right to name always the same device."""
    found = [r["protocols"].get("probe", {}).get("device", {}).get("baseline") for r in results]
    return float(np.mean([one["accuracy"] for one in found if one is not None] or [np.nan]))
