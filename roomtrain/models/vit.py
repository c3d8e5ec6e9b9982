"""The spectrogram transformer: AST (Gong, Chung and Glass, 2021) and PaSST (Koutini, Schlüter, Eghbal-zadeh and Widmer, 2022).

Both are the distilled vision transformer of DeiT (Touvron et al., 2021) on spectrograms, and differ in how a patch knows where it
is:

    spectrogram ─Conv2d, patch by patch─▶ (frequency, time) grid, + positions ─▶ cls, dist and patches ─blocks, norm─▶ features

    "split"   PaSST: one embedding per row, added to one per column; shorter spectrograms take some of the columns
    "grid"    AST: one embedding per patch; spectrograms have one length

Parameters have the names of the PaSST release, which are timm's wherever timm has them: :mod:`roomtrain.models.pretrained` fills
them. They begin as timm lets them, drawn by torch's generator, which the caller seeds: tokens, positions and matrices normal with a
deviation of 0.02, biases at 0, the patches' convolution as torch has it. Neither model drops activations or blocks in training;
what PaSST does drop, patches, is in :mod:`roomtrain.models.patchout`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from roomtrain.errors import RoomtrainError
from roomtrain.models.patchout import Patchout

TOKENS = 2
"""cls and dist, ahead of the patches."""
_EPS = 1e-6  # of the layer normalisations but the head's, which have torch's 1e-5
_DEVIATION = 0.02


@dataclass(frozen=True)
class ViTConfig:
    """Sizes of a spectrogram transformer. The defaults are those of PaSST-S.

    Args:
        n_mels: bands of a spectrogram.
        n_frames: frames for which there are positions: the longest spectrogram, with "grid" the only length.
        dim: of tokens and features.
        depth: number of blocks.
        heads: of the attention, each of dim / heads.
        patch: bands and frames of a patch.
        stride: bands and frames from one patch to the next.
        positions: see the module.
        mlp_ratio: hidden units of a block, over dim.

    Raises:
        RoomtrainError: a number below 1, heads that do not divide dim, or a spectrogram smaller than a patch.
    """

    n_mels: int = 128
    n_frames: int = 998
    dim: int = 768
    depth: int = 12
    heads: int = 12
    patch: tuple[int, int] = (16, 16)
    stride: tuple[int, int] = (10, 10)
    positions: Literal["split", "grid"] = "split"
    mlp_ratio: int = 4

    def __post_init__(self) -> None:
        numbers = (self.n_mels, self.n_frames, self.dim, self.depth, self.heads, *self.patch, *self.stride, self.mlp_ratio)
        if min(numbers) < 1 or self.dim % self.heads:
            raise RoomtrainError(
                f"{self}: all numbers must be 1 or more, and heads must divide dim ({self.dim} = {self.heads} × a whole number)."
            )
        if self.positions not in ("split", "grid"):
            raise RoomtrainError(f'positions = {self.positions!r}: "split" (PaSST) or "grid" (AST).')
        if self.n_mels < self.patch[0] or self.n_frames < self.patch[1]:
            raise RoomtrainError(
                f"a spectrogram of {self.n_mels} bands × {self.n_frames} frames has no room for a patch of "
                f"{self.patch[0]} × {self.patch[1]}."
            )

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches for which there are positions."""
        return (self.n_mels - self.patch[0]) // self.stride[0] + 1, self.columns(self.n_frames)

    def columns(self, n_frames: int) -> int:
        """Return how many columns of patches a spectrogram of so many frames has, after longer ones are cut.

        Raises:
            RoomtrainError: fewer frames than a patch has; with "grid" another number of columns than there are positions for.
        """
        most = (self.n_frames - self.patch[1]) // self.stride[1] + 1
        if n_frames < self.patch[1]:
            raise RoomtrainError(f"spectrograms of {n_frames} frames are shorter than a patch: give {self.patch[1]} or more.")
        found = (n_frames - self.patch[1]) // self.stride[1] + 1
        if self.positions == "grid" and found != most:
            raise RoomtrainError(
                f"spectrograms of {n_frames} frames have {found} columns of patches, and there are positions for {most}: "
                f"pad or cut them to {self.n_frames} frames."
            )
        return min(found, most)


PASST_S = ViTConfig()
"""PaSST-S for 10 s at 32 kHz: 12 × 99 patches, 85,341,696 parameters. For 1 s (100 frames) take its first 9 columns."""
AST = ViTConfig(n_frames=1024, positions="grid")
"""AST for 10.24 s at 16 kHz: 12 × 101 patches, 86,187,264 parameters."""
AST_REVRIR = ViTConfig(n_mels=64, n_frames=500, positions="grid")
"""AST as RevRIR (Bitterman et al., 2024) hears speech, 10 s at 8 kHz: 5 × 49 patches, 85,444,608 parameters."""
SMALL = ViTConfig(n_frames=100, dim=96, depth=3, heads=3, stride=(16, 16))
"""For two cores and 1 s: 8 × 6 patches that do not overlap; 363,274 parameters with the head of ten scenes."""


