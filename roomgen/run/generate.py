"""Making a dataset: the folder, the shards that are missing, then manifest, card and ``dataset.json``."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import roomgen
from roomgen.datasets.columns import SCHEMA_VERSION
from roomgen.datasets.rooms import RoomsPlan, ShardPlan
from roomgen.datasets.samples import Sample, make
from roomgen.errors import DatasetError, RoomgenError
from roomgen.run.local import ordered_map
from roomgen.settings import DatasetSettings, differing_keys
from roomgen.store.card import card
from roomgen.store.dataset import read_info
from roomgen.store.files import (
    CARD_FILE,
    DATA_FOLDER,
    DATASET_FILE,
    MANIFEST_FILE,
    TEMPORARY_PREFIX,
    write_text,
    writing,
)
from roomgen.store.manifest import summarize, write_manifest
from roomgen.store.schema import arrow_schema
from roomgen.store.shard import ShardWriter, is_complete, read_mark

_CHUNK = {"cpu": 10, "cuda": 512}


class Chunk(NamedTuple):
    """A few samples of one shard, as they travel to a worker."""

    settings_json: str
    split: str
    pairs: Sequence[tuple[int, int]]


def generate(
    settings: DatasetSettings, root: Path, *, workers: int, overwrite: bool = False, progress: bool = True
) -> dict[str, Any]:
    """Make the dataset of these settings in a folder and return its summary.

    Shards that are already there are kept; only missing ones are made.

    Args:
        workers: processes; 0 for none but this one.
        overwrite: remove an earlier dataset in this folder first.
        progress: show a bar on stderr.

    Raises:
        RoomgenError: the folder holds something else or a dataset of other settings, cannot be written, or a room cannot be
            made; what was finished stays.
    """
    plan = RoomsPlan(settings)
    schema = arrow_schema(settings.hash())
    with _folder_of(root, settings, overwrite=overwrite):
        missing = [shard for shard in plan.shards if not _is_done(root, shard, settings)]
        if missing and settings.engine.device == "cpu":
            _compile()
        begun = time.perf_counter()
        made = sum(shard.count for shard in missing)
        with _progress(len(plan), len(plan) - made, show=progress) as bar:
            results = ordered_map(make_chunk, _chunks(plan, missing), workers=workers)
            with contextlib.closing(results):
                for shard in missing:
                    writer = ShardWriter(root, shard.stem, schema=schema, settings_hash=settings.hash(), split=shard.split)
                    with writer:
                        for _ in range(0, shard.count, _CHUNK[settings.engine.device]):
                            for sample in next(results):
                                writer.add(sample)
                                bar.update()
        seconds = time.perf_counter() - begun
        return {**_finish(root, plan, schema), "made": made, "seconds": round(seconds, 3), "out": str(root)}


def _compile() -> None:
    """Compile the image loop where that has never been done: once, here, and not in every worker at the same time."""
    from roomgen.acoustics.image_kernels import warm_up  # numba takes a while to import

    warm_up()


def make_chunk(chunk: Chunk) -> list[Sample]:
    """Make the samples of a chunk; runs in a worker."""
    plan = _plan_of(chunk.settings_json)
    return list(make(plan.settings, [plan.row(chunk.split, room, position) for room, position in chunk.pairs]))


@lru_cache(maxsize=2)
def _plan_of(settings_json: str) -> RoomsPlan:
    return RoomsPlan(DatasetSettings.model_validate_json(settings_json))


def _chunks(plan: RoomsPlan, shards: Sequence[ShardPlan]) -> Iterator[Chunk]:
    text, size = plan.settings.model_dump_json(), _CHUNK[plan.settings.engine.device]
    for shard in shards:
        pairs = plan.pairs(shard)
        for start in range(0, len(pairs), size):
            yield Chunk(text, shard.split, pairs[start : start + size])


def _is_done(root: Path, shard: ShardPlan, settings: DatasetSettings) -> bool:
    mark = read_mark(root, shard.stem)
    if mark is not None and mark.settings_hash != settings.hash():
        raise DatasetError(
            f"shard {shard.stem} in {root} was made with other settings ({mark.settings_hash}, not {settings.hash()}): "
            "use another --out, or --overwrite."
        )
    return is_complete(root, shard.stem)


def _finish(root: Path, plan: RoomsPlan, schema: Any) -> dict[str, Any]:
    stems = [shard.stem for shard in plan.shards]
    write_manifest(root, stems, schema)
    shards: list[dict[str, Any]] = []
    for stem in stems:
        mark = read_mark(root, stem)
        assert mark is not None  # every shard was just made or checked
        shards.append({"name": f"{stem}.tar", "samples": mark.samples, "bytes": mark.tar_bytes, "sha256": mark.tar_sha256})
    totals = {**summarize(root), "bytes": sum(shard["bytes"] for shard in shards)}
    info = _info(plan.settings, complete=True, totals=totals, shards=shards)
    write_text(root / CARD_FILE, card(info))
    _write_info(root, info)
    return totals


def _info(settings: DatasetSettings, *, complete: bool, **rest: Any) -> dict[str, Any]:
    packages = ("numpy", "scipy", "numba", "pyarrow", "pyroomacoustics")
    return {
        "roomgen_version": roomgen.__version__,
        "schema_version": SCHEMA_VERSION,
        "settings_hash": settings.hash(),
        "settings": settings.model_dump(mode="json"),
        "made_with": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "complete": complete,
        **rest,
    }


def _write_info(root: Path, info: dict[str, Any]) -> None:
    write_text(root / DATASET_FILE, json.dumps(info, indent=1, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def _folder_of(root: Path, settings: DatasetSettings, *, overwrite: bool) -> Iterator[None]:
    """Hold the dataset's folder for this process alone: made, checked and cleared of what an earlier run left half done."""
    if root.exists() and not root.is_dir():
        raise RoomgenError(f"--out {root} is a file: give a folder.")
    if root.is_dir() and not (root / DATASET_FILE).exists() and any(root.iterdir()):
        raise RoomgenError(f"--out {root} holds something that is not a dataset of roomgen: give an empty or a new folder.")
    with writing(root):
        (root / DATA_FOLDER).mkdir(parents=True, exist_ok=True)
    with _lock(root):
        if overwrite:
            _remove_dataset(root)
        if (root / DATASET_FILE).exists():
            _check_same_settings(root, settings)
        else:
            _write_info(root, _info(settings, complete=False))
        _remove_leftovers(root)
        try:
            yield
        finally:
            _remove_leftovers(root)  # an interrupt can fall between the making of a file and the watch over it


