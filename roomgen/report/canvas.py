"""Where pictures begin: a figure of matplotlib, which is an extra; everything but pictures works without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomgen.errors import RoomgenError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(*, figsize: tuple[float, float]) -> Figure:
    """Return an empty figure of that size in inches that needs no screen.

    Raises:
        RoomgenError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise RoomgenError("pictures need matplotlib, which is not installed: pip install 'roomgen[plot]'.") from None
    figure = Figure(figsize=figsize, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
