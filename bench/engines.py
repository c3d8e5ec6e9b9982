"""The image source engine against pyroomacoustics: time at the same images, fresh rooms, accuracy, stages, throughput, memory.

Both get the same rooms, the same absorption in seven octave bands and the same images (all up to an order). Ours includes what
pyroomacoustics does not give: octave bands apart, the direct-to-reverberant ratio and all labels of every microphone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench import accuracy, fresh, memory, stages, throughput
from bench.accuracy import difference_db
from bench.effort import Effort
from bench.peer import banded_rirs
from bench.scenes import FS_HZ, BenchRoom, labelled, random_rooms
from bench.timing import best_s
from roomgen.acoustics.images.sources import add_pair, image_source
from roomgen.acoustics.images.tables import image_axes, scene_synthesis
from roomgen.acoustics.reference import image_count, reference
from roomgen.acoustics.scene import Scene
from roomgen.text import table

ORDERS = ("10", "20", "rt")
MICS = (1, 4)
GOALS = {1: 15.0, 4: 20.0}
"""Least ratio at order "rt", by number of microphones."""

WHOLE_S = 0.5
"""Length of the responses with every image: with walls drawn blindly, decays of many seconds have 10⁹ images."""

_RT_ROOMS = 10


@dataclass(frozen=True)
class _Compared:
    """One room in one case; times in ms per room, images per response."""

    images: int
    ours_ms: float
    peer_ms: float
    difference_db: float
    sphere_images: int
    sphere_ms: float

    def as_dict(self) -> dict[str, float]:
        return {**vars(self), "ratio": self.peer_ms / self.ours_ms}


def run(effort: Effort) -> dict[str, Any]:
    """Return all measurements of the engines."""
    rooms = random_rooms(effort.rooms)
    return {
        "cases": [_case(rooms, order, mics, effort.repeats) for order in ORDERS for mics in MICS],
        "goals": {str(mics): ratio for mics, ratio in GOALS.items()},
        "fresh": fresh.run(rooms),
        "accuracy": accuracy.run(rooms),
        "stages": stages.run(),
        "throughput": throughput.run(effort),
        "memory": memory.run(),
    }


def text(result: dict[str, Any]) -> str:
    """Return the measurements as tables."""
    head = [
        "order, mics",
        "images",
        "ours ms",
        "pyroomacoustics ms",
        "ratio",
        "worst difference dB",
        "all images",
        "ours ms",
    ]
    rows = [
        [
            f"{case['order']}, {case['mics']}",
            f"{case['images']:.0f}",
            f"{case['ours_ms']:.2f}",
            f"{case['peer_ms']:.1f}",
            f"{case['ratio']:.1f}",
            f"{case['difference_db']:.1f}",
            f"{case['sphere_images']:.0f}",
            f"{case['sphere_ms']:.2f}",
        ]
        for case in result["cases"]
    ]
    parts = [
        "Same images, one thread, all labels included in ours; medians over rooms, ms per room. "
        f"The last two columns: ours with every image of the first {WHOLE_S:g} s.\n" + table(head, rows),
        goals_text(result["cases"], result["goals"]),
        fresh.text(result["fresh"]),
        accuracy.text(result["accuracy"]),
        stages.text(result["stages"]),
        throughput.text(result["throughput"]),
        memory.text(result["memory"]),
    ]
    return "\n\n".join(parts)


def goals_text(cases: list[dict[str, Any]], goals: dict[str, float]) -> str:
    """Return a line per goal: the least ratio, the one that was found, and whether it is met."""
    lines = []
    for case in cases:
        if case["order"] == "rt":
            goal, with_mics = goals[str(case["mics"])], f"{case['mics']} mic{'s' if case['mics'] > 1 else ''}"
            verdict = "met" if case["ratio"] >= goal else "MISSED"
            lines.append(f"goal at order rt with {with_mics}: ratio ≥ {goal:g}, found {case['ratio']:.1f}: {verdict}")
    return "\n".join(lines)


def _case(rooms: list[BenchRoom], order: str, mics: int, repeats: int) -> dict[str, Any]:
    chosen = rooms[:_RT_ROOMS] if order == "rt" else rooms
    found = [_compare(room, room.rt_order if order == "rt" else int(order), mics, repeats).as_dict() for room in chosen]
    medians = {name: float(np.median([one[name] for one in found])) for name in found[0]}
    worst = max(one["difference_db"] for one in found)
    return {"order": order, "mics": mics, **medians, "difference_db": worst, "rooms": found}


def _compare(bench: BenchRoom, order: int, mics: int, repeats: int) -> _Compared:
    places, whole = bench.mics_m[:mics], bench.scene(mics, duration_s=WHOLE_S)
    ours_s, peer_s, sphere_s = best_s(
        repeats,
        lambda: labelled(image_source, bench.diamond(mics, order)),
        lambda: banded_rirs(bench.room, source_m=bench.source_m, mics_m=places, fs_hz=FS_HZ, order=order),
        lambda: labelled(image_source, whole),
    )
    scene = bench.diamond(mics, order)
    return _Compared(
        images=image_count(order),
        ours_ms=1e3 * ours_s,
        peer_ms=1e3 * peer_s,
        difference_db=difference_db(image_source(scene, parts=False).rir, reference(scene).rir),
        sphere_images=_count_images(replace(whole, mics_m=whole.mics_m[:1])),
        sphere_ms=1e3 * sphere_s,
    )


def _count_images(scene: Scene) -> int:
    """Return how many images the first microphone hears."""
    axes = image_axes(scene)
    grid = np.zeros((2 * scene_synthesis(scene).n_fft, axes[0].gains.shape[1]), dtype=np.float32)
    return add_pair(grid, scene, axes, 0, 0)
