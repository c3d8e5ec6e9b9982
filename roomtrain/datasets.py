"""A paper's datasets on disk: opening them, telling which they are, and what no two parts may share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import roomgen
from roomgen.errors import DatasetError
from roomgen.store.dataset import Dataset
from roomgen.store.folder import DATASET_FILE, inside_data
from roomtrain.errors import RoomtrainError


def open_part(root: Path, part: str, *, family: str) -> Dataset:
    """Open one dataset of a paper's folder.

    Raises:
        RoomtrainError: it is not there, or is not of that family.
        DatasetError: it is not finished, lacks shards, is damaged, or of another schema.
    """
    folder = root / part
    if (root / DATASET_FILE).is_file():
        raise RoomtrainError(
            f"{root} is a dataset, where a folder with all datasets of a paper is needed: make one by "
            "`roomgen paper … --out DIR`, and give --data DIR."
        )
    if not folder.is_dir():
        raise RoomtrainError(
            f"{root} has no dataset {part}/: make all that the paper needs with `roomgen paper … --out {root}`, "
            f"then give --data {root}."
        )
    dataset = roomgen.open(folder)
    found = str(dataset.info["settings"].get("family"))
    if found != family:
        raise RoomtrainError(f"{folder} holds {found}, where {family} are needed: was it made by `roomgen paper`?")
    _check_shards(dataset)
    return dataset


def _check_shards(dataset: Dataset) -> None:
    """Raise where shards that the dataset lists are not there whole: no training is to find that out after hours."""
    shards = dataset.info.get("shards", [])
    wrong = []
    for shard in shards:
        path = inside_data(dataset.root, shard["name"])
        found = path.stat().st_size if path.is_file() else None
        if found != shard["bytes"]:
            what = "it is missing" if found is None else "it was cut short" if found < shard["bytes"] else "it was added to"
            wrong.append(f"{path.name}: {what}")
    if wrong:
        raise DatasetError(
            f"{dataset.root}: {len(wrong)} of {len(shards)} shards are missing or not whole ({', '.join(wrong[:5])}"
            f"{' …' if len(wrong) > 5 else ''}): fetch or make the dataset again, see `roomgen verify {dataset.root}`."
        )


def check_disjoint(what: str, groups: Mapping[str, Sequence[str]]) -> None:
    """Raise where two parts of the data share a group (a room, a speaker).

    Args:
        what: what a group is called in the message.
        groups: name of each part to its groups.

    Raises:
        RoomtrainError: two parts share one; the message names both and some of what they share.
    """
    names = list(groups)
    sets = {name: set(groups[name]) for name in names}
    for i, one in enumerate(names):
        for other in names[:i]:
            shared = sorted(sets[one] & sets[other])
            if shared:
                shown = ", ".join(shared[:5]) + (f" and {len(shared) - 5} more" if len(shared) > 5 else "")
                raise RoomtrainError(
                    f"{other} and {one} share {what} {shown}: results on them would be too good. Make the data anew "
                    f"with splits that are disjoint by {what.rstrip('s')}.",
                    exit_code=1,
                )


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """Return what results say of a dataset: its settings' hash, its size, and a hash over its shards' checksums.

    Raises:
        DatasetError: ``dataset.json`` does not say what its shards are.
    """
    sums = "".join(sorted(shard["sha256"] for shard in dataset.info["shards"]))
    return {
        "settings_hash": dataset.settings_hash,
        "samples": len(dataset),
        "sha256": hashlib.sha256(sums.encode()).hexdigest()[:16],
        "note": str(dataset.info["settings"].get("note", "")),
    }
