"""What a corpus is: recordings in a folder of a known layout, read one at a time, and what the corpus says of each.

A reader lists its clips once, in an order that does not depend on the file system, and reads only below its folder.
"""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from roomgen.audio import AudioInfo, BadAudio, probe_audio, read_audio
from roomgen.errors import RoomgenError, printable

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus")
NO_FILE = "no such file"
_LONGEST_NAME = 70
_GLANCE_BYTES = 4096
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")


class BrokenFile(Exception):
    """A file that cannot be used: it is skipped, counted and named at the end."""

    def __init__(self, name: str, reason: str) -> None:
        # Both go into dataset.json, cards and onto terminals, and a file may have any name.
        self.name, self.reason = printable(name), printable(reason)
        super().__init__(f"{self.name}: {self.reason}")


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

    @property
    def files(self) -> tuple[str, ...]:
        """The files of its audio, in their order."""
        return self.paths or (self.path,)


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

    @property
    def origin(self) -> str:
        """How its folder looks and where it is from, in one line."""
        layout = "; ".join(line.strip() for line in self.layout.strip().splitlines())
        return f"{layout}. It comes from {self.url}"


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

    def files(self, clip: Clip) -> tuple[str, ...]:
        """Return all files that a recording is made from, seen from the folder."""
        return clip.files

    def probe(self, clip: Clip) -> tuple[int, int, int]:
        """Return sampling rate in Hz, channels and length in samples, without reading the audio.

        Raises:
            BrokenFile: not readable.
        """
        found = [probe_file(self.folder, path) for path in clip.files]
        return found[0][0], found[0][1], sum(frames for _, _, frames in found)

    def read(self, clip: Clip) -> Recording:
        """Return a recording; pieces one after another.

        Raises:
            BrokenFile: not readable, or pieces that do not fit together.
        """
        pieces = [read_file(self.folder, path) for path in clip.files]
        if len({(fs_hz, len(audio)) for audio, fs_hz in pieces}) > 1:
            raise BrokenFile(clip.path, "its pieces differ in sampling rate or channels")
        return Recording(np.concatenate([audio for audio, _ in pieces], axis=1), pieces[0][1])

    def fingerprint(self) -> str:
        """Return a name of the corpus' contents: what it says of its recordings, and size, head and tail of each of its files."""
        return fingerprint_of(self.folder, self.clips(), self.files)

    def layout_error(self, problem: str) -> RoomgenError:
        """Return the error of a folder that is not this corpus: what is wrong, and how it should look."""
        return RoomgenError(f"{self.root} is not {self.about.title}: {problem}. It should look like this: {self.about.origin}")


def fingerprint_of(root: Path, clips: Iterable[Clip], files: Callable[[Clip], Sequence[str]] | None = None) -> str:
    """Return 16 hexadecimal digits that change with any clip's description, and with size, head or tail of any of its files."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(repr(clip).encode())
        for path in files(clip) if files else clip.files:
            digest.update(_glance(root / path))
    return digest.hexdigest()[:16]


def _glance(path: Path) -> bytes:
    """Return size, first and last 4 KiB of a file: what differs between two recordings, for the price of opening it."""
    try:
        if not path.is_file():  # a pipe, which would wait
            return b"none"
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_GLANCE_BYTES)
            file.seek(max(size - _GLANCE_BYTES, len(head)))
            return size.to_bytes(8) + head + file.read(_GLANCE_BYTES)
    except (OSError, ValueError):
        return b"none"


def clip_name(path: str) -> str:
    """Return a path as a clip's name: without ending, with all that a key may not hold turned into ``-``.

    Of a long one the beginning and a hash of the whole are kept: a key has 89 characters, also where renders put numbers around it.
    """
    stem = path.rsplit(".", 1)[0] if "." in path.rsplit("/", 1)[-1] else path
    name = _NOT_IN_NAMES.sub("-", stem).strip("-") or "clip"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


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
        BrokenFile: outside, or no file, or of a name that is not Unicode and could not be written down.
    """
    full = root / path
    try:
        path.encode()
        within, there = full.resolve().is_relative_to(root.resolve()), full.is_file()
    except UnicodeEncodeError:
        raise BrokenFile(path, "has a name that is not UTF-8") from None
    except (OSError, ValueError, RuntimeError):  # too long a name, a link to itself
        within, there = True, False
    if not within:
        raise BrokenFile(path, "leads out of the corpus' folder")
    if not there:
        raise BrokenFile(path, NO_FILE)
    return full


def read_bytes(root: Path, path: str, *, most: int) -> bytes:
    """Return what a file below ``root`` holds.

    Raises:
        BrokenFile: as in :func:`inside`; not readable, or of more than ``most`` bytes.
    """
    full = inside(root, path)
    try:
        with full.open("rb") as file:
            if os.fstat(file.fileno()).st_size > most:
                raise BrokenFile(path, f"is larger than {most} bytes")
            return file.read(most)
    except OSError as error:
        raise BrokenFile(path, f"not readable ({error.strerror})") from None


def probe_file(root: Path, path: str) -> AudioInfo:
    """Return sampling rate in Hz, channels and length in samples of an audio file.

    Raises:
        BrokenFile: as in :func:`inside`; it cannot be used (:func:`roomgen.audio.probe_audio`), or is of a rate that nothing here
            is made for.
    """
    full = inside(root, path)
    try:
        info = probe_audio(full)
    except BadAudio as error:
        raise BrokenFile(path, str(error).removeprefix("is ")) from None
    if not 4000 <= info.fs_hz <= 384_000:
        raise BrokenFile(path, f"has a sampling rate of {info.fs_hz} Hz")
    return info


def read_file(root: Path, path: str) -> tuple[NDArray[np.float32], int]:
    """Return (channel, time) audio and its rate in Hz.

    Raises:
        BrokenFile: as in :func:`inside`; it cannot be used (:func:`roomgen.audio.read_audio`).
    """
    full = inside(root, path)
    try:
        return read_audio(full)
    except BadAudio as error:
        raise BrokenFile(path, str(error).removeprefix("is ")) from None


def audio_files(root: Path, *, endings: tuple[str, ...] = AUDIO_ENDINGS) -> list[str]:
    """Return the audio files below a folder, seen from it, sorted; hidden files and folders are left out."""
    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in endings and path.is_file())
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