class SpectrogramTransformer(nn.Module):
    """Patches of a spectrogram and two tokens through pre-norm blocks; the features are the mean of what becomes of the tokens.

    Nothing in it is drawn, and training and evaluation differ in nothing: what a step leaves out, and which columns' positions a
    short spectrogram takes, is handed in. Where the model has positions for n columns:

    - A spectrogram of fewer takes the first, or with ``offset`` those from there on. PaSST draws an offset in training.
    - What a spectrogram has beyond them is cut off, as PaSST does it.
    - With "grid", there is one length, and an error for any other.

    Shape:
        x (batch, 1, n_mels, frames) → (batch, dim)

    Raises:
        RoomtrainError: a spectrogram of another shape, or an ``offset`` where it is not allowed.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        dim, (rows, columns) = config.dim, config.grid
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.dist_token = nn.Parameter(torch.empty(1, 1, dim))
        if config.positions == "split":
            self.new_pos_embed = nn.Parameter(torch.empty(1, TOKENS, dim))
            self.freq_new_pos_embed = nn.Parameter(torch.empty(1, dim, rows, 1))
            self.time_new_pos_embed = nn.Parameter(torch.empty(1, dim, 1, columns))
        else:
            self.pos_embed = nn.Parameter(torch.empty(1, TOKENS + rows * columns, dim))
        self.patch_embed = _Patches(config)
        self.blocks = nn.ModuleList([_Block(config) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(dim, eps=_EPS)
        for parameter in self.parameters(recurse=False):
            nn.init.trunc_normal_(parameter, std=_DEVIATION)
        self.apply(_initialise)

    def forward(self, x: Tensor, *, keep: Patchout | None = None, offset: Tensor | int | None = None) -> Tensor:
        tokens, grid = self._positions(self._cut(x), offset)
        if keep is not None:
            grid = keep.of_grid(grid)
        patches = grid.flatten(1, 2)  # (batch, patch, dim), time fast
        if keep is not None:
            patches = keep.of_patches(patches)
        # Not len(x), a plain number: an exported graph would take batches of this size alone.
        y = torch.cat([tokens.expand(x.shape[0], -1, -1), patches], dim=1)
        for block in self.blocks:
            y = block(y)
        # Each token is normalised by itself: the patches' are not needed any more.
        features: Tensor = self.norm(y[:, :TOKENS]).mean(dim=1)
        return features

    def _cut(self, x: Tensor) -> Tensor:
        """Return the frames that patches are made of."""
        if x.ndim != 4 or x.shape[1:3] != (1, self.config.n_mels):
            raise RoomtrainError(f"the transformer takes (batch, 1, {self.config.n_mels}, frames), not {tuple(x.shape)}.")
        columns = self.config.columns(x.shape[3])
        return x[..., : (columns - 1) * self.config.stride[1] + self.config.patch[1]]

    def _positions(self, x: Tensor, offset: Tensor | int | None) -> tuple[Tensor, Tensor]:
        """Return the tokens (1, 2, dim) and the patches of a batch (batch, row, column, dim), each with its position added."""
        grid = self.patch_embed(x).permute(0, 2, 3, 1)
        tokens = torch.cat([self.cls_token, self.dist_token], dim=1)
        if self.config.positions == "grid":
            if offset is not None:
                raise RoomtrainError('positions of a "grid" have no offset: leave it away.')
            places = self.pos_embed[:, TOKENS:].view(1, *self.config.grid, -1)
            return tokens + self.pos_embed[:, :TOKENS], grid + places
        times = self._columns(grid.shape[2], offset)
        return tokens + self.new_pos_embed, grid + (self.freq_new_pos_embed + times).permute(0, 2, 3, 1)

    def _columns(self, n: int, offset: Tensor | int | None) -> Tensor:
        """Return the time embeddings (1, dim, 1, n) of n columns."""
        times = self.time_new_pos_embed
        if isinstance(offset, Tensor):  # a slice from there would wait for its number, and be compiled anew for each
            return times.index_select(3, torch.arange(n, device=offset.device) + offset)
        first = 0 if offset is None else offset
        if not 0 <= first <= times.shape[3] - n:
            raise RoomtrainError(f"offset {first}: {n} of {times.shape[3]} columns can begin at 0 to {times.shape[3] - n}.")
        return times[..., first : first + n]


class SceneHead(nn.Sequential):
    """From features to logits: layer normalisation and one layer; 9,226 parameters for ten scenes of PaSST-S.

    As ``head`` of a module its parameters are called what they are in the PaSST release: ``head.0.*`` and ``head.1.*``.

    Shape:
        (batch, dim) → (batch, n_classes)
    """

    def __init__(self, dim: int, n_classes: int) -> None:
        if min(dim, n_classes) < 1:
            raise RoomtrainError(f"a head from {dim} numbers to {n_classes} classes: both must be 1 or more.")
        super().__init__(nn.LayerNorm(dim), nn.Linear(dim, n_classes))
        self.apply(_initialise)


class _Patches(nn.Module):
    """(batch, 1, band, frame) → (batch, dim, row, column)"""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, config.dim, config.patch, config.stride)

    def forward(self, x: Tensor) -> Tensor:
        patches: Tensor = self.proj(x)
        return patches


class _Block(nn.Module):
    """Attention, then two layers, each on what is normalised and added to what was there. (batch, token, dim), the same."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim, eps=_EPS)
        self.attn = _Attention(config)
        self.norm2 = nn.LayerNorm(config.dim, eps=_EPS)
        self.mlp = _Mlp(config)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class _Attention(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.proj = nn.Linear(config.dim, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).view(*x.shape[:2], 3, self.heads, -1)  # (batch, token, which, head, number)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        heads = functional.scaled_dot_product_attention(query, key, value)
        y: Tensor = self.proj(heads.transpose(1, 2).flatten(2))
        return y


class _Mlp(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.dim, config.mlp_ratio * config.dim)
        self.fc2 = nn.Linear(config.mlp_ratio * config.dim, config.dim)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return y


def _initialise(module: nn.Module) -> None:
    """Initialise a layer as timm does."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=_DEVIATION)
        nn.init.zeros_(module.bias)
