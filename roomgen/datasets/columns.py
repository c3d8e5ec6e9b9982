"""The columns of a manifest: name, type, unit and meaning. The schema on disk and its description in words come from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SCHEMA_VERSION = 1

Kind = Literal["float", "int32", "int64", "string", "name", "xyz", "floats", "names"]
"""``name`` is a string that repeats (stored as a dictionary); ``xyz`` three floats; ``floats`` one per octave band; ``names``
one string per wall. Floats are 32 bit."""


@dataclass(frozen=True)
class Column:
    """One column of the manifest; ``in_json`` tells whether the JSON member of each sample repeats it."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    in_json: bool = True


COMMON = (
    Column("key", "string", "", "name of the sample, unique in the dataset and without a dot", in_json=False),
    Column("split", "name", "", "train, val, test or what the splits are called"),
    Column("shard", "name", "", "file name of the tar, inside data/", in_json=False),
    Column("offset", "int64", "byte", "where the audio member's bytes begin in the tar", in_json=False),
    Column("nbytes", "int64", "byte", "length of the audio member", in_json=False),
    Column("seed_index", "int64", "", "room index × RIRs per room + position index: the number that the draws are seeded by"),
)

ROOMS = (
    *COMMON,
    Column("room_id", "name", "", "name of the room; samples of one room share it"),
    Column("room_type", "name", "", "family that the room was drawn from"),
    Column("length_m", "float", "m", "extent along x"),
    Column("width_m", "float", "m", "extent along y"),
    Column("height_m", "float", "m", "extent along z"),
    Column("volume_m3", "float", "m³", "length × width × height"),
    Column("surface_m2", "float", "m²", "area of all six walls"),
    Column("materials", "names", "", "west, east, south, north, floor, ceiling: a material's name, or an absorption as text"),
    Column("absorption_scale", "float", "", "factor on the absorption of all walls; 1 unless an RT60 was asked for"),
    Column("source_xyz_m", "xyz", "m", "position of the source"),
    Column("mic_xyz_m", "xyz", "m", "position of the microphone (of the array's centre)"),
    Column("array", "name", "", "microphone geometry"),
    Column("distance_m", "float", "m", "from source to microphone"),
    Column("azimuth_deg", "float", "°", "of the source seen from the microphone, from +x counter-clockwise, (−180, 180]"),
    Column("elevation_deg", "float", "°", "of the source seen from the microphone, above the horizontal plane"),
    Column("fs_hz", "int32", "Hz", "sampling rate"),
    Column("n_channels", "int32", "", "number of microphones"),
    Column("n_samples", "int32", "", "length of the response in samples"),
    Column("engine", "name", "", "what simulated it: image, image+tail (late part is shaped noise), reference"),
    Column("rt60_s", "float", "s", "T30 × 2 of the broadband response (ISO 3382-1); NaN: cannot be measured"),
    Column("rt60_bands_s", "floats", "s", "the same per octave band from 125 Hz"),
    Column("t20_s", "float", "s", "reverberation time from −5 to −25 dB"),
    Column("edt_s", "float", "s", "early decay time, from 0 to −10 dB"),
    Column("c50_db", "float", "dB", "energy of the first 50 ms after the direct sound's arrival over the rest"),
    Column("c50_bands_db", "floats", "dB", "the same per octave band from 125 Hz"),
    Column("c80_db", "float", "dB", "the same with 80 ms"),
    Column("d50", "float", "", "share of the energy in the first 50 ms"),
    Column("drr_db", "float", "dB", "energy of the direct sound over that of all the rest"),
    Column("ts_s", "float", "s", "centre time of the energy, after the direct sound's arrival"),
    Column("rt60_predicted_s", "float", "s", "RT60 predicted from size and walls before simulating"),
    Column("rt60_asked_s", "float", "s", "RT60 that was asked for; NaN where none was"),
    Column("direct_delay_s", "float", "s", "arrival of the direct sound after emission"),
)


def describe(columns: tuple[Column, ...]) -> str:
    """Return the columns as a Markdown table."""
    types = {
        "float": "float32",
        "name": "string (dictionary)",
        "xyz": "list of 3 float32",
        "floats": "list of float32",
        "names": "list of 6 strings",
    }
    rows = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    rows += [f"| `{c.name}` | {types.get(c.kind, c.kind)} | {c.unit} | {c.meaning} |" for c in columns]
    return "\n".join(rows)
