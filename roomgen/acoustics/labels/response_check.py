"""Is this an impulse response at all? Speech, music and noise have decay times, too, and every one of them is wrong.

An impulse response has one beginning: what comes 0.1 s and more before its peak is quiet, and after it the level only falls,
flutter and late echoes aside. Speech comes before its peak and rises again after it; noise and steady tones do not fall; a bell
falls, but rings on a few frequencies only, where rooms have thousands.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_FRAME_S = 0.03
_EARLIER_S = 0.1  # a late reflection of a hall can be louder than its direct sound
_AGAIN = 3.0  # times the quietest frame so far: 5 dB
_DISORDER = 0.15  # of all energy: measured rooms have up to 0.03, 901 sentences of speech 0.29 and more
_FALL_DB = 6.0
_LOWEST_HZ = 100.0  # offsets and rumble lie below
_FEW = 0.01  # of all frequencies …
_ALL = 0.95  # … hold this much of the energy


def why_no_response(signal: NDArray[np.floating[Any]], *, fs_hz: float) -> str | None:
    """Return what in a (time,) recording no impulse response has, in words; None if it may be one."""
    level = signal - np.median(signal)
    peak = int(np.argmax(np.abs(level)))
    power = np.square(level, dtype=np.float64)
    total = float(power.sum())
    if total <= 0.0:
        return None
    frame = max(round(_FRAME_S * fs_hz), 1)
    begin = max(peak - frame // 4, 0)
    count = (len(level) - begin) // frame
    earlier = float(power[: max(peak - round(_EARLIER_S * fs_hz), 0)].sum()) / total
    frames = power[begin : begin + count * frame].reshape(count, frame).sum(axis=1)
    quietest = np.minimum.accumulate(frames)[:-1]
    again = float(frames[1:][frames[1:] > _AGAIN * quietest].sum()) / total
    if earlier + again > _DISORDER:
        return (
            f"{100 * earlier:.0f} % of its energy comes {_EARLIER_S:g} s and more before its peak, "
            f"{100 * again:.0f} % as it grows louder again after it"
        )
    if count > 1:
        fall_db = 10.0 * np.log10(frames[0] / max(float(np.median(frames[count // 2 :])), 1e-300))
        if fall_db < _FALL_DB:
            return f"it does not decay: its level falls by {max(fall_db, 0.0):.1f} dB after the peak"
    spectrum = np.abs(np.fft.rfft(level)) ** 2
    spectrum = np.sort(spectrum[np.fft.rfftfreq(len(level), 1.0 / fs_hz) > _LOWEST_HZ])[::-1]
    few = max(round(_FEW * len(spectrum)), 1)
    share = float(spectrum[:few].sum() / max(float(spectrum.sum()), 1e-300))
    if share > _ALL:
        return f"it is made of tones: 1 % of its frequencies hold {100 * share:.0f} % of its energy"
    return None
