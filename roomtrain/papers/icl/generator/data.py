"""Responses for the generator, and which of them it learns from, is chosen by, and is tested with.

    train          training microphones, but for the sectors below
    val            training microphones, 95° to 110° off the axis on either side
    angle          training microphones, 35° to 55° and 125° to 145° on either side: test of unseen angles
    microphone     all of the test microphones but three responses each: test of unseen microphones
    reference      these three, from which a microphone's code may be found

Whole sectors are held out, at all distances: of single angles in steps of 5°, the neighbours' mean is right to -45 dB, and there is
nothing left to learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from roomtrain.banks import Bank
from roomtrain.errors import RoomtrainError
from roomtrain.papers.icl.generator.conditions import conditions_of
from roomtrain.papers.icl.generator.responses import prepared
from roomtrain.papers.icl.generator.settings import FS_HZ, N_SAMPLES

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("train", "val", "angle", "microphone", "reference")
N_REFERENCES = 3
TEST_SECTORS_DEG = ((35.0, 55.0), (125.0, 145.0))
VAL_SECTORS_DEG = ((95.0, 110.0),)
"""From the axis to either side, both ends included."""
_AGREE_DEG = 1e-3  # float32 in manifests
_NEIGHBOURS = 4  # samples to either side that an envelope looks at
_LEAST = 1e-3  # of an envelope's maximum
_HEADROOM = 0.9  # of the tanh: training's largest sample, since ±1 is never reached


@dataclass(frozen=True)
class GeneratorData:
    """Responses with their conditions.

    Args:
        responses: (response, 1024) at one level and with one polarity, on the device that trains.
        conditions: (response, 13), there too.
        table: rows of the manifest, in the same order.
        microphone: (response,) number of the training microphone; -1: of another.
        parts: name of :data:`PARTS` → places in the arrays.
    """

    responses: Tensor
    conditions: Tensor
    table: pd.DataFrame
    microphone: NDArray[np.int64]
    parts: dict[str, NDArray[np.int64]]

    @property
    def n_microphones(self) -> int:
        """Training microphones."""
        return int(self.microphone.max()) + 1

    def scale(self, kind: Literal["one", "envelope"]) -> Tensor:
        """Return (1024,): what 1 stands for in each of the generator's samples, a little more than training's largest.

        One for all samples, or an envelope: the largest of each sample and its neighbours. Three quarters of a response's energy
        are in its first sample, and its end is a thousandth as large: with an envelope all samples are of about one size.
        """
        largest = self.responses[torch.from_numpy(self.parts["train"])].abs().amax(dim=0) / _HEADROOM
        if kind == "one":
            return largest.max().expand(N_SAMPLES)
        around = functional.max_pool1d(largest[None, None], 2 * _NEIGHBOURS + 1, 1, _NEIGHBOURS)[0, 0]
        return around.clamp(min=float(largest.max()) * _LEAST)

    def names(self, part: str, column: str) -> NDArray[np.str_]:
        """Return a column of names of the responses of a part."""
        names: NDArray[np.str_] = self.table[column].astype(str).to_numpy(dtype=np.str_)[self.parts[part]]
        return names


def generator_data(bank: Bank, *, tested: Literal["val", "test"] = "test") -> GeneratorData:
    """Return the data of a bank of device responses, all splits of it.

    Args:
        tested: "val": what settings are chosen by stands in the place of the test: the angles of validation, and its microphones.

    Raises:
        RoomtrainError: responses of another length or sampling rate, conditions that are unknown, or a part that is empty.
    """
    if (bank.n_samples, bank.fs_hz) != (N_SAMPLES, FS_HZ):
        raise RoomtrainError(
            f"the responses have {bank.n_samples} samples at {bank.fs_hz} Hz; the generator takes {N_SAMPLES} at {FS_HZ} Hz: "
            f"make them with `roomgen devices … --fs {FS_HZ} --set n_samples={N_SAMPLES}`."
        )
    table = bank.table.reset_index(drop=True)
    conditions = torch.from_numpy(conditions_of(table)).to(bank.device)
    split, names = (table[column].astype(str).to_numpy() for column in ("split", "microphone"))
    trained = np.unique(names[split == "train"])
    number = np.where(split == "train", np.searchsorted(trained, names), -1)
    angle_deg, distance_m = (table[column].to_numpy(dtype=np.float64) for column in ("angle_deg", "distance_m"))
    parts = divided(split, names, angle_deg, distance_m, tested=tested)
    empty = [part for part in PARTS if not len(parts[part])]
    if empty:
        raise RoomtrainError(
            f"there are no responses for the part {empty[0]!r}: the generator needs microphones in the splits train and {tested}, "
            "and angles in steps of 15° or less. Make them with `roomgen devices microphones --n 25`."
        )
    return GeneratorData(prepared(bank.audio[:, 0]), conditions, table, number, parts)


def divided(
    split: NDArray[np.str_],
    microphone: NDArray[np.str_],
    angle_deg: NDArray[np.float64],
    distance_m: NDArray[np.float64],
    *,
    tested: str = "test",
) -> dict[str, NDArray[np.int64]]:
    """Return the responses' places by part; all arguments are (response,)."""
    off_axis = np.abs((angle_deg + 180.0) % 360.0 - 180.0)
    held, validated = _in(off_axis, TEST_SECTORS_DEG), _in(off_axis, VAL_SECTORS_DEG)
    train, reference = split == "train", np.zeros(len(split), dtype=bool)
    for name in np.unique(microphone[split == tested]):
        reference[references(np.flatnonzero(microphone == name), angle_deg, distance_m)] = True
    chosen = {
        "train": train & ~held & ~validated,
        "val": train & validated,
        "angle": train & (held if tested == "test" else validated),
        "microphone": (split == tested) & ~reference,
        "reference": reference,
    }
    return {part: np.flatnonzero(which) for part, which in chosen.items()}


def _in(off_axis_deg: NDArray[np.float64], sectors_deg: tuple[tuple[float, float], ...]) -> NDArray[np.bool_]:
    within = [(off_axis_deg > low - _AGREE_DEG) & (off_axis_deg < high + _AGREE_DEG) for low, high in sectors_deg]
    return np.asarray(np.any(within, axis=0))


def references(own: NDArray[np.int64], angle_deg: NDArray[np.float64], distance_m: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return three of a microphone's responses: from the front and two sides, 120° apart, at its middle distance."""
    distances = np.unique(distance_m[own])
    near = own[distance_m[own] == distances[len(distances) // 2]]
    turns = np.arange(N_REFERENCES) * (360.0 / N_REFERENCES)
    off = np.abs((angle_deg[near][None] - turns[:, None] + 180.0) % 360.0 - 180.0)
    return np.unique(near[off.argmin(axis=1)])
