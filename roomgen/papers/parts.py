"""The datasets of each paper: which corpora, rooms, devices and renders, with which settings, in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from roomgen.corpora import corpus_classes, open_corpora, open_corpus
from roomgen.corpora.union import JOIN, check_apart, sorted_union
from roomgen.datasets.devices.family import devices_settings
from roomgen.datasets.devices.plan import responses_in, write_devices
from roomgen.datasets.renders.family import renders_settings
from roomgen.datasets.rooms.pinned import write_rooms
from roomgen.datasets.rooms.settings import load_settings
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError
from roomgen.settings import SplitsSettings

_CANDIDATES = {
    "speech": ("librispeech", "speechocean762", "folder"),
    "events": ("fsdnoisy18k", "esc50", "esc10", "folder"),
    "scenes": ("tau2022", "soundspaces-speech", "avspeech", "esc10", "folder"),
}
_STAND_INS = {"speech": "espeak", "events": "synthetic", "scenes": "synthetic-scenes"}
_EVALUATION_SUBSETS = ("dev-clean", "test-clean", "dev-other", "test-other")
_ICL_SCENES = ("tau2022", "esc50", "esc10", "folder")
_ICL_STAND_INS = 1000
_VAL_SHARE = 0.13
"""Of the places for training, to stop and choose by; the official fold has none."""
_SEEN, _UNSEEN = ("A", "B", "C", "S1", "S2", "S3"), ("S4", "S5", "S6")


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
class _Corpus:
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


def _revrir(root: Path, given: Given) -> Iterator[Part]:
    test = given.count(100)
    train = given.count(5000)
    shares = {"train": train / (train + test), "test": test / (train + test)}
    speech = _corpus("speech", given.speech)
    yield _rooms("rirs", "revrir", given, {"rooms.count": 110, "place.rirs_per_room": train + test, "splits.shares": shares})
    common = {"fs_hz": 8000, "segment_s": 10.0, "short": "pad", "per_clip": 1, "seed": given.seed}
    counts = {"train": given.count(20_000, least=200), "test": given.count(2703, least=50)}
    if not speech.real:
        common["corpus_count"] = given.count(4000, least=300)
    for name, stretch in (("train", (0.0, 0.9)), ("test", (0.9, 1.0))):
        subset = _subset(speech, name)
        where = {"subsets": (subset,)} if subset else {"take": stretch}
        overrides = {**common, **where, "splits__shares": {name: 1.0}, "max_samples": {name: counts[name]}, "split_by": "group"}
        yield Part(f"{name}-speech", speech.origin, speech.real, partial(speech.settings, **overrides))


def _goetz(root: Path, given: Given) -> Iterator[Part]:
    speech = _corpus("speech", given.speech)
    walls = WALLS[given.walls]
    upstream = {"rooms.count": given.count(64, least=8), "splits.shares": {"train": 1.0}, "seed": given.seed + 1, **walls}
    yield _rooms("upstream-rirs", "goetz", given, upstream)
    # For those who keep rooms apart: a fifth of them for testing, so that intervals over rooms mean something.
    apart = {"train": 0.7, "val": 0.1, "test": 0.2}
    yield _rooms("downstream-rirs", "goetz", given, {"rooms.count": given.count(100, least=10), "splits.shares": apart, **walls})
    common: dict[str, Any] = {"fs_hz": 16000, "segment_s": 4.0, "short": "drop", "seed": given.seed, "split_by": "group"}
    common["overlap"] = given.overlap
    if given.speech_level_db is not None:
        common |= {"level": "rms", "level_db": given.speech_level_db}
    if not speech.real:
        common["corpus_count"] = given.count(600, least=120)
    counts = {name: given.count(count, least=8) for name, count in (("train", 128), ("val", 32), ("test", 32))}
    # A third of the speakers is enough for 192 segments; the others are heard downstream.
    up = {**common, "take": (0.0, 0.35), "max_samples": counts, "splits__shares": {"train": 0.66, "val": 0.17, "test": 0.17}}
    yield Part("upstream-speech", speech.origin, speech.real, partial(speech.settings, **up))
    down = {**common, "take": (0.35, 1.0), "splits__shares": {"train": 0.66, "val": 0.17, "test": 0.17}}
    yield Part("downstream-speech", speech.origin, speech.real, partial(speech.settings, **down))


def _mvsd(root: Path, given: Given) -> Iterator[Part]:
    speech = _corpus("speech", given.speech)
    if given.scenes is not None:
        scenes = _corpus("scenes", _one(given.scenes), among=("soundspaces-speech", "avspeech"))
        overrides = {"fs_hz": 16000, "seed": given.seed, "split_by": "subset"}
        yield Part(scenes.name, scenes.origin, True, partial(scenes.settings, **overrides))
    common: dict[str, Any] = {"fs_hz": 16000, "segment_s": 2.56, "short": "drop", "seed": given.seed, "split_by": "group"}
    common["overlap"] = given.overlap
    if not speech.real:
        common["corpus_count"] = given.count(3000, least=100)
    rooms = {
        "paired": (given.count(400, least=10), given.seed, (0.0, 0.85)),
        "unpaired": (given.count(69, least=4), given.seed + 1, (0.85, 1.0)),
    }
    shares = {
        "paired": {"train": 0.8, "val": 0.05, "test_unseen": 0.15},
        "unpaired": {"train": 1.0},  # 17.3 % of the paired samples: audio with a view but no clean speech, and clean speech alone
    }
    spoken = {"paired": {"train": 0.7, "val": 0.1, "test_unseen": 0.1, "test_seen": 0.1}, "unpaired": {"train": 1.0}}
    for name, (count, seed, stretch) in rooms.items():
        note = "Shoeboxes in place of the scanned homes that the paper used: do not compare results with the paper's."
        homes: dict[str, Any] = {"rooms.count": count, "seed": seed, "splits.shares": shares[name], "note": note}
        if name == "paired":
            homes["splits.seen"] = 0.1
        yield _rooms(f"{name}-rooms", "mvsd", given, homes)
        said = {**common, "take": stretch, "splits__shares": spoken[name]}
        yield Part(f"{name}-speech", speech.origin, speech.real, partial(speech.settings, **said))
        yield _render(
            root,
            f"{name}-reverberant",
            given,
            speech,
            {"sources": f"{name}-speech", "rirs": f"{name}-rooms"},
            {"clean": name == "paired"},
            through="scanned homes",
        )


def _mc_simclr(root: Path, given: Given) -> Iterator[Part]:
    events = _corpus("events", _one(given.events))
    shares = {"noisy": 0.8, "clean": 0.1, "test": 0.1}
    yield _rooms("arrays", "mc-simclr", given, {"rooms.count": given.count(1000, least=20), "splits.shares": shares})
    common: dict[str, Any] = {"fs_hz": 16000, "segment_s": 4.0, "short": "repeat", "seed": given.seed}
    if not events.real:
        common["corpus_count"] = given.count(18_532, least=200)
    if events.name == "fsdnoisy18k":  # its noisy, clean and test parts are what the paper trains and tests on
        common["split_by"] = "subset"
    else:
        common |= {"split_by": "group", "splits__shares": shares}
    if given.scale < 1 and events.real:
        common["max_samples"] = {name: given.count(round(20_000 * share), least=100) for name, share in shares.items()}
    yield Part("events", events.origin, events.real, partial(events.settings, **common))
    yield _render(root, "scenes", given, events, {"sources": "events", "rirs": "arrays"}, {})


def _icl(root: Path, given: Given) -> Iterator[Part]:
    scenes = _corpus("scenes", _one(given.scenes if given.scenes is not None else given.events), among=_ICL_SCENES)
    vintage, multi = _dir_folders(given.dirs)
    yield Part("scenes", scenes.origin, scenes.real, partial(scenes.settings, **_icl_scenes(scenes, given)))
    for name, folder, kind in (("vintage-dirs", vintage, "folder"), ("multi-dirs", multi, "multi-angle")):
        if folder is not None:
            imported = {"seed": given.seed, "level": "band"}
            yield Part(name, f"{folder.name} (imported)", True, partial(devices_settings, kind, folder, imported))
        elif name == "vintage-dirs":
            yield _drawn_dirs(name, given, 1, {"count": 66, "angles_deg": (0.0,), "distances_m": (0.5,)})
        else:
            yield _drawn_dirs(name, given, 0, {"count": given.count(25, least=4)})
    # The paper had too few microphones for a generator of responses: here are a thousand, half of which compress as well.
    around = tuple(float(angle) for angle in range(0, 360, 30))
    many = {"count": given.count(1000, least=8), "angles_deg": around, "distances_m": (0.5,), "compress": 0.5}
    yield _drawn_dirs("many-dirs", given, 2, many)
    if scenes.name == "tau2022":
        return  # recorded by the devices themselves
    heard_by = {"train": _SEEN, "val": _SEEN, "test": (*_SEEN, *_UNSEEN)}
    yield Part(
        "recorders",
        "simulated: recording devices after TAU's A, B, C, S1-S6",
        False,
        partial(devices_settings, "recorders", None, {"seed": given.seed, "recorders": heard_by}),
        planned=write_devices,
    )
    # The official fold has 102,150 pieces of device A and about 7,494 of each other one.
    probabilities = {split: dict.fromkeys(names, 1.0) for split, names in heard_by.items()}
    probabilities["train"] |= dict.fromkeys(_SEEN[1:], 7494 / 102_150)
    yield _render(
        root,
        "scenes-by-device",
        given,
        scenes,
        {"sources": "scenes", "devices": "recorders"},
        {"device_probabilities": probabilities, "level": "keep"},
        through="recording devices",
    )


def _icl_scenes(scenes: _Corpus, given: Given) -> dict[str, Any]:
    """Return the settings of scenes in three splits: the corpus' own ones where it has them, all classes in each where not."""
    common: dict[str, Any] = {"fs_hz": 32_000, "segment_s": 10.0, "short": "pad", "seed": given.seed}
    if scenes.name == "tau2022":
        if given.scale < 1:
            counts = {"train": 13_962 * (1 - _VAL_SHARE), "val": 13_962 * _VAL_SHARE, "test": 2968}
            common["max_samples"] = {name: given.count(round(count), least=100) for name, count in counts.items()}
        return common | {
            "split_by": "subset",
            "subsets": ("train", "test"),
            "val_share": _VAL_SHARE,
            "split_within": "class_name",
        }
    if scenes.name in ("esc50", "esc10"):
        return common | {"segment_s": 5.0, "split_by": "fold", "folds": {"train": (1, 2, 3), "val": (4,), "test": (5,)}}
    if not scenes.real:
        common["corpus_count"] = given.count(_ICL_STAND_INS, least=120)
    shares = {"train": 0.8 * (1 - _VAL_SHARE), "val": 0.8 * _VAL_SHARE, "test": 0.2}
    return common | {"split_by": "group", "split_within": "class_name", "splits__shares": shares}