def _remove_leftovers(root: Path) -> None:
    for leftover in root.glob(f"**/{TEMPORARY_PREFIX}*"):
        leftover.unlink(missing_ok=True)


def _check_same_settings(root: Path, settings: DatasetSettings) -> None:
    info = read_info(root)
    if info.get("settings_hash") == settings.hash():
        return
    different = differing_keys(info["settings"], settings.model_dump(mode="json"))
    if info.get("roomgen_version") != roomgen.__version__:
        different.append(f"roomgen: {info.get('roomgen_version')} → {roomgen.__version__}")
    raise RoomgenError(
        f"{root} holds a dataset of other settings: {'; '.join(different)}. "
        "Use another --out, the same settings, or --overwrite to replace it.",
        exit_code=1,
    )


def _remove_dataset(root: Path) -> None:
    """Remove what roomgen wrote into a folder and nothing else; the marks first, so that no half dataset looks whole."""
    if not (root / DATASET_FILE).exists():
        return
    with writing(root):
        for pattern in ("*-[0-9]*.json", "*-[0-9]*.parquet", "*-[0-9]*.tar"):
            for path in (root / DATA_FOLDER).glob(pattern):
                path.unlink()
        for name in (MANIFEST_FILE, CARD_FILE, DATASET_FILE):
            (root / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(root: Path) -> Iterator[None]:
    """Let one process at a time write to a folder; the system frees the lock however the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows has no flock
        yield
        return
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RoomgenError(f"another roomgen is writing to {root}: wait for it, or use another --out.", exit_code=1) from None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _progress(total: int, done: int, *, show: bool) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(total=total, initial=done, unit="RIR", disable=not show, smoothing=0.05, dynamic_ncols=True) as bar:
        yield bar
