"""Writing shards, against a plain ``webdataset.TarWriter`` of the same bytes.

Ours also hashes the tar, writes the samples' rows as Parquet with a hash of their own, and flushes both to disk.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.effort import Effort
from bench.timing import best_s
from roomgen.datasets.rooms.family import AUDIO_MEMBER, make
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.presets import load_settings
from roomgen.store.columns import ROOMS
from roomgen.store.folder import Folder
from roomgen.store.samples import Sample
from roomgen.store.schema import arrow_schema
from roomgen.store.shard import ShardWriter
from roomgen.text import table

_DIFFERENT = 20  # samples that are simulated; the others are copies under other keys


def run(effort: Effort) -> dict[str, Any]:
    """Return megabytes of members written per second."""
    samples = ready_samples(effort.samples)
    megabytes = sum(len(data) for sample in samples for data in sample.members.values()) / 1e6
    with TemporaryDirectory() as folder:
        root = Path(folder)
        ours_s, peer_s = best_s(
            effort.repeats, lambda: _write(root / "ours", samples), lambda: _write_plain(root / "plain.tar", samples)
        )
    return {
        "samples": len(samples),
        "megabytes": megabytes,
        "ours_mb_per_s": megabytes / ours_s,
        "ours_samples_per_s": len(samples) / ours_s,
        "peer_mb_per_s": megabytes / peer_s,
        "ratio": peer_s / ours_s,
    }


def text(result: dict[str, Any]) -> str:
    """Return the speeds as a table."""
    rows = [
        ["ShardWriter (tar, sha256, Parquet, fsync)", f"{result['ours_mb_per_s']:.0f}", f"{result['ratio']:.2f}"],
        ["webdataset.TarWriter", f"{result['peer_mb_per_s']:.0f}", "1.00"],
    ]
    title = f"A shard of {result['samples']} samples, {result['megabytes']:.1f} MB ({result['ours_samples_per_s']:.0f} samples/s)"
    return f"{title}\n{table(['', 'MB/s', 'times peer'], rows)}"


def ready_samples(count: int) -> list[Sample]:
    """Return finished samples with different keys."""
    settings = load_settings("goetz", {"rooms.count": _DIFFERENT, "place.rirs_per_room": 1})
    plan = RoomsPlan(settings)
    made = list(make(settings, [plan.row("train", room, 0) for room in range(min(count, _DIFFERENT))]))
    return [
        replace(sample, key=f"{sample.key}-{i:06d}", row={**sample.row, "key": f"{sample.key}-{i:06d}"})
        for i, sample in enumerate(islice(cycle(made), count))
    ]


def _write(root: Path, samples: list[Sample]) -> None:
    shutil.rmtree(root, ignore_errors=True)
    store = Folder(root)
    store.make()
    schema, place = arrow_schema("0" * 16, ROOMS), {"split": "train", "audio_member": AUDIO_MEMBER}
    with ShardWriter(store, "train-000000", schema=schema, settings_hash="0" * 16, **place) as writer:
        for sample in samples:
            writer.add(sample)


def _write_plain(path: Path, samples: list[Sample]) -> None:
    import webdataset

    path.unlink(missing_ok=True)
    with webdataset.TarWriter(str(path), encoder=False) as writer:
        for sample in samples:
            writer.write({"__key__": sample.key, **sample.members})
