"""Labels of audio files, printed: a table for people, CSV and JSON for programs. Each band carries its frequency."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from roomgen.acoustics.labels.reasons import Why
from roomgen.acoustics.labels.table import LABELS
from roomgen.run.label import Record

_WIDEST_TABLE = 10  # bands that stand side by side; more stand below each other

_HEADS = (  # title, label, factor, digits
    *((label.title, label.field, label.factor, label.digits) for label in LABELS),
    ("LF", "lf", 1.0, 2),
)
_OPTIONAL = ("g_db", "lf")
_NOT_ASKED = Why.NO_LEVEL.name.lower()  # strength, without a reference
_BAND_TABLES = tuple((label.title, label.bands_field, label.digits) for label in LABELS if label.of_bands)


def format_json(records: Sequence[Record], *, why: bool = False) -> str:
    """Return a JSON list of the records.

    What cannot be measured is null, which every JSON parser reads; a list of bands is an object: ``{"125": 0.61, "250": …}``.
    """
    listed = []
    for record in records:
        kept = {key: _with_hz(record, value) for key, value in record.items() if key != "why"}
        if why:
            kept["why"] = {key: _with_hz(record, value, empty="") for key, value in record["why"].items()}
        listed.append(kept)
    return json.dumps(listed, indent=2, allow_nan=False)


def format_csv(records: Sequence[Record], *, why: bool = False) -> str:
    """Return CSV text, one line a record: a band has its own columns such as ``rt60_125hz_s``; no value, an empty cell.

    With ``why``, a column such as ``why_rt60_125hz_s`` for each that has empty cells.
    """
    rows = [dict(_flat(record, record)) for record in records]
    if why:
        for row, record in zip(rows, records, strict=True):
            row |= {f"why_{name}": value for name, value in _flat(record["why"], record)}
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def format_table(records: Sequence[Record], *, why: bool = False) -> str:
    """Return text for people: single numbers of each file, then T30 and C50 per band; with ``why``, why values are missing."""
    names = short_names(records)
    heads = [h for h in _HEADS if h[1] not in _OPTIONAL or any(not math.isnan(r.get(h[1], math.nan)) for r in records)]
    lines = [["", *(title for title, *_ in heads)]]
    for name, r in zip(names, records, strict=True):
        lines.append([name, *(_text(factor * r.get(key, math.nan), digits) for _, key, factor, digits in heads)])
    tables = [_aligned(lines)]
    centers = sorted({f for r in records for f in r["band_hz"]})
    for title, key, digits in _BAND_TABLES:
        lines = [[title, *(f"{f:g} Hz" for f in centers)]]
        for name, r in zip(names, records, strict=True):
            bands = dict(zip(r["band_hz"], r[key], strict=True))
            lines.append([name, *(_text(bands.get(f, math.nan), digits) for f in centers)])
        if len(centers) > _WIDEST_TABLE:
            lines = [list(column) for column in zip(*lines, strict=True)]
        tables.append(_aligned(lines))
    if why:
        tables.append("\n".join(_reasons(names, records)))
    return "\n\n".join(table for table in tables if table)


def short_names(records: Sequence[Record]) -> list[str]:
    """Return the shortest ends of the paths that tell the files apart, with the channel where there are several."""
    paths = {r["file"]: PurePath(r["file"]).parts for r in records}
    short = {}
    for path, parts in paths.items():
        others = [p for other, p in paths.items() if other != path]
        count = next((n for n in range(1, len(parts)) if all(p[-n:] != parts[-n:] for p in others)), len(parts))
        short[path] = str(PurePath(*parts[-count:]))
    return [f"{short[r['file']]} [{r['channel']}]" if r["n_channels"] > 1 else short[r["file"]] for r in records]


def _reasons(names: list[str], records: Sequence[Record]) -> Iterator[str]:
    """Yield a line for each file and reason: what is missing for it."""
    for name, record in zip(names, records, strict=True):
        missing: dict[str, list[str]] = {}
        for key, value in record["why"].items():
            if isinstance(value, str):
                missing.setdefault(value, []).append(key)
                continue
            for code in dict.fromkeys(code for code in value if code):
                hz = ", ".join(f"{f:g}" for f, c in zip(record["band_hz"], value, strict=True) if c == code)
                missing.setdefault(code, []).append(key if all(c == code for c in value) else f"{key} at {hz} Hz")
        missing.pop(_NOT_ASKED, None)
        for code, what in missing.items():
            yield f"{name}: {Why[code.upper()].words} ({code}): {'; '.join(what)}"


def _with_hz(record: Record, value: object, *, empty: object = None) -> object:
    if isinstance(value, list) and value is not record["band_hz"]:
        pairs = zip(record["band_hz"], value, strict=True)
        return {f"{f:g}": None if _is_nan(v) else v for f, v in pairs if empty is None or v != empty}
    return None if _is_nan(value) else value


def _flat(values: Record, record: Record) -> Iterator[tuple[str, object]]:
    """Yield (column, value): the lists of bands are spread over columns that carry the centre of the band."""
    for key, value in values.items():
        if key in ("band_hz", "why"):
            continue
        if not isinstance(value, list):
            yield key, value
            continue
        name, _, unit = key.partition("_bands")
        for center, one in zip(record["band_hz"], value, strict=True):
            yield f"{name}_{center:g}hz{unit}", one


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[c]) for line in lines) for c in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def _text(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
