"""Released weights for a spectrogram transformer, from a file that the user has.

    PaSST                  ``passt-s-….pt``                   named as in :mod:`roomtrain.models.vit`; the first columns' positions
    DeiT                   ``deit_base_distilled_….pth``      of images: colours are summed, positions brought to the model's grid
    AST                    ``audioset_….pth``                 ``module.v.…``
    AST of Hugging Face    ``model.safetensors``, ``….bin``   ``audio_spectrogram_transformer.…``; query, key and value apart

Positions are of "split" in PaSST's files and of "grid" in AST's, and go into no model of the other kind; DeiT's go into both, as
PaSST and AST each began from them. Heads of other classes are left out. Nothing in a file is executed.
"""

from __future__ import annotations

from math import isqrt
from pathlib import Path

import torch
from torch import Tensor

from roomtrain.errors import RoomtrainError
from roomtrain.models.vit import TOKENS, SpectrogramTransformer, ViTConfig
from roomtrain.models.weight_files import Unusable, read_tensors
from roomtrain.models.weight_names import DEIT, PASST, renamed
from roomtrain.models.weight_positions import as_flat, as_grid, grid_positions, split_positions

_AST_GRID = (12, 101)  # of 128 bands and 1024 frames, which AST was trained with on AudioSet
_COLOURS = 3


def load_pretrained(model: SpectrogramTransformer, path: Path) -> str:
    """Fill a model with the weights of a file, and return what they are, such as "PaSST".

    Raises:
        RoomtrainError: the file is missing, damaged, holds something else or does not fit; the model is then what it was.
    """
    try:
        what, tensors = renamed(read_tensors(path))
        fitting = _fitting(model, _adapted(what, tensors, model.config))
    except Unusable as reason:
        raise RoomtrainError(
            f"no weights from {path}: {' '.join(str(reason).split())}. Give a release of PaSST-S or AST, DeiT-base distilled, "
            "or AST of Hugging Face, as .pt, .pth, .bin or .safetensors, for a model of the same size.",
            exit_code=1,
        ) from None
    model.load_state_dict(fitting)
    return what


def _adapted(what: str, tensors: dict[str, Tensor], config: ViTConfig) -> dict[str, Tensor]:
    """Return the weights with patches of one channel and positions for the model's grid, wherever there is a rule for it."""
    adapted = dict(tensors)
    kernel = tensors.get("patch_embed.proj.weight")
    if what == DEIT and kernel is not None and kernel.ndim == 4 and kernel.shape[1] == _COLOURS:
        adapted["patch_embed.proj.weight"] = kernel.float().sum(dim=1, keepdim=True)
    if what == PASST:
        _check_kind(what, config, "split")
        adapted["time_new_pos_embed"] = _first_columns(tensors["time_new_pos_embed"], config.grid[1])
        return adapted
    if what != DEIT:
        _check_kind(what, config, "grid")
    if "pos_embed" not in adapted:
        return adapted  # and be told what else is missing
    positions = adapted.pop("pos_embed").float()
    if positions.ndim != 3 or positions.shape[0] != 1 or positions.shape[2] != config.dim:
        raise Unusable(f"pos_embed is {tuple(positions.shape)}, and must be (1, tokens and patches, {config.dim})")
    tokens, patches = positions[:, :TOKENS], positions[:, TOKENS:]
    grid = as_grid(patches, _grid_of(what, patches.shape[1], config))
    if config.positions == "split":
        adapted["new_pos_embed"] = tokens
        adapted["freq_new_pos_embed"], adapted["time_new_pos_embed"] = split_positions(grid, config.grid)
    else:
        adapted["pos_embed"] = torch.cat([tokens, as_flat(grid_positions(grid, config.grid))], dim=1)
    return adapted


def _check_kind(what: str, config: ViTConfig, kind: str) -> None:
    if config.positions != kind:
        raise Unusable(f'{what} has positions of "{kind}", and the model of "{config.positions}"')


def _first_columns(times: Tensor, n: int) -> Tensor:
    if times.ndim != 4 or times.shape[3] < n:
        raise Unusable(f"time_new_pos_embed is {tuple(times.shape)}, and the model has {n} columns of patches")
    return times[..., :n]


def _grid_of(what: str, n: int, config: ViTConfig) -> tuple[int, int]:
    """Return the rows and columns of so many patches: a square of an image, AST's, or the model's own."""
    if what == DEIT:
        size = (isqrt(n), isqrt(n))
    elif n == _AST_GRID[0] * _AST_GRID[1]:
        size = _AST_GRID
    else:
        size = config.grid
    if not n or size[0] * size[1] != n:
        raise Unusable(f"it has positions for {n} patches, which are no {'square' if what == DEIT else f'grid of {size}'}")
    return size


def _fitting(model: SpectrogramTransformer, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in float32 that can be the model's state.

    Raises:
        Unusable: they cannot: missing, unknown, of another shape or kind, or not finite.
    """
    state = model.state_dict()
    missing, unknown = sorted(state.keys() - tensors.keys()), sorted(tensors.keys() - state.keys())
    if missing or unknown:
        parts = [f"{word} {_some(names)}" for word, names in (("lacks", missing), ("has besides", unknown)) if names]
        raise Unusable(f"it {' and '.join(parts)}")
    shaped = [name for name in state if tensors[name].shape != state[name].shape or not tensors[name].is_floating_point()]
    if shaped:
        theirs, ours = tensors[shaped[0]], state[shaped[0]]
        raise Unusable(f"{shaped[0]} is {tuple(theirs.shape)} {theirs.dtype}, the model's {tuple(ours.shape)} {ours.dtype}")
    fitting = {name: tensors[name].float() for name in state}
    for name, tensor in fitting.items():
        if not bool(tensor.isfinite().all()):
            raise Unusable(f"{name} is not finite everywhere")
    return fitting


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
