"""Responses of microphones from many angles and distances, as files whose names say which, or with a list that says so.

Made for the Multi-Angle, Multi-Distance Microphone Impulse Response Dataset (University of Surrey). How its files are called is
not documented: :func:`guess` finds microphone, angle and distance in names as such names usually are, a listing shows what
was found and what not, and a regular expression or a CSV file take its place where it fails.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from roomgen.corpora.base import About, BrokenFile, Clip, Corpus, audio_files, clip_name, read_bytes, unique_names
from roomgen.corpora.listing import MOST_BYTES
from roomgen.errors import RoomgenError, suggest

LIST_NAME = "responses.csv"
"""A list of this name in the folder is read without being asked for."""

ENDINGS = (".wav", ".flac", ".aif", ".aiff")
_NUMBER = r"\d+(?:[.,p]\d+)?"
_DISTANCE = re.compile(rf"(?:(?:d|dist|distance|r)?({_NUMBER}) ?(mm|cm|m)|(?:d|dist|distance|r)({_NUMBER}))", re.IGNORECASE)
_ANGLE = re.compile(
    rf"(?:(?:a|az|azi|azimuth|ang|angle|deg|theta)(-?{_NUMBER})|({_NUMBER}) ?(?:deg|degs|degree|degrees|°))", re.IGNORECASE
)
_PLAIN = re.compile(r"\d{1,3}")
_WORDS = ("dist", "distance", "az", "azi", "azimuth", "ang", "angle", "deg", "theta")  # not "a": NT2-A is a microphone
_GROUPS = ("mic", "angle", "distance", "directivity", "transducer", "diaphragm_size", "diaphragm_count", "address")
_COLUMNS = {"file": "file", "microphone": "mic", "angle_deg": "angle", "distance_m": "distance"}
_NAMES = {
    "directivity": ("omni", "cardioid", "supercardioid", "bidirectional"),
    "transducer": ("condenser", "moving_coil", "ribbon"),
    "diaphragm_size": ("small", "large"),
    "diaphragm_count": ("single", "dual"),
    "address": ("end", "side"),
}


@dataclass(frozen=True)
class Response:
    """One file and what is known of it: empty text and NaN where nothing is. ``angle_deg`` lies in [0, 360)."""

    name: str
    path: str
    microphone: str
    angle_deg: float = math.nan
    distance_m: float = math.nan
    directivity: str = ""
    transducer: str = ""
    diaphragm_size: str = ""
    diaphragm_count: str = ""
    address: str = ""


class MultiAngle(Corpus):
    """Files by microphone, angle and distance."""

    name = "multi-angle"
    about = About(
        title="Multi-Angle, Multi-Distance Microphone Impulse Response Dataset",
        kind="responses",
        url="https://doi.org/10.5281/zenodo.4633508",
        licence="see the record (a mirror says CC BY 4.0)",
        size="25 microphones, 72 angles, 3 distances",
        layout=f"""<microphone>_<distance>_<angle>.wav, such as NT2-A_50cm_135deg.wav, in any folders and order
{LIST_NAME}: in place of telling names, with the columns file,microphone,angle_deg,distance_m
(and directivity,transducer,diaphragm_size,diaphragm_count,address)""",
        papers=("icl",),
    )

    def clips(self) -> list[Clip]:
        found, _ = read_responses(self.folder)
        if not found:
            raise self.layout_error("no file's name tells microphone, angle and distance")
        return [Clip(response.name, response.path, device=response.microphone, group=response.microphone) for response in found]


def read_responses(root: Path, *, pattern: str | None = None, csv_path: Path | None = None) -> tuple[list[Response], list[str]]:
    """Return the responses in a folder, sorted by path, and the audio files that say nothing.

    Args:
        root: the folder.
        pattern: regular expression, searched for in each path below the folder, without its ending, upper and lower case alike;
            with the groups ``mic`` and ``angle`` (degrees), and ``distance`` ("50cm", "1.25m"; without a unit: m below 10, cm
            below 1000, mm above), ``directivity``, ``transducer``, ``diaphragm_size``, ``diaphragm_count``, ``address`` if it
            likes.
        csv_path: list in place of names; None: ``responses.csv`` in the folder, if there is one and no pattern is given.

    Raises:
        RoomgenError: pattern or list cannot be understood.
    """
    files = audio_files(root, endings=ENDINGS)
    if csv_path is None and pattern is None and (root / LIST_NAME).is_file():
        csv_path = root / LIST_NAME
    if csv_path is not None:
        found = _listed(csv_path, set(files))
    else:
        compiled = None if pattern is None else _compiled(pattern)
        each = ((path, guess(path) if compiled is None else _by_pattern(path, compiled)) for path in files)
        found = [response for _, response in each if response is not None]
    names = unique_names(response.name for response in found)
    found = [replace(response, name=name) for response, name in zip(found, names, strict=True)]
    known = {response.path for response in found}
    return found, [path for path in files if path not in known]


def looks_multi_angle(folder: Path) -> bool:
    """Tell whether a folder holds responses from several angles: a list, or most names say so and a microphone has three."""
    if (folder / LIST_NAME).is_file():
        return True
    found, unknown = read_responses(folder)
    angles = defaultdict(set)
    for response in found:
        angles[response.microphone].add(response.angle_deg)
    return len(found) > len(unknown) and max(map(len, angles.values()), default=0) >= 3


def guess(path: str) -> Response | None:
    """Return what a path (seen from the folder) says, or None where microphone, angle or distance cannot be found.

    Names are cut at ``_``, ``-``, blanks and folders. A distance is a number with its unit, or after "d"; an angle is a number
    before "deg" or after "az", "angle" …, or else the last plain number below 360; the microphone is what stands before both in
    the file's name, or else the nearest folder that is neither.
    """
    *folders, file = path.rsplit(".", 1)[0].split("/") if "." in path.rsplit("/", 1)[-1] else path.split("/")
    pieces = [(match.group(), match.start(), number) for number, text in enumerate([*folders, file]) for match in _pieces(text)]
    distances = [i for i, (text, _, _) in enumerate(pieces) if _DISTANCE.fullmatch(text)]
    angles = [i for i, (text, _, _) in enumerate(pieces) if _ANGLE.fullmatch(text)]
    if not angles:
        angles = [i for i, (text, _, _) in enumerate(pieces) if _PLAIN.fullmatch(text) and int(text) < 360]
    if not distances or not angles:
        return None
    used = {angles[-1], distances[-1]}
    starts = [start for i, (_, start, number) in enumerate(pieces) if i in used and number == len(folders)]
    name = _name_before(file, min(starts, default=len(file)))
    for number in reversed(range(len(folders))):
        if name:
            break
        if not any(number == pieces[i][2] for i in used):
            name = folders[number]
    distance_m = _metres(pieces[distances[-1]][0])
    angle = _ANGLE.fullmatch(pieces[angles[-1]][0])
    angle_deg = _number(next(filter(None, angle.groups()))) if angle else float(pieces[angles[-1]][0])
    return _response(path, name, angle_deg, distance_m) if name and distance_m is not None else None


def _pieces(text: str) -> list[re.Match[str]]:
    return list(re.finditer(r"[^_\-\s]+", text))


def _name_before(file: str, end: int) -> str:
    """Return a file's name up to its first number, less a word like "angle" that belongs to the number."""
    name = re.sub(r"[_\-\s]+$", "", file[:end])
    parts = re.split(r"[_\-\s]+", name)
    return name if parts[-1].lower() not in _WORDS else re.sub(r"[_\-\s]+$", "", name[: -len(parts[-1])])


