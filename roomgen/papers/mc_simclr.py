"""MC-SimCLR (Jiang et al., ICASSP 2024): sound events heard by small arrays in 1,000 rooms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from roomgen.papers.parts import Given, Paper, Part, recordings, renders_part, rooms_part


def _parts(root: Path, given: Given) -> Iterator[Part]:
    events = recordings("events", given.events)
    shares = {"noisy": 0.8, "clean": 0.1, "test": 0.1}
    yield rooms_part("arrays", "mc-simclr", given, {"rooms.count": given.count(1000, least=20), "splits.shares": shares})
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
    yield renders_part(root, "scenes", given, events, {"sources": "events", "rirs": "arrays"}, {})


PAPER = Paper("mc-simclr", "MC-SimCLR (Jiang et al., ICASSP 2024): spatial sound events", _parts)
