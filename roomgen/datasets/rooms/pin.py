"""Writing the rooms that settings draw as a plan: a Parquet file that `roomgen rooms --plan` takes in place of drawing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from roomgen.datasets.rooms.pinned import PLAN_SCHEMA, SETTINGS_KEY
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.reachable import check_target
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.datasets.rooms.walls import band_columns
from roomgen.store.folder import atomic


def write_rooms(settings: DatasetSettings, path: Path) -> int:
    """Write the rooms of these settings as a plan and return how many there are."""
    from tqdm import tqdm

    check_target(settings)
    plan = RoomsPlan(settings)
    rows = []
    for index in tqdm(range(settings.rooms.count), desc="planning", unit="room", delay=1.0, dynamic_ncols=True):
        room = plan.room(index)
        length, width, height = room.shoebox.size_m
        rows.append(
            {
                "room_id": room.id,
                "room_type": room.type,
                "length_m": length,
                "width_m": width,
                "height_m": height,
                "materials": list(room.materials),
                "absorption_scale": room.shoebox.scale,
                **band_columns(room.shoebox, settings.signal.fs_hz),
                "rt60_target_s": room.rt60_target_s,
                "rt60_predicted_s": room.rt60_predicted_s,
                "duration_s": room.duration_s,
            }
        )
    text = json.dumps(settings.model_dump(mode="json"))  # unsorted: in what order splits are named decides what each gets
    schema = PLAN_SCHEMA.with_metadata({SETTINGS_KEY: text.encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")
    return len(rows)
