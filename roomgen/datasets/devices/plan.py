"""Which device responses a dataset holds: the units that its settings and the files describe.

Splits divide microphones, never one: a generator of responses, or a classifier of devices, is tested with microphones that it
has not heard. Recording devices alone are named split by split, since a known device is tested too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby, product
from pathlib import Path
from typing import Any, NamedTuple

from roomgen.acoustics.microphones.designs import draw_design
from roomgen.acoustics.microphones.recorders import RECORDERS, Compression, Recorder, draw_compression, draw_recorder
from roomgen.acoustics.microphones.response import MicrophoneDesign
from roomgen.corpora.base import BrokenFile, Clip, fingerprint_of, probe_file
from roomgen.corpora.micirp import MicIRP
from roomgen.corpora.multi_angle import MultiAngle, Response, read_responses
from roomgen.datasets.devices.generators import ResponseGenerator, load_generator
from roomgen.datasets.devices.settings import DRAWN, KINDS, DevicesSettings, in_key
from roomgen.datasets.family import Inputs, Plan, ShardPlan
from roomgen.datasets.splits import divide, ranked
from roomgen.errors import RoomgenError
from roomgen.settings import resolve
from roomgen.store.folder import atomic
from roomgen.streams import Stream, generator

_PER_CHUNK = 72
_RECORDER_STREAM = 1_000_000  # far from the numbers of microphones, which draw from the same stream
_COMPRESSION_STREAM = 2_000_000
_NAN = float("nan")
_NEEDS_MODEL = "devices generated needs --model RUN: a folder that `roomtrain train icl --cell generated` wrote."


class DeviceResponse(NamedTuple):
    """One response: its number in its split, what it is called, and where it comes from."""

    number: int
    key: str
    microphone: str
    drawn_as: int
    """Of the microphone (what it is drawn from); −1 for files."""
    angle_deg: float
    distance_m: float
    response: Response | None = None
    axis: Response | None = None
    """The file that decides its level, where that is another one's."""


class DevicesPlan(Plan[DevicesSettings, DeviceResponse]):
    """Which responses there are and in which split; a pure function of settings and files."""

    def __init__(self, settings: DevicesSettings, inputs: Inputs) -> None:
        self.settings = settings
        self.unmatched: list[str] = []
        self._root = inputs.get("responses")
        if settings.kind in DRAWN:
            if settings.kind == "generated":
                generator_of(inputs, settings.fingerprint)
            self._units = _split_up(settings, _microphone_units(settings))
        elif settings.kind == "recorders":
            self._units = {split: _recorder_units(split, names) for split, names in settings.recorders.items()}
        else:
            found, self.unmatched, fingerprint = responses_in(settings.kind, folder_of(inputs), settings.pattern, inputs.get("csv"))
            if fingerprint != settings.fingerprint:
                raise RoomgenError(
                    f"the responses in {folder_of(inputs)} have changed since the dataset was begun ({settings.fingerprint}, now "
                    f"{fingerprint}). Use another --out, or --overwrite.",
                    exit_code=1,
                )
            self._units = _split_up(settings, file_units(settings, found))
        self.split_sizes = {name: len(units) for name, units in self._units.items()}
        self.files = len(self) if self._root is not None else 0

    def chunks(self, shard: ShardPlan) -> Iterator[Sequence[DeviceResponse]]:
        """Yield the shard's responses, some of one microphone at a time."""
        units = self._units[shard.split][shard.start : shard.start + shard.count]
        for _, members in groupby(units, key=lambda unit: unit.microphone if unit.response is None else ""):
            same = list(members)
            yield from (same[start : start + _PER_CHUNK] for start in range(0, len(same), _PER_CHUNK))

    def listing(self) -> dict[str, Any]:
        """Return what would be made: ``responses`` with key, file, split and what each is, and ``unmatched`` files."""
        entries = [
            {"key": unit.key, "file": unit.response.path if unit.response else "", "split": split, "what": self._what(unit)}
            for split, units in self._units.items()
            for unit in units
        ]
        return {"kind": self.settings.kind, "responses": entries, "unmatched": self.unmatched}

    def _what(self, unit: DeviceResponse) -> str:
        words = [unit.microphone]
        if math.isfinite(unit.angle_deg):
            words.append(f"{unit.angle_deg:g}°")
        if math.isfinite(unit.distance_m):
            words.append(f"{unit.distance_m:g} m")
        if unit.drawn_as >= 0 and self.settings.kind in DRAWN:
            design = design_of(self.settings.seed, unit.drawn_as)
            words.append(f"({design.directivity} {design.transducer.replace('_', ' ')})")
        if unit.response is not None and self._root is not None:
            try:
                fs_hz, _, frames = probe_file(self._root, unit.response.path)
                words.append(f"({frames} samples at {fs_hz} Hz)")
            except BrokenFile as error:
                words.append(f"(cannot be used: {error.reason})")
        return " ".join(words)


