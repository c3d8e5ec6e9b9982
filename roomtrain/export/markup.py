"""Text and values as Markdown and YAML, whatever they hold."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any


def escaped(text: object) -> str:
    """Return text from data or settings as Markdown shows it: one line, in which nothing is markup."""
    line = " ".join(_printing(str(text)).split())
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", html.escape(line, quote=False))


def as_yaml(value: Any, indent: str = "") -> str:
    """Return plain values as block YAML; scalars are written as JSON, which is YAML too."""
    if isinstance(value, Mapping):
        return "\n".join(f"{indent}{key}:{_nested(inner, indent)}" for key, inner in value.items())
    items = []
    for item in value:
        if isinstance(item, Mapping):
            items.append(f"{indent}- {as_yaml(item, indent + '  ').lstrip()}")
        else:
            items.append(f"{indent}- {_scalar(item)}")
    return "\n".join(items)


def _nested(value: Any, indent: str) -> str:
    if isinstance(value, Mapping | list | tuple) and value:
        return "\n" + as_yaml(value, indent + "  ")
    return f" {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str):  # YAML takes no characters that do not print, even between quotes
        value = _printing(value)
    return json.dumps(value, ensure_ascii=False)


def _printing(text: str) -> str:
    """Return text with spaces in place of line breaks, control characters and other kinds of space."""
    return "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown; the cells are written as they are."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
