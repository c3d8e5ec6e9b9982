"""Checkpoints: weights as safetensors, the rest as a file of tensors and plain values that is read without executing anything.

A folder holds ``last.pt`` (where training stands) with the weights that it names, and ``best.safetensors``. Every file is written
under a temporary name, flushed and renamed, ``last.pt`` last: a kill at any moment leaves the checkpoint before or the one after.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from roomgen.files import TEMPORARY_PREFIX, atomic
from roomtrain.errors import RoomtrainError

LAST = "last.pt"
BEST = "best.safetensors"
_WEIGHTS = "last-{:09d}.safetensors"


def save_last(folder: Path, *, weights: Mapping[str, Tensor], state: Mapping[str, Any], step: int) -> None:
    """Write where training stands.

    Args:
        folder: of the run's stage.
        weights: of the model.
        state: tensors and plain values only: optimizer, counters, history.
        step: number of optimizer steps taken.
    """
    name = _WEIGHTS.format(step)
    write_weights(folder / name, weights)
    buffer = io.BytesIO()
    torch.save({**state, "step": step, "weights": name}, buffer)
    write_bytes(folder / LAST, buffer.getvalue())
    pattern = _WEIGHTS.format(0).replace("0" * 9, "*")
    for old in (*folder.glob(pattern), *folder.glob(TEMPORARY_PREFIX + pattern)):  # of a kill while one was written
        if old.name != name:
            old.unlink(missing_ok=True)


def load_last(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return weights and state of the last checkpoint, or None where there is none.

    Raises:
        RoomtrainError: damaged files.
    """
    path = folder / LAST
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}")
        name = str(state["weights"])
        if Path(name).name != name:
            raise ValueError(f"it names weights outside its folder: {name}")
    except Exception as error:  # damaged bytes raise whatever the reader stumbles over, up to IndexError and AttributeError
        raise RoomtrainError(
            f"the checkpoint {path} cannot be read ({_first_line(error)}): remove {folder} to begin it anew.", exit_code=1
        ) from None
    return read_weights(folder / name), state


@contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """Turn what a checkpoint of another model raises into one line.

    Raises:
        RoomtrainError: in place of the error inside.
    """
    try:
        yield
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RoomtrainError(
            f"the checkpoint in {folder} does not fit ({' '.join(str(error).split())[:200]}): remove the folder to begin it anew.",
            exit_code=1,
        ) from None


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors."""
    write_bytes(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        RoomtrainError: missing or damaged.
    """
    if not path.is_file():
        raise RoomtrainError(f"there are no weights at {path}: train first.", exit_code=1)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RoomtrainError(f"the weights {path} cannot be read ({_first_line(error)}).", exit_code=1) from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
