"""The same room through pyroomacoustics as its users call it: the peer of the engines.

Its own octave bands, image list and high-pass, default constants but for one thread, and room construction included. The engine
of :mod:`roomgen.acoustics.reference` is the same library with conventions removed; results are compared with that, times with this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.rooms import WALLS, Shoebox


def banded_rirs(
    room: Shoebox, *, source_m: NDArray[np.float64], mics_m: NDArray[np.float64], fs_hz: int, order: int
) -> list[NDArray[np.float64]]:
    """Return one response per microphone of a room with the same absorption per octave band."""
    import pyroomacoustics as pra

    centers = list(octave_centers(fs_hz))
    walls = {
        wall: pra.Material({"coeffs": alpha.tolist(), "center_freqs": centers})
        for wall, alpha in zip(WALLS, room.absorption(fs_hz), strict=True)
    }
    return _rirs(room.size_m, walls, source_m, mics_m, fs_hz, order)


def sabine_walls(size_m: tuple[float, float, float], rt60_s: float) -> tuple[float, int] | None:
    """Return absorption and order that ``inverse_sabine`` gives a room for an RT60, or None where it refuses."""
    import pyroomacoustics as pra

    try:
        absorption, order = pra.inverse_sabine(rt60_s, size_m)
    except ValueError:
        return None
    return float(absorption), int(order)


def sabine_rir(
    size_m: tuple[float, float, float],
    rt60_s: float,
    *,
    source_m: NDArray[np.float64],
    mic_m: NDArray[np.float64],
    fs_hz: int,
) -> NDArray[np.float64] | None:
    """Return the response of a room with :func:`sabine_walls`, or None where there are none."""
    import pyroomacoustics as pra

    walls = sabine_walls(size_m, rt60_s)
    if walls is None:
        return None
    return _rirs(size_m, pra.Material(walls[0]), source_m, mic_m[None], fs_hz, walls[1])[0]


def _rirs(
    size_m: tuple[float, ...],
    materials: Any,
    source_m: NDArray[np.float64],
    mics_m: NDArray[np.float64],
    fs_hz: int,
    order: int,
) -> list[NDArray[np.float64]]:
    import pyroomacoustics as pra

    with _one_thread():
        room = pra.ShoeBox(size_m, fs=fs_hz, max_order=order, materials=materials)
        room.add_source(source_m)
        room.add_microphone_array(mics_m.T)
        room.compute_rir()
    return [responses[0] for responses in room.rir]


@contextmanager
def _one_thread() -> Iterator[None]:
    import pyroomacoustics as pra

    before = pra.constants.get("num_threads")
    pra.constants.set("num_threads", 1)
    try:
        yield
    finally:
        pra.constants.set("num_threads", before)
