"""The figures that the paper asks for: temperature scan, error by RT60 and by SNR; from results alone, without torch."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roomtrain import figures, table
from roomtrain.paper import Paper
from roomtrain.papers.goetz.data_figures import NAMES, chosen, draw_distributions, draw_rooms
from roomtrain.papers.goetz.settings import STRATEGIES
from roomtrain.targets import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCES = {"supervised": ("black", "D"), "untrained": (figures.GREY, "v")}
"""Cells without a temperature: colour and marker."""
_LOOKS = {NAMES[s]: (figures.COLOURS[n], figures.MARKERS[n]) for n, s in enumerate(STRATEGIES)} | REFERENCES
_THEIRS: dict[str, Any] = {"linestyle": figures.LINES[2], "markerfacecolor": "white", "zorder": 4}
_CONSTANT: dict[str, Any] = {"color": "black", "linewidth": 0.5, "zorder": 1}
_BESIDE = 0.24
"""Decades between what stands side by side at one temperature, where temperatures are a decade apart."""
_NAMED = 4
"""Temperatures, up to which each has its name and bars; of more only powers of ten are named, and intervals are bands."""
_SNR = re.compile(r"(-?[\d.]+) dB")

ByCell = Mapping[str, Sequence[Mapping[str, Any]]]
"""Cell → what was measured of a target, one for each seed."""
Points = Mapping[str, NDArray[np.float64]]
"""Cell → (3,) a number and the ends of its interval, as the axis has them."""


def draw(paper: Paper, results: Sequence[dict[str, Any]], out: Path, *, data: Path | None, runs: Sequence[Path]) -> list[Path]:
    """Draw what there is something for, and return the files.

    Args:
        results: of cells of the paper, of one preset and the same data: for the scan and the errors.
        data: folder of ``roomgen paper``: for the distributions, and with ``runs`` for the rooms.
        runs: folders of runs; of these, finished contrastive ones are drawn, see :func:`chosen`.

    Raises:
        RoomtrainError: results that do not belong in one figure, or data with too few rooms.
        DatasetError: a dataset is damaged.
    """
    drawn = []
    with figures.style():
        if results:
            drawn += [draw_temperatures(paper, results, out), *draw_errors(paper, results, out)]
        if data is not None:
            drawn.append(draw_distributions(paper, data, out))
            shown = chosen(paper, runs)
            if shown:
                drawn.append(draw_rooms(paper, shown, data, out))
    return drawn


def draw_temperatures(paper: Paper, results: Sequence[dict[str, Any]], out: Path) -> Path:
    """Draw the first metric of each target over the temperature, ours with intervals and the paper's; a row per protocol."""
    values = table.table(paper, results)
    cells = _temperatures(paper, results)
    targets = [t for t in paper.targets if any(t.name in found for found in values["cells"].values())]
    heights = [2.0, *(1.75 for _ in list(values["cells"])[1:])]
    figure = figures.new_figure(figures.PAGE_IN, 0.55 + sum(heights))
    rows = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    panels = []
    for row, (protocol, found) in zip(rows, values["cells"].items(), strict=True):
        row.suptitle(paper.protocols[protocol], x=0.008, ha="left")
        axes = row.subplots(1, len(targets), squeeze=False)[0]
        for axis, target in zip(axes, targets, strict=True):
            metric = next(iter(target.metrics))
            if row is rows[0]:
                axis.set_title("\n".join(textwrap.wrap(target.title, 22)), fontweight="bold")
            axis.set(xlabel="temperature τ" if row is rows[-1] else "", ylabel=figures.metric_label(target, metric))
            _scan(axis, cells, *_ours_and_theirs(paper, protocol, target, metric, found.get(target.name, {})))
        panels.append(axes)
    for column in zip(*panels, strict=True):
        # Not sharey: where axes of two subfigures share, matplotlib draws the whole figure whenever one of them changes.
        ends = np.array([axis.get_ylim() for axis in column])
        for axis in column:
            axis.set_ylim(ends.min(), ends.max())
    _scan_legend(figure, paper, values)
    return figures.save(figure, out / "temperature.png")


def _ours_and_theirs(paper: Paper, protocol: str, target: Target, metric: str, found: Mapping[str, Any]) -> tuple[Points, Points]:
    """Return, each by cell: our mean with its interval, and the paper's number, which has none."""
    ours = {
        cell: figures.metric_values(target, metric, [numbers[metric]["mean"], *numbers[metric]["interval"]])
        for cell, numbers in found.items()
    }
    theirs = {
        cell: figures.metric_values(target, metric, [value, np.nan, np.nan])
        for (cell, *where), value in paper.published.values.items()
        if where == [protocol, target.name, metric]
    }
    return ours, theirs


