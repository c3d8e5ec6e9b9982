"""Dynamic range compression of training seconds, frame by frame on their power spectra.

A compressor changes its gain within milliseconds; a frame of the features is 25 ms long, and the next begins 10 ms later. So a gain
for each frame stands for it: the level of the frame, without pre-emphasis, goes through the same gain computer and the same smooth
branching detector (Giannoulis, Massberg and Reiss, 2012), one step a frame. The detector follows the peaks of a sound and not its
mean: they are taken to be :data:`PEAK_DB` above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from roomtrain.papers.icl.mel import FS_HZ, HOP, N_BINS, N_FFT, PRE_EMPHASIS, WINDOW

if TYPE_CHECKING:
    import pandas as pd

PEAK_DB = 2.0
"""Where the gains of scenes through drawn compressors agree with the exact ones in the mean."""
_COLUMNS = ("threshold_db", "ratio", "attack_ms", "release_ms", "makeup_db")


@dataclass(frozen=True)
class Compressors:
    """The compressors of some devices, (device,) each; a ratio of 1 compresses nothing.

    Args:
        threshold_db, makeup_db: in dB of full scale, and in dB.
        ratio: dB in for 1 dB out.
        attack, release: factors of the detectors from one frame to the next.
    """

    threshold_db: Tensor
    ratio: Tensor
    attack: Tensor
    release: Tensor
    makeup_db: Tensor

    @classmethod
    def of(cls, table: pd.DataFrame, device: torch.device) -> Compressors:
        """Return those in the columns ``drc_…`` of a manifest; what is NaN there is none."""
        values = {name: table[f"drc_{name}"].to_numpy(dtype=np.float64).copy() for name in _COLUMNS}
        none = ~(values["ratio"] > 1.0)
        for name, neutral in (("threshold_db", 0.0), ("ratio", 1.0), ("attack_ms", 1.0), ("release_ms", 1.0), ("makeup_db", 0.0)):
            values[name][none] = neutral
        hop_ms = 1e3 * HOP / FS_HZ
        numbers = {
            "threshold_db": values["threshold_db"],
            "ratio": values["ratio"],
            "attack": np.exp(-hop_ms / values["attack_ms"]),
            "release": np.exp(-hop_ms / values["release_ms"]),
            "makeup_db": values["makeup_db"],
        }
        return cls(**{name: torch.tensor(array, dtype=torch.float32, device=device) for name, array in numbers.items()})

    def rows(self, indices: Tensor) -> Compressors:
        """Return those of some devices."""
        return Compressors(*(getattr(self, name)[indices] for name in self.__dataclass_fields__))


def gains_db(power: Tensor, compressors: Compressors) -> Tensor:
    """Return the gain of each frame in dB; the detector begins at rest in the first one.

    Args:
        power: of :func:`roomtrain.papers.icl.mel.power_spectrum`.
        compressors: of each sample.

    Shape:
        (batch, frame, 513) → (batch, frame)
    """
    over = (level_db(power) + PEAK_DB - compressors.threshold_db[:, None]).clamp_(min=0.0)
    wanted = (over * (1.0 - 1.0 / compressors.ratio[:, None])).T.contiguous()  # (frame, batch)
    reduction = wanted[0]
    reductions = [reduction]
    for target in wanted[1:]:
        slowness = torch.where(target > reduction, compressors.attack, compressors.release)
        reduction = target + slowness * (reduction - target)
        reductions.append(reduction)
    return compressors.makeup_db[:, None] - torch.stack(reductions, dim=1)


def level_db(power: Tensor) -> Tensor:
    """Return the level of each frame as it was before pre-emphasis, in dB of full scale: (batch, frame, 513) → (batch, frame)."""
    return 10.0 * torch.log10((power @ _to_mean_square(power.device)).clamp_(min=1e-12))


@lru_cache(maxsize=8)
def _to_mean_square(device: torch.device) -> Tensor:
    """Return (513,) the weights with which bins add up to the mean square of a frame before pre-emphasis (Parseval)."""
    phase = 2.0 * torch.pi * torch.arange(N_BINS, dtype=torch.float64) / N_FFT
    emphasis = 1.0 + PRE_EMPHASIS**2 - 2.0 * PRE_EMPHASIS * torch.cos(phase)
    window = torch.hann_window(WINDOW, periodic=False, dtype=torch.float64).square().sum()
    both = torch.full((N_BINS,), 2.0, dtype=torch.float64)
    both[0] = both[-1] = 1.0  # the others stand for their negative frequencies too
    return (both / emphasis / N_FFT / window).float().to(device)
