"""Simulating a stored sample again from its row, and how far the two are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roomgen.datasets.samples import LABEL_COLUMNS, simulate_row
from roomgen.settings import DatasetSettings
from roomgen.store.dataset import Item

SAME_DB = -100.0
"""Below this, a difference is rounding: another processor may add the same numbers in another order."""

_SAME_LABEL = 1e-2


@dataclass(frozen=True)
class Comparison:
    """What came of simulating a sample again.

    Args:
        identical: the audio has the same bits.
        difference_db: energy of the difference over that of the stored audio; -inf where there is none.
        labels: label name to (stored, again) for those that differ.
    """

    identical: bool
    difference_db: float
    labels: dict[str, tuple[object, object]]

    @property
    def same(self) -> bool:
        """Whether both are equal up to rounding."""
        return self.difference_db <= SAME_DB and not self.labels

    @property
    def text(self) -> str:
        """One line for people."""
        if self.identical and not self.labels:
            return "the same to the last bit, all labels equal"
        audio = "audio identical" if self.identical else f"audio differs by {self.difference_db:.1f} dB"
        labels = ", ".join(f"{name} {old} → {new}" for name, (old, new) in self.labels.items()) or "labels equal"
        return f"{audio}, {labels}"


def compare_with_simulation(settings: DatasetSettings, item: Item) -> Comparison:
    """Simulate a sample of a dataset again from its row alone and compare audio and labels."""
    again, labels = simulate_row(settings, item.row)
    if again.shape != item.audio.shape:
        return Comparison(False, np.inf, {"shape": (item.audio.shape, again.shape)})
    error = float(np.sum((again.astype(np.float64) - item.audio) ** 2))
    energy = float(np.sum(item.audio.astype(np.float64) ** 2))
    difference_db = 10 * np.log10(error / energy) if error > 0 else -np.inf
    return Comparison(
        identical=bool(np.array_equal(again, item.audio)),
        difference_db=float(difference_db),
        labels={
            name: (item.row[name], labels[name])
            for name in LABEL_COLUMNS
            if not np.allclose(labels[name], item.row[name], rtol=_SAME_LABEL, atol=_SAME_LABEL, equal_nan=True)
        },
    )
