"""Götz et al. (ICASSP 2023): acoustic parameters by contrastive learning, upstream on 64 rooms and downstream on 100 others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from roomgen.papers.parts import WALLS, Given, Paper, Part, recordings, rooms_part


def _parts(root: Path, given: Given) -> Iterator[Part]:
    speech = recordings("speech", given.speech)
    walls = WALLS[given.walls]
    upstream = {"rooms.count": given.count(64, least=8), "splits.shares": {"train": 1.0}, "seed": given.seed + 1, **walls}
    yield rooms_part("upstream-rirs", "goetz", given, upstream)
    # For those who keep rooms apart: a fifth of them for testing, so that intervals over rooms mean something.
    apart = {"train": 0.7, "val": 0.1, "test": 0.2}
    yield rooms_part(
        "downstream-rirs", "goetz", given, {"rooms.count": given.count(100, least=10), "splits.shares": apart, **walls}
    )
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


PAPER = Paper(
    "goetz",
    "Götz et al. (ICASSP 2023): contrastive acoustic parameters",
    _parts,
    takes=("walls", "overlap", "speech_level_db"),
)