def _response(path: str, microphone: str, angle_deg: float, distance_m: float, **more: str) -> Response:
    return Response(clip_name(path), path, microphone, angle_deg % 360.0, distance_m, **more)


def _number(text: str) -> float:
    return float(text.lower().replace(",", ".").replace("p", "."))


def _metres(text: str) -> float | None:
    """Return a distance in m, or None where the text is none."""
    match = re.fullmatch(rf"\D*?({_NUMBER}) ?(mm|cm|m)?", text.strip(), re.IGNORECASE)
    if match is None:
        return None
    value, unit = _number(match.group(1)), (match.group(2) or "").lower()
    if not unit:
        unit = "m" if value < 10 else "cm" if value < 1000 else "mm"
    metres = value * {"mm": 0.001, "cm": 0.01, "m": 1.0}[unit]
    return round(metres, 6) if metres > 0 else None


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise RoomgenError(f"--pattern {pattern!r} is not a regular expression: {error}.") from None
    missing = [name for name in ("mic", "angle") if name not in compiled.groupindex]
    unknown = [name for name in compiled.groupindex if name not in _GROUPS]
    if missing or unknown:
        what = (
            f"lacks the group{'s' if len(missing) > 1 else ''} {', '.join(missing)}" if missing else f"has the group {unknown[0]}"
        )
        raise RoomgenError(
            f"--pattern {pattern!r} {what}. It needs (?P<mic>…) and (?P<angle>…) and may have {', '.join(_GROUPS[2:])}; "
            r"such as (?P<mic>[^/_]+)_(?P<distance>\d+cm)_(?P<angle>\d+)$"
        )
    return compiled


