"""Random numbers of training by name: each draw is a function of (seed, purpose, epoch, sample) and of nothing else.

Neither the number of workers or GPUs, nor the batch that a sample falls into, nor an interruption can change what is drawn. A new
purpose never moves the draws of another. The scheme is that of ``roomgen.streams``: ``numpy.random.SeedSequence`` with a
spawn key, here headed by a number of its own, so that training on a data set with the seed that made it repeats none of its draws.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from roomtrain.errors import RoomtrainError

_ROOMTRAIN = 0x7472  # heads every spawn key; roomgen's begin with the small numbers of its streams


class Purpose(IntEnum):
    """What a draw is for. Numbers are part of the promise of equal runs: append, never renumber."""

    BATCH = 0
    ORDER = 1
    CROP = 2
    NOISE = 3
    SNR = 4
    MASK = 5
    MODEL = 6
    SUBSET = 7
    GAIN = 8
    PATCHES = 9
    RESPONSE = 10
    CONDITION = 11
    LATENT = 12
    EDGE = 13


def generator(seed: int, purpose: Purpose, *, epoch: int = 0, sample: int = 0) -> np.random.Generator:
    """Return numpy's generator of one purpose at one epoch and sample (or batch).

    Raises:
        RoomtrainError: a number below 0.
    """
    return np.random.default_rng(_sequence(seed, purpose, epoch, sample))


def integer_seed(seed: int, purpose: Purpose, *, epoch: int = 0, sample: int = 0) -> int:
    """Return a 63-bit seed of the same kind, for code that takes one number, such as ``torch.Generator.manual_seed``.

    Torch's generator on the CPU takes the lower 32 bits of a seed, that on CUDA all of them.

    Raises:
        RoomtrainError: a number below 0.
    """
    state = _sequence(seed, purpose, epoch, sample).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def _sequence(seed: int, purpose: Purpose, epoch: int, sample: int) -> np.random.SeedSequence:
    if min(seed, epoch, sample) < 0:
        raise RoomtrainError(f"seed {seed}, epoch {epoch}, sample {sample}: each must be 0 or more.")
    return np.random.SeedSequence(seed, spawn_key=(_ROOMTRAIN, int(purpose), epoch, sample))
