"""``dataset.json``: what a dataset says of itself, with the sha256 of its files and of this one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from roomgen.errors import DatasetError, suggest
from roomgen.store.folder import DATASET_FILE, sha256_of, write_text
from roomgen.store.seal import is_json_intact, sealed_json

Info = dict[str, Any]
"""Settings, versions, inputs; and when it is finished totals, shards and the sums of the other files."""

_KINDS: dict[str, type] = {
    "roomgen_version": str,
    "settings_hash": str,
    "settings": dict,
    "inputs": dict,
    "complete": bool,
    "totals": dict,
    "shards": list,
    "broken": list,
    "files": dict,
    "sha256": str,
}
_OF_FINISHED = ("roomgen_version", "settings_hash", "totals", "shards")
_SHARD: dict[str, type] = {"name": str, "samples": int, "bytes": int, "sha256": str}


def write_info(root: Path, info: Mapping[str, Any]) -> None:
    """Write ``dataset.json``, sealed."""
    write_text(root / DATASET_FILE, sealed_json(info))


def read_info(root: Path) -> Info:
    """Return ``dataset.json``; what it must have in order to be read is there, and of the right types.

    Raises:
        DatasetError: it is missing, not JSON, or not what roomgen writes.
    """
    path = root / DATASET_FILE
    if not path.is_file():
        raise DatasetError(f"{root} has no {DATASET_FILE}: it is not a dataset of roomgen.")
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not readable as JSON ({error}).") from None
    if not isinstance(values, dict) or not isinstance(values.get("settings"), dict):
        raise DatasetError(f"{path} holds no settings: it is damaged.")
    wrong = [name for name, kind in _KINDS.items() if name in values and not isinstance(values[name], kind)]
    if values.get("complete"):
        wrong += [name for name in _OF_FINISHED if name not in values]
    if wrong:
        raise DatasetError(f"{path} lacks {', '.join(wrong)}, or has them in another form: it is damaged.")
    if not all(isinstance(e, dict) and all(_is(e.get(n), kind) for n, kind in _SHARD.items()) for e in values.get("shards", [])):
        raise DatasetError(f"{path} lists no shards with their {', '.join(_SHARD)}: it is damaged.")
    texts = [*values.get("inputs", {}).values(), *values.get("files", {}).values()]
    if not all(isinstance(text, str) for text in texts):
        raise DatasetError(f"{path} has inputs or files that are no texts: it is damaged.")
    broken = values.get("broken", [])
    if not all(isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in broken):
        raise DatasetError(f"{path} lists broken files that are no pairs of name and reason: it is damaged.")
    return values


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def wrong_sums(root: Path, info: Info) -> list[str]:
    """Return which of the files whose sums ``dataset.json`` has are not what was written, one line each; none of an older one."""
    if "sha256" not in info and "files" not in info:
        return []
    problems = []
    if not is_json_intact((root / DATASET_FILE).read_bytes()):
        problems.append(f"{DATASET_FILE}: its sha256 is not that of its text: it was edited or is damaged")
    for name, sha256 in info.get("files", {}).items():
        path = root / name
        if Path(name).name != name or not path.is_file():
            problems.append(f"{name}: missing")
        elif sha256_of(path) != sha256:
            problems.append(f"{name}: its sha256 is not that of {DATASET_FILE}: bytes have changed")
    return problems


def input_folders(root: Path, info: Info, given: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """Return the folders that a dataset was made from, name to path: as given, else where they lay then, seen from the dataset.

    Only relative paths are followed: a dataset says how its inputs lie beside it, and no more of the machine it was made on.

    Raises:
        RoomgenError: a given name that is none of them, or an absolute path where none is given.
    """
    paths, folders = info.get("inputs", {}), dict(given or {})
    for name in folders:
        if name not in paths:
            raise DatasetError(f"{root} has no input {name!r}.{suggest(name, paths)} Inputs: {', '.join(paths) or 'none'}.")
    for name, path in paths.items():
        if name in folders:
            continue
        if not path.isprintable() or PurePosixPath(path).is_absolute() or PureWindowsPath(path).drive or "\\" in path[:1]:
            raise DatasetError(
                f"{root / DATASET_FILE} says that the input {name!r} lies at {path!r}: only paths that are relative to the "
                f"dataset are followed. Say where it lies: --input {name}=DIR."
            )
        folders[name] = root / path
    return folders


def lost_input(folders: Mapping[str, Path]) -> str:
    """Return what to say of the first input that is not where it should be, or nothing."""
    for name, path in folders.items():
        if not path.exists():
            return f"input {name} is not at {path} any more: say where it lies, --input {name}=DIR"
    return ""
