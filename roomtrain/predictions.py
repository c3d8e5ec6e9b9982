"""What a trained cell answers to every test sample: one long table, from which results, tables, comparisons and figures are made.

A row is one answer: to one sample (``key``), for one target, under one condition of the test, by one protocol. All that comes after
training is a function of this table and needs no torch.

| column | |
|---|---|
| cell | cell of the paper's table: ``soft-0.1`` |
| protocol | how training and test samples were divided |
| target | what is estimated |
| condition | ``clean``: the test as it is; ``constant``: the best constant answer to the training's truths; others by paper |
| key | the sample; the same in every run on the same data |
| group | what samples share that are not independent: the room |
| truth, estimate | float64: in the target's unit, in degrees, or a class index; the truth of a score is NaN |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.store.folder import atomic
from roomtrain.errors import RoomtrainError

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS = "predictions.parquet"
CLEAN, CONSTANT = "clean", "constant"
NAMES = ("cell", "protocol", "target", "condition", "key", "group")
COLUMNS = (*NAMES, "truth", "estimate")


@dataclass(frozen=True)
class Answers:
    """The answers for one target, protocol and condition.

    Args:
        keys, groups: (sample,) names.
        truth: (sample,) or None for scores.
        estimate: (sample,)
    """

    protocol: str
    target: str
    keys: NDArray[Any]
    groups: NDArray[Any]
    truth: ArrayLike | None
    estimate: ArrayLike
    condition: str = CLEAN


def prediction_table(cell: str, answers: Iterable[Answers]) -> pd.DataFrame:
    """Return the long table of one cell: the columns of this module's docstring, names as categories.

    Raises:
        RoomtrainError: answers that are not one for each sample.
    """
    import pandas as pd

    parts = []
    for a in answers:
        estimate = np.asarray(a.estimate, dtype=np.float64)
        truth = np.full(len(a.keys), np.nan) if a.truth is None else np.asarray(a.truth, dtype=np.float64)
        if not len(a.keys) == len(a.groups) == len(estimate) == len(truth):
            raise RoomtrainError(
                f"{a.target} ({a.protocol}, {a.condition}): {len(estimate)} estimates and {len(truth)} truths for {len(a.keys)} "
                f"samples in {len(a.groups)} groups: there must be one of each for every sample."
            )
        names = {"cell": cell, "protocol": a.protocol, "target": a.target, "condition": a.condition}
        parts.append(
            pd.DataFrame({**names, "key": a.keys.astype(str), "group": a.groups.astype(str), "truth": truth, "estimate": estimate})
        )
    if not parts:
        raise RoomtrainError(f"{cell} has no predictions.")
    table = pd.concat(parts, ignore_index=True)
    return table.astype(dict.fromkeys(NAMES, "category"))


def write_predictions(path: Path, table: pd.DataFrame) -> None:
    """Write a long table as Parquet."""
    with atomic(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def read_predictions(run: Path) -> pd.DataFrame:
    """Return the predictions of a finished run.

    Raises:
        RoomtrainError: the run is not finished, or its table is damaged.
    """
    import pandas as pd

    path = run / PREDICTIONS
    if not path.is_file():
        raise RoomtrainError(f"{run} is not a finished run: it has no {PREDICTIONS}.")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RoomtrainError(f"{path} cannot be read ({error}).", exit_code=1) from None
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise RoomtrainError(f"{path} has no column {missing[0]}: it is no table of predictions of this version.", exit_code=1)
    return table
