"""The plan and the results for reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from roomgen.text import duration, pairs, table
from roomtrain.gpu.items import Item


def plan_text(items: Sequence[Item], minutes: float) -> str:
    """Return what would be done on a machine with a GPU."""
    rows = [[item.name, duration(item.expected_s), duration(item.limit_s), f"  {item.about}"] for item in items]
    width = max(len(row[-1]) for row in rows)
    rows = [[*row[:-1], row[-1].ljust(width)] for row in rows]
    whole = sum(item.expected_s for item in items)
    return (
        "torch finds no GPU here: nothing was measured, and nothing written. On a machine with one this would be done, "
        f"in about {duration(whole)}, and in at most {duration(60 * minutes)}; --rehearse does all of it here, at tiny sizes:\n\n"
        + table(["item", "about", "at most", "  what it shows"], rows)
    )


def text(result: Mapping[str, Any]) -> str:
    """Return results as text, item by item."""
    title = "A rehearsal: tiny sizes, numbers that mean nothing. " if result["rehearsal"] else ""
    parts = [f"{title}{result['device']}, commit {result['commit']}, {duration(result['seconds'])}"]
    for name, item in result["items"].items():
        head = f"{name} ({duration(item['seconds'])}{', cut off' if 'cut_s' in item else ''})"
        lines = [head, "=" * len(head)]
        if "error" in item:
            lines.append(f"FAILED: {item['error']}")
        lines += _lines(item.get("result", {}))
        parts.append("\n".join(lines))
    if result["left_out"]:
        parts.append("left out\n" + pairs(result["left_out"]))
    return "\n\n".join(parts)


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line per value, those of inner groups indented, and tables of lists of groups."""
    width = max((len(str(name)) for name, value in values.items() if not _deep(value)), default=0)
    for name, value in values.items():
        if _deep(value):
            yield str(name)
            yield from (f"  {line}" for line in (_table(value) if _is_table(value) else _lines(value)))
        else:
            yield f"{name:<{width}}  {_plain(value)}"


def _deep(value: Any) -> bool:
    return bool(value) and (isinstance(value, Mapping) or (isinstance(value, list) and isinstance(value[0], Mapping)))


def _is_table(value: Any) -> bool:
    """Tell whether a list, or groups of flat values, are rows of a table."""
    rows = list(value.values()) if isinstance(value, Mapping) else value
    return all(isinstance(row, Mapping) and not any(_deep(one) for one in row.values()) for row in rows)


def _table(value: Any) -> list[str]:
    rows = [{"": name, **row} for name, row in value.items()] if isinstance(value, Mapping) else value
    head = list(dict.fromkeys(column for row in rows for column in row))
    return table(head, [[_plain(row[column]) if column in row else "" for column in head] for row in rows]).splitlines()


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return "-" if value is None else str(value)
