"""Random numbers by name: every concern draws from its own stream, so a new draw in one never moves another.

A generator is a pure function of (seed, stream, indices): neither the number of workers nor the order of the work can change
what it gives.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The named streams. Numbers are part of the promise of equal bytes: append, never renumber."""

    SIZE = 0
    WALLS = 1
    PLACE = 2
    SPLIT = 3
    RT60 = 4
    ENGINE = 5
    CHOICE = 6
    YAW = 7
    SEGMENT = 8
    ORDER = 9
    PAIR = 10
    NOISE = 11
    DEVICE = 12
    CORPUS = 13


def generator(seed: int, stream: Stream, *indices: int) -> np.random.Generator:
    """Return the generator of one stream at one index (or at a room and a position in it)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), *indices)))


def integer_seed(seed: int, stream: Stream, *indices: int) -> int:
    """Return a 63-bit seed of the same kind, for code that takes one number."""
    state = np.random.SeedSequence(seed, spawn_key=(int(stream), *indices)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
