"""What listing a corpus takes: its tables, read with care, and clips in one order under names of their own."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import replace

from roomgen.corpora.base import NO_FILE, BrokenFile, Clip, Corpus, clip_name, read_bytes, unique_names

MOST_BYTES = 1 << 27
"""Of a table or a text: no corpus has one as large."""


def read_table(corpus: Corpus, path: str, *, columns: tuple[str, ...], delimiter: str = ",") -> list[dict[str, str]]:
    """Return the rows of a table of a corpus, a dictionary each, in their order.

    Args:
        corpus: whose folder the table is in.
        path: the table, seen from the folder.
        columns: what it must have; each row has a value for each of these.
        delimiter: between two values.

    Raises:
        RoomgenError: no such table, or it is not text, or lacks a column or a value.
    """
    try:
        text = read_bytes(corpus.folder, path, most=MOST_BYTES).decode("utf-8-sig")
    except BrokenFile as error:
        raise corpus.layout_error(f"it has no {path}" if error.reason == NO_FILE else str(error)) from None
    except UnicodeDecodeError:
        raise corpus.layout_error(f"{path} is not a text file") from None
    if "\0" in text:
        raise corpus.layout_error(f"{path} is not a text file")
    try:
        reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
        rows = [{key: value or "" for key, value in row.items() if isinstance(key, str)} for row in reader]
    except csv.Error as error:
        raise corpus.layout_error(f"{path} is not a table ({error})") from None
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise corpus.layout_error(f"{path} has no column {', '.join(missing)}")
    for number, row in enumerate(rows, start=2):
        empty = [column for column in columns if not row[column]]
        if empty:
            raise corpus.layout_error(f"line {number} of {path} has no {', '.join(empty)}")
    return rows


def in_order(clips: Iterable[Clip]) -> list[Clip]:
    """Return the clips sorted by name and path, with names that are unique and have only the characters that names may have."""
    ordered = sorted((replace(clip, name=clip_name(clip.name)) for clip in clips), key=lambda clip: (clip.name, clip.path))
    return [replace(clip, name=name) for clip, name in zip(ordered, unique_names(c.name for c in ordered), strict=True)]