def devices_settings(
    kind: str,
    root: Path | None,
    overrides: Mapping[str, Any],
    *,
    csv: Path | None = None,
    model: Path | None = None,
    flags: Mapping[str, str] | None = None,
) -> tuple[DevicesSettings, dict[str, Path]]:
    """Return the settings and inputs of a dataset of device responses.

    Files are brought to one level by default ("folder": each to the energy of a unit pulse; "multi-angle": a microphone at a
    distance by its axis), and those of "multi-angle" are windowed (Kaiser, β = 2) as by Schmidt and Peters (2023, section 5.3).
    Generated responses have one level in the band from 0.5 to 10 kHz, at which the network learns.

    Args:
        kind: microphones, generated, recorders, folder or multi-angle.
        root: folder of files, for the last two.
        overrides: dotted key to value.
        csv: list of files, in place of names that tell (multi-angle).
        model: folder of a run with a trained generator (generated).
        flags: what errors shall call a key.

    Raises:
        RoomgenError: no such kind, folder or setting; no usable file name; a setting that is not of this kind; no trained
            generator in the run, or no torch to run it with.
    """
    if kind not in KINDS:
        raise RoomgenError(f"unknown kind of devices {kind!r}: give one of {', '.join(KINDS)}.")
    _check_fitting(kind, root, overrides, csv, model, flags or {})
    tree: dict[str, Any] = {"kind": kind}
    inputs: dict[str, Path] = {}
    if root is not None:
        inputs = {"responses": root} if csv is None else {"responses": root, "csv": csv}
        _, _, tree["fingerprint"] = responses_in(kind, root, overrides.get("pattern"), csv)
        tree |= {"level": "energy"} if kind == "folder" else {"level": "axis", "window_beta": 2.0}
    if model is not None:
        inputs = {"model": model}
        tree |= {"fingerprint": _read_generator(inputs).fingerprint, "level": "band"}
    return resolve(tree, overrides, model=DevicesSettings, flags=flags), inputs


def responses_in(kind: str, root: Path, pattern: str | None, csv: Path | None) -> tuple[list[Response], list[str], str]:
    """Return the responses in a folder, the files that say nothing, and a fingerprint of both."""
    if kind == "folder":
        clips = MicIRP(root).clips()
        found, unmatched = [Response(clip.name, clip.path, clip.device) for clip in clips], list[str]()
    else:
        found, unmatched = read_responses(root, pattern=pattern, csv_path=csv)
        if not found:
            how = "the list" if csv else f"the pattern {pattern!r}" if pattern else "their names"
            raise MultiAngle(root).layout_error(
                f"by {how} none of {len(unmatched)} audio files has microphone, angle and distance; give --pattern or --csv"
            )
    described = hashlib.sha256(repr(found).encode()).hexdigest()
    clips = [Clip(response.name, response.path, text=described) for response in found]
    return found, unmatched, fingerprint_of(root, clips)