def _scan(axis: Axes, cells: Mapping[str, tuple[str, float]], ours: Points, theirs: Points) -> None:
    """Draw one panel: strategies side by side at each temperature, the paper's points beside ours; what has none on the right."""
    ticks = sorted({t for cell, (_, t) in cells.items() if cell in ours or cell in theirs})
    left, right = min(ticks, default=1.0) / 2.6, max(ticks, default=1.0) * 2.6
    crowded = len(ticks) > _NAMED
    closest = min(np.diff(np.log10(ticks)), default=1.0)
    step = 10.0 ** (_BESIDE * min(closest, 1.0))
    for points, aside, look in ((ours, 1.0, {}), (theirs, step**0.4, _THEIRS)):
        for number, strategy in enumerate(STRATEGIES):
            known = sorted((t, cell) for cell, (of, t) in cells.items() if of == strategy and cell in points)
            numbers = np.array([points[cell] for _, cell in known]).reshape(-1, 3)
            beside = aside * step ** (number - (len(STRATEGIES) - 1) / 2)
            how = {"colour": figures.COLOURS[number], "marker": figures.MARKERS[number], **look}
            places = [t * beside for t, _ in known]
            figures.line_with_intervals(axis, places, numbers[:, 0], numbers[:, 1:], bars=not crowded, **how)
        for number, (cell, (colour, marker)) in enumerate(REFERENCES.items()):
            if cell in points:
                place = right * aside * 10.0 ** (_BESIDE * number)
                how = {"colour": colour, "marker": marker, **look}
                axis.plot([left, place], points[cell][[0, 0]], color=colour, linewidth=0.8, linestyle=look.get("linestyle", "-"))
                figures.line_with_intervals(axis, [place], points[cell][:1], points[cell][1:], bars=True, **how)
    axis.set(xscale="log", xlim=(left, right * 10.0 ** (_BESIDE * len(REFERENCES))))
    axis.set_xticks(ticks, [f"{t:g}" if not crowded or np.log10(t).is_integer() else "" for t in ticks])
    axis.minorticks_off()
    axis.locator_params(axis="y", nbins=5)


