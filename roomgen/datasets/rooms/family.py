"""From a planned row of a room to a finished sample: simulate, measure, look, and the bytes that go into the shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.engine import get_engine
from roomgen.acoustics.images.direct_sound import direct_to_reverberant_db
from roomgen.acoustics.labels.measure import measure
from roomgen.acoustics.labels.measure import warm_up as warm_up_labels
from roomgen.acoustics.labels.table import STORED
from roomgen.acoustics.scene import Scene, make_scene
from roomgen.audio import encode_wav
from roomgen.datasets.family import Card, Chunk, Job, Row
from roomgen.datasets.rooms.conditions import air_of, array_of
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.reachable import check_target
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.datasets.rooms.walls import looks_of, shoebox_of
from roomgen.store.columns import ARRAYS, ROOMS, Column
from roomgen.store.samples import Sample, sample_of
from roomgen.streams import Stream, integer_seed
from roomgen.text import interval

AUDIO_MEMBER = "rir.wav"
VIEW_MEMBER, DEPTH_MEMBER = "view.jpg", "depth.png"


class RoomsJob(Job[DatasetSettings, tuple[int, int]]):
    """Room impulse responses, of single microphones or arrays."""

    name = "rooms"
    unit = "RIR"
    settings_model = DatasetSettings
    audio_member = AUDIO_MEMBER
    counts = {"room_id": "rooms"}  # noqa: RUF012 (a class constant, declared so in Job)
    spreads = {  # noqa: RUF012
        "rt60_mid_s": ("mid RT60", "s"),
        "rt60_s": ("broadband RT60", "s"),
        "c50_db": ("C50", "dB"),
        "volume_m3": ("volume", "m³"),
    }

    @property
    def columns(self) -> tuple[Column, ...]:
        return _columns(self.settings)

    @property
    def members(self) -> tuple[str, ...]:
        views = () if self.settings.panorama is None else (VIEW_MEMBER, DEPTH_MEMBER)
        return tuple(sorted(("json", AUDIO_MEMBER, *views)))

    @cached_property
    def plan(self) -> RoomsPlan:
        return RoomsPlan(self.settings, self.inputs)

    def check(self) -> None:
        check_target(self.settings)
        get_engine(self.settings.engine.name, self.settings.engine.device)

    def prepare(self) -> None:
        warm_up_labels()
        get_engine(self.settings.engine.name, self.settings.engine.device).prepare()

    def make(self, chunk: Chunk[tuple[int, int]]) -> Iterator[Sample]:
        yield from make(self.settings, [self.plan.row(chunk.split, room, position) for room, position in chunk.units])

    def remake(self, row: Row) -> Sample:
        (sample,) = make(self.settings, [row], device="cpu")  # wherever it was made: a GPU's samples are the same up to rounding
        return sample

    def measured(self, row: Row, audio: NDArray[np.float32]) -> dict[str, Any]:
        labels = label_row(scene_of(self.settings, row), audio)
        return {name: value for name, value in labels.items() if name in row}  # older datasets lack some

    def card(self, totals: Mapping[str, Any]) -> Card:
        settings = self.settings
        tail = settings.engine.tail_after_s
        exact = (
            "Image sources are exact over the whole response."
            if tail is None
            else f"Image sources are exact up to {tail:g} s; what is later is a diffuse field under the predicted decay."
        )
        array = settings.array.geometry
        heard = "" if array == "mono" else f" heard by the array `{array}`"
        views = "; `KEY.view.jpg` and `KEY.depth.png` (16 bit, mm): the room seen from the microphone" if settings.panorama else ""
        return Card(
            title=f"Simulated room impulse responses (preset `{settings.preset}`)",
            text=f"{totals['samples']} responses in {totals['rooms']} shoebox rooms{heard}, {totals['audio_s'] / 3600:.2f} hours "
            f"at {settings.signal.fs_hz} Hz. {_walls_text(settings)}{exact} Splits are by {settings.splits.by}. "
            f"Mid-frequency RT60 (T30 at 500 and 1000 Hz) {interval(totals['rt60_mid_s'], 's')}, broadband RT60 "
            f"{interval(totals['rt60_s'], 's')}, C50 {interval(totals['c50_db'], 'dB')}, "
            f"volume {interval(totals['volume_m3'], 'm³')}.",
            members="`KEY.rir.wav` (float32, Pa per unit source: sample 0 is the instant of emission, a point source has the "
            f"pressure 1/(4πr)){views}",
            example='rooms = pd.read_parquet("manifest.parquet")\n'
            'rooms[(rooms.split == "train") & (rooms.rt60_mid_s < 0.5)][["key", "rt60_mid_s", "c50_db", "volume_m3"]]',
            tags=("room-acoustics", "room-impulse-response"),
        )


def _columns(settings: DatasetSettings) -> tuple[Column, ...]:
    return ROOMS if array_of(settings) is None else ARRAYS


def _walls_text(settings: DatasetSettings) -> str:
    """Return what a card says of how walls are drawn, where they are not given, and whether they scatter."""
    drawn = settings.walls.absorption == "random" and settings.rooms.plan is None
    said = {
        "random": "Every wall is of a material drawn blindly. ",
        "measured": "Reverberation times spread over octave bands as in measured rooms. ",
        "materials": "Rooms are built and furnished by role and use. ",
        "flat": "Walls absorb alike in all directions and octave bands. ",
    }
    scattered = "Walls scatter: what image sources lose by that is heard as a diffuse field. " if settings.walls.scatter else ""
    return (said[settings.walls.model] if drawn else "") + scattered


def make(settings: DatasetSettings, rows: Sequence[Row], *, device: str | None = None) -> Iterator[Sample]:
    """Yield the finished sample of each planned row, in their order; each depends on its own row and the settings alone.

    ``device`` takes the place of the one that the settings name.
    """
    scenes = [scene_of(settings, row) for row in rows]
    for row, scene, rir in zip(rows, scenes, _simulate(settings, scenes, device or settings.engine.device), strict=True):
        finished = {**row, **label_row(scene, rir)}
        members = {AUDIO_MEMBER: encode_wav(rir, fs_hz=int(row["fs_hz"])), **_views(settings, row)}
        yield sample_of(finished, members, [c for c in _columns(settings) if c.name in finished])  # older datasets lack some


def simulate_row(settings: DatasetSettings, row: Mapping[str, Any]) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return the (mic, time) response and the labels of one row, simulated from nothing; on the CPU, wherever it was made."""
    scene = scene_of(settings, row)
    (rir,) = _simulate(settings, [scene], "cpu")
    return rir, label_row(scene, rir)


