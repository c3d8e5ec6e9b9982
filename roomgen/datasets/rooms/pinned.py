"""Rooms in a file: the pinned plan of a dataset, or anybody's own list of rooms.

A plan is a small Parquet file with one row per room and, in its metadata, the settings that drew it. Positions follow from those
settings and their seed, so that the file is all that is needed to make the dataset again, whatever later versions draw. A list of
one's own needs the three sides of each room and its materials; what it leaves out is computed. Absorptions per octave band, where a
row has them, are those of the walls, and the materials only say what these look like.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from roomgen.acoustics.rooms import WALLS, Shoebox
from roomgen.datasets.rooms.conditions import duration_s, predicted_rt60_s, room_id
from roomgen.datasets.rooms.draw import RoomPlan
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.datasets.rooms.walls import shoebox_of
from roomgen.errors import RoomgenError
from roomgen.settings import resolve
from roomgen.store.folder import sha256_of

PLAN_SCHEMA = pa.schema(
    [
        pa.field("room_id", pa.string(), metadata={"meaning": "name of the room in the dataset"}),
        pa.field("room_type", pa.string(), metadata={"meaning": "family that it was drawn from"}),
        pa.field("length_m", pa.float32(), metadata={"unit": "m", "meaning": "extent along x"}),
        pa.field("width_m", pa.float32(), metadata={"unit": "m", "meaning": "extent along y"}),
        pa.field("height_m", pa.float32(), metadata={"unit": "m", "meaning": "extent along z"}),
        pa.field(
            "materials", pa.list_(pa.string()), metadata={"meaning": f"{', '.join(WALLS)}: a material or an absorption as text"}
        ),
        pa.field("absorption_scale", pa.float32(), metadata={"meaning": "factor on the absorption of all walls"}),
        pa.field(
            "absorption_bands",
            pa.list_(pa.float32()),
            metadata={"meaning": "absorption of octave bands from 125 Hz, wall by wall; empty: that of the materials"},
        ),
        pa.field("scattering_bands", pa.list_(pa.float32()), metadata={"meaning": "scattering coefficients likewise; empty: none"}),
        pa.field("rt60_target_s", pa.float32(), metadata={"unit": "s", "meaning": "target RT60; NaN where there is none"}),
        pa.field("rt60_predicted_s", pa.float64(), metadata={"unit": "s", "meaning": "predicted broadband T30"}),
        pa.field(
            "duration_s",
            pa.float64(),
            metadata={"unit": "s", "meaning": "length of the room's responses; NaN: as the settings say"},
        ),
    ]
)
_DECIDED = ("rooms.", "walls.", "signal.rt60")  # settings that only rooms which are drawn go by
_NEEDED = ("length_m", "width_m", "height_m", "materials")
SETTINGS_KEY = b"roomgen.settings"
"""Of the schema of a plan: the settings that its rooms were drawn by, as JSON."""


@dataclass(frozen=True)
class GivenRooms:
    """The rooms of a plan file, in its order."""

    rows: tuple[dict[str, Any], ...]
    settings: DatasetSettings

    def looks(self, index: int) -> tuple[object, ...]:
        """Return what makes the room of that number another than others: its size and its walls."""
        row = self.rows[index]
        sides = tuple(float(np.float32(row[name])) for name in _NEEDED[:3])
        bands = tuple(tuple(row.get(name) or ()) for name in ("absorption_bands", "scattering_bands"))
        return sides, tuple(row["materials"]), bands, row.get("absorption_scale")

    def room(self, index: int) -> RoomPlan:
        """Return the room of that number; what its row leaves out is computed by the rules of the settings."""
        row = self.rows[index]
        shoebox = _shoebox(row, index, self.settings)
        predicted, duration = row.get("rt60_predicted_s"), row.get("duration_s")
        return RoomPlan(
            index=index,
            type=row.get("room_type") or "given",
            shoebox=shoebox,
            materials=tuple(row["materials"]),
            rt60_target_s=_number(row.get("rt60_target_s", row.get("rt60_asked_s"))),  # the second: as older plans call it
            rt60_predicted_s=predicted_rt60_s(self.settings, shoebox) if predicted is None else float(predicted),
            duration_s=duration_s(self.settings, shoebox) if duration is None else float(duration),
        )


def rooms_settings(
    preset: str, overrides: Mapping[str, Any], *, plan: Path | None = None, flags: Mapping[str, str] | None = None
) -> tuple[DatasetSettings, dict[str, Path]]:
    """Return the settings and inputs of a dataset of rooms that are drawn, or stand in a plan file.

    Args:
        preset: its name, where the overrides name none and the plan carries no settings of its own.
        overrides: dotted key to value.
        plan: a Parquet file of rooms; None: they are drawn.
        flags: what errors shall call a key.

    Raises:
        RoomgenError: no such preset, plan or setting; a setting that the plan decides.
    """
    given, flags = dict(overrides), flags or {}
    named = given.pop("preset", None)
    if plan is None:
        return load_settings(str(named or preset), given, flags=flags), {}
    decided = next((key for key in given if key.startswith(_DECIDED)), None)
    if decided is not None:
        raise RoomgenError(
            f"{flags.get(decided, f'--set {decided}')} and --plan exclude each other: a plan says how many rooms there are, how "
            "large and of what. Leave one of them out."
        )
    carried, follows = plan_overrides(plan)
    if carried is None:
        return load_settings(str(named or preset), {**given, **follows}, flags=flags), {"plan": plan}
    if named not in (None, carried.get("preset")):
        raise RoomgenError(
            f"--plan {plan} carries its own settings (preset {carried.get('preset')!r}): leave --preset {named} out, or say with "
            "other options what shall be different."
        )
    return resolve(carried, {**given, **follows}, model=DatasetSettings, flags=flags), {"plan": plan}


def plan_overrides(path: Path) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the settings that a plan file carries (None: none) and those that follow from using it.

    Raises:
        RoomgenError: the file is missing or is no plan.
    """
    table = _read(path)
    text = (table.schema.metadata or {}).get(SETTINGS_KEY)
    try:
        carried = None if text is None else dict(json.loads(text))
    except (ValueError, TypeError):
        raise RoomgenError(f"--plan {path}: the settings in its metadata are not readable. Write the plan again.") from None
    return carried, {"rooms.plan": sha256_of(path), "rooms.count": len(table)}


