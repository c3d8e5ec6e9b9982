"""The plan of a dataset of rooms: which rooms, which positions, which sample in which shard.

Everything here is a pure function of the settings. Nothing is kept per sample, so that a plan of a million samples takes no
more memory than one of a thousand: rooms and rows are made when they are asked for.

Order: a split takes its rooms in shuffled order, ten positions of each, then the next ten positions, and so on: a shard of 1000
mixes 100 rooms of all families, and a room is planned once for ten samples. Inside a shard samples are sorted by key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.air import speed_of_sound_m_s
from roomgen.datasets.draw import RoomPlan, air_of, draw_room, grid_sizes
from roomgen.datasets.placement import direction_deg, distance_m, draw_pair, free_box
from roomgen.datasets.streams import Stream, generator
from roomgen.settings import DatasetSettings, FamilySettings

_POSITIONS_TOGETHER = 10
_MIN_TAIL_S = 0.01  # an automatic length never ends before the direct sound has passed


@dataclass(frozen=True)
class ShardPlan:
    """One shard: ``count`` samples of a split, from its ``start``-th on."""

    split: str
    index: int
    start: int
    count: int

    @property
    def stem(self) -> str:
        """File name without its ending: ``train-000000``."""
        return f"{self.split}-{self.index:06d}"


class RoomsPlan:
    """The whole plan; see the module's text."""

    def __init__(self, settings: DatasetSettings) -> None:
        self.settings = settings
        rooms = settings.rooms
        counts = apportion([family.weight for family in rooms.families], rooms.count)
        # Room numbers run family by family, which for RevRIR's 110 rooms is the paper's own order.
        self._family_starts = np.concatenate([[0], np.cumsum(counts)])
        # The samples of a room stand together in a shard: a few remembered rooms serve nearly all of them.
        self._rooms = lru_cache(maxsize=64)(self._draw)
        for family in rooms.families:
            for size in grid_sizes(family) if rooms.sizes == "grid" else [family.min_m]:
                free_box(size, settings.place, room=f"of family {family.name!r}")

    def __len__(self) -> int:
        return self.settings.rooms.count * self.settings.place.rirs_per_room

    @cached_property
    def shards(self) -> tuple[ShardPlan, ...]:
        """All shards, split by split in the order of the settings."""
        size = self.settings.shard_size
        return tuple(
            ShardPlan(split, number, start, min(size, total - start))
            for split, total in self.split_sizes.items()
            for number, start in enumerate(range(0, total, size))
        )

    @cached_property
    def split_sizes(self) -> dict[str, int]:
        """Samples of each split."""
        return {split: len(rooms) * len(positions) for split, (rooms, positions) in self._splits.items()}

    @cached_property
    def _splits(self) -> dict[str, tuple[NDArray[np.int64], range]]:
        """For each split its rooms, shuffled, and the range of positions that it takes of each."""
        splits, rooms = self.settings.splits, self.settings.rooms
        per_room = self.settings.place.rirs_per_room
        names, shares = list(splits.shares), list(splits.shares.values())
        # Shuffled within each family, then merged by relative rank: any stretch of the order has the mix of the whole.
        rank = np.empty(rooms.count)
        for f, (start, stop) in enumerate(zip(self._family_starts[:-1], self._family_starts[1:], strict=True)):
            count = int(stop - start)
            rank[start:stop] = (generator(self.settings.seed, Stream.SPLIT, f).permutation(count) + 0.5) / max(count, 1)
        order = np.argsort(rank, kind="stable")
        by_room = splits.by == "room"
        bounds = [0, *accumulate(apportion(shares, rooms.count if by_room else per_room))]
        return {
            name: (order[start:stop], range(per_room)) if by_room else (order, range(start, stop))
            for name, start, stop in zip(names, bounds[:-1], bounds[1:], strict=True)
        }

    def room(self, index: int) -> RoomPlan:
        """Return the room of that index."""
        return self._rooms(index)

    def _draw(self, index: int) -> RoomPlan:
        return draw_room(self.settings, index, *self._family_of(index))

    def pairs(self, shard: ShardPlan) -> list[tuple[int, int]]:
        """Return the (room, position) pairs of a shard, sorted as its samples are."""
        rooms, positions = self._splits[shard.split]
        numbers = np.arange(shard.start, shard.start + shard.count)
        block, rest = np.divmod(numbers, len(rooms) * _POSITIONS_TOGETHER)
        width = np.minimum(_POSITIONS_TOGETHER, len(positions) - block * _POSITIONS_TOGETHER)  # the last block is narrower
        room, column = np.divmod(rest, width)
        return sorted(zip(rooms[room].tolist(), (positions.start + block * _POSITIONS_TOGETHER + column).tolist(), strict=True))

    def row(self, split: str, room_index: int, position: int) -> dict[str, Any]:
        """Return the planned columns of one sample: all that is needed to simulate it, and what follows from geometry."""
        settings, room = self.settings, self.room(room_index)
        source, mic = draw_pair(
            generator(settings.seed, Stream.PLACE, room_index, position),
            room.shoebox.size_m,
            settings.place,
            room=room.id,
        )
        distance = distance_m(source, mic)
        azimuth, elevation = direction_deg(source, mic)
        delay = distance / speed_of_sound_m_s(air_of(settings))
        duration = max(room.duration_s, delay + _MIN_TAIL_S) if settings.signal.duration == "auto" else room.duration_s
        length, width, height = room.shoebox.size_m
        return {
            "key": f"{room.id}-{position:06d}",
            "split": split,
            "seed_index": room_index * settings.place.rirs_per_room + position,
            "room_id": room.id,
            "room_type": room.type,
            "length_m": length,
            "width_m": width,
            "height_m": height,
            "volume_m3": room.shoebox.volume_m3,
            "surface_m2": room.shoebox.surface_m2,
            "materials": list(room.shoebox.materials or ()),
            "absorption_scale": room.shoebox.scale,
            "source_xyz_m": source.tolist(),
            "mic_xyz_m": mic.tolist(),
            "array": "mono",
            "distance_m": distance,
            "azimuth_deg": azimuth,
            "elevation_deg": elevation,
            "fs_hz": settings.signal.fs_hz,
            "n_channels": 1,
            "n_samples": max(int(np.ceil(duration * settings.signal.fs_hz - 1e-9)), 1),
            "engine": engine_label(settings),
            "rt60_predicted_s": room.rt60_predicted_s,
            "rt60_asked_s": room.rt60_asked_s,
            "direct_delay_s": delay,
        }

    def _family_of(self, index: int) -> tuple[FamilySettings, int, int]:
        """Return the family of a room, which of that family's rooms it is, and how many there are."""
        family = int(np.searchsorted(self._family_starts, index, side="right")) - 1
        start, stop = self._family_starts[family], self._family_starts[family + 1]
        return self.settings.rooms.families[family], int(index - start), int(stop - start)


def engine_label(settings: DatasetSettings) -> str:
    """Return what the ``engine`` column says."""
    return settings.engine.name + ("+tail" if settings.engine.tail_after_s is not None else "")


def apportion(weights: list[float] | list[int], total: int) -> list[int]:
    """Divide ``total`` in proportion to the weights by largest remainder; earlier ones win ties."""
    exact = np.asarray(weights, dtype=np.float64) * total / np.sum(weights)
    counts = np.floor(exact + 1e-9).astype(int)
    for i in np.argsort(-(exact - counts), kind="stable")[: total - counts.sum()]:
        counts[i] += 1
    return [int(c) for c in counts]