def folder_of(inputs: Inputs) -> Path:
    """Return the folder of the measured responses."""
    if "responses" not in inputs:
        raise RoomgenError("the folder of the responses is missing: give it with --root.")
    return inputs["responses"]


def generator_of(inputs: Inputs, fingerprint: str) -> ResponseGenerator:
    """Return the generator of responses, read anew, whose weights have this fingerprint.

    Raises:
        RoomgenError: its run is not given, has no trained generator or another one by now; or torch is not installed.
    """
    generator = _read_generator(inputs)
    if generator.fingerprint != fingerprint:
        raise RoomgenError(
            f"the generator in {inputs['model']} has changed since the dataset was begun ({fingerprint}, now "
            f"{generator.fingerprint}). Use another --out, or --overwrite.",
            exit_code=1,
        )
    return generator


def _read_generator(inputs: Inputs) -> ResponseGenerator:
    if "model" not in inputs:
        raise RoomgenError(_NEEDS_MODEL)
    return load_generator(inputs["model"])


def _microphone_units(settings: DevicesSettings) -> list[DeviceResponse]:
    units = []
    for index in range(settings.count):
        name = f"{'gen' if settings.kind == 'generated' else 'mic'}{index:03d}"
        for distance_m, angle_deg in product(settings.distances_m, settings.angles_deg):
            angle = angle_deg % 360.0
            key = f"{name}-{in_key(distance_m)}m-{in_key(angle)}deg"
            units.append(DeviceResponse(0, key, name, index, angle, distance_m))
    return units


def _recorder_units(split: str, names: Sequence[str]) -> list[DeviceResponse]:
    return [DeviceResponse(i, f"{split}-{name}", name, RECORDERS.index(name), _NAN, _NAN) for i, name in enumerate(names)]


def file_units(settings: DevicesSettings, found: Sequence[Response]) -> list[DeviceResponse]:
    """Return a unit for each file, not yet numbered, each with the file that decides its level."""
    axes: dict[tuple[str, str], Response] = {}
    if settings.level == "axis":
        for response in found:
            place = (response.microphone, str(response.distance_m))
            if place not in axes or _off_axis(response) < _off_axis(axes[place]):
                axes[place] = response
    return [
        DeviceResponse(0, r.name, r.microphone, -1, r.angle_deg, r.distance_m, r, axes.get((r.microphone, str(r.distance_m))))
        for r in found
    ]


def _off_axis(response: Response) -> float:
    return min(response.angle_deg, 360.0 - response.angle_deg) if math.isfinite(response.angle_deg) else 0.0


def _split_up(settings: DevicesSettings, units: Sequence[DeviceResponse]) -> dict[str, list[DeviceResponse]]:
    """Return the units of each split, whole microphones, numbered."""
    sizes: dict[str, int] = {}
    for unit in units:
        sizes[unit.microphone] = sizes.get(unit.microphone, 0) + 1
    order = ranked(sorted(sizes), generator(settings.seed, Stream.SPLIT))
    split_of = divide(order, sizes, settings.splits.shares, what="microphones")
    divided: dict[str, list[DeviceResponse]] = {name: [] for name, share in settings.splits.shares.items() if share > 0}
    for unit in units:
        members = divided[split_of[unit.microphone]]
        members.append(unit._replace(number=len(members)))
    return {name: members for name, members in divided.items() if members}


