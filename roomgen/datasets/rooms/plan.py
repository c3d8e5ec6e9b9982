"""The plan of a dataset of rooms: which rooms, which positions, which sample in which shard.

Everything here is a pure function of the settings. Nothing is kept per sample, so that a plan of a million samples takes no
more memory than one of a thousand: rooms and rows are made when they are asked for.

Order: a split takes its rooms in shuffled order, ten positions of each, then the next ten positions, and so on: a shard of 1000
mixes 100 rooms of all families, and a room is planned once for ten samples. Inside a shard samples are sorted by key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.air import speed_of_sound_m_s
from roomgen.acoustics.arrays import direction_in_frame_deg
from roomgen.acoustics.engine import engine_class
from roomgen.datasets.family import Inputs, Plan, ShardPlan, apportion
from roomgen.datasets.rooms.conditions import air_of, array_of, draw_positions, grid_sizes
from roomgen.datasets.rooms.draw import RoomPlan, draw_room
from roomgen.datasets.rooms.pinned import GivenRooms, read_rooms
from roomgen.datasets.rooms.placement import distance_m, free_boxes
from roomgen.datasets.rooms.settings import DatasetSettings, FamilySettings
from roomgen.datasets.rooms.walls import band_columns
from roomgen.errors import RoomgenError
from roomgen.streams import Stream, generator

_POSITIONS_TOGETHER = 10
_MIN_TAIL_S = 0.01  # an automatic length never ends before the direct sound has passed


class RoomsPlan(Plan[DatasetSettings, tuple[int, int]]):
    """The whole plan; see the module's text."""

    def __init__(self, settings: DatasetSettings, inputs: Inputs | None = None) -> None:
        self.settings = settings
        self._array = array_of(settings)
        self._given = None
        if settings.rooms.plan is not None:
            self._given = read_rooms((inputs or {}).get("plan"), settings)
        rooms = settings.rooms
        counts = apportion([family.weight for family in rooms.families], rooms.count)
        # Room numbers run family by family, which for RevRIR's 110 rooms is the paper's own order.
        self._family_starts = np.concatenate([[0], np.cumsum(counts)])
        self._splits = self._divided()
        self.split_sizes = {split: len(numbers) * len(positions) for split, (numbers, positions) in self._splits.items()}
        # The samples of a room stand together in a shard: a few remembered rooms serve nearly all of them.
        self._rooms = lru_cache(maxsize=64)(self._draw)
        if self._given is not None:
            self._check_twins(self._given)
        for family in rooms.families:
            for size in grid_sizes(family) if rooms.sizes == "grid" else [family.min_m]:
                radius = 0.0 if self._array is None else self._array.radius_m
                free_boxes(size, settings.place, room=f"of family {family.name!r}", array_radius_m=radius)

    @property
    def empty_splits(self) -> str:
        """Which splits have a share and yet no sample, and how they get some, in a sentence; empty: none."""
        splits = self.settings.splits
        empty = [name for name, share in splits.shares.items() if share > 0 and not self.split_sizes[name]]
        if not empty:
            return ""
        by_room, least = splits.by == "room", min(splits.shares[name] for name in empty)
        count = self.settings.rooms.count if by_room else self.settings.place.rirs_per_room
        what, flag = ("room", "--n") if by_room else ("position", "--rirs-per-room")
        leave, names = " leaves" if count == 1 else "s leave", " and ".join(empty)
        return (
            f"{count} {what}{leave} nothing for the split{'s' if len(empty) > 1 else ''} {names}: ask for "
            f"{ceil(1 / least - 1e-9)} or more ({flag}), or for other shares (--splits)."
        )

    def _check_twins(self, given: GivenRooms) -> None:
        """Refuse a plan that has the same room twice, in splits that shall share none."""
        seen: dict[object, tuple[int, str]] = {}
        for split in self.settings.splits.shares if self.settings.splits.by == "room" else ():
            for index in self._splits[split][0].tolist():
                first, where = seen.setdefault(given.looks(index), (index, split))
                if where != split:
                    raise RoomgenError(
                        f"rows {min(first, index)} and {max(first, index)} of the plan are the same room (size and walls), and "
                        f"would be in the splits {where} and {split}: leave one out, or divide positions (--set "
                        "splits.by=position)."
                    )

    def _divided(self) -> dict[str, tuple[NDArray[np.int64], range]]:
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
        divided = {
            name: (order[start:stop], range(per_room)) if by_room else (order, range(start, stop))
            for name, start, stop in zip(names, bounds[:-1], bounds[1:], strict=True)
        }
        if splits.seen and by_room:
            held = min(max(round(splits.seen * per_room), 1), per_room - 1)
            first = divided[names[0]][0]
            divided[names[0]] = (first, range(per_room - held))
            divided["test_seen"] = (first, range(per_room - held, per_room))
        return divided

    def room(self, index: int) -> RoomPlan:
        """Return the room of that index."""
        return self._rooms(index)

    def _draw(self, index: int) -> RoomPlan:
        if self._given is not None:
            return self._given.room(index)
        return draw_room(self.settings, index, *self._family_of(index))

    def chunks(self, shard: ShardPlan) -> Iterator[Sequence[tuple[int, int]]]:
        """Yield the (room, position) pairs of a shard, some at a time."""
        pairs, size = self.pairs(shard), engine_class(self.settings.engine.name, self.settings.engine.device).together
        yield from (pairs[start : start + size] for start in range(0, len(pairs), size))

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
        source, mic = draw_positions(settings, room.shoebox.size_m, room_index, position)
        distance = distance_m(source, mic)
        heard = {} if self._array is None else self._placed(room_index, position, mic)
        azimuth, elevation = direction_in_frame_deg(source, mic, yaw_deg=heard.get("array_yaw_deg", 0.0))
        delay = distance / speed_of_sound_m_s(air_of(settings))
        duration = max(room.duration_s, delay + _MIN_TAIL_S) if settings.signal.duration in ("auto", "octaves") else room.duration_s
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
            "materials": list(room.materials),
            "absorption_scale": room.shoebox.scale,
            **band_columns(room.shoebox, settings.signal.fs_hz),
            "source_xyz_m": source.tolist(),
            "mic_xyz_m": mic.tolist(),
            "array": "mono" if self._array is None else self._array.name,
            "distance_m": distance,
            "azimuth_deg": azimuth,
            "elevation_deg": elevation,
            "fs_hz": settings.signal.fs_hz,
            "n_channels": 1 if self._array is None else self._array.n_channels,
            "n_samples": max(int(np.ceil(duration * settings.signal.fs_hz - 1e-9)), 1),
            "engine": engine_label(settings),
            "rt60_predicted_s": room.rt60_predicted_s,
            "rt60_target_s": room.rt60_target_s,
            "direct_delay_s": delay,
            **heard,
        }

    def _placed(self, room_index: int, position: int, center: NDArray[np.float32]) -> dict[str, Any]:
        """Return the columns of an array that stands with its centre there."""
        assert self._array is not None  # asked of arrays only
        yaw = self.settings.array.yaw_deg
        if yaw == "random":
            yaw = -generator(self.settings.seed, Stream.YAW, room_index, position).uniform(-180.0, 180.0)  # (−180, 180]
        yaw = float(np.float32(yaw))
        mics, _ = self._array.placed(center.tolist(), yaw_deg=yaw)
        return {"array_yaw_deg": yaw, "array_mics_m": mics.reshape(-1).tolist()}

    def _family_of(self, index: int) -> tuple[FamilySettings, int, int]:
        """Return the family of a room, which of that family's rooms it is, and how many there are."""
        family = int(np.searchsorted(self._family_starts, index, side="right")) - 1
        start, stop = self._family_starts[family], self._family_starts[family + 1]
        return self.settings.rooms.families[family], int(index - start), int(stop - start)


def engine_label(settings: DatasetSettings) -> str:
    """Return what the ``engine`` column says."""
    return settings.engine.name + ("+tail" if settings.engine.tail_after_s is not None else "")
