"""The recursion of a compressor's level detector, which no vector instruction helps with (numba).

Compiled code is kept beside this file, where ``NUMBA_CACHE_DIR`` says, or, if this folder cannot be written, in the user's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def _compiled(function: Callable[..., Any]) -> Any:
    try:
        return njit(cache=True)(function)
    except RuntimeError:  # numba finds no folder that can be written
        return njit(function)


@_compiled
def smoothed(values: NDArray[np.float64], attack: float, release: float) -> NDArray[np.float64]:
    """Return (time,) values followed by one pole that rises with ``attack`` and falls with ``release``, from 0 on."""
    out = np.empty_like(values)
    state = 0.0
    for i in range(len(values)):
        pole = attack if values[i] > state else release
        state = pole * state + (1.0 - pole) * values[i]
        out[i] = state
    return out
