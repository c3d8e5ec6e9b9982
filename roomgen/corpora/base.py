"""What a corpus is: recordings in a folder of a known layout, read one at a time, and what the corpus says of each.

A reader lists its clips once, in an order that does not depend on the file system, and reads only below its folder.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import RoomgenError

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")


class BrokenFile(Exception):
    """A file that cannot be used: it is skipped, counted and named at the end."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


@dataclass(frozen=True)
class Clip:
    """One recording and what the corpus says of it; empty text (and fold −1) where it says nothing.

    ``name`` is unique in the corpus and has only letters, digits, - and _; ``path`` is seen from the corpus' folder, with ``/``;
    ``paths`` are all files of a recording that was stored in pieces, in their order; ``group`` is what may not be divided between
    splits (a speaker, a place, an original recording); without one the clip stands for itself.
    """

    name: str
    path: str
    paths: tuple[str, ...] = ()
    speaker: str = ""
    sex: str = ""
    text: str = ""
    class_name: str = ""
    fold: int = -1
    subset: str = ""
    device: str = ""
    location: str = ""
    licence: str = ""
    group: str = ""


@dataclass(frozen=True)
class Recording:
    """Audio (channel, time) float32 and its rate in Hz; ``extras`` are further members of its samples by ending (images)."""

    audio: NDArray[np.float32]
    fs_hz: int
    extras: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """What a corpus is, in the words of the catalog; ``layout`` draws its folder, a line per kind of file."""

    title: str
    kind: Literal["speech", "events", "scenes", "responses", "any"]
    url: str
    licence: str
    size: str
    layout: str
    papers: tuple[str, ...] = ()


class Corpus(ABC):
    """A corpus in its folder (``root``), or an embedded one (``root`` None) that makes its recordings from a seed.

    Args:
        root: its folder.
        seed: of an embedded corpus.
        count: how many recordings an embedded corpus makes, None for its usual number.
    """

    name: ClassVar[str]
    about: ClassVar[About]
    embedded: ClassVar[bool] = False
    default_split: ClassVar[Literal["group", "subset"]] = "group"
    extra_members: ClassVar[tuple[str, ...]] = ()
    """Endings of what every recording has besides its audio."""

    def __init__(self, root: Path | None, *, seed: int = 0, count: int | None = None) -> None:
        self.root = root
        self.seed = seed
        self.count = count

    @property
    def folder(self) -> Path:
        """The folder of a corpus that has one."""
        assert self.root is not None, f"{self.name} is embedded and has no folder"
        return self.root

    @abstractmethod
    def clips(self) -> list[Clip]:
        """Return all recordings, sorted.

        Raises:
            RoomgenError: the folder is laid out otherwise; the message shows how it should look.
        """

    def probe(self, clip: Clip) -> tuple[int, int, int]:
        """Return sampling rate in Hz, channels and length in samples, without reading the audio.

        Raises:
            BrokenFile: not readable.
        """
        found = [probe_file(self.folder, path) for path in clip.paths or (clip.path,)]
        return found[0][0], found[0][1], sum(frames for _, _, frames in found)

    def read(self, clip: Clip) -> Recording:
        """Return a recording; pieces one after another.

        Raises:
            BrokenFile: not readable, or pieces that do not fit together.
        """
        pieces = [read_file(self.folder, path) for path in clip.paths or (clip.path,)]
        if len({(fs_hz, len(audio)) for audio, fs_hz in pieces}) > 1:
            raise BrokenFile(clip.path, "its pieces differ in sampling rate or channels")
        return Recording(np.concatenate([audio for audio, _ in pieces], axis=1), pieces[0][1])

    def fingerprint(self) -> str:
        """Return a name of the corpus' contents: the names and sizes of its files, and what it says of them."""
        return fingerprint_of(self.folder, self.clips())

    def layout_error(self, problem: str) -> RoomgenError:
        """Return the error of a folder that is not this corpus: what is wrong, and how it should look."""
        layout = "; ".join(line.strip() for line in self.about.layout.strip().splitlines())
        return RoomgenError(
            f"{self.root} is not {self.about.title}: {problem}. It should look like this: {layout}. It comes from {self.about.url}"
        )


def fingerprint_of(root: Path, clips: Iterable[Clip]) -> str:
    """Return 16 hexadecimal digits that change with any clip's description or any file's size."""
    digest = hashlib.sha256()
    for clip in clips:
        sizes = [_size(root / path) for path in clip.paths or (clip.path,)]
        digest.update(repr((clip, sizes)).encode())
    return digest.hexdigest()[:16]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else -1
    except (OSError, ValueError):
        return -1


def clip_name(path: str) -> str:
    """Return a path as a clip's name: without ending, with all that a key may not hold turned into ``-``."""
    stem = path.rsplit(".", 1)[0] if "." in path.rsplit("/", 1)[-1] else path
    return _NOT_IN_NAMES.sub("-", stem).strip("-") or "clip"


def unique_names(names: Iterable[str]) -> list[str]:
    """Return the names, repeated ones with a number at their end, in the order given."""
    seen: set[str] = set()
    out = []
    for name in names:
        candidate, number = name, 2
        while candidate in seen:
            candidate, number = f"{name}-{number}", number + 1
        seen.add(candidate)
        out.append(candidate)
    return out


def inside(root: Path, path: str) -> Path:
    """Return a file below ``root``; links must not lead out of it.

    Raises:
        BrokenFile: outside, or no file.
    """
    full = root / path
    try:
        within, there = full.resolve().is_relative_to(root.resolve()), full.is_file()
    except (OSError, ValueError, RuntimeError):  # too long a name, a link to itself
        within, there = True, False
    if not within:
        raise BrokenFile(path, "leads out of the corpus' folder")
    if not there:
        raise BrokenFile(path, "no such file")
    return full


def probe_file(root: Path, path: str) -> tuple[int, int, int]:
    """Return sampling rate in Hz, channels and frames of an audio file.

    Raises:
        BrokenFile: not readable as audio, empty, or of a rate that nothing here is made for.
    """
    import soundfile

    full = inside(root, path)
    try:
        info = soundfile.info(str(full))
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise BrokenFile(path, f"not readable as audio ({_reason(error)})") from None
    if info.frames <= 0:
        raise BrokenFile(path, "holds no samples")
    if not 4000 <= info.samplerate <= 384_000:
        raise BrokenFile(path, f"has a sampling rate of {info.samplerate} Hz")
    return int(info.samplerate), int(info.channels), int(info.frames)


def read_file(root: Path, path: str) -> tuple[NDArray[np.float32], int]:
    """Return (channel, time) audio and its rate in Hz.

    Raises:
        BrokenFile: not readable as audio, or shorter than its header says.
    """
    import soundfile

    full = inside(root, path)
    try:
        with soundfile.SoundFile(str(full)) as file:
            promised, fs_hz = file.frames, int(file.samplerate)
            audio = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise BrokenFile(path, f"not readable as audio ({_reason(error)})") from None
    if len(audio) == 0:
        raise BrokenFile(path, "holds no samples")
    if len(audio) < promised:
        raise BrokenFile(path, f"ends after {len(audio)} of {promised} samples")
    return np.ascontiguousarray(audio.T), fs_hz


def audio_files(root: Path, *, endings: tuple[str, ...] = AUDIO_ENDINGS) -> list[str]:
    """Return the audio files below a folder, seen from it, sorted; hidden files and folders are left out."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in endings and path.is_file())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))


def _reason(error: Exception) -> str:
    return str(error).rsplit(":", 1)[-1].strip().rstrip(".") or type(error).__name__
