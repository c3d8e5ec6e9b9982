"""Is a dataset what its files say? Every check adds what is wrong to a list; none of them changes anything.

The quick check reads marks, sizes and Parquet files, and the sha256 of everything. The deep one also walks every tar, decodes
every audio member, and on a sample of rows measures the labels again and simulates them anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roomgen.audio import decode_audio
from roomgen.datasets.family import AnyJob, job_of
from roomgen.errors import DatasetError, RoomgenError
from roomgen.run.replay import compare, same
from roomgen.store.columns import SCHEMA_VERSION
from roomgen.store.dataset import NEEDED, Dataset, Members, reading
from roomgen.store.folder import DATA_FOLDER, MANIFEST_FILE, TEMPORARY_PREFIX, inside_data, sha256_of
from roomgen.store.info import Info, lost_input, read_info, wrong_sums
from roomgen.store.schema import arrow_schema, check_schema
from roomgen.store.shard import Mark, iterate_tar, read_mark
from roomgen.text import check_key

_SAME = 1e-3
_SAMPLED_ROWS = 20
_END_OF_TAR = bytes(1024)


def verify(
    root: Path,
    *,
    deep: bool = False,
    inputs: Mapping[str, Path] | None = None,
    progress: Callable[[], object] = lambda: None,
) -> list[str]:
    """Return what is wrong with a dataset, one line each; an empty list means that nothing was found.

    Args:
        deep: also walk the tars, decode all audio, and re-measure and re-simulate a sample of rows.
        inputs: where those of the dataset's inputs lie now that are no longer where they were.
        progress: called after each shard.

    Raises:
        DatasetError: the folder holds no dataset at all, or a ``dataset.json`` that cannot be read.
    """
    info = read_info(root)
    try:
        job = job_of(info["settings"])
    except RoomgenError as error:
        return [f"dataset.json: {error}"]
    problems = wrong_sums(root, info)
    if job.settings.hash() != info.get("settings_hash"):
        problems.append(
            f"dataset.json: its settings hash to {job.settings.hash()} with this roomgen, not to {info.get('settings_hash')}: "
            "they were edited, or another version wrote them"
        )
    if not info.get("complete"):
        return [*problems, "dataset.json: the dataset is not finished; the command that began it goes on where it stopped"]
    rows: list[pa.Table] = []
    for entry in info["shards"]:
        table = _verify_shard(root, entry, info, job, problems, deep=deep)
        if table is not None:
            rows.append(table)
        progress()
    problems += _verify_manifest(root, rows, info, job)
    problems += _verify_strangers(root, info)
    if deep and not problems:
        problems += _verify_sample(root, inputs)
    return problems


def _verify_shard(
    root: Path, entry: Mapping[str, Any], info: Info, job: AnyJob, problems: list[str], *, deep: bool
) -> pa.Table | None:
    """Check one shard and return its rows, or None where they cannot be read."""
    try:
        tar = inside_data(root, entry["name"])
        mark = read_mark(root, tar.stem)
        if mark is None:
            problems.append(f"{tar.stem}.json: the commit mark is missing")
            return None
        if mark.settings_hash != info["settings_hash"]:
            problems.append(f"{tar.stem}.json: made with settings {mark.settings_hash}, the dataset has {info['settings_hash']}")
        if (mark.tar_sha256, mark.tar_bytes, mark.samples) != (entry["sha256"], entry["bytes"], entry["samples"]):
            problems.append(f"{tar.stem}.json: does not agree with dataset.json on sha256, size or number of samples")
        if not all(list(pair) in info.get("broken", []) for pair in (*mark.broken, *mark.left_out)):
            problems.append(f"{tar.stem}.json: names broken inputs that dataset.json does not")
        intact = _verify_file(tar, mark.tar_bytes, mark.tar_sha256, problems)
        rows = tar.with_suffix(".parquet")
        if not _verify_file(rows, mark.parquet_bytes, mark.parquet_sha256, problems):
            return None
        table = _read_rows(rows, job)
        problems += [f"{rows.name}: {text}" for text in _verify_rows(table, mark, tar.name)]
        if intact:
            problems += [f"{tar.name}: {text}" for text in _verify_members(tar, table, job, decode=deep)]
    except DatasetError as error:
        problems.append(str(error))
        return None
    return table


def _verify_file(path: Path, size: int, sha256: str, problems: list[str]) -> bool:
    if not path.is_file():
        problems.append(f"{path.name}: missing")
        return False
    with reading(path):
        found = path.stat().st_size
        changed = found != size or sha256_of(path) != sha256
    if found != size:
        problems.append(f"{path.name}: {found} bytes in place of {size}: it was {'cut short' if found < size else 'added to'}")
    elif changed:
        problems.append(f"{path.name}: its sha256 is not that of the commit mark: bytes have changed")
    return not changed


def _read_rows(path: Path, job: AnyJob) -> pa.Table:
    """Return the rows in a Parquet file, with all columns of their family, of the right types and without empty cells.

    Raises:
        DatasetError: they are something else, or cannot be read.
    """
    with reading(path):
        table = pq.ParquetFile(path).read()
        table.validate(full=True)
        check_schema(table.schema, path.name)
        old = table.schema.metadata[b"roomgen.schema_version"].decode() != str(SCHEMA_VERSION)
    wrong = []
    for field in arrow_schema("", job.columns):
        places = table.schema.get_all_field_indices(field.name)
        if len(places) == 1:
            found = table.column(places[0])
            if found.type != field.type:
                wrong.append(f"{field.name} is of type {found.type}, not {field.type}")
            elif found.null_count:
                wrong.append(f"{field.name} has {found.null_count} empty cells")
        elif places or field.name in NEEDED or not old:
            wrong.append(f"{field.name} is {'there more than once' if places else 'missing'}")
    if wrong:
        raise DatasetError(f"{path.name}: its columns are not those of its settings: {'; '.join(wrong[:5])}.")
    return table


def _verify_rows(table: pa.Table, mark: Mark, tar_name: str) -> Iterator[str]:
    if len(table) != mark.samples:
        yield f"{len(table)} rows in place of {mark.samples}"
    if (pc.sum(table["n_samples"].cast(pa.int64())).as_py() or 0) != mark.frames:
        yield "the lengths of its samples do not add up to the mark's number of frames"
    if set(table["shard"].to_pylist()) - {tar_name}:
        yield f"rows name another shard than {tar_name}"
    if set(table["split"].to_pylist()) - {mark.split}:
        yield f"rows name another split than {mark.split}"
    for key in table["key"].to_pylist():
        try:
            check_key(key)
        except DatasetError as error:
            yield str(error)


def _verify_members(tar: Path, table: pa.Table, job: AnyJob, *, decode: bool) -> Iterator[str]:
    """Compare the members of a tar with its rows; with ``decode`` also their contents."""
    with open(tar, "rb") as file:
        file.seek(max(tar.stat().st_size - len(_END_OF_TAR), 0))
        if file.read() != _END_OF_TAR:
            yield "the two zero blocks that end a tar are missing"
    members: Members = {}
    with reading(tar):
        for key, ending, offset, nbytes in iterate_tar(tar):
            if ending in members.setdefault(key, {}):
                yield f"member {key}.{ending} is there twice"
            members[key][ending] = (offset, nbytes)
    if list(members) != table["key"].to_pylist():
        yield "its samples are not those of its Parquet rows, in their order"
        return
    with open(tar, "rb") as file:
        for row in table.select(["key", "offset", "nbytes", "fs_hz", "n_samples", "n_channels"]).to_pylist():
            parts = members[row["key"]]
            if sorted(parts) != list(job.members):
                yield f"sample {row['key']} has the members {', '.join(sorted(parts))}"
            elif parts[job.audio_member] != (row["offset"], row["nbytes"]):
                yield f"sample {row['key']}: offset or nbytes of its row are wrong"
            elif decode:
                yield from _verify_content(file, parts, row, job.audio_member)


def _verify_content(file: BinaryIO, parts: dict[str, tuple[int, int]], row: dict[str, Any], audio_member: str) -> Iterator[str]:
    def read(ending: str) -> bytes:
        file.seek(parts[ending][0])
        return file.read(parts[ending][1])

    key = row["key"]
    try:
        audio, fs_hz = decode_audio(read(audio_member), name=key)
        labels = json.loads(read("json"))
    except (DatasetError, ValueError, RecursionError) as error:
        yield f"sample {key} is not readable: {error}"
        return
    if audio.shape != (row["n_channels"], row["n_samples"]) or fs_hz != row["fs_hz"]:
        yield f"sample {key} is {audio.shape} at {fs_hz} Hz; its row says ({row['n_channels']}, {row['n_samples']})"
    if not np.isfinite(audio).all():
        yield f"sample {key} holds values that are not finite"
    elif not audio.any():
        yield f"sample {key} is silent"
    if not isinstance(labels, dict) or labels.get("n_samples") != row["n_samples"]:
        yield f"sample {key}: its JSON disagrees with its row"


def _verify_manifest(root: Path, shards: list[pa.Table], info: Info, job: AnyJob) -> Iterator[str]:
    path = root / MANIFEST_FILE
    if not path.is_file():
        if MANIFEST_FILE not in info.get("files", {}):  # else its sum was missed already
            yield f"{MANIFEST_FILE}: missing"
        return
    try:
        manifest = _read_rows(path, job)
    except DatasetError as error:
        yield f"{MANIFEST_FILE}: not readable: {error}"
        return
    if len(set(manifest["key"].to_pylist())) != len(manifest):
        yield f"{MANIFEST_FILE}: keys are there more than once"
    if len(manifest) != info["totals"].get("samples"):
        yield f"{MANIFEST_FILE}: {len(manifest)} rows, dataset.json says {info['totals'].get('samples')}"
    if len(shards) == len(info["shards"]) and not _same_rows(manifest, shards):
        yield f"{MANIFEST_FILE}: its rows are not those of the shards' own Parquet files"


def _same_rows(manifest: pa.Table, shards: list[pa.Table]) -> bool:
    if any(shard.schema.names != manifest.schema.names for shard in shards) or sum(map(len, shards)) != len(manifest):
        return False
    together = pa.concat_tables(shards).unify_dictionaries().combine_chunks() if shards else manifest
    return all(_bytes_of(manifest[name]) == _bytes_of(together[name]) for name in together.schema.names)


def _bytes_of(column: pa.ChunkedArray) -> Any:
    """Return a column as values that compare as stored: NaN (it cannot be measured) is a value like any other."""
    if pa.types.is_dictionary(column.type):
        return column.to_pylist()
    values = column.combine_chunks()
    while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    return values.to_numpy(zero_copy_only=False).tobytes() if pa.types.is_floating(values.type) else values.to_pylist()


def _verify_strangers(root: Path, info: Info) -> Iterator[str]:
    data = root / DATA_FOLDER
    known = {entry["name"].removesuffix(".tar") for entry in info["shards"]}
    for path in sorted(data.iterdir()) if data.is_dir() else ():
        if path.name.startswith(TEMPORARY_PREFIX):
            yield f"{path.name}: left over from a run that was cut off; the next run removes it"
        elif path.stem not in known or path.suffix not in (".tar", ".parquet", ".json"):
            yield f"{path.name}: belongs to no shard of dataset.json"


def _verify_sample(root: Path, inputs: Mapping[str, Path] | None) -> Iterator[str]:
    """Measure and make a spread of rows again."""
    try:
        dataset = Dataset(root)
        folders = dataset.inputs_at(inputs)
    except RoomgenError as error:
        yield str(error)
        return
    if lost := lost_input(folders):
        yield f"{lost}, to compare samples with it"
        return
    job = job_of(dataset.info["settings"], folders)
    for number in np.unique(np.linspace(0, len(dataset) - 1, min(_SAMPLED_ROWS, len(dataset))).astype(int)):
        try:
            item = dataset[int(number)]
            for name, value in job.measured(item.row, item.audio).items():
                if not same(item.row[name], value, _SAME):
                    yield f"sample {item.key}: {name} measures {value}, its row says {item.row[name]}"
            comparison = compare(job, item)
        except Exception as error:  # a row that was edited makes a simulation stumble over whatever it says
            yield f"sample {number} cannot be made again: {type(error).__name__}: {error}"
            continue
        if not comparison.same:
            yield f"sample {item.key}: {comparison.text}"