def _drawn_dirs(name: str, given: Given, seed: int, overrides: dict[str, Any]) -> Part:
    note = "Parametric stand-in for measured device responses."
    made = {"seed": given.seed + seed, "level": "band", "note": note, **overrides}
    origin = "stand-in: parametric microphones"
    return Part(name, origin, False, partial(devices_settings, "microphones", None, made), planned=write_devices)


PARTS: dict[str, Callable[[Path, Given], Iterator[Part]]] = {
    "revrir": _revrir,
    "goetz": _goetz,
    "mvsd": _mvsd,
    "mc-simclr": _mc_simclr,
    "icl": _icl,
}
"""By paper: what yields its parts, given the folder they are made in and what the user gave."""

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

OTHER_WALLS = ("goetz",)
"""Papers whose rooms can have other walls than the paper's."""

LEVELLED = ("goetz",)
"""Papers whose speech can be brought to one level: a recording's gain says nothing of a room, but hides what its level says."""

OVERLAPPING = ("goetz", "mvsd")
"""Papers that cut speech into many segments a recording, which may overlap."""


def _rooms(name: str, preset: str, given: Given, overrides: dict[str, Any]) -> Part:
    values = {"seed": given.seed, **overrides}
    # MVSD's rooms were scanned homes; shoeboxes take their place.
    real = preset != "mvsd"
    origin = f"simulated: preset {preset}" if real else f"stand-in: preset {preset}, shoeboxes for SoundSpaces' scanned homes"
    return Part(name, origin, real, lambda: (load_settings(preset, values), {}), planned=write_rooms)


