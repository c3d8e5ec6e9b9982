"""The trained generator of a run, for those who want responses and no training, such as `roomgen devices generated`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from roomtrain.checkpoint import BEST, fitting
from roomtrain.claims import claimed
from roomtrain.errors import RoomtrainError
from roomtrain.papers.icl.generator.conditions import conditions_of
from roomtrain.papers.icl.generator.generate import drawn_codes, networks_of, respond
from roomtrain.papers.icl.generator.networks import Networks
from roomtrain.run import STAGE, trained_weights

if TYPE_CHECKING:
    import pandas as pd

_STAGE = "generator"


@dataclass(frozen=True)
class LoadedGenerator:
    """Trained networks on the CPU.

    Args:
        run: folder that they come from.
        fingerprint: 16 hex digits of the sha256 of the weights' file.
    """

    run: Path
    networks: Networks
    fingerprint: str

    def respond(self, table: pd.DataFrame, microphone: ArrayLike, *, seed: int) -> NDArray[np.float32]:
        """Return (response, 1024) at 32 kHz with a mean power of 1 over 0.5–10 kHz.

        A microphone's code hangs on seed and number alone. The last digits of a response hang on the rows that are made with it
        too: who wants the same bytes again asks for the same table again. Neither threads nor other calls change them.

        Args:
            table: (response,) rows with ``directivity``, ``transducer``, ``diaphragm_size``, ``diaphragm_count``, ``address``,
                ``angle_deg``, and ``distance_m``; ``key`` is what errors call a row by.
            microphone: its number, or (response,) of them; responses of one number share a code.
            seed: of the codes.

        Raises:
            RoomtrainError: no rows, other numbers of microphones than of rows, a row that does not say all that is needed, or
                networks that answer with silence or with what is no number.
        """
        numbers = np.asarray(microphone, dtype=np.int64)
        if numbers.ndim == 0:
            numbers = np.full(len(table), numbers)
        if not len(table) or numbers.shape != (len(table),):
            raise RoomtrainError(
                f"{len(table)} responses of microphones {numbers.shape}: give at least one row, and one number for all or each."
            )
        conditions = torch.from_numpy(conditions_of(table))
        different, own = np.unique(numbers, return_inverse=True)
        with _one_thread():
            # One by one: in a product of several, the last digits of a code would hang on the others.
            codes = torch.cat([drawn_codes(self.networks, number[None], seed=seed) for number in different])
            made: NDArray[np.float32] = respond(self.networks, conditions, codes[torch.from_numpy(own)]).numpy()
        if not np.isfinite(made).all() or not made.any(axis=1).all():
            raise RoomtrainError(
                f"the generator of {self.run} answers with silence, or with what is no number: train it again.", exit_code=1
            )
        return made


def load_generator(run: Path) -> LoadedGenerator:
    """Return the generator of a run of the cell "generated"; it lies in the run, or beside it where several runs share it.

    The classifier, for whose training it is made, need not be trained yet.

    Raises:
        RoomtrainError: the folder is no run, of a paper or a cell without a generator, or one whose generator is not trained or
            damaged.
    """
    paper, settings, cell = claimed(run)
    if paper.name != "icl" or settings.augment.responses != "generated":
        raise RoomtrainError(
            f"{run} is a run of {paper.name} {cell}, which has no generator of responses: give one of "
            "`roomtrain train icl --cell generated`."
        )
    weights = trained_weights(paper, settings, run)
    folder = weights.folders[_STAGE]
    if not (folder / STAGE).is_file():
        raise RoomtrainError(
            f"the generator of {run} is not trained to its end: run the `roomtrain train` that began it again, and it goes on.",
            exit_code=1,
        )
    tensors = weights(_STAGE)
    # Networks are built from random numbers; those of the caller stay as they are.
    with fitting(folder), torch.random.fork_rng(devices=[]):
        networks = networks_of(tensors, settings.generator)
    return LoadedGenerator(run, networks, hashlib.sha256((folder / BEST).read_bytes()).hexdigest()[:16])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Work in one thread, as workers do: sums over several have other last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
