"""Patchout (Koutini et al., 2022): in training a transformer sees some of the patches, drawn for a batch and not for each sample.

Structured patchout leaves out whole rows (frequencies) or columns (times) of the grid, unstructured patchout single patches of
those that remain. As all samples of a batch keep the same, shapes are known beforehand and attention has no gaps.

What is kept is a function of (seed, epoch, number of the batch), so that all processes leave out the same and a resumed run goes on
as it would have. It is drawn as whole numbers, equal on every device; nothing here waits for a GPU. Philox of a few dozen words is
about a hundred small operations: drawn on the CPU, beside what else is made of a batch there, they cost the GPU nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from roomtrain.draws import Draws, Samples
from roomtrain.errors import RoomtrainError
from roomtrain.seeds import Purpose


class Patchout(NamedTuple):
    """What a batch keeps: (n,) int64, ascending, on the device of the model; None: all.

    A tuple, because Fabric and DistributedDataParallel copy what a model is called with, and frozen dataclasses refuse it.

    Args:
        rows: of the grid.
        columns: of the grid.
        patches: of what the two leave over, counted with time fast.
    """

    rows: Tensor | None = None
    columns: Tensor | None = None
    patches: Tensor | None = None

    def of_grid(self, grid: Tensor) -> Tensor:
        """Return the rows and columns that are kept: (batch, row, column, dim), fewer of both."""
        if self.rows is not None:
            grid = grid.index_select(1, self.rows)
        if self.columns is not None:
            grid = grid.index_select(2, self.columns)
        return grid

    def of_patches(self, patches: Tensor) -> Tensor:
        """Return the patches that are kept: (batch, patch, dim), fewer of them."""
        return patches if self.patches is None else patches.index_select(1, self.patches)


def draw_patchout(
    grid: tuple[int, int], draws: Draws, step: int | Tensor, *, rows: int = 0, columns: int = 0, patches: int = 0
) -> Patchout:
    """Return what a batch keeps when so many rows, columns and patches of its grid are left out.

    Args:
        grid: rows and columns of patches of the batch, such as ``(config.grid[0], config.columns(n_frames))``.
        draws: of the split and epoch; its device is where the result is.
        step: number of the batch in the epoch, the same in all processes: a number, or (1,) int64.
        rows, columns: left out of the grid; PaSST calls them s_patchout_f and s_patchout_t.
        patches: left out of those that remain; PaSST's u_patchout.

    Raises:
        RoomtrainError: a number below 0, or nothing would remain.
    """
    remaining = (grid[0] - rows) * (grid[1] - columns)
    if min(rows, columns, patches) < 0 or rows >= grid[0] or columns >= grid[1] or patches >= remaining:
        raise RoomtrainError(
            f"patchout of {rows} rows, {columns} columns and {patches} patches of a grid of {grid[0]} × {grid[1]}: 0 or more each, "
            "and at least one patch must remain."
        )
    sizes, left_out = (*grid, remaining), (rows, columns, patches)
    # The first word is the offset's. All of a batch are drawn at once, but for those behind the last that is used.
    used = max((index + 1 for index, n in enumerate(left_out) if n), default=0)
    if not used:
        return Patchout()
    words = draws.words(Purpose.PATCHES, _numbered(step), 1 + sum(sizes[:used]))[0, 1:]
    parts = torch.split(words, list(sizes[:used]))
    kept = [_subset(part, len(part) - n) if n else None for part, n in zip(parts, left_out[:used], strict=True)]
    return Patchout(*kept)


def draw_offset(columns: int, available: int, draws: Draws, step: int | Tensor) -> Tensor:
    """Return at which of the available columns' positions a batch of so many columns begins, (1,) int64.

    PaSST draws it in training, so that all positions learn from spectrograms shorter than they reach.

    Args:
        columns: of patches of the batch.
        available: columns for which the model has positions, ``config.grid[1]``.
        draws, step: as for :func:`draw_patchout`, of which it is independent.

    Raises:
        RoomtrainError: more columns than available.
    """
    if not 1 <= columns <= available:
        raise RoomtrainError(f"{columns} columns of patches, and positions for {available}: from 1 to as many.")
    word = draws.words(Purpose.PATCHES, _numbered(step), 1)[0]
    return (word * (available - columns + 1)).bitwise_right_shift_(32)


def _subset(words: Tensor, n: int) -> Tensor:
    """Return the places of the n least of some words, ascending: every subset is as likely as any other."""
    return words.argsort(stable=True)[:n].sort().values


def _numbered(step: int | Tensor) -> Samples:
    return step if isinstance(step, Tensor) else np.array([step], dtype=np.int64)
