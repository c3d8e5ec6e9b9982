"""The columns of a manifest: name, type, unit and meaning. The schema on disk and its description in words come from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from roomgen.acoustics.labels.table import LABELS

SCHEMA_VERSION = 4
READABLE_VERSIONS = (2, 3, 4)
"""Version 2 lacks the columns rt60_mid_s, sti, g_db, absorption_bands and scattering_bands of rooms. Up to version 3
rt60_target_s is called rt60_asked_s, and JSON members say NaN and Infinity where they now say null."""

Kind = Literal["float", "int32", "int64", "string", "name", "xyz", "floats", "names"]
"""``name`` is a string that repeats (stored as a dictionary); ``xyz`` three floats; ``floats`` any number, such as one per octave
band; ``names`` one string per wall. Floats are 32 bit."""


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
    Column("seed_index", "int64", "", "number of the sample that its draws are seeded by"),
)

_LABELS = tuple(
    column
    for label in LABELS
    for column in (
        Column(label.field, "float", label.unit, label.meaning),
        *([Column(label.bands_field, "floats", label.unit, label.of_bands)] if label.of_bands else []),
    )
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
    Column("absorption_scale", "float", "", "factor on the absorption of the materials; 1 unless there is a target RT60"),
    Column(
        "absorption_bands",
        "floats",
        "",
        "absorption of each octave band from 125 Hz, wall by wall; empty: the materials' own (which else come nearest to it)",
    ),
    Column("scattering_bands", "floats", "", "scattering coefficients in the same order; empty: nothing is scattered"),
    Column("source_xyz_m", "xyz", "m", "position of the source"),
    Column("mic_xyz_m", "xyz", "m", "position of the microphone (of the array's centre)"),
    Column("array", "name", "", "microphone geometry"),
    Column("distance_m", "float", "m", "from source to microphone"),
    Column(
        "azimuth_deg",
        "float",
        "°",
        "of the source seen from the microphone, counter-clockwise from +x (from the array's front), (−180, 180]",
    ),
    Column("elevation_deg", "float", "°", "of the source seen from the microphone, above the horizontal plane"),
    Column("fs_hz", "int32", "Hz", "sampling rate"),
    Column("n_channels", "int32", "", "number of microphones"),
    Column("n_samples", "int32", "", "length of the response in samples"),
    Column("engine", "name", "", "what simulated it: image, image+tail (late part is a diffuse field), reference"),
    *_LABELS,
    Column("rt60_predicted_s", "float", "s", "broadband RT60 predicted from size and walls before simulating"),
    Column("rt60_target_s", "float", "s", "target RT60, of what signal.rt60_of says (T_mid); NaN where there is none"),
    Column("direct_delay_s", "float", "s", "arrival of the direct sound after emission, at the microphone (the array's centre)"),
)

ARRAYS = (
    *ROOMS,
    Column(
        "array_yaw_deg", "float", "°", "how far the array is turned counter-clockwise: its front is at this azimuth of the room"
    ),
    Column("array_mics_m", "floats", "m", "x, y, z of every microphone in the room, one after another"),
)

SOURCES = (
    *COMMON,
    Column("corpus", "name", "", "which corpus it comes from"),
    Column("clip", "string", "", "name of the recording in the corpus"),
    Column("file", "string", "", "file of the recording, seen from the corpus' folder (of several pieces the first)"),
    Column("segment", "int32", "", "which piece of the recording this is, from 0"),
    Column("start_s", "float", "s", "where the piece begins in the recording"),
    Column("filled_s", "float", "s", "how much of its end is filled up (zeros or repetition), because the recording ended"),
    Column("source_fs_hz", "int32", "Hz", "sampling rate of the recording before resampling"),
    Column("fs_hz", "int32", "Hz", "sampling rate"),
    Column("n_channels", "int32", "", "number of channels"),
    Column("n_samples", "int32", "", "length in samples"),
    Column("speaker", "name", "", "who speaks; empty where the corpus does not say, as in all names below"),
    Column("sex", "name", "", "M or F"),
    Column("text", "string", "", "what is said in the whole recording"),
    Column("class_name", "name", "", "kind of event or scene"),
    Column("fold", "int32", "", "fold of the corpus; −1: none"),
    Column("subset", "name", "", "part that the corpus itself defines, such as train-clean-100"),
    Column("device", "name", "", "device that recorded it"),
    Column("location", "name", "", "where it was recorded"),
    Column("group", "name", "", "what is never divided between splits: speaker, place, original recording"),
    Column("licence", "name", "", "licence of this recording, where the corpus has one for each"),
    Column("gain_db", "float", "dB", "gain from the recording to this sample"),
    Column("rms_db", "float", "dB", "level: root mean square, 0 dB is full scale"),
    Column("peak_db", "float", "dB", "largest sample, 0 dB is full scale"),
)

RENDERS = (
    *COMMON,
    Column("source_key", "string", "", "sample of the sources dataset that is heard"),
    Column("rir_key", "string", "", "sample of the rooms dataset that it is heard through; empty: none"),
    Column("device_key", "string", "", "sample of the devices dataset that recorded it; empty: none"),
    Column("speaker", "name", "", "of the source"),
    Column("text", "string", "", "of the source"),
    Column("class_name", "name", "", "of the source"),
    Column("location", "name", "", "of the source"),
    Column("group", "name", "", "of the source: what is never divided between splits"),
    Column("source_device", "name", "", "device that the source was recorded by"),
    Column("room_id", "name", "", "of the response"),
    Column("volume_m3", "float", "m³", "of the room; NaN: no room, as in all columns of the response"),
    Column("rt60_s", "float", "s", "of the response"),
    Column("c50_db", "float", "dB", "of the response"),
    Column("drr_db", "float", "dB", "of the response"),
    Column("distance_m", "float", "m", "from source to microphone"),
    Column("azimuth_deg", "float", "°", "of the source in the array's frame, (−180, 180]"),
    Column("elevation_deg", "float", "°", "of the source seen from the microphone"),
    Column("device", "name", "", "recording device or microphone; empty: none"),
    Column("fs_hz", "int32", "Hz", "sampling rate"),
    Column("n_channels", "int32", "", "number of channels"),
    Column("n_samples", "int32", "", "length in samples"),
    Column("advance_s", "float", "s", "how much earlier than emitted it stands in the file: the travel of the direct sound"),
    Column("snr_db", "float", "dB", "level of the signal over that of the added noise; infinite: none was added"),
    Column("gain_db", "float", "dB", "gain of signal and noise together, from source × response to the file"),
    Column("rms_db", "float", "dB", "level of the file: root mean square, 0 dB is full scale"),
    Column("peak_db", "float", "dB", "largest sample of the file"),
)

DEVICES = (
    *COMMON,
    Column("microphone", "name", "", "name of the microphone or recording device"),
    Column(
        "kind", "name", "", "origin: microphones (parametric), recorders (simulated), measured, generated (by a trained network)"
    ),
    Column("file", "string", "", "file that it was read from, seen from the folder; empty: none"),
    Column("directivity", "name", "", "omni, cardioid, supercardioid, bidirectional; empty where unknown, as in all names below"),
    Column("transducer", "name", "", "condenser, moving_coil, ribbon"),
    Column("diaphragm_size", "name", "", "small, large"),
    Column("diaphragm_count", "name", "", "single, dual"),
    Column("address", "name", "", "end, side"),
    Column("angle_deg", "float", "°", "of the source from the microphone's axis; NaN: unknown, as in all numbers below"),
    Column("distance_m", "float", "m", "from source to microphone"),
    Column("conditioning", "floats", "", "the 12 variables that a generator of responses is given; empty where unknown"),
    Column("drc_threshold_db", "float", "dB", "of the dynamic range compression that belongs to the device"),
    Column("drc_ratio", "float", "", "1: no compression"),
    Column("drc_attack_ms", "float", "ms", "time constant of rising levels"),
    Column("drc_release_ms", "float", "ms", "time constant of falling levels"),
    Column("drc_makeup_db", "float", "dB", "gain after compression"),
    Column("source_fs_hz", "int32", "Hz", "sampling rate of the file before resampling"),
    Column("fs_hz", "int32", "Hz", "sampling rate"),
    Column("n_channels", "int32", "", "always 1"),
    Column("n_samples", "int32", "", "length in samples"),
    Column("energy_db", "float", "dB", "energy of the response, 0 dB: that of a unit pulse"),
    Column("peak_s", "float", "s", "where its largest sample stands"),
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
