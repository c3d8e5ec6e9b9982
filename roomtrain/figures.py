"""Drawing that any paper can use: one style, colours for all eyes, lines with intervals, a broken axis. No torch is needed.

Figures have the size at which they are printed, on two-column paper. They are drawn without a display and without pyplot: whoever
imports this keeps the backend that they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.store.folder import atomic, writing
from roomtrain.targets import TITLES, Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_IN, PAGE_IN = 3.5, 7.16
"""Widths of IEEE's two-column paper."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Okabe and Ito's: told apart also by those who see red and green alike. Black and grey are left for what is compared with."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""One for each colour: what is printed in black and white is told apart by them."""
LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (6, 1, 1, 1, 1, 1)))
GREY = "0.45"
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "figure.titlesize": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "savefig.dpi": 300,
}


def style() -> AbstractContextManager[None]:
    """Return the context in which figures are made and saved."""
    import matplotlib as mpl

    context: AbstractContextManager[None] = mpl.rc_context(STYLE)
    return context


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure whose parts make room for each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a figure in the format that the path ends in, the same bytes for the same figure; a missing folder is made."""
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffix.removeprefix(".")
    with atomic(path) as temporary:
        figure.savefig(temporary, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None)
    return path


def metric_label(target: Target, metric: str) -> str:
    """Return what an axis of a metric is called: "RMSE in s", "accuracy in %"."""
    unit = "" if metric == "corr" else _percent(target, metric) or {"angle": "°"}.get(target.kind, target.unit)
    return TITLES.get(metric, metric) + (f" in {unit}" if unit else "")


def metric_values(target: Target, metric: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return values of a metric as its axis has them: shares in percent; None, which is what could not be computed, as NaN."""
    numbers = np.asarray(values, dtype=np.float64)
    return 100.0 * numbers if _percent(target, metric) else numbers


def _percent(target: Target, metric: str) -> str:
    return "%" if target.kind == "class" or metric == "within_20" else ""


def line_with_intervals(
    axis: Axes, x: ArrayLike, y: ArrayLike, intervals: ArrayLike, *, colour: str, bars: bool = False, **how: Any
) -> None:
    """Draw a line, and behind it the band of its intervals, or a bar at each point, as where bands would hide each other.

    Args:
        x, y: (point,)
        intervals: (point, 2) lower and upper ends; a point whose ends are NaN has none, and none need have the point inside.
        how: to the line, such as ``marker``, ``linestyle`` and ``label``.
    """
    low, high = np.asarray(intervals, dtype=np.float64).reshape(-1, 2).T
    if bars:
        axis.vlines(x, low, high, color=colour, linewidth=0.9, zorder=2)
    else:
        axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0, zorder=1)
    axis.plot(x, y, color=colour, **{"zorder": 3, **how})


def break_x(axis: Axes, low: float, high: float) -> None:
    """Break the x axis: its line ends at ``low``, goes on from ``high``, and both ends are struck through."""
    left, right = axis.get_xlim()
    axis.spines["bottom"].set_bounds(left, low)
    how: dict[str, Any] = {"color": "black", "transform": axis.get_xaxis_transform(), "clip_on": False}
    axis.plot([high, right], [0, 0], linewidth=STYLE["axes.linewidth"], solid_capstyle="projecting", **how)
    stroke = [(-0.5, -1.0), (0.5, 1.0)]
    axis.plot([low, high], [0, 0], linestyle="none", marker=stroke, markersize=6, markeredgewidth=0.8, **how)


def set_apart(axis: Axes, numbers: Sequence[float], name: str) -> float:
    """Give an x axis of numbers a place of its own behind a break, for what is no number, and return where it is.

    Call it when everything else of the axis is set: the limits are those of the numbers and the place.

    Args:
        numbers: where the axis has ticks; without any there is only the place.
        name: what stands below the place.
    """
    if not numbers:
        axis.set_xlim(-1.0, 1.0)
        axis.set_xticks([0.0], [name])
        return 0.0
    first, last = min(numbers), max(numbers)
    gap = (last - first) / (len(set(numbers)) - 1) if last > first else 1.0
    place = last + 1.2 * gap
    axis.set_xlim(first - 0.35 * gap, place + 0.7 * gap)
    axis.set_xticks([*numbers, place], [*(f"{number:g}" for number in numbers), name])
    break_x(axis, last + 0.32 * gap, last + 0.42 * gap)
    return place
