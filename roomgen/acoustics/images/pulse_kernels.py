"""The inner loop of the diffuse field: add its pulses to a grid as images are added (numba)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from roomgen.acoustics.compiled import announced, compiled
from roomgen.acoustics.images.kernels import add_bands, add_time
from roomgen.acoustics.images.spreading import PHASES, TAPS, kernel_table

_SHIFT = PHASES.bit_length() - 1
_MASK = PHASES - 1


@compiled(error_model="numpy", nogil=True)
def add_pulses(
    grid: Any, lanes: int, table: Any, rows: Any, amplitudes: Any, levels: Any, steps_per_row: float, start_row: int
) -> None:
    """Add pulses to a grid, each with the level of its time in every band.

    Args:
        grid: (row · lane,) float32, added to.
        lanes: 1, or a multiple of 8.
        table: of :func:`~roomgen.acoustics.images.spreading.kernel_table`.
        rows: (pulse,) float64 grid rows after that of the emission.
        amplitudes: (pulse,) float32.
        levels: (step · lane,) float32, read at ``row · steps_per_row``, straight lines between.
        start_row: grid row of the emission.
    """
    level, ones = np.empty(lanes, np.float32), np.ones(lanes, np.float32)
    last = levels.size // lanes - 2
    start = float((start_row - TAPS // 2 + 1) * PHASES)
    for i in range(rows.size):
        step = rows[i] * steps_per_row
        below = min(np.int64(step), last)
        part = np.float32(step - below)
        for lane in range(lanes):
            low, high = levels[below * lanes + lane], levels[(below + 1) * lanes + lane]
            level[lane] = low + part * (high - low)
        row = rows[i] * PHASES + start
        whole = np.int64(row)
        at, phase, rest = whole >> _SHIFT, whole & _MASK, np.float32(row - whole)
        if lanes == 1:
            add_time(grid, at, table, phase, rest, amplitudes[i] * level[0])
        else:
            for first in range(0, lanes, 8):
                add_bands(grid, at * lanes + first, lanes, table, phase, rest, amplitudes[i], level, first, ones, first)


@lru_cache(maxsize=1)
def warm_up() -> None:
    """Load the compiled loop, or compile it where that has never been done."""
    one = np.ones(1, np.float32)
    with announced("the engine"):
        add_pulses(np.zeros(8 * 64, np.float32), 8, kernel_table(), np.ones(1), one, np.ones(16, np.float32), 1.0, 4)