def _scan_legend(figure: Figure, paper: Paper, values: Mapping[str, Any]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for name, (colour, marker) in _LOOKS.items():
        handles.append(Line2D([], [], color=colour, marker=marker, label=name))
        handles.append(Line2D([], [], color=colour, marker=marker, label=f"{name}, paper", **_THEIRS))
    seeds = len(values["seeds"])
    ends = f"mean of {seeds} seeds, 95 % intervals of the first" if seeds > 1 else "95 % intervals"
    title = f"filled: ours (preset {values['preset']}, {ends}); hollow: {paper.published.source}"
    figure.legend(handles=handles, loc="outside lower center", ncols=len(_LOOKS), title=title)


def draw_errors(paper: Paper, results: Sequence[dict[str, Any]], out: Path) -> list[Path]:
    """Draw where errors lie, a figure per protocol: RMSE by the breakdown's target, and by the ratio of added white noise.

    Of more temperatures than there are styles of line, those at equal distances in their order are drawn.
    """
    drawn = []
    cells = _temperatures(paper, results)
    used = sorted({cells[result["cell"]][1] for result in results if result["cell"] in cells})
    apart = np.linspace(0, len(used) - 1, min(len(used), len(figures.LINES))).round().astype(int)
    styles = {used[n]: figures.LINES[number] for number, n in enumerate(apart)}
    shown = [result for result in results if result["cell"] not in cells or cells[result["cell"]][1] in styles]
    for protocol in paper.protocols:
        found = {t: _by_cell(shown, protocol, t.name) for t in paper.targets if t.kind == "number"}
        found = {target: by_cell for target, by_cell in found.items() if by_cell}
        if not found:
            continue
        figure = figures.new_figure(figures.PAGE_IN, 1.1 + 1.5 * len(found))
        figure.suptitle(paper.protocols[protocol], x=0.008, ha="left")
        axes = figure.subplots(len(found), 2, squeeze=False, sharex="col", sharey="row")
        looks = {cell: _look(cell, cells, styles) for by_cell in found.values() for cell in by_cell}
        _by_truth(axes[:, 0], paper, list(found.values()), looks)
        _by_noise(axes[:, 1], list(found.values()), looks)
        for axis, target in zip(axes[:, 0], found, strict=True):
            axis.set_ylabel("\n".join(textwrap.wrap(f"RMSE of {target.title} in {target.unit}", 24)))
            axis.set_ylim(bottom=0.0)
        _errors_legend(figure, styles)
        drawn.append(figures.save(figure, out / f"errors-{protocol}.png"))
    return drawn


def _by_truth(axes: NDArray[Any], paper: Paper, found: Sequence[ByCell], looks: Mapping[str, Any]) -> None:
    """Draw errors by bins of the breakdown's target, evenly spaced, for the outermost have no middle; a panel per target."""
    assert paper.breakdown is not None
    target = paper.target(paper.breakdown.target)
    every = [b for by_cell in found for values in by_cell.values() for v in values for b in v["by"].get(target.name, [])]
    counts = {(b["low"], b["high"]): b["n"] for b in every}
    bins = sorted(counts)
    for axis, by_cell in zip(axes, found, strict=True):
        for cell, values in by_cell.items():
            by_low: dict[float, list[Any]] = {}
            for one in (b for v in values for b in v["by"].get(target.name, [])):
                by_low.setdefault(one["low"], []).append(one["rmse"])
            axis.plot(range(len(bins)), [_mean(by_low.get(low, [])) for low, _ in bins], **looks[cell])
    ends = min(paper.breakdown.edges), max(paper.breakdown.edges)
    names = [f"< {high:g}" if low == ends[0] else f"≥ {low:g}" if high == ends[1] else f"{low:g}–{high:g}" for low, high in bins]
    axes[-1].set_xticks(range(len(bins)), [f"{name}\nn = {counts[one]}" for name, one in zip(names, bins, strict=True)])
    axes[-1].set_xlabel(f"{target.title} in {target.unit}")


def _by_noise(axes: NDArray[Any], found: Sequence[ByCell], looks: Mapping[str, Any]) -> None:
    """Draw errors by SNR; what has no noise has a place of its own, where the cells stand side by side."""
    conditions = {name for by_cell in found for values in by_cell.values() for v in values for name in v["conditions"]}
    ratios = {float(match[1]): name for name in conditions if (match := _SNR.fullmatch(name))}
    ratios = dict(sorted(ratios.items()))
    for axis, by_cell in zip(axes, found, strict=True):
        clean = figures.set_apart(axis, list(ratios), "no noise")
        places = np.linspace(-0.8, 0.8, len(by_cell)) * (axis.get_xlim()[1] - clean) + clean
        for place, (cell, values) in zip(places, by_cell.items(), strict=True):
            errors = [_mean([v["conditions"].get(name, {}).get("rmse") for v in values]) for name in ratios.values()]
            axis.plot(list(ratios), errors, **looks[cell])
            axis.plot(place, _mean([v["rmse"] for v in values]), **{**looks[cell], "linestyle": "none"})
        constant = [v["baseline"]["rmse"] for values in by_cell.values() for v in values if v["baseline"] is not None]
        if constant:
            axis.axhline(_mean(constant), **_CONSTANT)
    axes[-1].set_xlabel("signal-to-noise ratio in dB")


def _errors_legend(figure: Figure, styles: Mapping[float, Any]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, marker=marker, label=name) for name, (colour, marker) in _LOOKS.items()]
    handles.append(Line2D([], [], label="best constant answer", **_CONSTANT))
    handles += [Line2D([], [], color="black", linestyle=style, label=f"τ = {t:g}") for t, style in styles.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


def _look(cell: str, cells: Mapping[str, tuple[str, float]], styles: Mapping[float, Any]) -> dict[str, Any]:
    """Return how a cell is drawn: strategies have colours and markers, temperatures styles of line."""
    how: dict[str, Any] = {"linewidth": 0.8, "markersize": 3.0}
    if cell not in cells:
        colour, marker = REFERENCES[cell]
        return how | {"color": colour, "marker": marker, "zorder": 3}
    strategy, temperature = cells[cell]
    number = STRATEGIES.index(strategy)
    return how | {
        "color": figures.COLOURS[number],
        "marker": figures.MARKERS[number],
        "linestyle": styles[temperature],
        "zorder": 2,
    }


def _temperatures(paper: Paper, results: Sequence[dict[str, Any]]) -> dict[str, tuple[str, float]]:
    """Return strategy and temperature of each contrastive cell, of the paper's table and of the results."""
    cells = {cell.name: (cell.overrides["strategy"], cell.overrides.get("upstream.temperature", np.nan)) for cell in paper.cells()}
    cells |= {r["cell"]: (r["settings"]["strategy"], r["settings"]["upstream"]["temperature"]) for r in results}
    return {name: (strategy, float(t)) for name, (strategy, t) in cells.items() if strategy in STRATEGIES}


def _by_cell(results: Sequence[dict[str, Any]], protocol: str, target: str) -> dict[str, list[dict[str, Any]]]:
    """Return what was measured of a target, one for each seed, by cell: strategies first, as they are in the legend."""
    order = {name: number for number, name in enumerate((*STRATEGIES, *REFERENCES))}
    found: dict[str, list[dict[str, Any]]] = {}
    for result in sorted(results, key=lambda r: (order[r["settings"]["strategy"]], r["settings"]["upstream"]["temperature"])):
        values = result["protocols"].get(protocol, {}).get(target)
        if values is not None:
            found.setdefault(result["cell"], []).append(values)
    return found


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
