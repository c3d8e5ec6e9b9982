"""What is true of responses, by the names that targets go by: from a manifest, or measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.labels.measure import measure

if TYPE_CHECKING:
    import pandas as pd

RT60_MID = "rt60_mid_s"
_MIDDLE = slice(2, 4)  # octaves begin at 125 Hz


def with_mid_rt60(table: pd.DataFrame) -> pd.DataFrame:
    """Return a manifest with the column :data:`RT60_MID`; datasets of schema version 2 and before have it by octave only."""
    if RT60_MID in table.columns:
        return table
    return table.assign(**{RT60_MID: mid_rt60_s(table["rt60_bands_s"].tolist())})


def mid_rt60_s(rt60_bands_s: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of the RT60s of the octaves of 500 and 1000 Hz (ISO 3382-1: T₃₀,mid), NaN where either was not measured.

    The RT60 of a whole response is the decay of its lowest octave, wherever walls absorb less there, long after all that speech
    excites has died away: what can be heard of a room in speech is this.

    Shape:
        (…, band) from 125 Hz on → (…)
    """
    middle: NDArray[np.float64] = np.asarray(rt60_bands_s, dtype=np.float64)[..., _MIDDLE].mean(axis=-1)
    return middle


def measured_labels(rir: NDArray[np.float32], *, fs_hz: int) -> dict[str, float]:
    """Return the single-number labels of a measured response (time,); what cannot be measured is left out."""
    labels: dict[str, Any] = measure(rir, fs_hz=fs_hz).as_dict()
    values = {name: float(value) for name, value in labels.items() if np.ndim(value) == 0}
    return {name: value for name, value in values.items() if np.isfinite(value)}
