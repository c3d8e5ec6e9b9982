"""What the papers' datasets are put together from: what the user gave, corpora or their stand-ins, rooms and renders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roomgen.corpora import corpus_classes, open_corpora, open_corpus
from roomgen.corpora.union import JOIN, check_apart, sorted_union
from roomgen.datasets.renders.family import renders_settings
from roomgen.datasets.rooms.pin import write_rooms
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError

_CANDIDATES = {
    "speech": ("librispeech", "speechocean762", "folder"),
    "events": ("fsdnoisy18k", "esc50", "esc10", "folder"),
    "scenes": ("tau2022", "soundspaces-speech", "avspeech", "esc10", "folder"),
}
_STAND_INS = {"speech": "espeak", "events": "synthetic", "scenes": "synthetic-scenes"}


@dataclass(frozen=True)
class Given:
    """What the user gave: folders of corpora, the scale and the seed.

    ``speech`` are folders whose corpora are used as one; ``overlap`` is the share of a segment of speech that the next one repeats;
    ``speech_level_db`` is the RMS level that every segment is brought to, None for that of its recording;
    ``walls`` is how the walls of rooms are drawn: as the paper says, or as one of :data:`WALLS`.
    """

    speech: tuple[Path, ...] = ()
    events: Path | None = None
    scenes: Path | None = None
    dirs: tuple[Path, ...] = ()
    scale: float = 1.0
    seed: int = 0
    overlap: float = 0.0
    speech_level_db: float | None = None
    walls: str = "random"

    def count(self, full: int, *, least: int = 1) -> int:
        """Return a count of the paper at this scale."""
        return max(round(full * self.scale), min(least, full))


@dataclass(frozen=True)
class Part:
    """One dataset of a paper: its folder, where its data come from, and its settings and inputs once the parts before it exist."""

    name: str
    origin: str
    real: bool
    settings: Callable[[], tuple[Any, dict[str, Path]]]
    planned: Callable[[Any, Path], int] | None = None
    """Writes what it plans as a small file, where that does not depend on data: rooms and drawn devices."""


@dataclass(frozen=True)
class Paper:
    """A paper: its name on the command line, its title, and what yields its parts in the order in which they are made.

    ``parts`` takes the folder that they are made in and what the user gave; ``takes`` are the choices of :class:`Given`, beyond
    corpora, scale and seed, that the paper knows.
    """

    name: str
    title: str
    parts: Callable[[Path, Given], Iterator[Part]]
    takes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recordings:
    """A corpus of recordings, or several as one; without folders the embedded stand-in."""

    name: str
    roots: tuple[Path, ...]

    @property
    def real(self) -> bool:
        return bool(self.roots)

    @property
    def origin(self) -> str:
        abouts = [kind.about for kind in dict.fromkeys(corpus_classes(self.name))]
        if not self.real:
            return f"stand-in: {abouts[0].title}, embedded in roomgen"
        return " and ".join(f"{about.title} ({about.licence})" for about in abouts)

    def settings(self, **overrides: Any) -> tuple[Any, dict[str, Path]]:
        note = "" if self.real else "Embedded stand-in for recordings that the paper used: do not compare results with the paper's."
        return sources_settings(self.name, self.roots, {"note": note, **_dotted(overrides)})

    @property
    def subsets(self) -> list[str]:
        return sorted({clip.subset for clip in open_corpora(self.name, self.roots).clips()}) if self.real else []


WALLS: dict[str, dict[str, Any]] = {
    "random": {},
    "measured": {
        "walls.model": "measured",
        "walls.scattering": 0.1,
        "walls.rt60_limits_s": (0.2, 2.0),
        "signal.duration": "octaves",
    },
    "flat": {"walls.model": "flat", "walls.rt60_limits_s": None, "signal.duration": "octaves"},
}
"""How walls can be drawn, and the settings that this means: as the paper says; as measured rooms, whose early decays ask for a
little scattering as well; or alike in all directions and bands (the control set; its range of absorption sets the RT60s)."""


def rooms_part(name: str, preset: str, given: Given, overrides: dict[str, Any], *, instead_of: str = "") -> Part:
    """Return the rooms of a preset; ``instead_of`` names the real ones whose place they take, where they do."""
    values = {"seed": given.seed, **overrides}
    origin = f"stand-in: preset {preset}, shoeboxes for {instead_of}" if instead_of else f"simulated: preset {preset}"
    return Part(name, origin, not instead_of, lambda: (load_settings(preset, values), {}), planned=write_rooms)


def renders_part(
    root: Path, name: str, given: Given, corpus: Recordings, parts: dict[str, str], overrides: dict[str, Any], *, through: str = ""
) -> Part:
    """Return renders of a corpus; ``through`` names the stand-ins that it is heard through, where it is."""
    inputs = {kind: root / part for kind, part in parts.items()}
    replaced = [*([] if corpus.real else ["sources"]), *([through] if through else [])]
    note = f"Stand-ins take the place of the paper's {' and '.join(replaced)}: do not compare results with it." if replaced else ""
    values = {"seed": given.seed, "note": note, **overrides}
    origin = f"{corpus.origin}, rendered" + (f" through stand-ins for {through}" if through else "")
    return Part(name, origin, not replaced, lambda: (renders_settings(inputs, values), inputs))


def recordings(kind: str, folders: tuple[Path, ...] | Path | None, *, among: tuple[str, ...] | None = None) -> Recordings:
    """Return the corpus in a folder, whichever of its kind it is, or those in several as one; without a folder the stand-in.

    Papers ask for all of theirs before their first part: a mistyped folder shall not show after hours of simulation.
    """
    if not folders:
        return Recordings(_STAND_INS[kind], ())
    folders = (folders,) if isinstance(folders, Path) else folders
    check_apart(folders, f"--{kind}")
    names = [_found(kind, folder, among or _CANDIDATES[kind]) for folder in folders]
    return Recordings(*sorted_union(JOIN.join(names), folders))


def _found(kind: str, folder: Path, candidates: tuple[str, ...]) -> str:
    """Return the name of the first corpus that a folder holds."""
    if not folder.is_dir() or not any(folder.iterdir()):
        what = "an empty" if folder.is_dir() else "not a"
        wanted = " or ".join("audio files" if name == "folder" else name for name in candidates)
        raise RoomgenError(f"--{kind} {folder} is {what} folder: give one that holds {wanted}.")
    reasons = []
    for name in candidates:
        try:
            open_corpus(name, folder).clips()
            return name
        except RoomgenError as error:
            reasons.append(f"{name}: {error}")
    raise RoomgenError(f"{folder} holds none of the corpora that --{kind} can be. " + " | ".join(reasons))


def _dotted(overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("__", "."): value for key, value in overrides.items()}
