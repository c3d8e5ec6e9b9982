"""Device responses as the generator learns them: at one level, and with one polarity.

A scene classifier hears a device's colour; its gain and its sign are nobody's. What is left to learn is then continuous in the
angle: a figure-eight's response turns round at 90°, and would jump from one sample to its negative there. Delays need no such
care: parametric responses have minimum phase, and roomgen brings the peaks of measured ones to one place.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from roomtrain.papers.icl.generator.settings import FS_HZ

BAND_HZ = (500.0, 10_000.0)
_ONSET = 0.5  # of the largest sample: where a response begins


def band_power(responses: Tensor, *, fs_hz: float = FS_HZ) -> Tensor:
    """Return the mean of |H|² over 0.5–10 kHz, of (…, time) responses: (…,)."""
    frequencies = np.fft.rfftfreq(responses.shape[-1], 1.0 / fs_hz)
    low, high = np.searchsorted(frequencies, BAND_HZ[0]), np.searchsorted(frequencies, BAND_HZ[1], side="right")
    power: Tensor = torch.fft.rfft(responses)[..., low:high].abs().square()
    return power.mean(dim=-1)


def levelled(responses: Tensor, *, fs_hz: float = FS_HZ) -> Tensor:
    """Return responses whose mean power over 0.5–10 kHz is 1; silence stays silence."""
    return responses * band_power(responses, fs_hz=fs_hz).clamp(min=1e-20).rsqrt()[..., None]


def upright(responses: Tensor) -> Tensor:
    """Return (…, time) responses whose first sample of at least half the largest one's size is positive.

    The largest sample itself would be no good measure: as the angle changes, the second may outgrow the first.
    """
    size = responses.abs()
    onset = (size >= _ONSET * size.amax(dim=-1, keepdim=True)).to(torch.uint8).argmax(dim=-1, keepdim=True)
    return torch.where(responses.gather(-1, onset) < 0, -responses, responses)


def prepared(responses: Tensor, *, fs_hz: float = FS_HZ) -> Tensor:
    """Return responses at one level and with one polarity."""
    return upright(levelled(responses, fs_hz=fs_hz))