def read_rooms(path: Path | None, settings: DatasetSettings) -> GivenRooms:
    """Return the rooms of the plan that the settings name.

    Raises:
        RoomgenError: the file is missing, is no plan, or is another one than the settings name.
    """
    if path is None:
        raise RoomgenError("these settings take their rooms from a file (rooms.plan): give it with --plan FILE.")
    if not path.is_file() or sha256_of(path) != settings.rooms.plan:
        raise RoomgenError(f"--plan {path} is missing or has changed since the dataset was begun: give the same file again.")
    rows = _rows(path, settings.rooms.plan)
    for index, row in enumerate(rows):
        _shoebox(row, index, settings)
    return GivenRooms(rows, settings)


@lru_cache(maxsize=2)
def _rows(path: Path, sha256: str) -> tuple[dict[str, Any], ...]:
    del sha256  # what the file held when it was read: a changed file is another entry of the cache
    return tuple(_read(path).to_pylist())


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise RoomgenError(
            f"--plan {path} does not exist: give a Parquet file of rooms (`roomgen rooms --write-plan FILE` makes one)."
        )
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise RoomgenError(f"--plan {path} is not readable as Parquet ({error}).") from None
    missing = [name for name in _NEEDED if name not in table.schema.names]
    if missing or not len(table):
        what = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        raise RoomgenError(
            f"--plan {path} {what}: a plan has a row per room with {', '.join(_NEEDED)} (six materials or absorptions)."
        )
    if "room_id" in table.schema.names:
        name, times = Counter(table["room_id"].drop_null().to_pylist()).most_common(1)[0] if len(table) else ("", 0)
        if times > 1:
            raise RoomgenError(
                f"--plan {path} names the room {name!r} {times} times: a plan has one row per room, a manifest one per response. "
                "`roomgen rooms --write-plan FILE` writes a plan; of a manifest keep the first row of each room."
            )
    return table


def _shoebox(row: dict[str, Any], index: int, settings: DatasetSettings) -> Shoebox:
    exact = {name: float(np.float32(row[name])) for name in _NEEDED[:3]}
    try:
        return shoebox_of({**row, **exact}, settings.signal.fs_hz)
    except (RoomgenError, TypeError, ValueError) as error:
        raise RoomgenError(f"{room_id(index)} of the plan: {error}") from None


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
