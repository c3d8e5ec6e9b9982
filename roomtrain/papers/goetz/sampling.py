"""Which room impulse response meets which speech: the three batch samplers of Götz et al. (2023), section 3.2 and figure 1.

A batch has N classes with M samples ("augmentations") each. Written as N rows of M samples, s for speech, h for RIRs:

    soft       h_1*s_1  h_1*s_2  h_1*s_3     each RIR with speech of its own
               h_2*s_4  h_2*s_5  h_2*s_6
    hard       h_1*s_1  h_1*s_2  h_1*s_3     every RIR with the same M signals: negatives share the speech, positives never do
               h_2*s_1  h_2*s_2  h_2*s_3
    posind     h_1*s_1  h_1'*s_2 h_1"*s_3    as hard, but each time another RIR of the same room
               h_2*s_1  h_2'*s_2 h_2"*s_3

In soft and hard a class is an RIR, in posind a room. The paper counts 64 rooms and 64 × 128 samples, that is one RIR per room, but
posind needs several: so soft and hard take the first RIR of each room, unless told to take all as classes of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomtrain import seeds
from roomtrain.errors import RoomtrainError

Indices = NDArray[np.int64]


class Strategy(StrEnum):
    """The samplers by the names that commands and settings use."""

    SOFT = "soft"
    HARD = "hard"
    POSIND = "posind"


@dataclass(frozen=True)
class Batch:
    """N·M samples, row by row of the table above: (sample,) indices into the banks of RIRs and speech, and the class of each."""

    rir: Indices
    speech: Indices
    label: Indices

    def part(self, rank: int, ranks: int) -> Batch:
        """Return the share of one of several processes: whole classes, equally many for each, the ranks' parts in order.

        Raises:
            RoomtrainError: classes that cannot be shared out equally, or a rank outside of 0…ranks - 1.
        """
        n_classes = len(np.unique(self.label))
        if not 0 <= rank < ranks or n_classes % ranks:
            raise RoomtrainError(
                f"rank {rank} of {ranks} processes cannot have an equal part of {n_classes} classes: choose a number of processes "
                "that divides the classes of a batch."
            )
        size = len(self.label) // ranks
        own = slice(rank * size, (rank + 1) * size)
        return Batch(self.rir[own], self.speech[own], self.label[own])


class BatchSampler:
    """Batches as a pure function of (seed, epoch, number): any of them can be had at any time, in any process.

    A class is drawn at most once in a batch, and a speech signal at most once in a class.

    Args:
        strategy: "soft", "hard" or "posind".
        rooms: (n_rirs,) the room of each RIR of the bank, whole numbers.
        n_speech: signals in the speech bank.
        seed: 0 or more.
        n_classes: N.
        n_augmentations: M, two or more, or no sample had a positive.
        all_rirs: soft and hard: every RIR is a class, so that a room may appear with two positions as two classes. Else only the
            first of each room. posind takes all RIRs in any case.

    Raises:
        RoomtrainError: fewer classes or less speech than a batch takes, or numbers out of range.
    """

    def __init__(
        self,
        strategy: Strategy | str,
        rooms: ArrayLike,
        *,
        n_speech: int,
        seed: int,
        n_classes: int = 24,
        n_augmentations: int = 3,
        all_rirs: bool = False,
    ) -> None:
        if strategy not in list(Strategy):
            raise RoomtrainError(f"unknown sampling strategy {str(strategy)!r}: {', '.join(Strategy)}.")
        room_of_rir = np.asarray(rooms)
        if room_of_rir.ndim != 1 or not np.issubdtype(room_of_rir.dtype, np.integer):
            raise RoomtrainError(f"rooms must be whole numbers (n_rirs,), not {room_of_rir.dtype} {room_of_rir.shape}.")
        if seed < 0:
            raise RoomtrainError(f"seed = {seed}: 0 or more.")
        if n_augmentations < 2:
            raise RoomtrainError(f"n_augmentations = {n_augmentations}: 2 or more, or no sample has a positive.")
        if n_speech < n_augmentations:
            raise RoomtrainError(
                f"n_augmentations = {n_augmentations}, but there are {n_speech} speech signals, and each sample of a class takes "
                "another: take more speech, or fewer augmentations."
            )
        self.strategy = Strategy(strategy)
        self.n_speech, self.seed, self.n_classes, self.n_augmentations = n_speech, seed, n_classes, n_augmentations
        labels, first = np.unique(room_of_rir, return_index=True)
        if self.strategy is Strategy.POSIND:
            self._labels, self._rirs = labels.astype(np.int64), [np.flatnonzero(room_of_rir == label) for label in labels]
        else:
            self._labels = (np.arange(len(room_of_rir)) if all_rirs else np.sort(first)).astype(np.int64)
            self._rirs = [np.array([rir]) for rir in self._labels]
        if not 2 <= n_classes <= len(self._labels):
            raise RoomtrainError(
                f"n_classes = {n_classes}, but {self.strategy} sampling finds {len(self._labels)} classes in {len(labels)} rooms "
                f"with {len(room_of_rir)} RIRs: take 2 or more and no more than there are, or simulate more rooms."
            )

    def batch(self, epoch: int, number: int) -> Batch:
        """Return one batch; the same epoch and number give the same."""
        random = seeds.generator(self.seed, seeds.Purpose.BATCH, epoch=epoch, sample=number)
        chosen = random.choice(len(self._labels), self.n_classes, replace=False)
        # A room with fewer than M RIRs gives each of its own before any twice.
        rir = np.stack([np.resize(random.permutation(self._rirs[index]), self.n_augmentations) for index in chosen])
        rows = self.n_classes if self.strategy is Strategy.SOFT else 1
        speech = np.stack([random.choice(self.n_speech, self.n_augmentations, replace=False) for _ in range(rows)])
        speech = np.tile(speech, (self.n_classes // rows, 1))
        return Batch(rir.ravel(), speech.ravel(), np.repeat(self._labels[chosen], self.n_augmentations))
