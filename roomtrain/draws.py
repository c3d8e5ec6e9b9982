"""Random numbers made on the device that trains, each a function of (seed, purpose, split, epoch, sample, position) alone.

Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011) turns a counter of four 32-bit
words into four random ones, under a key of two. There is no state to carry along or to save, a batch needs no loop over its
samples, and the CPU and every GPU make the same integers and uniform numbers bit by bit; normal numbers are equal to the rounding
of ``log``, ``cos`` and ``sin``. What names a number is laid out so that no two names have the same key and counter:

    key            64 bits from numpy's ``SeedSequence`` of the seed and the purpose
    counter 0      position // 4: each block has four words, in the order of the positions
    counter 1      sample, its lower 32 bits
    counter 2      sample, its upper 16 bits, and split · 2¹⁶
    counter 3      epoch

Two seeds or purposes have the same key with a probability of 2⁻⁶⁴; for one key, counters differ wherever anything in the name
does. The kind of number is no part of the name: uniform and normal numbers of one purpose are made of the same words, so what is
drawn for one sample and shall be independent needs purposes of its own. Nothing here waits for a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roomtrain.errors import RoomtrainError
from roomtrain.seeds import Purpose

_PHILOX = 0x7068  # heads the spawn keys of this module, apart from those of roomtrain.seeds
_MULTIPLY = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF
_BLOCKS_CPU = 2**14  # at a time: they stay in the cache, and torch starts no second thread for so little work
_BLOCKS_GPU = 2**22  # 400 MB of memory in passing

Samples = NDArray[np.int64] | Tensor


@dataclass(frozen=True)
class Draws:
    """Random numbers of one split and epoch.

    Methods take ``samples``, (batch,) whole numbers in [0, 2⁴⁸): the n-th row depends on the n-th of them and on nothing else of
    the batch, and a longer draw begins with the shorter one. Samples that are a tensor are not looked at, for that would wait for
    the GPU.

    Args:
        seed: 0 or more.
        split: in [0, 2¹⁶).
        epoch: in [0, 2³²).
        device: where numbers are made, wherever the samples are.

    Raises:
        RoomtrainError: a number out of range; methods also where samples or counts are.
    """

    seed: int
    _: KW_ONLY
    split: int = 0
    epoch: int = 0
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        if self.seed < 0 or not 0 <= self.split < 2**16 or not 0 <= self.epoch < 2**32:
            raise RoomtrainError(
                f"seed {self.seed}, split {self.split}, epoch {self.epoch}: 0 or more, the split below 2^16, the epoch below 2^32."
            )

    def words(self, purpose: Purpose, samples: Samples, n: int) -> Tensor:
        """Return (batch, n) int64 of 32 random bits each."""
        rows = self._rows(samples)
        result = torch.empty((len(rows), _n_blocks(n), 2, 2), dtype=torch.int64, device=rows.device)
        first, second = result.permute(3, 2, 0, 1)  # of the pairs of each block: (pair, row, block)
        for own, some, even, odd in self._blocks(purpose, rows, n):
            first[:, own, some], second[:, own, some] = even, odd
        return result.flatten(1)[:, :n].contiguous()

    def uniform(self, purpose: Purpose, samples: Samples, n: int | None = None, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return (batch, n) float32 from low to high, or (batch,) without n.

        They are multiples of 2⁻²⁴ in [0, 1), scaled; rounding after that may give ``high`` itself.
        """
        # 24 bits and powers of two are exact on every device, and so is a product and then a sum, in kernels of their own.
        values = self.words(purpose, samples, 1 if n is None else n).bitwise_right_shift_(8).to(torch.float32).mul_(2.0**-24)
        if (low, high) != (0.0, 1.0):
            values = values.mul_(high - low).add_(low)
        return values[:, 0] if n is None else values

    def normal(self, purpose: Purpose, samples: Samples, n: int) -> Tensor:
        """Return (batch, n) float32 of mean 0 and variance 1; none is beyond ±6.7.

        By Box and Muller (1958): √(-2 ln u)·cos 2πv and √(-2 ln u)·sin 2πv, with u in (0, 1] of one word and v of the next.
        """
        rows = self._rows(samples)
        radius = torch.empty((2, len(rows), _n_blocks(n)), device=rows.device)  # (pair, row, block)
        angle = torch.empty_like(radius)
        for own, some, even, odd in self._blocks(purpose, rows, n):
            radius[:, own, some], angle[:, own, some] = even, odd
        radius = radius.add_(1.0).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
        angle = angle.mul_(2.0 * pi * 2.0**-32)
        result = torch.empty((len(rows), _n_blocks(n), 2, 2), device=rows.device)
        first, second = result.permute(3, 2, 0, 1)
        torch.mul(radius, angle.cos(), out=first)
        torch.mul(radius, angle.sin_(), out=second)
        return result.flatten(1)[:, :n].contiguous()

    def integers(self, purpose: Purpose, samples: Samples, high: int | Tensor, n: int | None = None) -> Tensor:
        """Return (batch, n) int64 in [0, high), or (batch,) without n.

        Multiply-shift of 64 bits: ⌊x·high / 2⁶⁴⌋. The probability of each number is within 2⁻⁶⁴ of 1/high, so that it is off by a
        share of less than 2⁻³³.

        Args:
            high: from 1 to 2³¹; or one for each sample, (batch,) int64, which is not looked at.
        """
        if isinstance(high, int) and not 1 <= high <= 2**31:
            raise RoomtrainError(f"high = {high}: it must be from 1 to 2^31.")
        if isinstance(high, Tensor):
            high = high.to(self.device, non_blocking=True)[:, None]
        words = self.words(purpose, samples, 2 if n is None else 2 * n)
        upper, lower = words[:, 0::2], words[:, 1::2]
        # 2³²·upper + lower times high is too long for 64 bits: the lower half hands on its carry.
        values: Tensor = (upper * high).add_((lower * high).bitwise_right_shift_(32)).bitwise_right_shift_(32)
        return values[:, 0] if n is None else values

    def _blocks(self, purpose: Purpose, rows: Tensor, n: int) -> Iterator[tuple[slice, slice, Tensor, Tensor]]:
        """Yield rows, blocks, and the words of these: 0 and 2, and 1 and 3, each (2, row, block)."""
        key = _key(self.seed, int(purpose))
        low, high = rows & _WORD, (rows >> 32).bitwise_and_(0xFFFF).bitwise_or_(self.split << 16)
        epoch = torch.full((1, 1), self.epoch, dtype=torch.int64, device=rows.device)
        for own, some in _parts(len(rows), _n_blocks(n), _BLOCKS_CPU if rows.device.type == "cpu" else _BLOCKS_GPU):
            blocks = torch.arange(some.start, some.stop, device=rows.device)[None]
            even, odd = philox((blocks, low[own, None], high[own, None], epoch), key)
            yield own, some, even, odd

    def _rows(self, samples: Samples) -> Tensor:
        if isinstance(samples, np.ndarray) and samples.size and not 0 <= samples.min() <= samples.max() < 2**48:
            raise RoomtrainError(f"samples from {samples.min()} to {samples.max()}: 0 or more, and below 2^48.")
        # Without non_blocking, torch waits for the GPU after a copy from the host; the driver has read the host's memory by then.
        rows = torch.as_tensor(samples).to(self.device, non_blocking=True)
        if rows.ndim != 1 or rows.dtype != torch.int64:
            raise RoomtrainError(f"samples are (batch,) int64, not {tuple(rows.shape)} {rows.dtype}.")
        return rows


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the random words of counters: 0 and 2, and 1 and 3, each pair (2, …) int64 in [0, 2³²).

    Args:
        counter: four words, int64 in [0, 2³²), that broadcast against one another.
        key: two words.
    """
    first, second = ([(word + turn * weyl) & _WORD for turn in range(10)] for word, weyl in zip(key, _WEYL, strict=True))
    c0, c1, c2, c3 = counter
    # A product of two words has the bits of an unsigned one also where it overflows int64. Only its lower half goes on in c1 and
    # c3; the upper half is left there until the next exclusive or has been masked, once for both.
    for turn in range(2):  # after these two, every word depends on all four: as long as they do not, they are small
        p0, p1 = c0 * _MULTIPLY[0], c2 * _MULTIPLY[1]
        c0 = ((p1 >> 32) ^ c1).bitwise_xor_(first[turn]).bitwise_and_(_WORD)
        c2 = ((p0 >> 32) ^ c3).bitwise_xor_(second[turn]).bitwise_and_(_WORD)
        c1, c3 = p1, p0
    even, odd = torch.stack((c0, c2)), torch.stack(torch.broadcast_tensors(c1, c3))  # type: ignore[no-untyped-call]
    product = torch.empty_like(even)
    for turn in range(2, 10):
        torch.mul(even[1], _MULTIPLY[1], out=product[0])
        torch.mul(even[0], _MULTIPLY[0], out=product[1])
        torch.bitwise_right_shift(product, 32, out=even)
        even.bitwise_xor_(odd)
        even[0].bitwise_xor_(first[turn])
        even[1].bitwise_xor_(second[turn])
        even.bitwise_and_(_WORD)
        odd, product = product, odd
    return even, odd.bitwise_and_(_WORD)


def _n_blocks(n: int) -> int:
    if not 1 <= n <= 2**34:
        raise RoomtrainError(f"{n} numbers for each sample: from 1 to 2^34.")
    return -(-n // 4)


def _parts(n_rows: int, n_blocks: int, at_a_time: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of rows and blocks that cover all of them."""
    rows, blocks = max(1, at_a_time // n_blocks), min(n_blocks, at_a_time)
    for row in range(0, n_rows, rows):
        for block in range(0, n_blocks, blocks):
            yield slice(row, min(row + rows, n_rows)), slice(block, min(block + blocks, n_blocks))


@lru_cache(maxsize=256)
def _key(seed: int, purpose: int) -> tuple[int, int]:
    state = np.random.SeedSequence(seed, spawn_key=(_PHILOX, purpose)).generate_state(2, np.uint32)
    return int(state[0]), int(state[1])
