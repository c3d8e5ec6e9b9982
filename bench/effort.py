"""How much work the benchmarks do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Sizes of all benchmarks; part of their result, since ratios depend on them.

    Args:
        rooms: of the comparison of engines; at most 10 of them with the order that their RT60 needs.
        repeats: of every time, of which the shortest counts.
        asked: rooms of which an RT60 is asked.
        samples: that the writer writes.
        dataset_rooms: of the dataset made from end to end, ten responses each.
        manifest_rows: of the large manifest.
        gpu_chunk: scenes that the GPU gets at once.
        recordings: of half a minute that sources are cut from.
        renders: of ten seconds.
        views: of a room.
        realism_rooms, positions: simulated to be held against measured ones, of each preset; and responses in each.
    """

    rooms: int = 16
    repeats: int = 3
    asked: int = 200
    samples: int = 1000
    dataset_rooms: int = 110
    manifest_rows: int = 1_000_000
    gpu_chunk: int = 512
    recordings: int = 20
    renders: int = 60
    views: int = 20
    realism_rooms: int = 100
    positions: int = 5


QUICK = Effort(
    rooms=4,
    repeats=2,
    asked=20,
    samples=200,
    dataset_rooms=20,
    manifest_rows=100_000,
    recordings=8,
    renders=20,
    views=8,
    realism_rooms=20,
    positions=3,
)