def _by_pattern(path: str, pattern: re.Pattern[str]) -> Response | None:
    match = pattern.search(path[: path.rindex(".")])
    if match is None:
        return None
    groups = {name: text for name, text in match.groupdict().items() if text}
    try:
        angle_deg = _number(groups["angle"])
        distance_m = _metres(groups["distance"]) if "distance" in groups else math.nan
    except (KeyError, ValueError):
        return None
    if distance_m is None or not groups.get("mic"):
        return None
    named = {name: text.lower() for name, text in groups.items() if name in _NAMES}
    if any(text not in _NAMES[name] for name, text in named.items()):
        return None
    return _response(path, groups["mic"], angle_deg, distance_m, **named)


def _listed(path: Path, files: set[str]) -> list[Response]:
    """Return the responses that a CSV file names, sorted by path."""
    try:
        real = path.resolve()
        text = read_bytes(real.parent, real.name, most=MOST_BYTES).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        header = list(reader.fieldnames or ())
        rows = list(reader)
    except (BrokenFile, UnicodeDecodeError, csv.Error) as error:
        raise RoomgenError(f"--csv {path} cannot be read: {error}.") from None
    for column in header:
        if column not in _COLUMNS and column not in _NAMES:
            allowed = [*_COLUMNS, *_NAMES]
            raise RoomgenError(f"{path}: unknown column {column!r}.{suggest(column, allowed)} Columns: {', '.join(allowed)}.")
    missing = [column for column in ("file", "microphone") if column not in header]
    if missing:
        raise RoomgenError(f"{path} lacks the column {missing[0]}: it needs file and microphone, and angle_deg and distance_m.")
    found = [_listed_row(path, number, row, files) for number, row in enumerate(rows, start=2)]
    file, times = Counter(response.path for response in found).most_common(1)[0] if found else ("", 0)
    if times > 1:
        raise RoomgenError(f"{path} names {file} {times} times.")
    return sorted(found, key=lambda response: response.path)


def _listed_row(path: Path, number: int, row: dict[str, str | None], files: set[str]) -> Response:
    def value(column: str) -> str:
        return (row.get(column) or "").strip()

    def real(column: str, *, least: float) -> float:
        try:
            result = float(value(column) or "nan")
        except ValueError:
            result = math.inf
        if math.isinf(result) or result < least:
            raise RoomgenError(f"{path}, line {number}: {column} {value(column)!r} is not a number above {least:g}.")
        return result

    file = value("file").replace("\\", "/").removeprefix("./")
    if file not in files:
        raise RoomgenError(f"{path}, line {number}: there is no audio file {value('file')!r} in the folder.")
    if not value("microphone"):
        raise RoomgenError(f"{path}, line {number}: the microphone of {file} has no name.")
    for column, allowed in _NAMES.items():
        if value(column) and value(column) not in allowed:
            raise RoomgenError(f"{path}, line {number}: {column} {value(column)!r} is none of {', '.join(allowed)}.")
    named = {column: value(column) for column in _NAMES}
    distance_m = real("distance_m", least=0.0)
    return _response(file, value("microphone"), real("angle_deg", least=-360.0), distance_m, **named)
