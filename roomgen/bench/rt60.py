"""RT60 asked for against RT60 obtained: the T30 of the response, in random rooms.

Three ways to ask: the plan of a dataset, which gives a room of six random materials the RT60 in the mean over its first positions;
the same for one pair of positions; and ``inverse_sabine`` of pyroomacoustics (equal walls in a room of the same size). They are
measured at that pair, which is not among the plan's first ones; the plan also in the mean over all positions of the room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.engine import simulate
from roomgen.acoustics.labels import measure
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.rt60 import solve_absorption_scale
from roomgen.bench.effort import Effort
from roomgen.bench.peer import sabine_rir
from roomgen.datasets.rooms import RoomsPlan
from roomgen.datasets.samples import simulate_row
from roomgen.errors import RoomgenError
from roomgen.settings import load_settings
from roomgen.text import table

METHODS = ("roomgen, room mean", "roomgen, one position", "roomgen, for the position", "inverse_sabine")
ASKED_S = (0.2, 1.2)
_EXAMPLE_M, _EXAMPLE_S = (8.0, 6.0, 3.0), 0.8
_EXAMPLE_PLACES = (np.array([2.0, 3.5, 1.5]), np.array([5.5, 2.0, 1.2]))
_FS_HZ = 16000
_POSITIONS = 10


def run(effort: Effort) -> dict[str, Any]:
    """Return asked and obtained RT60 of every room and method (None: no T30, or refused), and how far they are apart."""
    settings = load_settings(
        "goetz", {"rooms.count": effort.asked, "place.rirs_per_room": _POSITIONS, "signal.rt60_s": ASKED_S, "seed": 1}
    )
    plan = RoomsPlan(settings)
    asked, found = [], []
    for index in range(effort.asked):
        rows = [plan.row("train", index, position) for position in range(_POSITIONS)]
        row, planned = rows[-1], np.array([simulate_row(settings, row)[1]["rt60_s"] for row in rows])
        mean = planned[np.isfinite(planned)].mean() if np.isfinite(planned).any() else np.nan
        asked.append(float(row["rt60_asked_s"]))
        places = np.asarray(row["source_xyz_m"]), np.asarray(row["mic_xyz_m"])
        found.append((mean, planned[-1], *_pair_and_sabine(plan.room(index).shoebox, asked[-1], *places)))
    obtained = dict(zip(METHODS, np.array(found).T, strict=True))
    return {
        "asked_s": asked,
        "methods": {name: {"obtained_s": _plain(values), **_errors(asked, values)} for name, values in obtained.items()},
        "example": _example(),
    }


def text(result: dict[str, Any]) -> str:
    """Return errors per method as a table."""
    rows = [
        [
            name,
            *(f"{100 * values[key]:.1f}" for key in ("median_error", "p95_error", "worst_error", "median_bias")),
            str(values["not_obtained"]),
        ]
        for name, values in result["methods"].items()
    ]
    head = ["", "median error %", "95 % of rooms %", "worst %", "median bias %", "refused or no T30"]
    example = result["example"]
    size = " × ".join(f"{v:g}" for v in example["size_m"])
    obtained = ", ".join(f"{name} {'refused' if v is None else f'{v:.2f} s'}" for name, v in example["obtained_s"].items())
    return (
        f"RT60 asked ({ASKED_S[0]:g} to {ASKED_S[1]:g} s) against T30 obtained in {len(result['asked_s'])} random rooms\n"
        f"{table(head, rows)}\n{size} m, equal walls, {example['asked_s']:g} s asked: {obtained}"
    )


def _pair_and_sabine(room: Shoebox, asked_s: float, source: NDArray[Any], mic: NDArray[Any]) -> tuple[float, float]:
    def respond(trial: Shoebox, duration_s: float | None = asked_s) -> NDArray[np.float32]:
        return np.asarray(simulate(trial, sources=[source], mics=[mic], fs_hz=_FS_HZ, duration_s=duration_s)[0, 0])

    try:
        scale = solve_absorption_scale(room, asked_s, fs_hz=_FS_HZ, simulate=respond)
        ours = _t30_s(respond(room.scaled(scale), None))
    except RoomgenError:
        ours = np.nan
    theirs = sabine_rir(room.size_m, asked_s, source_m=source, mic_m=mic, fs_hz=_FS_HZ)
    return ours, np.nan if theirs is None else _t30_s(theirs)


def _example() -> dict[str, Any]:
    found = _plain(np.array(_pair_and_sabine(Shoebox(_EXAMPLE_M, absorption=0.2), _EXAMPLE_S, *_EXAMPLE_PLACES)))
    return {"size_m": list(_EXAMPLE_M), "asked_s": _EXAMPLE_S, "obtained_s": dict(zip(METHODS[2:], found, strict=True))}


def _t30_s(rir: ArrayLike) -> float:
    return float(measure(rir, fs_hz=_FS_HZ, noise="none").rt60_s)


def _errors(asked: list[float], obtained: NDArray[np.float64]) -> Mapping[str, float | int]:
    known = np.isfinite(obtained)
    bias = obtained[known] / np.asarray(asked)[known] - 1.0
    error = np.abs(bias) if known.any() else np.zeros(1)
    return {
        "median_error": float(np.median(error)),
        "p95_error": float(np.quantile(error, 0.95)),
        "worst_error": float(error.max()),
        "median_bias": float(np.median(bias)) if known.any() else 0.0,
        "not_obtained": int((~known).sum()),
    }


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]
