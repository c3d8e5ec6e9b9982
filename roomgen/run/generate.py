"""Making a dataset: the folder, the shards that are missing, then manifest, card and ``dataset.json``."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import roomgen
from roomgen.datasets.family import AnyJob, Broken, Chunk, Inputs, ShardPlan, family_of
from roomgen.errors import DatasetError, RoomgenError
from roomgen.run.card import card
from roomgen.run.executors import Tick, executor_of
from roomgen.run.interrupts import kept_interrupts
from roomgen.run.totals import totals_of
from roomgen.settings import CommonSettings, differing_keys
from roomgen.store.columns import SCHEMA_VERSION
from roomgen.store.folder import CARD_FILE, DATA_FOLDER, DATASET_FILE, MANIFEST_FILE, Folder, sha256_of, writing
from roomgen.store.info import read_info, write_info
from roomgen.store.lock import LOCK_FILE, lock
from roomgen.store.manifest import write_manifest
from roomgen.store.samples import Sample
from roomgen.store.schema import arrow_schema
from roomgen.store.shard import Mark, ShardWriter, check_files, read_mark

Made: TypeAlias = Sample | Broken
ShardTask: TypeAlias = tuple[ShardPlan, list[Chunk[Any]]]
"""A shard and its samples, some at a time, as they travel to a worker."""

_OF_SHARD = re.compile(rf"{DATA_FOLDER}/.+-\d+\.(json|parquet|tar)")
_SHARDS_EACH = 8  # of a worker: with fewer, one would wait long for another's last shard


def generate(
    settings: CommonSettings,
    root: Path,
    *,
    workers: int,
    overwrite: bool = False,
    progress: bool = True,
    inputs: Inputs | None = None,
    max_broken: float = 0.01,
) -> dict[str, Any]:
    """Make the dataset of these settings in a folder and return its summary.

    Shards that are already there are kept; only missing ones are made.

    Args:
        workers: processes; 0 for none but this one.
        overwrite: remove an earlier dataset in this folder first.
        progress: show a bar on stderr.
        inputs: folders that it is made from.
        max_broken: share of input files that may be unreadable; they are left out and named.

    Raises:
        RoomgenError: the folder holds something else or a dataset of other settings, cannot be written, or a sample cannot be
            made; too many inputs are broken. What was finished stays.
    """
    job = family_of(settings.family)(settings, inputs)
    job.check()
    plan, store = job.plan, Folder(root)
    _check_broken(job, plan.broken, max_broken)
    with _held(store, job, overwrite=overwrite):
        marks = {shard: mark for shard in plan.shards if (mark := _finished(store, shard, job)) is not None}
        broken = [*plan.broken, *chain.from_iterable(map(_broken_in, marks.values()))]
        _check_broken(job, broken, max_broken)
        missing = [shard for shard in plan.shards if shard not in marks]
        made = sum(shard.count for shard in missing)
        begun = time.perf_counter()
        if missing:
            job.prepare()
            with (
                kept_interrupts() as check_interrupt,
                _progress(len(plan), len(plan) - made, job.unit, show=progress) as bar,
            ):

                def tick(count: int) -> None:
                    check_interrupt()
                    bar.update(count)

                with contextlib.closing(write_shards(job, store, missing, workers=workers, tick=tick)) as written:
                    for mark in written:
                        broken += _broken_in(mark)
                        _check_broken(job, broken, max_broken)
        seconds = time.perf_counter() - begun
        return {**finish(job, store), "made": made, "seconds": round(seconds, 3), "out": str(root)}


def write_shards(
    job: AnyJob, store: Folder, shards: Sequence[ShardPlan], *, workers: int, tick: Tick
) -> Generator[Mark, None, None]:
    """Make shards and yield their marks, in order.

    A worker makes and writes whole shards, and nothing but marks comes back. Where there are few shards to a worker, all workers
    make parts of each, which are written here: two are twice as fast as one however few there are.
    """
    executor = executor_of(workers)
    tasks = ((shard, [Chunk(shard.split, units) for units in job.plan.chunks(shard)]) for shard in shards)
    if workers < 2 or len(shards) >= _SHARDS_EACH * workers:
        yield from executor.map(partial(_write_whole, job, store), tasks, tick=tick)
        return
    few = list(tasks)
    chunks = chain.from_iterable(chunks for _, chunks in few)
    with contextlib.closing(executor.map(partial(_make, job), chunks, tick=tick, queue=2)) as results:
        for shard, its_chunks in few:
            yield write_shard(job, store, shard, chain.from_iterable(islice(results, len(its_chunks))), tick)


def write_shard(job: AnyJob, store: Folder, shard: ShardPlan, made: Iterable[Made], tick: Tick) -> Mark:
    """Write the samples of a shard, and return its mark."""
    writer = ShardWriter(
        store,
        shard.stem,
        schema=arrow_schema(job.settings.hash(), job.columns),
        settings_hash=job.settings.hash(),
        split=shard.split,
        audio_member=job.audio_member,
    )
    with writer:
        for sample in made:
            if isinstance(sample, Broken):
                writer.leave_out(sample.name, sample.reason, whole=sample.counts)
            else:
                writer.add(sample)
            tick(1)
    return writer.mark


def _write_whole(job: AnyJob, store: Folder, task: ShardTask, tick: Tick) -> Mark:
    shard, chunks = task
    return write_shard(job, store, shard, chain.from_iterable(map(job.make, chunks)), tick)


def _make(job: AnyJob, chunk: Chunk[Any], tick: Tick) -> list[Made]:
    del tick  # samples count when they are written
    return list(job.make(chunk))


def finish(job: AnyJob, store: Folder) -> dict[str, Any]:
    """Write manifest, card and ``dataset.json`` of a dataset whose shards are all there, and return what it holds.

    Raises:
        DatasetError: a shard is not there, or holds other bytes than were written.
    """
    stems = [shard.stem for shard in job.plan.shards]
    shards: list[dict[str, Any]] = []
    broken = {item.name: item.reason for item in job.plan.broken}
    for stem in stems:
        mark = read_mark(store.root, stem)
        if mark is None:
            raise DatasetError(f"{store.root} has no finished shard {stem}: make it first, by the same command.")
        check_files(store, stem, mark, contents=True)
        shards.append({"name": f"{stem}.tar", "samples": mark.samples, "bytes": mark.tar_bytes, "sha256": mark.tar_sha256})
        broken.update(mark.broken)
        broken.update(mark.left_out)
    write_manifest(store, stems, arrow_schema(job.settings.hash(), job.columns))
    totals = {**totals_of(store, type(job)), "bytes": sum(shard["bytes"] for shard in shards), "broken": len(broken)}
    info = _info(job, store.root, complete=True, totals=totals, shards=shards, broken=sorted(broken.items()))
    store.put(CARD_FILE, card(info, job).encode())
    write_info(store.root, {**info, "files": {name: sha256_of(store.path(name)) for name in (MANIFEST_FILE, CARD_FILE)}})
    return {**totals, "family": job.name, "broken_files": sorted(broken.items())}


def _broken_in(mark: Mark) -> Iterator[Broken]:
    return (Broken(name, reason) for name, reason in mark.broken)


def _check_broken(job: AnyJob, broken: Sequence[Broken], max_broken: float) -> None:
    names = {item.name: item.reason for item in broken if item.counts}
    files = job.plan.files
    if len(names) > max_broken * files:
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(names.items())[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise RoomgenError(
            f"{len(names)} of {files} input files cannot be read, more than --max-broken {max_broken:g} allows: {shown}{more}. "
            "Repair or remove them, or allow more.",
            exit_code=1,
        )


def _finished(store: Folder, shard: ShardPlan, job: AnyJob) -> Mark | None:
    """Return the mark of a shard that is there, its files too."""
    mark = read_mark(store.root, shard.stem)
    if mark is None:
        return None
    if mark.settings_hash != job.settings.hash():
        raise DatasetError(
            f"shard {shard.stem} in {store.root} was made with other settings ({mark.settings_hash}, not {job.settings.hash()}): "
            "use another --out, or --overwrite."
        )
    check_files(store, shard.stem, mark, contents=False)
    return mark


def _info(job: AnyJob, root: Path, *, complete: bool, **rest: Any) -> dict[str, Any]:
    packages = ("numpy", "scipy", "numba", "pyarrow", "pyroomacoustics", "soundfile", "soxr", "pillow")
    return {
        "roomgen_version": roomgen.__version__,
        "schema_version": SCHEMA_VERSION,
        "settings_hash": job.settings.hash(),
        "settings": job.settings.model_dump(mode="json"),
        "inputs": {name: os.path.relpath(path, root) for name, path in job.inputs.items()},
        "made_with": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "complete": complete,
        **rest,
    }


@contextlib.contextmanager
def _held(store: Folder, job: AnyJob, *, overwrite: bool) -> Iterator[None]:
    """Hold the dataset's folder for this process alone: made, checked and cleared of what an earlier run left half done."""
    root = store.root
    with writing(root):
        is_folder = root.is_dir()
        if root.exists() and not is_folder:
            raise RoomgenError(f"--out {root} is a file: give a folder.")
        is_others = is_folder and store.size(DATASET_FILE) is None and not store.is_new()
    if is_others:
        raise RoomgenError(f"--out {root} holds something that is not a dataset of roomgen: give an empty or a new folder.")
    store.make()
    with lock(root) as alone:
        if not alone:
            raise RoomgenError(f"another roomgen is writing to {root}: wait for it, or use another --out.", exit_code=1)
        if overwrite or not _is_same(store, job):
            _remove_dataset(store)
        if store.size(DATASET_FILE) is None:
            write_info(root, _info(job, root, complete=False))
        _clear(store)
        try:
            yield
        finally:
            with contextlib.suppress(RoomgenError):  # an interrupt can fall between the making of a file and the watch over it
                _clear(store)


