"""The dataset card: README.md with YAML that names the tars and their types, so that a Hub viewer opens the folder as it is.

Types are named, since a reader of JSON members would guess them from the first few, whose values may all be null. The YAML has no
text of others in it, and is written here: huggingface_hub would bring clients of the network for it, 24 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roomgen.datasets.family import AnyJob
from roomgen.store.columns import describe
from roomgen.text import in_card

_OF_MEMBERS = {"wav": "audio", "flac": "audio", "jpg": "image", "png": "image", "txt": "string"}
_OF_COLUMNS = {
    "float": "dtype: float32",
    "int32": "dtype: int32",
    "int64": "dtype: int64",
    "string": "dtype: string",
    "name": "dtype: string",
    "xyz": "list: float32",
    "floats": "list: float32",
    "names": "list: string",
}


def card(info: Mapping[str, Any], job: AnyJob) -> str:
    """Return the text of the card from what ``dataset.json`` says."""
    totals, words = info["totals"], job.card(info["totals"])
    files = "".join(f"  - split: {split}\n    path: data/{split}-*.tar\n" for split in totals["splits"])
    rows = "".join(f"| {split} | {count} |\n" for split, count in totals["splits"].items())
    tags = "".join(f"- {tag}\n" for tag in ("audio", *words.tags, "webdataset"))
    return f"""---
configs:
- config_name: default
  data_files:
{files}dataset_info:
  features:
{_features(job)}tags:
{tags}size_categories:
- {_size_category(totals["samples"])}
---

# {words.title}

{words.text}{_note(info)} Written by roomgen {info["roomgen_version"]} with seed {info["settings"]["seed"]}.

| split | samples |
|---|---|
{rows}{_left_out(info)}
## Files

- `manifest.parquet`: one row per sample, columns below. `data/*.parquet` hold the same rows shard by shard.
- `data/*.tar`: WebDataset; {words.members}; and `KEY.json` (all labels; numbers that cannot be measured or are infinite are
  `null`).
- `dataset.json`: every setting, the seed, and the sha256 of each shard. The same settings give the same bytes again.

```python
import pandas as pd
{words.example}
```

## Columns

{describe(job.columns)}
"""


def _features(job: AnyJob) -> str:
    """Return the types of a sample's members as a reader of WebDataset has them, those of the labels too."""
    lines = ["- name: __key__", "  dtype: string", "- name: __url__", "  dtype: string"]
    for ending in job.members:
        lines.append(f"- name: {ending}")
        if ending != "json":
            lines.append(f"  dtype: {_OF_MEMBERS.get(ending.rpartition('.')[2], 'binary')}")
            continue
        lines.append("  struct:")
        for column in job.columns:
            if column.in_json:
                lines += [f"  - name: {column.name}", f"    {_OF_COLUMNS[column.kind]}"]
    return "".join(f"  {line}\n" for line in lines)


def _note(info: Mapping[str, Any]) -> str:
    note = info["settings"].get("note", "")
    return f" {note}" if note else ""


def _left_out(info: Mapping[str, Any]) -> str:
    broken = info.get("broken", [])
    if not broken:
        return ""
    names = ", ".join(f"{in_card(name)} ({in_card(reason)})" for name, reason in broken[:10])
    more = f" and {len(broken) - 10} more" if len(broken) > 10 else ""
    return f"\n{len(broken)} input files or pieces could not be used (unreadable or silent) and are left out: {names}{more}.\n"


def _size_category(count: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if count < limit:
            return name
    return "n>1M"
