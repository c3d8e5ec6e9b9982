"""RevRIR (Bitterman et al., Interspeech 2024): speech and responses of 110 rooms, matched in one space."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from roomgen.papers.parts import Given, Paper, Part, Recordings, recordings, rooms_part

_EVALUATION_SUBSETS = ("dev-clean", "test-clean", "dev-other", "test-other")


def _parts(root: Path, given: Given) -> Iterator[Part]:
    test = given.count(100)
    train = given.count(5000)
    shares = {"train": train / (train + test), "test": test / (train + test)}
    speech = recordings("speech", given.speech)
    yield rooms_part("rirs", "revrir", given, {"rooms.count": 110, "place.rirs_per_room": train + test, "splits.shares": shares})
    common = {"fs_hz": 8000, "segment_s": 10.0, "short": "pad", "per_clip": 1, "seed": given.seed}
    counts = {"train": given.count(20_000, least=200), "test": given.count(2703, least=50)}
    if not speech.real:
        common["corpus_count"] = given.count(4000, least=300)
    for name, stretch in (("train", (0.0, 0.9)), ("test", (0.9, 1.0))):
        subset = _subset(speech, name)
        where = {"subsets": (subset,)} if subset else {"take": stretch}
        overrides = {**common, **where, "splits__shares": {name: 1.0}, "max_samples": {name: counts[name]}, "split_by": "group"}
        yield Part(f"{name}-speech", speech.origin, speech.real, partial(speech.settings, **overrides))


def _subset(speech: Recordings, name: str) -> str | None:
    """Return the official part of LibriSpeech for training or testing RevRIR, or None where it is not there.

    Beside another corpus LibriSpeech has none: its parts would leave the other one's speakers out.
    """
    here = speech.subsets if len(speech.roots) == 1 else []
    evaluation = next((subset for subset in _EVALUATION_SUBSETS if subset in here), None)
    if "train-clean-100" not in here or evaluation is None:
        return None
    return "train-clean-100" if name == "train" else evaluation


PAPER = Paper("revrir", "RevRIR (Bitterman et al., Interspeech 2024): speech and responses of 110 rooms in one space", _parts)
