"""A table as its paper has it, filled with our numbers and its own: Markdown that is read in terminals too. No torch is needed.

Below the means of a cell stand, each in a line of its own, what there is of: their deviation over seeds, the 95 % interval, the
best seed, and the paper's numbers. Beside each other they would make thirteen columns wider than any screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from roomtrain.paper import Column, Layout, Paper

Row = str | tuple[str, str]
"""A cell, or a cell and a condition of its test."""

_PLAIN, _BOLD, _ITALIC, _DEVIATION = ("  ", "  "), ("**", "**"), (" *", "* "), ("± ", "  ")
"""What stands before and behind a number: two characters, so that digits stand below digits."""


def laid_out(paper: Paper, layout: Layout, cells: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table, or none where there are no results of any of its rows.

    Args:
        cells: of :func:`roomtrain.table.table`.
    """
    columns = [_Filled(paper, column, cells) for column in layout.columns]
    rows = {title: row for title, row in layout.rows.items() if any(column.summary(row) for column in columns)}
    if not rows:
        return []
    best = [column.best_text(rows.values()) for column in columns]
    lines: list[tuple[str, Sequence[str]]] = []
    for title, row in rows.items():
        lines.append((title, [column.mean(row, best=text) for column, text in zip(columns, best, strict=True)]))
        lines += _below(columns, row)
    return [f"**{layout.title}**", "", *_markdown([column.asked.title for column in columns], lines), *_notes(layout)]


class _Filled:
    """A column with what was found for it."""

    def __init__(self, paper: Paper, asked: Column, cells: Mapping[str, Any]) -> None:
        self.asked, self.target = asked, paper.target(asked.target)
        self.metric = asked.metric or next(iter(self.target.metrics))
        self._cells: Mapping[str, Any] = cells.get(asked.protocol, {}).get(asked.target, {})
        self._published = paper.published.values

    def summary(self, row: Row) -> dict[str, Any]:
        """Return what was found for a row: empty where nothing was, and the mean alone where it is of a condition."""
        cell, condition = (row, "") if isinstance(row, str) else row
        found: dict[str, Any] = self._cells.get(cell, {}).get(self.metric, {})
        if not condition:
            return found
        mean = found.get("conditions", {}).get(condition)
        return {} if mean is None else {"mean": mean, "seeds": {}}

    def best_text(self, rows: Iterable[Row]) -> str | None:
        """Return the best mean as it is written, so that what reads alike is bold alike; None: there is nothing to compare."""
        means = [mean for mean in (self.summary(row).get("mean") for row in rows) if mean is not None]
        if len(means) < 2:
            return None
        return self.target.text(self.metric, min(means, key=lambda mean: self.target.badness(self.metric, mean)))

    def mean(self, row: Row, *, best: str | None) -> str:
        """Return the mean over the seeds, bold where it is the best of the column."""
        text = self.target.text(self.metric, self.summary(row).get("mean"))
        return _marked(text, _BOLD if text == best else _PLAIN)

    def value(self, value: float | None, marks: tuple[str, str]) -> str:
        """Return a number with its marks, or nothing."""
        return "" if value is None else _marked(self.target.text(self.metric, value), marks)

    def interval(self, row: Row) -> str:
        """Return the ends of the interval, where the column has them."""
        low, high = self.summary(row).get("interval", (None, None))
        if not self.asked.interval or low is None:
            return ""
        return f"{self.target.text(self.metric, low)}–{self.target.text(self.metric, high)}"

    def published(self, row: Row) -> str:
        """Return the paper's number."""
        if not isinstance(row, str):
            return ""
        return self.value(self._published.get((row, self.asked.protocol, self.asked.target, self.metric)), _ITALIC)


def _marked(text: str, marks: tuple[str, str]) -> str:
    before, behind = marks
    return f"{before}{text}{behind}"


def _below(columns: Sequence[_Filled], row: Row) -> list[tuple[str, Sequence[str]]]:
    """Return the lines below a row's means that have anything in them."""
    found = [column.summary(row) for column in columns]
    seeds = max((one["seeds"] for one in found if one), key=len)
    several = len(seeds) > 1
    lines = [
        (f"  ± over {len(seeds)} seeds", [c.value(one.get("std"), _DEVIATION) for c, one in zip(columns, found, strict=True)]),
        (f"  95 %{f' of seed {next(iter(seeds))}' if several else ''}", [column.interval(row) for column in columns]),
    ]
    for best in (one["best"]["seed"] for one, c in zip(found, columns, strict=True) if c.asked.best and one.get("best")):
        own = [c.value(one.get("seeds", {}).get(str(best)), _PLAIN) for c, one in zip(columns, found, strict=True)]
        lines.append((f"  best: seed {best}", own))
    lines.append(("  *paper*", [column.published(row) for column in columns]))
    return [(title, texts) for title, texts in lines if any(texts)]


def _markdown(titles: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    first = max(len(title) for title, _ in lines)
    widths = [max(len(title) + 2, *(len(texts[i]) for _, texts in lines)) for i, title in enumerate(titles)]

    def line(title: str, texts: Sequence[str]) -> str:
        return f"| {title:<{first}} |{'|'.join(f'{text:^{width}}' for text, width in zip(texts, widths, strict=True))}|"

    rules = [f":{'-' * (width - 2)}:" for width in widths]
    return [line("", titles), f"|{'-' * (first + 2)}|{'|'.join(rules)}|", *(line(*one) for one in lines)]


def _notes(layout: Layout) -> list[str]:
    return ["", *layout.notes] if layout.notes else []
