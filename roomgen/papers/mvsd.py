"""MVSD (Ma et al., ECCV 2024): reverberant speech with a view of its room, with and without the clean speech."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from roomgen.papers.parts import Given, Paper, Part, recordings, renders_part, rooms_part


def _parts(root: Path, given: Given) -> Iterator[Part]:
    speech = recordings("speech", given.speech)
    if given.scenes is not None:
        scenes = recordings("scenes", given.scenes, among=("soundspaces-speech", "avspeech"))
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
        yield rooms_part(f"{name}-rooms", "mvsd", given, homes, instead_of="SoundSpaces' scanned homes")
        said = {**common, "take": stretch, "splits__shares": spoken[name]}
        yield Part(f"{name}-speech", speech.origin, speech.real, partial(speech.settings, **said))
        yield renders_part(
            root,
            f"{name}-reverberant",
            given,
            speech,
            {"sources": f"{name}-speech", "rirs": f"{name}-rooms"},
            {"clean": name == "paired"},
            through="scanned homes",
        )


PAPER = Paper("mvsd", "MVSD (Ma et al., ECCV 2024): visual acoustic matching and dereverberation", _parts, takes=("overlap",))