def scene_of(settings: DatasetSettings, row: Mapping[str, Any]) -> Scene:
    """Return what the engine is told about one row: all of it comes from the row, its array, engine and air from the settings."""
    fs_hz = int(row["fs_hz"])
    options = settings.engine.options(seed=integer_seed(settings.seed, Stream.ENGINE, int(row["seed_index"])))
    room = shoebox_of(row, fs_hz)
    array = array_of(settings)
    common: dict[str, Any] = {
        "sources": [row["source_xyz_m"]],
        "fs_hz": fs_hz,
        "duration_s": int(row["n_samples"]) / fs_hz,
        "air": air_of(settings),
        "options": options,
    }
    if array is None:
        return make_scene(room, mics=[row["mic_xyz_m"]], **common)
    mics, patterns = array.placed(row["mic_xyz_m"], yaw_deg=float(row["array_yaw_deg"]))
    return make_scene(room, mics=mics, mic_directivity=patterns, **common)


def label_row(scene: Scene, rir: NDArray[np.float32]) -> dict[str, Any]:
    """Return the label columns of the (mic, time) response of a scene with one source, measured at its first channel.

    Octave bands are filtered from the response itself, although the engine has them apart: its lowest band reaches down to
    0 Hz, and a label shall say what anybody measures in the file.
    """
    (distance,) = np.linalg.norm(scene.sources_m - scene.mics_m[0], axis=1)
    first = replace(scene, mics_m=scene.mics_m[:1], mic_directivity=scene.mic_directivity[:1])
    labels = measure(
        rir[0],
        fs_hz=scene.fs_hz,
        onset_s=float(distance) / scene.c_m_s,
        drr_db=float(direct_to_reverberant_db(first, rir[None, :1])[0, 0]),
        noise="none",
    ).as_dict()
    return {name: labels[name] for name in STORED}


def _views(settings: DatasetSettings, row: Mapping[str, Any]) -> dict[str, bytes]:
    if settings.panorama is None:
        return {}
    from roomgen.acoustics.views.panorama import encode_depth, encode_view, panorama

    height, width = settings.panorama
    view = panorama(
        looks_of(row),
        viewpoint_m=row["mic_xyz_m"],
        source_m=row["source_xyz_m"],
        height=height,
        width=width,
        yaw_deg=float(row.get("array_yaw_deg", 0.0)),
    )
    return {VIEW_MEMBER: encode_view(view.rgb), DEPTH_MEMBER: encode_depth(view.depth_m)}


def _simulate(settings: DatasetSettings, scenes: Sequence[Scene], device: str) -> Iterator[NDArray[np.float32]]:
    """Yield the (mic, time) response of each scene's only source."""
    for response in get_engine(settings.engine.name, device).simulate(scenes):
        yield response.rir[0]