def _clear(store: Folder) -> None:
    if (store.root / LOCK_FILE).exists():  # without locks, another may be at work
        store.clear()


def _is_same(store: Folder, job: AnyJob) -> bool:
    """Tell whether what lies in the folder is a dataset of these settings; if not, nothing of it is finished.

    Raises:
        RoomgenError: something of another dataset is finished.
    """
    if store.size(DATASET_FILE) is None:
        return True
    info, settings = read_info(store.root), job.settings
    if info.get("settings_hash") == settings.hash():
        return True
    if not info.get("complete") and not any(name.endswith(".json") for name in store.names(f"{DATA_FOLDER}/")):
        return False
    different = differing_keys(info["settings"], settings.model_dump(mode="json"))
    if info.get("roomgen_version") != roomgen.__version__:
        different.append(f"roomgen: {info.get('roomgen_version')} → {roomgen.__version__}")
    raise RoomgenError(
        f"{store.root} holds a dataset of other settings: {'; '.join(different)}. "
        "Use another --out, the same settings, or --overwrite to replace it.",
        exit_code=1,
    )


def _remove_dataset(store: Folder) -> None:
    """Remove what roomgen wrote into a folder and nothing else; the marks first, so that no half dataset looks whole."""
    if store.size(DATASET_FILE) is None:
        return
    names = [name for name in store.names(f"{DATA_FOLDER}/") if _OF_SHARD.fullmatch(name)]
    for name in sorted(names, key=lambda name: not name.endswith(".json")):
        store.remove(name)
    for name in (MANIFEST_FILE, CARD_FILE, DATASET_FILE):
        store.remove(name)


@contextlib.contextmanager
def _progress(total: int, done: int, unit: str, *, show: bool) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(total=total, initial=done, unit=unit, disable=not show, smoothing=0.05, dynamic_ncols=True) as bar:
        yield bar
