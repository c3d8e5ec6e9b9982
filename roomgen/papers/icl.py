"""ICL (Schmidt and Peters, DCASE 2023): scenes through recording devices, and device responses to change them with."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from roomgen.datasets.devices.family import devices_settings
from roomgen.datasets.devices.plan import responses_in, write_devices
from roomgen.errors import RoomgenError
from roomgen.papers.parts import Given, Paper, Part, Recordings, recordings, renders_part
from roomgen.settings import SplitsSettings

_SCENES = ("tau2022", "esc50", "esc10", "folder")
_STAND_INS = 1000
_VAL_SHARE = 0.13
"""Of the places for training, to stop and choose by; the official fold has none."""
_SEEN, _UNSEEN = ("A", "B", "C", "S1", "S2", "S3"), ("S4", "S5", "S6")


def _parts(root: Path, given: Given) -> Iterator[Part]:
    scenes = recordings("scenes", given.scenes if given.scenes is not None else given.events, among=_SCENES)
    vintage, multi = _dir_folders(given.dirs)
    yield Part("scenes", scenes.origin, scenes.real, partial(scenes.settings, **_scenes(scenes, given)))
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
    yield renders_part(
        root,
        "scenes-by-device",
        given,
        scenes,
        {"sources": "scenes", "devices": "recorders"},
        {"device_probabilities": probabilities, "level": "keep"},
        through="recording devices",
    )


def _scenes(scenes: Recordings, given: Given) -> dict[str, Any]:
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
        common["corpus_count"] = given.count(_STAND_INS, least=120)
    shares = {"train": 0.8 * (1 - _VAL_SHARE), "val": 0.8 * _VAL_SHARE, "test": 0.2}
    return common | {"split_by": "group", "split_within": "class_name", "splits__shares": shares}


def _drawn_dirs(name: str, given: Given, seed: int, overrides: dict[str, Any]) -> Part:
    note = "Parametric stand-in for measured device responses."
    made = {"seed": given.seed + seed, "level": "band", "note": note, **overrides}
    origin = "stand-in: parametric microphones"
    return Part(name, origin, False, partial(devices_settings, "microphones", None, made), planned=write_devices)


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


PAPER = Paper("icl", "ICL (Schmidt and Peters, DCASE 2023): device invariance of scene classification", _parts)
