"""From a planned row to a finished sample: simulate, measure, and the bytes that go into the shard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.direct_sound import direct_to_reverberant_db
from roomgen.acoustics.engine import get_engine
from roomgen.acoustics.labels import measure
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import Scene, make_scene
from roomgen.datasets.columns import ROOMS
from roomgen.datasets.draw import air_of, exact_options
from roomgen.datasets.streams import Stream, integer_seed
from roomgen.settings import DatasetSettings
from roomgen.wav import encode_wav

AUDIO_MEMBER = "rir.wav"
LABEL_COLUMNS = (
    "rt60_s",
    "rt60_bands_s",
    "t20_s",
    "edt_s",
    "c50_db",
    "c50_bands_db",
    "c80_db",
    "d50",
    "drr_db",
    "ts_s",
)


@dataclass(frozen=True)
class Sample:
    """One finished sample.

    Args:
        key: its name.
        members: file ending to bytes, sorted: ``json`` and ``rir.wav``.
        row: its columns in the manifest, less those that only the shard knows (shard, offset, nbytes).
    """

    key: str
    members: dict[str, bytes]
    row: dict[str, Any]


def make(settings: DatasetSettings, rows: Sequence[Mapping[str, Any]]) -> Iterator[Sample]:
    """Yield the finished sample of each planned row, in their order; each depends on its own row and the settings alone."""
    scenes = [scene_of(settings, row) for row in rows]
    for row, scene, rir in zip(rows, scenes, _simulate(settings, scenes), strict=True):
        finished = {**row, **label_row(scene, rir)}
        members = {
            AUDIO_MEMBER: encode_wav(rir, fs_hz=int(row["fs_hz"])),
            "json": json.dumps(json_row(finished), ensure_ascii=False).encode(),
        }
        yield Sample(str(row["key"]), dict(sorted(members.items())), finished)


def simulate_row(settings: DatasetSettings, row: Mapping[str, Any]) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return the (mic, time) response and the labels of one row, simulated from nothing."""
    scene = scene_of(settings, row)
    (rir,) = _simulate(settings, [scene])
    return rir, label_row(scene, rir)


def scene_of(settings: DatasetSettings, row: Mapping[str, Any]) -> Scene:
    """Return what the engine is told about one row: all of it comes from the row, its engine and air from the settings."""
    engine, fs_hz = settings.engine, int(row["fs_hz"])
    return make_scene(
        Shoebox(
            (row["length_m"], row["width_m"], row["height_m"]),
            absorption=list(row["materials"]),
            scale=float(row["absorption_scale"]),
        ),
        sources=[row["source_xyz_m"]],
        mics=[row["mic_xyz_m"]],
        fs_hz=fs_hz,
        duration_s=int(row["n_samples"]) / fs_hz,
        air=air_of(settings),
        options=replace(
            exact_options(settings),
            randomize_m=engine.randomize_m,
            seed=integer_seed(settings.seed, Stream.ENGINE, int(row["seed_index"])),
            tail_after_s=engine.tail_after_s,
        ),
    )


def label_row(scene: Scene, rir: NDArray[np.float32]) -> dict[str, Any]:
    """Return the label columns of the (mic, time) response of a scene with one source, measured at its first channel.

    Octave bands are filtered from the response itself, although the engine has them apart: its lowest band reaches down to
    0 Hz, and a label shall say what anybody measures in the file.
    """
    (distance,) = np.linalg.norm(scene.sources_m - scene.mics_m[0], axis=1)
    labels = measure(
        rir[0],
        fs_hz=scene.fs_hz,
        onset_s=float(distance) / scene.c_m_s,
        drr_db=float(direct_to_reverberant_db(replace(scene, mics_m=scene.mics_m[:1]), rir[None, :1])[0, 0]),
        noise="none",
    ).as_dict()
    return {name: labels[name] for name in LABEL_COLUMNS}


def _simulate(settings: DatasetSettings, scenes: Sequence[Scene]) -> Iterator[NDArray[np.float32]]:
    """Yield the (mic, time) response of each scene's only source."""
    if settings.engine.device == "cuda":
        from roomgen.acoustics.image_source_gpu import simulate_batch

        for response in simulate_batch(scenes, device="cuda", drr=False):
            yield response.rir[0]
    else:
        engine = get_engine(settings.engine.name)
        for scene in scenes:
            yield engine(scene, parts=False).rir[0]


def json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the JSON member of a sample says.

    Every sample has the same keys with the same types: real numbers are floats, rounded to the shortest text that is the
    same float32 (what the manifest holds), and what cannot be measured is NaN, as Python's json writes it.
    """
    result: dict[str, Any] = {}
    for column in ROOMS:
        if column.in_json:
            value = row[column.name]
            if column.kind == "float":
                value = _short(value)
            elif column.kind in ("xyz", "floats"):
                value = [_short(v) for v in value]
            result[column.name] = value
    return result


def _short(value: float) -> float:
    return float(str(np.float32(value)))