def _render(
    root: Path, name: str, given: Given, corpus: _Corpus, parts: dict[str, str], overrides: dict[str, Any], *, through: str = ""
) -> Part:
    """Return renders of a corpus; ``through`` names the stand-ins that it is heard through, where it is."""
    inputs = {kind: root / part for kind, part in parts.items()}
    replaced = [*([] if corpus.real else ["sources"]), *([through] if through else [])]
    note = f"Stand-ins take the place of the paper's {' and '.join(replaced)}: do not compare results with it." if replaced else ""
    values = {"seed": given.seed, "note": note, **overrides}
    origin = f"{corpus.origin}, rendered" + (f" through stand-ins for {through}" if through else "")
    return Part(name, origin, not replaced, lambda: (renders_settings(inputs, values), inputs))


def _corpus(kind: str, folders: tuple[Path, ...], *, among: tuple[str, ...] | None = None) -> _Corpus:
    """Return the corpus in a folder, whichever of its kind it is, or those in several as one; without a folder the stand-in.

    Papers ask for all of theirs before their first part: a mistyped folder shall not show after hours of simulation.
    """
    if not folders:
        return _Corpus(_STAND_INS[kind], ())
    check_apart(folders, f"--{kind}")
    names = [_found(kind, folder, among or _CANDIDATES[kind]) for folder in folders]
    return _Corpus(*sorted_union(JOIN.join(names), folders))


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


