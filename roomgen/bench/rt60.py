"""RT60 asked for against RT60 obtained: the T30 of the response, in random rooms.

A dataset's plan gives a room of six random materials the RT60 in the mean over its first ten positions (all, by default);
``inverse_sabine`` of pyroomacoustics gives a room of the same size equal walls. Both are measured in the mean over these positions
and at one other; ours also in the mean over ten others, and once more when it is asked for that one position.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.engine import simulate
from roomgen.acoustics.labels import measure
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.rt60 import solve_absorption_scale
from roomgen.acoustics.scene import ImageOptions
from roomgen.bench.effort import Effort
from roomgen.bench.peer import sabine_rir, sabine_walls
from roomgen.datasets.responses import simulate_row
from roomgen.datasets.rooms import RoomsPlan
from roomgen.errors import RoomgenError
from roomgen.settings import load_settings
from roomgen.text import table

Place = NDArray[Any]

METHODS = (
    "roomgen, mean over the room",
    "inverse_sabine, mean over the room",
    "roomgen, mean over other positions",
    "roomgen, one position",
    "inverse_sabine, one position",
    "roomgen, asked for that position",
)
ASKED_S = (0.2, 1.2)
_EXAMPLE_M, _EXAMPLE_S = (8.0, 6.0, 3.0), 0.8
_EXAMPLE_PLACES = (np.array([2.0, 3.5, 1.5]), np.array([5.5, 2.0, 1.2]))
_FS_HZ = 16000
_POSITIONS = 10
_ERRORS = ("median_error", "p95_error", "worst_error", "median_bias")
_OURS_HZ, _PEER_HZ = 20.0, 10.0  # corners of the high-pass that each has by default


def run(effort: Effort) -> dict[str, Any]:
    """Return asked and obtained RT60 of every room and method (None: no T30, or refused), and how far they are apart."""
    settings = load_settings(
        "goetz",
        {
            "rooms.count": effort.asked,
            "place.rirs_per_room": 2 * _POSITIONS,
            "signal.rt60_s": ASKED_S,
            "engine.highpass_hz": _OURS_HZ,
            "seed": 1,
        },
    )
    plan = RoomsPlan(settings)
    asked: list[float] = []
    found = []
    for index in range(effort.asked):
        rows = [plan.row("train", index, position) for position in range(2 * _POSITIONS)]
        room, rt60_s = plan.room(index).shoebox, float(rows[0]["rt60_asked_s"])
        places = [(np.asarray(row["source_xyz_m"]), np.asarray(row["mic_xyz_m"])) for row in rows]
        planned = [float(simulate_row(settings, row)[1]["rt60_s"]) for row in rows]
        sabine_mean = _mean(_sabine_by_ours(room.size_m, rt60_s, places[:_POSITIONS]))
        ours, sabine = _for_one_position(room, rt60_s, *places[-1])
        asked.append(rt60_s)
        means = _mean(planned[:_POSITIONS]), sabine_mean, _mean(planned[_POSITIONS:])
        found.append((*means, planned[-1], sabine, ours))
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
            *("–" if values[key] is None else f"{100 * values[key]:.1f}" for key in _ERRORS),
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


def _for_one_position(room: Shoebox, asked_s: float, source: Place, mic: Place) -> tuple[float, float]:
    """Return the T30 of our response, solved for this position, and of pyroomacoustics' response."""

    def respond(trial: Shoebox, duration_s: float | None = 1.2 * asked_s) -> NDArray[np.float32]:
        return _simulate(trial, source, mic, duration_s, ImageOptions(highpass_hz=_OURS_HZ))

    try:
        scale = solve_absorption_scale(room, asked_s, fs_hz=_FS_HZ, simulate=respond)
        ours = _t30_s(respond(room.scaled(scale), None))
    except RoomgenError:
        ours = np.nan
    theirs = sabine_rir(room.size_m, asked_s, source_m=source, mic_m=mic, fs_hz=_FS_HZ)
    return ours, np.nan if theirs is None else _t30_s(theirs)


def _sabine_by_ours(size_m: tuple[float, float, float], asked_s: float, places: list[tuple[Place, Place]]) -> list[float]:
    """Return the T30 at all positions with the walls and the order of ``inverse_sabine``, but, being faster, our engine."""
    walls = sabine_walls(size_m, asked_s)
    if walls is None:
        return []
    room, options = Shoebox(size_m, absorption=walls[0]), ImageOptions(max_order=walls[1], highpass_hz=_PEER_HZ)
    return [_t30_s(_simulate(room, source, mic, 2.0 * asked_s, options)) for source, mic in places]


def _simulate(room: Shoebox, source: Place, mic: Place, duration_s: float | None, options: ImageOptions) -> NDArray[np.float32]:
    rirs = simulate(room, sources=[source], mics=[mic], fs_hz=_FS_HZ, duration_s=duration_s, options=options)
    return np.asarray(rirs[0, 0])


def _example() -> dict[str, Any]:
    ours, sabine = _for_one_position(Shoebox(_EXAMPLE_M, absorption=0.2), _EXAMPLE_S, *_EXAMPLE_PLACES)
    found = zip(("roomgen", "inverse_sabine"), _plain(np.array([ours, sabine])), strict=True)
    return {"size_m": list(_EXAMPLE_M), "asked_s": _EXAMPLE_S, "obtained_s": dict(found)}


def _t30_s(rir: ArrayLike) -> float:
    return float(measure(rir, fs_hz=_FS_HZ, noise="none").rt60_s)


def _mean(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan


def _errors(asked: list[float], obtained: NDArray[np.float64]) -> dict[str, float | int | None]:
    known = np.isfinite(obtained)
    bias = obtained[known] / np.asarray(asked)[known] - 1.0
    found: dict[str, float | int | None] = dict.fromkeys(_ERRORS)
    if known.any():
        values = (np.median(np.abs(bias)), np.quantile(np.abs(bias), 0.95), np.abs(bias).max(), np.median(bias))
        found.update(zip(_ERRORS, map(float, values), strict=True))
    return {**found, "not_obtained": int((~known).sum())}


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]
