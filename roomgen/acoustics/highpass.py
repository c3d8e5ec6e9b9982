"""The high-pass that takes the offset out of a response whose images are all positive."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import RoomgenError


@lru_cache(maxsize=32)
def _sections(fs_hz: float, corner_hz: float) -> NDArray[np.float64]:
    from scipy.signal import butter  # slow to import, and most responses need none

    return np.asarray(butter(2, corner_hz, btype="highpass", fs=fs_hz, output="sos"))


def highpass(rir: NDArray[np.float32], *, fs_hz: float, corner_hz: float) -> NDArray[np.float32]:
    """Return responses through a causal second-order Butterworth high-pass.

    In the time domain, so that nothing wraps around and no sound comes before its cause; in float64, because the poles of a
    filter at a few hertz lie too close to 1 for float32.

    Args:
        rir: (…, time) responses.
        corner_hz: -3 dB corner, below half the sampling rate.

    Raises:
        RoomgenError: a corner at or above half the sampling rate.
    """
    from scipy.signal import sosfilt

    if not 0 < corner_hz < fs_hz / 2:
        raise RoomgenError(f"highpass_hz = {corner_hz:g} must lie between 0 and half the sampling rate, {fs_hz / 2:g} Hz.")
    return np.asarray(sosfilt(_sections(fs_hz, corner_hz), rir.astype(np.float64), axis=-1), dtype=np.float32)
