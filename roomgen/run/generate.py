"""Making a dataset: the folder, the shards that are missing, then manifest, card and ``dataset.json``."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import roomgen
from roomgen.datasets.family import Broken, Family, Inputs, Plan, ShardPlan, family_of
from roomgen.errors import DatasetError, RoomgenError
from roomgen.run.card import card
from roomgen.run.executors import ordered_map
from roomgen.settings import CommonSettings, differing_keys
from roomgen.store.columns import SCHEMA_VERSION
from roomgen.store.folder import (
    CARD_FILE,
    DATA_FOLDER,
    DATASET_FILE,
    MANIFEST_FILE,
    TEMPORARY_PREFIX,
    lock,
    sha256_of,
    write_text,
    writing,
)
from roomgen.store.info import read_info, write_info
from roomgen.store.manifest import summarize, write_manifest
from roomgen.store.samples import Sample
from roomgen.store.schema import arrow_schema
from roomgen.store.shard import ShardWriter, is_complete, read_mark


class Chunk(NamedTuple):
    """A few samples of one shard, as they travel to a worker."""

    family: str
    settings_json: str
    inputs: tuple[tuple[str, Path], ...]
    split: str
    units: Sequence[Any]
    last: bool
    """Whether it ends its shard."""


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
    family, inputs = family_of(settings.family), dict(inputs or {})
    family.check(settings)
    plan = family.plan(settings, inputs)
    _check_broken(plan, plan.broken, max_broken)
    schema = arrow_schema(settings.hash(), family.columns(settings))
    with _folder_of(root, settings, inputs, overwrite=overwrite):
        missing = [shard for shard in plan.shards if not _is_done(root, shard, settings)]
        if missing:
            family.prepare(settings)
        begun = time.perf_counter()
        made = sum(shard.count for shard in missing)
        broken = list(plan.broken)
        with _progress(len(plan), len(plan) - made, family.unit, show=progress) as bar:
            results = ordered_map(make_chunk, _chunks(plan, missing, settings, inputs), workers=workers)
            with contextlib.closing(results):
                for shard in missing:
                    writer = ShardWriter(
                        root,
                        shard.stem,
                        schema=schema,
                        settings_hash=settings.hash(),
                        split=shard.split,
                        audio_member=family.audio_member,
                    )
                    with writer:
                        last = False
                        while not last:
                            last, samples = next(results)
                            for sample in samples:
                                if isinstance(sample, Broken):
                                    writer.leave_out(sample)
                                    broken.append(sample)
                                else:
                                    writer.add(sample)
                                bar.update()
                        _check_broken(plan, broken, max_broken)
        seconds = time.perf_counter() - begun
        return {
            **_finish(root, plan, family, settings, inputs, max_broken),
            "made": made,
            "seconds": round(seconds, 3),
            "out": str(root),
        }


def make_chunk(chunk: Chunk) -> tuple[bool, list[Sample | Broken]]:
    """Make the samples of a chunk; runs in a worker."""
    family, settings = _settings_of(chunk.family, chunk.settings_json)
    return chunk.last, list(family.make(settings, dict(chunk.inputs), chunk.split, chunk.units))


@lru_cache(maxsize=2)
def _settings_of(name: str, settings_json: str) -> tuple[Family, Any]:
    family = family_of(name)
    return family, family.settings_model.model_validate_json(settings_json)


def _chunks(plan: Plan, shards: Sequence[ShardPlan], settings: CommonSettings, inputs: Inputs) -> Iterator[Chunk]:
    text, folders = settings.model_dump_json(), tuple(sorted(inputs.items()))
    for shard in shards:
        waiting: Sequence[Any] | None = None
        for units in plan.chunks(shard):
            if waiting is not None:
                yield Chunk(settings.family, text, folders, shard.split, waiting, last=False)
            waiting = units
        yield Chunk(settings.family, text, folders, shard.split, waiting or (), last=True)


def _check_broken(plan: Plan, broken: Sequence[Broken], max_broken: float) -> None:
    names = {item.name: item.reason for item in broken if item.counts}
    if len(names) > max_broken * plan.files:
        shown = "; ".join(f"{name}: {reason}" for name, reason in list(names.items())[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise RoomgenError(
            f"{len(names)} of {plan.files} input files cannot be read, more than --max-broken {max_broken:g} allows: "
            f"{shown}{more}. "
            "Repair or remove them, or allow more.",
            exit_code=1,
        )


def _is_done(root: Path, shard: ShardPlan, settings: CommonSettings) -> bool:
    mark = read_mark(root, shard.stem)
    if mark is not None and mark.settings_hash != settings.hash():
        raise DatasetError(
            f"shard {shard.stem} in {root} was made with other settings ({mark.settings_hash}, not {settings.hash()}): "
            "use another --out, or --overwrite."
        )
    return is_complete(root, shard.stem)


def _finish(root: Path, plan: Plan, family: Family, settings: CommonSettings, inputs: Inputs, max_broken: float) -> dict[str, Any]:
    stems = [shard.stem for shard in plan.shards]
    shards: list[dict[str, Any]] = []
    broken = {item.name: item.reason for item in plan.broken}
    for stem in stems:
        mark = read_mark(root, stem)
        assert mark is not None  # every shard was just made or checked
        shards.append({"name": f"{stem}.tar", "samples": mark.samples, "bytes": mark.tar_bytes, "sha256": mark.tar_sha256})
        broken.update(dict(mark.broken))
    write_manifest(root, stems, arrow_schema(settings.hash(), family.columns(settings)))
    totals = {**summarize(root, family), "bytes": sum(shard["bytes"] for shard in shards), "broken": len(broken)}
    info = _info(settings, inputs, root, complete=True, totals=totals, shards=shards, broken=sorted(broken.items()))
    write_text(root / CARD_FILE, card(info, family, settings))
    write_info(root, {**info, "files": {name: sha256_of(root / name) for name in (MANIFEST_FILE, CARD_FILE)}})
    return {**totals, "family": family.name, "broken_files": sorted(broken.items())}


def _info(settings: CommonSettings, inputs: Inputs, root: Path, *, complete: bool, **rest: Any) -> dict[str, Any]:
    packages = ("numpy", "scipy", "numba", "pyarrow", "pyroomacoustics", "soundfile", "soxr", "pillow")
    return {
        "roomgen_version": roomgen.__version__,
        "schema_version": SCHEMA_VERSION,
        "settings_hash": settings.hash(),
        "settings": settings.model_dump(mode="json"),
        "inputs": {name: os.path.relpath(path, root) for name, path in inputs.items()},
        "made_with": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "complete": complete,
        **rest,
    }


@contextlib.contextmanager
def _folder_of(root: Path, settings: CommonSettings, inputs: Inputs, *, overwrite: bool) -> Iterator[None]:
    """Hold the dataset's folder for this process alone: made, checked and cleared of what an earlier run left half done."""
    if root.exists() and not root.is_dir():
        raise RoomgenError(f"--out {root} is a file: give a folder.")
    if root.is_dir() and not (root / DATASET_FILE).exists() and any(root.iterdir()):
        raise RoomgenError(f"--out {root} holds something that is not a dataset of roomgen: give an empty or a new folder.")
    with writing(root):
        (root / DATA_FOLDER).mkdir(parents=True, exist_ok=True)
    with lock(root) as alone:
        if not alone:
            raise RoomgenError(f"another roomgen is writing to {root}: wait for it, or use another --out.", exit_code=1)
        if overwrite:
            _remove_dataset(root)
        if (root / DATASET_FILE).exists():
            _check_same_settings(root, settings)
        else:
            write_info(root, _info(settings, inputs, root, complete=False))
        _remove_leftovers(root)
        try:
            yield
        finally:
            _remove_leftovers(root)  # an interrupt can fall between the making of a file and the watch over it


def _remove_leftovers(root: Path) -> None:
    for leftover in root.glob(f"**/{TEMPORARY_PREFIX}*"):
        leftover.unlink(missing_ok=True)


def _check_same_settings(root: Path, settings: CommonSettings) -> None:
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
def _progress(total: int, done: int, unit: str, *, show: bool) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(total=total, initial=done, unit=unit, disable=not show, smoothing=0.05, dynamic_ncols=True) as bar:
        yield bar
