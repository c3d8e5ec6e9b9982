"""Position embeddings for another grid of patches than the one that they were trained with.

A grid is (1, dim, rows, columns): frequencies and times of a spectrogram, heights and widths of an image. The rules are those by
which the authors of AST and PaSST began from images.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def split_positions(grid: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return embeddings of rows (1, dim, rows, 1) and of columns (1, dim, 1, columns), as PaSST begins from those of images.

    The grid is brought to its new size by bicubic interpolation, then averaged over columns and over rows.
    """
    resized = functional.interpolate(grid, size=size, mode="bicubic", align_corners=False)
    return resized.mean(dim=3, keepdim=True), resized.mean(dim=2, keepdim=True)


def grid_positions(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a grid of another size, as AST begins from one of images or of longer spectrograms.

    Of each axis the middle is cut out where the new one is shorter; a longer one is interpolated linearly. Columns go first.
    """
    rows, columns = size
    grid = _middle(grid, 3, columns) if columns <= grid.shape[3] else _stretched(grid, (grid.shape[2], columns))
    return _middle(grid, 2, rows) if rows <= grid.shape[2] else _stretched(grid, (rows, columns))


def as_grid(flat: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (1, rows · columns, dim), columns fast, as a grid."""
    return flat.transpose(1, 2).reshape(1, flat.shape[2], *size)


def as_flat(grid: Tensor) -> Tensor:
    """Undo :func:`as_grid`."""
    return grid.flatten(2).transpose(1, 2)


def _middle(grid: Tensor, axis: int, n: int) -> Tensor:
    return torch.narrow(grid, axis, grid.shape[axis] // 2 - n // 2, n)


def _stretched(grid: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(grid, size=size, mode="bilinear", align_corners=False)
