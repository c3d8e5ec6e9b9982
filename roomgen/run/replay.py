"""Making a stored sample again from its row, and how far the two are apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roomgen.audio import decode_audio
from roomgen.datasets.family import AnyJob, Inputs, job_of
from roomgen.errors import DatasetError
from roomgen.store.dataset import Dataset, Item

SAME_DB = -100.0
"""Below this, a difference is rounding: another processor may add the same numbers in another order."""

_SAME_LABEL = 1e-2
_PLACE = ("shard", "offset", "nbytes")


@dataclass(frozen=True)
class Comparison:
    """What came of making a sample again.

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


def compare_again(dataset: Dataset, item: Item, *, inputs: Inputs | None = None) -> Comparison:
    """Make a sample of a dataset again from its row and inputs alone, and compare audio and labels.

    Args:
        inputs: where the dataset's inputs lie now; None: where they lay when it was made.
    """
    job = job_of(dataset.info["settings"], dataset.inputs if inputs is None else inputs)
    return compare(job, item)


def compare(job: AnyJob, item: Item) -> Comparison:
    """Make a sample again, as its dataset's job does, and compare audio and columns with those that are stored."""
    try:
        sample = job.remake(item.row)
    except (LookupError, TypeError, ValueError, ArithmeticError) as wrong:
        raise DatasetError(
            f"sample {item.key} cannot be made again ({type(wrong).__name__}: {wrong}): its row was edited or is damaged."
        ) from None
    again, _ = decode_audio(sample.members[job.audio_member], name=sample.key)
    pairs = {name: (item.row[name], value) for name, value in sample.row.items() if name in item.row and name not in _PLACE}
    if again.shape != item.audio.shape:
        return Comparison(False, np.inf, {"shape": (item.audio.shape, again.shape)})
    error = float(np.sum((again.astype(np.float64) - item.audio) ** 2))
    energy = float(np.sum(item.audio.astype(np.float64) ** 2))
    difference_db = 10 * np.log10(error / energy) if error > 0 else -np.inf
    return Comparison(
        identical=bool(np.array_equal(again, item.audio)),
        difference_db=float(difference_db),
        labels={name: pair for name, pair in pairs.items() if not same(*pair, _SAME_LABEL)},
    )


def same(stored: object, again: object, tolerance: float) -> bool:
    """Tell whether two values of a column are equal: numbers up to a tolerance, NaN with NaN, anything else exactly."""
    if _is_exact(stored) and _is_exact(again):
        return stored == again
    try:
        return bool(np.allclose(stored, again, rtol=tolerance, atol=tolerance, equal_nan=True))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # no numbers, or not as many: a row that was edited
        return False


def _is_exact(value: object) -> bool:
    return isinstance(value, str | int) or (isinstance(value, list) and all(isinstance(v, str) for v in value))
