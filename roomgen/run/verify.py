"""Is a dataset what its files say? Every check adds what is wrong to a list; none of them changes anything.

The quick check reads marks, sizes and Parquet files, and the sha256 of everything. The deep one also walks every tar, decodes
every audio member, and on a sample of rows measures the labels again and simulates them anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from roomgen.audio import decode_audio
from roomgen.datasets.family import Family, settings_of
from roomgen.errors import DatasetError, RoomgenError
from roomgen.run.replay import compare_again, same
from roomgen.store.folder import DATA_FOLDER, MANIFEST_FILE, TEMPORARY_PREFIX, inside_data, sha256_of
from roomgen.store.info import read_info
from roomgen.store.schema import check_schema
from roomgen.store.shard import Mark, iterate_tar, read_mark

_SAME = 1e-3
_SAMPLED_ROWS = 20
_END_OF_TAR = bytes(1024)


def verify(root: Path, *, deep: bool = False, progress: Callable[[], object] = lambda: None) -> list[str]:
    """Return what is wrong with a dataset, one line each; an empty list means that nothing was found.

    Args:
        deep: also walk the tars, decode all audio, and re-measure and re-simulate a sample of rows.
        progress: called after each shard.

    Raises:
        DatasetError: the folder holds no dataset at all.
    """
    info = read_info(root)
    problems: list[str] = []
    try:
        family, settings = settings_of(info["settings"])
    except RoomgenError as error:
        return [f"dataset.json: {error}"]
    if settings.hash() != info.get("settings_hash"):
        problems.append(
            f"dataset.json: its settings hash to {settings.hash()} with this roomgen, not to {info.get('settings_hash')}: "
            "they were edited, or another version wrote them"
        )
    if not info.get("complete"):
        return [*problems, "dataset.json: the dataset is not finished; the command that began it goes on where it stopped"]
    rows: list[pa.Table] = []
    for entry in info.get("shards", []):
        table = _verify_shard(root, entry, info, (family, settings), problems, deep=deep)
        if table is not None:
            rows.append(table)
        progress()
    problems += _verify_manifest(root, rows, info)
    problems += _verify_strangers(root, info)
    if deep and not problems:
        problems += _verify_sample(root, family, settings)
    return problems


def _verify_shard(
    root: Path, entry: dict[str, Any], info: dict[str, Any], what: tuple[Family, Any], problems: list[str], *, deep: bool
) -> pa.Table | None:
    """Check one shard and return its rows, or None where they cannot be read."""
    name, settings_hash = str(entry.get("name")), str(info.get("settings_hash"))
    try:
        tar = inside_data(root, name)
        mark = read_mark(root, tar.stem)
    except DatasetError as error:
        problems.append(str(error))
        return None
    if mark is None:
        problems.append(f"{tar.stem}.json: the commit mark is missing")
        return None
    if mark.settings_hash != settings_hash:
        problems.append(f"{tar.stem}.json: made with settings {mark.settings_hash}, the dataset has {settings_hash}")
    if mark.tar_sha256 != entry.get("sha256") or mark.samples != entry.get("samples"):
        problems.append(f"{tar.stem}.json: does not agree with dataset.json on sha256 or number of samples")
    intact = _verify_file(tar, mark.tar_bytes, mark.tar_sha256, problems)
    rows = tar.with_suffix(".parquet")
    if not _verify_file(rows, mark.parquet_bytes, mark.parquet_sha256, problems):
        return None
    table = pq.read_table(rows)
    try:
        check_schema(table.schema, rows.name)
    except DatasetError as error:
        problems.append(str(error))
        return None
    problems += [f"{rows.name}: {text}" for text in _verify_rows(table, mark, tar.name)]
    if tar.exists():
        problems += [f"{tar.name}: {text}" for text in _verify_members(tar, table, *what, decode=deep and intact)]
    return table


def _verify_file(path: Path, size: int, sha256: str, problems: list[str]) -> bool:
    if not path.exists():
        problems.append(f"{path.name}: missing")
        return False
    found = path.stat().st_size
    if found != size:
        problems.append(f"{path.name}: {found} bytes in place of {size}: it was {'cut short' if found < size else 'added to'}")
        return False
    if sha256_of(path) != sha256:
        problems.append(f"{path.name}: its sha256 is not that of the commit mark: bytes have changed")
        return False
    return True


def _verify_rows(table: pa.Table, mark: Mark, tar_name: str) -> Iterator[str]:
    if len(table) != mark.samples:
        yield f"{len(table)} rows in place of {mark.samples}"
    if int(np.asarray(table["n_samples"]).sum()) != mark.frames:
        yield "the lengths of its samples do not add up to the mark's number of frames"
    if set(table["shard"].to_pylist()) - {tar_name}:
        yield f"rows name another shard than {tar_name}"
    if set(table["split"].to_pylist()) - {mark.split}:
        yield f"rows name another split than {mark.split}"


def _verify_members(tar: Path, table: pa.Table, family: Family, settings: Any, *, decode: bool) -> Iterator[str]:
    """Compare the members of a tar with its rows; with ``decode`` also their contents."""
    with open(tar, "rb") as file:
        file.seek(max(tar.stat().st_size - len(_END_OF_TAR), 0))
        if file.read() != _END_OF_TAR:
            yield "the two zero blocks that end a tar are missing"
    members: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        for key, ending, offset, nbytes in iterate_tar(tar):
            if ending in members.setdefault(key, {}):
                yield f"member {key}.{ending} is there twice"
            members[key][ending] = (offset, nbytes)
    except DatasetError as error:
        yield str(error)
        return
    if list(members) != table["key"].to_pylist():
        yield "its samples are not those of its Parquet rows, in their order"
        return
    with open(tar, "rb") as file:
        for row in table.select(["key", "offset", "nbytes", "fs_hz", "n_samples", "n_channels"]).to_pylist():
            parts = members[row["key"]]
            if sorted(parts) != sorted(family.members(settings)):
                yield f"sample {row['key']} has the members {', '.join(sorted(parts))}"
            elif parts[family.audio_member] != (row["offset"], row["nbytes"]):
                yield f"sample {row['key']}: offset or nbytes of its row are wrong"
            elif decode:
                yield from _verify_content(file, parts, row, family.audio_member)


def _verify_content(file: Any, parts: dict[str, tuple[int, int]], row: dict[str, Any], audio_member: str) -> Iterator[str]:
    def read(ending: str) -> bytes:
        file.seek(parts[ending][0])
        return bytes(file.read(parts[ending][1]))

    key = row["key"]
    try:
        audio, fs_hz = decode_audio(read(audio_member), name=key)
        labels = json.loads(read("json"))
    except (DatasetError, ValueError) as error:
        yield f"sample {key} is not readable: {error}"
        return
    if audio.shape != (row["n_channels"], row["n_samples"]) or fs_hz != row["fs_hz"]:
        yield f"sample {key} is {audio.shape} at {fs_hz} Hz; its row says ({row['n_channels']}, {row['n_samples']})"
    if not np.isfinite(audio).all():
        yield f"sample {key} holds values that are not finite"
    elif not audio.any():
        yield f"sample {key} is silent"
    if labels.get("n_samples") != row["n_samples"]:
        yield f"sample {key}: its JSON disagrees with its row"


def _verify_manifest(root: Path, shards: list[pa.Table], info: dict[str, Any]) -> Iterator[str]:
    path = root / MANIFEST_FILE
    if not path.exists():
        yield f"{MANIFEST_FILE}: missing"
        return
    try:
        manifest = pq.read_table(path)
        check_schema(manifest.schema, MANIFEST_FILE)
    except (DatasetError, pa.ArrowInvalid, OSError) as error:
        yield f"{MANIFEST_FILE}: not readable: {error}"
        return
    if len(set(manifest["key"].to_pylist())) != len(manifest):
        yield f"{MANIFEST_FILE}: keys are there more than once"
    if len(manifest) != info["totals"]["samples"]:
        yield f"{MANIFEST_FILE}: {len(manifest)} rows, dataset.json says {info['totals']['samples']}"
    if len(shards) == len(info["shards"]) and not _same_rows(manifest, shards):
        yield f"{MANIFEST_FILE}: its rows are not those of the shards' own Parquet files"


def _same_rows(manifest: pa.Table, shards: list[pa.Table]) -> bool:
    together = pa.concat_tables(shards).unify_dictionaries().combine_chunks()
    if len(together) != len(manifest):
        return False
    return all(_bytes_of(manifest[name]) == _bytes_of(together[name]) for name in together.schema.names)


def _bytes_of(column: pa.ChunkedArray) -> Any:
    """Return a column as values that compare as stored: NaN (it cannot be measured) is a value like any other."""
    if pa.types.is_dictionary(column.type):
        return column.to_pylist()
    values = column.combine_chunks()
    while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    return values.to_numpy(zero_copy_only=False).tobytes() if pa.types.is_floating(values.type) else values.to_pylist()


def _verify_strangers(root: Path, info: dict[str, Any]) -> Iterator[str]:
    known = {str(entry["name"]).removesuffix(".tar") for entry in info.get("shards", [])}
    for path in sorted((root / DATA_FOLDER).iterdir()):
        if path.name.startswith(TEMPORARY_PREFIX):
            yield f"{path.name}: left over from a run that was cut off; the next run removes it"
        elif path.stem not in known:
            yield f"{path.name}: belongs to no shard of dataset.json"


def _verify_sample(root: Path, family: Family, settings: Any) -> Iterator[str]:
    """Measure and make a spread of rows again."""
    from roomgen.store.dataset import Dataset

    dataset = Dataset(root)
    for name, path in dataset.inputs.items():
        if not path.exists():
            yield f"input {name} is not at {path} any more: its samples cannot be made again to compare them"
            return
    for number in np.unique(np.linspace(0, len(dataset) - 1, _SAMPLED_ROWS).astype(int)):
        item = dataset[int(number)]
        for name, value in family.measured(settings, item.row, item.audio).items():
            if not same(item.row[name], value, _SAME):
                yield f"sample {item.key}: {name} measures {value}, its row says {item.row[name]}"
        comparison = compare_again(dataset, item)
        if not comparison.same:
            yield f"sample {item.key}: {comparison.text}"
