"""RT60 asked for against RT60 obtained: T_mid and whole octave spectra, measured as labels measure them.

A dataset's plan gives a room of six random materials the T_mid in the mean over its first 30 positions; here also over its first
ten. What such a room has elsewhere is measured at ten others. ``inverse_sabine`` of pyroomacoustics gives a room of the same size
equal walls, which are heard at the same positions by the same engine. Spectra are the median one of measured rooms, asked of rooms
whose walls differ as those do. Responses for T_mid are simulated at 4 kHz, where T30 at 500 and 1000 Hz is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.effort import Effort
from bench.peer import sabine_rir, sabine_walls
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.labels.measure import measure
from roomgen.acoustics.measured_spectra import MEDIANS
from roomgen.acoustics.prediction.band_energy import BandEnergy
from roomgen.acoustics.prediction.rt60 import Responses, octaves_of, solve_absorption_scale
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions
from roomgen.datasets.rooms.conditions import exact_options
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.datasets.rooms.target_rt60 import POSITIONS, Positions, at_rate, positions_of, simulator, with_rt60, with_rt60_bands
from roomgen.errors import RoomgenError
from roomgen.text import table

METHODS = (
    "roomgen, mean over the room",
    "roomgen, mean over ten other positions",
    "roomgen on ten positions, mean over these",
    "roomgen on ten positions, mean over ten others",
    "inverse_sabine, mean over the room",
    "inverse_sabine, mean over ten other positions",
)
ASKED_S = (0.2, 1.2)
SPECTRUM_S = 0.6
"""T_mid of the spectra."""

_EXAMPLE_M, _EXAMPLE_S = (8.0, 6.0, 3.0), 0.8
_EXAMPLE_PLACES = (np.array([2.0, 3.5, 1.5]), np.array([5.5, 2.0, 1.2]))
_FS_HZ, _LOW_HZ = 16000, 4000
_FEW, _OTHERS = 10, 10
_LONG = 2.1  # responses, in RT60s: longer than any that an RT60 is solved on
_ERRORS = ("median_error", "p95_error", "worst_error", "median_bias")
_PEER_HZ = 10.0  # corner of the high-pass that pyroomacoustics has by default
_FEWER_SPECTRA = 5  # of the rooms asked for a T_mid, one in so many


def run(effort: Effort) -> dict[str, Any]:
    """Return asked and obtained RT60 of every room and method (None: no T30, or refused), and how far they are apart."""
    settings = load_settings("goetz", {"rooms.count": effort.asked, "signal.rt60_s": ASKED_S, "seed": 1})
    plan = RoomsPlan(settings)
    asked, found = [], []
    planning_s: dict[int, list[float]] = {_FEW: [], POSITIONS: []}
    for index in range(effort.asked):
        drawn = plan.room(index)
        room, rt60_s = drawn.shoebox, drawn.rt60_target_s
        solved = {}
        for count in planning_s:
            solved[count], seconds = _timed(partial(with_rt60, settings, index, room, rt60_s, count=count))
            planning_s[count].append(seconds)
        places = positions_of(settings, room.size_m, index, POSITIONS + _OTHERS)
        many = [_t_mid_s(settings, one, places, rt60_s) for one in (solved[POSITIONS], solved[_FEW])]
        sabine = _sabine_s(room.size_m, places, rt60_s)
        asked.append(rt60_s)
        found.append(
            (
                _mean(many[0][:POSITIONS]),
                _mean(many[0][POSITIONS:]),
                _mean(many[1][:_FEW]),
                _mean(many[1][POSITIONS:]),
                _mean(sabine[:POSITIONS]),
                _mean(sabine[POSITIONS:]),
            )
        )
    obtained = dict(zip(METHODS, np.array(found).T, strict=True))
    return {
        "asked_s": asked,
        "methods": {name: {"obtained_s": _plain(values), **_errors(asked, values)} for name, values in obtained.items()},
        "planning_s": {str(count): float(np.median(seconds)) for count, seconds in planning_s.items()},
        "spectrum": _spectra(max(effort.asked // _FEWER_SPECTRA, 1)),
        "example": _example(),
    }


def text(result: dict[str, Any]) -> str:
    """Return errors per method, and per octave, as tables."""
    rows = [
        [
            name,
            *("–" if values[key] is None else f"{100 * values[key]:.1f}" for key in _ERRORS),
            str(values["not_obtained"]),
        ]
        for name, values in result["methods"].items()
    ]
    head = ["", "median error %", "95 % of rooms %", "worst %", "median bias %", "refused or no T30"]
    spectrum, example = result["spectrum"], result["example"]
    octaves = ["median error %", *(f"{center:g} Hz" for center in spectrum["band_hz"]), "s a room"]
    bands = [
        [
            name,
            *("–" if e is None else f"{100 * e:.1f}" for e in one["median_errors"]),
            "" if one["planning_s"] is None else f"{one['planning_s']:.2f}",
        ]
        for name, one in spectrum["methods"].items()
    ]
    size = " × ".join(f"{v:g}" for v in example["size_m"])
    obtained = ", ".join(f"{name} {'refused' if v is None else f'{v:.2f} s'}" for name, v in example["obtained_s"].items())
    seconds = ", ".join(f"{s:.2f} s on {count} positions" for count, s in result["planning_s"].items())
    return (
        f"T_mid asked ({ASKED_S[0]:g} to {ASKED_S[1]:g} s) against T30 obtained in {len(result['asked_s'])} random rooms; "
        f"median time of a room's plan: {seconds}\n{table(head, rows)}\n"
        f"{size} m, equal walls, {example['asked_s']:g} s asked, one position: {obtained}\n\n"
        f"Octave spectra asked (T_mid {SPECTRUM_S:g} s) of {spectrum['rooms']} rooms, {spectrum['refused']} refused\n"
        f"{table(octaves, bands)}"
    )


def _spectra(count: int) -> dict[str, Any]:
    """Return how far octaves are from spectra asked for, over the solved positions and ten others."""
    asked = SPECTRUM_S * np.asarray(MEDIANS)
    walls = {"walls.model": "measured", "signal.rt60_s": (SPECTRUM_S, SPECTRUM_S)}
    settings = load_settings("goetz", {"rooms.count": count, "seed": 2, **walls})
    errors: dict[str, list[NDArray[np.float64]]] = {}
    seconds: dict[int, list[float]] = {_FEW: [], POSITIONS: []}
    refused = 0
    plan = RoomsPlan(settings)
    for index in range(count):
        room = plan.room(index).shoebox
        places = positions_of(settings, room.size_m, index, POSITIONS + _OTHERS)
        for n in seconds:
            try:
                solved, taken = _timed(partial(with_rt60_bands, settings, index, room, asked.tolist(), count=n))
            except RoomgenError:
                refused += n == POSITIONS
                continue
            seconds[n].append(taken)
            t30_s = _bands_s(settings, solved, places, float(asked.max()))
            for name, part in ((f"{n} positions, these", t30_s[:n]), (f"{n} positions, ten others", t30_s[POSITIONS:])):
                errors.setdefault(name, []).append(_mean_bands(part) / asked - 1.0)
    return {
        "asked_s": asked.tolist(),
        "band_hz": list(octave_centers(_FS_HZ)),
        "rooms": count,
        "refused": refused,
        "methods": {
            name: {
                "median_errors": _plain(_median(np.abs(np.array(values)))),
                "planning_s": float(np.median(seconds[int(name.split()[0])])) if name.endswith("these") else None,
            }
            for name, values in errors.items()
        },
    }


def _t_mid_s(settings: DatasetSettings, room: Shoebox, at: Positions, rt60_s: float) -> NDArray[np.float64]:
    """Return T_mid at every position."""
    return _heard(at_rate(room, _FS_HZ, _LOW_HZ), at, _LONG * rt60_s, exact_options(settings))


def _sabine_s(size_m: tuple[float, float, float], at: Positions, rt60_s: float) -> NDArray[np.float64]:
    """Return T_mid at every position with walls, order and high-pass of ``inverse_sabine``, but our engine, which is faster."""
    walls = sabine_walls(size_m, rt60_s)
    if walls is None:
        return np.full(len(at.onset_s), np.nan)
    options = ImageOptions(max_order=walls[1], highpass_hz=_PEER_HZ)
    return _heard(Shoebox(size_m, absorption=walls[0]), at, 2.0 * rt60_s, options)


def _heard(room: Shoebox, at: Positions, duration_s: float, options: ImageOptions) -> NDArray[np.float64]:
    rirs = simulator(at, fs_hz=_LOW_HZ, duration_s=duration_s, air=None, options=options)(room)
    octaves = octaves_of("mid", _LOW_HZ)
    return BandEnergy.of(rirs, room, octaves, fs_hz=_LOW_HZ, air=None, onset_s=at.onset_s).measured_s


def _bands_s(settings: DatasetSettings, room: Shoebox, at: Positions, longest_s: float) -> NDArray[np.float64]:
    """Return T30 (position, band)."""
    respond = simulator(at, fs_hz=_FS_HZ, duration_s=_LONG * longest_s, air=None, options=exact_options(settings))
    return np.asarray(measure(respond(room), fs_hz=_FS_HZ, onset_s=at.onset_s, noise="none").rt60_bands_s)


def _example() -> dict[str, Any]:
    """Return the RT60 of a room with equal walls at one position, solved for it and by ``inverse_sabine``."""
    source, mic = (place.astype(np.float32) for place in _EXAMPLE_PLACES)
    at = Positions(source[None], mic[None], np.array([np.linalg.norm(source - mic) / 343.0]), (0,))
    room, options = Shoebox(_EXAMPLE_M, absorption=0.2), ImageOptions(highpass_hz=20.0)
    respond = simulator(at, fs_hz=_FS_HZ, duration_s=_LONG * _EXAMPLE_S, air=None, options=options)
    solved = room.scaled(solve_absorption_scale(room, _EXAMPLE_S, fs_hz=_FS_HZ, responses=Responses(respond, at.onset_s)))
    theirs = sabine_rir(_EXAMPLE_M, _EXAMPLE_S, source_m=_EXAMPLE_PLACES[0], mic_m=_EXAMPLE_PLACES[1], fs_hz=_FS_HZ)
    found = {
        "roomgen": float(measure(respond(solved)[0], fs_hz=_FS_HZ, noise="none").rt60_mid_s),
        "inverse_sabine": np.nan if theirs is None else float(measure(theirs, fs_hz=_FS_HZ, noise="none").rt60_mid_s),
    }
    return {
        "size_m": list(_EXAMPLE_M),
        "asked_s": _EXAMPLE_S,
        "obtained_s": {name: value if np.isfinite(value) else None for name, value in found.items()},
    }


def _timed(make: Callable[[], Shoebox]) -> tuple[Shoebox, float]:
    begun = time.perf_counter()
    room = make()
    return room, time.perf_counter() - begun


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan


def _mean_bands(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([_mean(band) for band in values.T])


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = [band[np.isfinite(band)] for band in values.T]
    return np.array([np.median(band) if band.size else np.nan for band in known])


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
