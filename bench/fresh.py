"""Rooms that an engine has never seen, one position each, and the same rooms again: what tables cost, with scattering and without.

With scattering, pyroomacoustics is compared twice. Its image sources between mirrors are what users wait for today. Its own ray
tracing is shown beside it for its time alone. It is no reference for what is heard: a ray's scattered energy reaches the microphone
once and is then lost to the room (LCAV/pyroomacoustics issue 415), and its octave bands leak into each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench.peer import banded_rirs
from bench.scenes import FS_HZ, BenchRoom
from roomgen.acoustics.bands import fft_band_weights, octave_centers
from roomgen.acoustics.diffuse import energy as diffuse_energy
from roomgen.acoustics.images import spreading
from roomgen.acoustics.images.sources import image_source
from roomgen.acoustics.prediction import decay
from roomgen.acoustics.rooms import WALLS, Shoebox
from roomgen.acoustics.scene import Scene, make_scene
from roomgen.text import table

SCATTERING = 0.3
_MICS = (1, 4)
_RAY_ROOMS = 2  # seconds each
_GOALS = {0.0: 20.0, SCATTERING: 15.0}
"""Least ratio of fresh rooms without scattering, and of warm ones with it."""


def run(rooms: list[BenchRoom]) -> dict[str, Any]:
    """Return the times of fresh and of warm rooms in ms, and the ratios to pyroomacoustics: medians over rooms."""
    image_source(_scene(rooms[0], 1, SCATTERING), parts=False)  # what is compiled once is nobody's room
    cases = [_case(rooms, scattering, mics) for scattering in (0.0, SCATTERING) for mics in _MICS]
    traced = [1e3 * _seconds(partial(_traced, room)) for room in rooms[:_RAY_ROOMS]]
    return {"cases": cases, "ray_tracing_ms": float(np.median(traced))}


def text(result: dict[str, Any]) -> str:
    """Return the times as a table."""
    rows = [
        [
            f"{case['scattering']:g}, {case['mics']}",
            *(f"{case[name]:.2f}" for name in ("fresh_ms", "warm_ms")),
            f"{case['peer_ms']:.1f}",
            *(f"{case[name]:.1f}" for name in ("fresh_ratio", "warm_ratio")),
            f"{case['goal']:g} {'fresh' if case['scattering'] == 0 else 'warm'}: {'met' if case['met'] else 'MISSED'}",
        ]
        for case in result["cases"]
    ]
    head = ["scattering, mics", "fresh ms", "again ms", "pyroomacoustics ms", "ratio fresh", "ratio again", "goal"]
    return (
        "Rooms of random materials, each of another length, one position each, one thread; medians over rooms. Without "
        "scattering the same images in both; with it ours for the predicted decay, theirs between mirrors\n"
        + table(head, rows)
        + f"\nray tracing of pyroomacoustics with 1 microphone: {result['ray_tracing_ms']:.0f} ms. Time alone: scattered energy is "
        "heard once there and then lost, so it is no reference"
    )


def _case(rooms: list[BenchRoom], scattering: float, mics: int) -> dict[str, Any]:
    fresh, warm, peer = [], [], []
    for bench in rooms:
        scene = _scene(bench, mics, scattering)
        _forget()
        fresh.append(_seconds(partial(image_source, scene, parts=False)))
        warm.append(_seconds(partial(image_source, scene, parts=False)))
        asked: dict[str, Any] = {"source_m": bench.source_m, "mics_m": bench.mics_m[:mics], "fs_hz": FS_HZ, "order": bench.rt_order}
        peer.append(_seconds(partial(banded_rirs, bench.room, **asked)))
    ratios = {name: float(np.median(np.divide(peer, ours))) for name, ours in (("fresh", fresh), ("warm", warm))}
    goal = _GOALS[scattering]
    return {
        "scattering": scattering,
        "mics": mics,
        "fresh_ms": 1e3 * float(np.median(fresh)),
        "warm_ms": 1e3 * float(np.median(warm)),
        "peer_ms": 1e3 * float(np.median(peer)),
        "fresh_ratio": ratios["fresh"],
        "warm_ratio": ratios["warm"],
        "goal": goal,
        "met": ratios["fresh" if scattering == 0.0 else "warm"] >= goal,
    }


def _scene(bench: BenchRoom, mics: int, scattering: float) -> Scene:
    """Return a scene with the images of pyroomacoustics' order, or one with scattering walls for its predicted decay."""
    if scattering == 0.0:
        return bench.diamond(mics, bench.rt_order)
    room = Shoebox(bench.room.size_m, absorption=bench.room.absorption(FS_HZ), scattering=scattering)
    return make_scene(room, sources=[bench.source_m], mics=bench.mics_m[:mics], fs_hz=FS_HZ)


def _forget() -> None:
    for kept in (spreading.synthesis, fft_band_weights, diffuse_energy._of_walls, decay.specular_end_s):
        kept.cache_clear()


def _seconds(function: Callable[[], object]) -> float:
    begun = time.process_time()
    function()
    return time.process_time() - begun


def _traced(bench: BenchRoom) -> None:
    """Let pyroomacoustics trace the rays of a room, as its users ask it to."""
    import pyroomacoustics as pra

    centers = list(octave_centers(FS_HZ))
    scattering = {"coeffs": [SCATTERING] * len(centers), "center_freqs": centers}
    walls = {
        wall: pra.Material({"coeffs": alpha.tolist(), "center_freqs": centers}, scattering)
        for wall, alpha in zip(WALLS, bench.room.absorption(FS_HZ), strict=True)
    }
    room = pra.ShoeBox(bench.room.size_m, fs=FS_HZ, max_order=3, materials=walls, ray_tracing=True, air_absorption=False)
    room.add_source(bench.source_m)
    room.add_microphone_array(bench.mics_m[:1].T)
    room.compute_rir()