def _check_fitting(
    kind: str, root: Path | None, overrides: Mapping[str, Any], csv: Path | None, model: Path | None, flags: Mapping[str, str]
) -> None:
    of_files = kind in ("folder", "multi-angle")
    if of_files and root is None:
        layout = (MicIRP if kind == "folder" else MultiAngle).about.layout.replace("\n", "; ")
        raise RoomgenError(f"devices {kind} needs --root DIR: a folder of measured responses, laid out like this: {layout}.")
    if not of_files and root is not None:
        raise RoomgenError(
            f"devices {kind} are made, not read: leave --root away, or give folder or multi-angle in place of {kind}."
        )
    if kind == "generated" and model is None:
        raise RoomgenError(_NEEDS_MODEL)
    if kind != "generated" and model is not None:
        raise RoomgenError(f"--model is for generated; {kind} has no use for it.")
    if root is not None and not root.is_dir():
        raise RoomgenError(f"--root {root} is not a folder.")
    if csv is not None and kind != "multi-angle":
        raise RoomgenError(f"--csv is for multi-angle; {kind} has no use for it.")
    if csv is not None and overrides.get("pattern") is not None:
        raise RoomgenError("--csv and --pattern both say what the files are: give one of them.")
    fitting = {
        "count": ("microphones",),
        "compress": ("microphones",),
        "angles_deg": ("microphones",),
        "distances_m": ("microphones",),
        "recorders": ("recorders",),
        "pattern": ("multi-angle",),
        "lead_samples": ("folder", "multi-angle"),
        "splits.shares": ("microphones", "folder", "multi-angle"),
    }
    for key, kinds in fitting.items():
        drawn = kind in DRAWN and "microphones" in kinds  # those of a network are microphones too
        if key in overrides and kind not in kinds and not drawn:
            instead = " Say with --set recorders=… which device is in which split." if key == "splits.shares" else ""
            raise RoomgenError(f"{flags.get(key, key)} is for {' and '.join(kinds)}, not for {kind}.{instead}")


@lru_cache(maxsize=256)
def design_of(seed: int, index: int) -> MicrophoneDesign:
    """Return a parametric microphone of a dataset; of a generated one it is the construction alone that counts."""
    return draw_design(index, generator(seed, Stream.DEVICE, index))


@lru_cache(maxsize=16)
def recorder_of(seed: int, index: int) -> Recorder:
    """Return a recording device of a dataset; the same in every split."""
    return draw_recorder(RECORDERS[index], generator(seed, Stream.DEVICE, _RECORDER_STREAM + index))


def compression_of(settings: DevicesSettings, index: int) -> Compression | None:
    """Return the compression that a drawn device has, the same in all its responses, or None where it has none.

    A microphone's hangs on seed and number alone: with a larger share those that compress go on doing so, each as before.
    """
    if settings.kind == "recorders":
        drawn = recorder_of(settings.seed, index).compression
        return drawn if drawn.ratio > 1.0 else None
    if settings.kind not in DRAWN or index < 0:
        return None
    rng = generator(settings.seed, Stream.DEVICE, _COMPRESSION_STREAM + index)
    return draw_compression(rng) if rng.random() < settings.compress else None


def write_devices(settings: DevicesSettings, path: Path) -> int:
    """Write the drawn devices of these settings as a Parquet file, a row per response, and return how many there are.

    ``design`` is all that its device was drawn as, in JSON.
    """
    import json
    from dataclasses import asdict

    import pyarrow as pa
    import pyarrow.parquet as pq

    def design(unit: DeviceResponse) -> str:
        tree = asdict((recorder_of if settings.kind == "recorders" else design_of)(settings.seed, unit.drawn_as))
        if settings.compress:
            compression = compression_of(settings, unit.drawn_as)
            tree["compression"] = None if compression is None else tuple(compression)
        return json.dumps(tree, sort_keys=True)

    rows = [
        {
            "key": unit.key,
            "split": split,
            "microphone": unit.microphone,
            "angle_deg": unit.angle_deg,
            "distance_m": unit.distance_m,
            "design": design(unit),
        }
        for split, units in DevicesPlan(settings, {})._units.items()
        for unit in units
    ]
    text = json.dumps(settings.model_dump(mode="json"))  # unsorted: in what order splits are named decides what each gets
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"roomgen.settings": text})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return len(rows)
