"""What the paper's figures have in common: how rows look, where markers stand, small print, and saying what is left out."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from roomtrain import figures
from roomtrain.papers.icl.published import LAYOUTS, REAL, SIMULATED, UNSEEN
from roomtrain.targets import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import ArrayLike

BASELINE = "baseline"
ROWS: Mapping[str, str] = {cell: title for title, cell in LAYOUTS[0].rows.items() if isinstance(cell, str)}
"""Cell → title of each row of Table 3."""
LOOKS: Mapping[str, Mapping[str, Any]] = {
    BASELINE: {"color": "black", "marker": "X"},
    "vintage": {"color": figures.COLOURS[4], "marker": "v"},
    "multi": {"color": figures.COLOURS[0], "marker": "o"},
    "icl": {"color": figures.COLOURS[1], "marker": "s"},
    "icl-multi": {"color": figures.COLOURS[2], "marker": "^"},
    "generated": {"color": figures.COLOURS[3], "marker": "D"},
}
FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "real": ("real, in training", REAL),
    "simulated": ("simulated, in training", SIMULATED),
    "unseen": ("simulated, not in training", UNSEEN),
}
"""Pool → what it is called, and its devices."""
POOLS: Mapping[str, str] = {
    "real": "real\nA, B, C",
    "simulated": "simulated\nS1, S2, S3",
    "unseen": "unseen\nS4, S5, S6",
    "overall": "overall\nall nine",
}
HOLLOW: Mapping[str, Any] = {"markerfacecolor": "white", "markeredgewidth": 0.7}
"""How the paper's numbers are marked."""
SEED: Mapping[str, Any] = {"marker": ".", "markersize": 3.2, "markeredgewidth": 0, "alpha": 0.7, "zorder": 2}
"""How each seed is marked."""
_SPREAD, _APART = 0.82, 0.08
"""Shares of a category's width: of all its rows, and at most from a mean to what stands beside it."""
_SMALL_PT = 5.5
_LETTERS_PER_INCH = 23  # of small print


def left_out(name: str, why: str) -> None:
    """Say on stderr which figure is not drawn, and what it needs."""
    print(f"left out   {name}.png: {why}", file=sys.stderr)


def points(
    axis: Axes,
    at: tuple[float, float, float],
    target: Target,
    metric: str,
    ours: Mapping[str, Any] | None,
    theirs: float | None,
    *,
    look: Mapping[str, Any],
    interval: bool = True,
    flat: bool = False,
) -> None:
    """Draw a measured number side by side: its seeds as dots, their mean with the interval, and the paper's number, hollow.

    Args:
        at: where seeds, mean and the paper's number stand.
        ours: of :func:`roomtrain.table.table`; None: nothing was measured.
        flat: numbers run along x.
    """

    def draw(place: float, numbers: ArrayLike, **how: Any) -> None:
        shown = np.atleast_1d(figures.metric_values(target, metric, numbers))
        places = np.full(len(shown), place)
        axis.plot(*((shown, places) if flat else (places, shown)), **{**look, "linestyle": "none", "zorder": 3, **how})

    if ours is not None:
        seeds = [value for value in ours["seeds"].values() if value is not None]
        if len(seeds) > 1:
            draw(at[0], seeds, **SEED)
        if interval:
            ends = figures.metric_values(target, metric, ours["interval"])
            (axis.hlines if flat else axis.vlines)(at[1], *ends, color=look["color"], linewidth=0.9, zorder=2)
        draw(at[1], ours["mean"])
    if theirs is not None:
        draw(at[2], theirs, **HOLLOW)


def side_by_side(place: float, n_rows: int) -> list[tuple[float, float, float]]:
    """Return where seeds, their mean and the paper's number of each row stand in a category of width 1."""
    step = _SPREAD / n_rows
    apart = min(0.3 * step, _APART)
    return [(x - apart, x, x + apart) for x in place + step * (np.arange(n_rows) - (n_rows - 1) / 2)]


def row_handles(cells: Iterable[str], *, seeds: int) -> list[Any]:
    """Return a legend's handles: rows by colour and marker, and what is filled, small or hollow."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], linestyle="none", label=ROWS[cell], **LOOKS[cell]) for cell in cells]
    return handles + kind_handles(seeds=seeds)


def kind_handles(*, seeds: int) -> list[Any]:
    """Return a legend's handles for what is ours and what is the paper's."""
    from matplotlib.lines import Line2D

    grey: dict[str, Any] = {"color": figures.GREY, "linestyle": "none"}
    mean = f"ours, mean of {seeds} seeds" if seeds > 1 else "ours"
    handles = [Line2D([], [], marker="o", label=mean, **grey)]
    if seeds > 1:
        handles.append(Line2D([], [], label="each seed", **grey, **SEED))
    return [*handles, Line2D([], [], marker="o", label="the paper's", **grey, **HOLLOW)]


def interval_words(values: Mapping[str, Any]) -> str:
    """Return what bars are, in a sentence."""
    of_first = " of the first seed" if len(values["seeds"]) > 1 else ""
    return f"Bars: 95 % intervals over places{of_first}."


def result_notes(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a reader must know of results: the preset, what is reduced in it, and what the data say of themselves."""
    first = results[0]
    notes = [f"Preset {first['preset']}" + (f", reduced: {first['reduced']}." if first["reduced"] else ".")]
    return notes + data_notes(part.get("note", "") for part in first["data"].values())


def data_notes(notes: Iterable[str]) -> list[str]:
    """Return the notes of some datasets, each once."""
    return [note for note in dict.fromkeys(notes) if note]


def new_figure(width_in: float, height_in: float, title: str, notes: Sequence[str]) -> tuple[Figure, SubFigure]:
    """Return a figure with notes in small print along its lower edge, and the part above them, so high, for all else."""
    lines = textwrap.wrap(" ".join(notes), int(width_in * _LETTERS_PER_INCH), break_on_hyphens=False)
    print_in = len(lines) * 1.25 * _SMALL_PT / 72 + 0.03
    figure = figures.new_figure(width_in, height_in + print_in)
    body, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[height_in, print_in])[:, 0]
    how: dict[str, Any] = {"fontsize": _SMALL_PT, "color": figures.GREY, "linespacing": 1.1}
    below.text(0.03 / width_in, 0.98, "\n".join(lines), ha="left", va="top", **how)
    body.suptitle(title)
    return figure, body
