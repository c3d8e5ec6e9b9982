"""Numbers as people read them, and text of others that does nothing where it is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from roomgen.errors import DatasetError, printable

__all__ = ["check_key", "duration", "in_card", "interval", "pairs", "printable", "size", "spread", "table"]

LONGEST_KEY = 89
"""USTAR has 100 characters for a member's name; the longest ending (``.audio.flac``) takes 11 of them."""

_KEY = re.compile(r"[A-Za-z0-9_-]+")
_INERT = str.maketrans({"`": "'", "<": "‹", ">": "›"})


def check_key(key: str) -> str:
    """Return the key of a sample if it can be part of a file's name anywhere: letters, digits, - and _, at most 89 of them.

    Raises:
        DatasetError: it is another text, as keys of a foreign manifest may be.
    """
    if len(key) > LONGEST_KEY or not _KEY.fullmatch(key):
        shown = key if len(key) <= LONGEST_KEY else f"{key[:40]}…"
        raise DatasetError(f"{shown!r} is no key of a sample: keys are 1 to {LONGEST_KEY} letters, digits, - and _.")
    return key


def in_card(text: str) -> str:
    """Return a name or a reason as code in Markdown, in which neither HTML nor the end of the code can stand."""
    return f"`{printable(text).translate(_INERT)}`"


def size(count: float) -> str:
    """Return a number of bytes with its unit: ``70.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """Return a length of time: ``3.2 s``, ``4 min 10 s``, ``5.3 h``."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    if seconds < 5400:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{seconds / 3600:.1f} h"


def spread(values: Mapping[str, Any], unit: str) -> str:
    """Return median and range: ``0.41 s (0.09 to 2.8 s)``, and how many could not be measured."""
    if values["median"] is None:
        return "not measurable"
    text = f"{values['median']:.3g} {unit} ({values['min']:.3g} to {values['max']:.3g} {unit})"
    return text + (f", {values['unmeasured']:.0f} not measurable" if values.get("unmeasured") else "")


def interval(values: Mapping[str, Any], unit: str) -> str:
    """Return range and median as in running text: ``0.09 to 2.8 s (median 0.41)``."""
    if values["median"] is None:
        return "not measurable"
    return f"{values['min']:.3g} to {values['max']:.3g} {unit} (median {values['median']:.3g})"


def pairs(rows: Mapping[str, Any]) -> str:
    """Return names and values as two aligned columns."""
    width = max(map(len, rows), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return an aligned plain-text table; the first column is text, the others are numbers and stand to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