def _one(folder: Path | None) -> tuple[Path, ...]:
    return () if folder is None else (folder,)


def _subset(speech: _Corpus, name: str) -> str | None:
    """Return the official part of LibriSpeech for training or testing RevRIR, or None where it is not there.

    Beside another corpus LibriSpeech has none: its parts would leave the other one's speakers out.
    """
    here = speech.subsets if len(speech.roots) == 1 else []
    evaluation = next((subset for subset in _EVALUATION_SUBSETS if subset in here), None)
    if "train-clean-100" not in here or evaluation is None:
        return None
    return "train-clean-100" if name == "train" else evaluation


def _dir_folders(folders: tuple[Path, ...]) -> tuple[Path | None, Path | None]:
    """Return which folder holds single responses of many microphones, and which one those of many angles and distances.

    Raises:
        RoomgenError: not a folder, two of one kind, or fewer microphones than splits.
    """
    from roomgen.corpora.multi_angle import looks_multi_angle

    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise RoomgenError(f"--dirs {folder} is not a folder: give one with WAV files of device responses.")
        kind = "multi-angle" if looks_multi_angle(folder) else "folder"
        what = "responses from many angles" if kind == "multi-angle" else "single responses of microphones"
        if kind in found:
            raise RoomgenError(
                f"--dirs {found[kind]} and {folder} both hold {what}: give one of them, or one folder with both in it."
            )
        responses, _, _ = responses_in(kind, folder, None, None)
        count = len({response.microphone for response in responses})
        if count < len(SplitsSettings().shares):
            raise RoomgenError(
                f"--dirs {folder} holds responses of {count} microphone{'s' * (count > 1)}, and train, val and test need one of "
                "their own each: give a folder with three or more, or none."
            )
        found[kind] = folder
    return found.get("folder"), found.get("multi-angle")


def _dotted(overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("__", "."): value for key, value in overrides.items()}
