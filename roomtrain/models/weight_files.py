"""Tensors of files that others wrote: torch's and safetensors. Whatever is wrong with a file is one reason, in words."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from safetensors.torch import load_file
from torch import Tensor

_ZIP = b"PK\x03\x04"


class Unusable(Exception):
    """Why a file cannot be used: a clause without a full stop."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU; those of torch's files stay on the disk until they are looked at.

    A torch file holds a dictionary of tensors, or one under "model" with other plain values beside it. It is read with
    ``weights_only``: nothing in it is executed. Its checksums are compared first, for torch leaves that out.

    Raises:
        Unusable: no file, one of another kind, a damaged one, or one with more in it than tensors.
    """
    try:
        if path.is_dir():
            raise Unusable("it is a folder, not a file in it")
        if not path.is_file():
            raise Unusable("it is no file" if path.exists() else "there is no such file")
        with path.open("rb") as file:
            head = file.read(9)
        if head.startswith(_ZIP):
            return _torch_tensors(path)
        if head[8:] == b"{":  # after the length of the header, which is JSON
            return load_file(path)
    except Unusable:
        raise
    except Exception as error:  # damaged bytes raise whatever the reader stumbles over
        raise Unusable(f"it cannot be read ({_first_line(error)})") from None
    raise Unusable("it is neither a file of torch (1.6 or later) nor safetensors")


def _torch_tensors(path: Path) -> dict[str, Tensor]:
    with ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise Unusable(f"it is damaged, at {damaged!r}")
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:  # torch's own words tell how to execute it
        raise Unusable("it holds more than tensors and plain values, and nothing in it is executed") from None
    if isinstance(found, dict) and isinstance(found.get("model"), dict):
        found = found["model"]
    if not isinstance(found, dict) or not found:
        raise Unusable(f"it holds {'nothing' if isinstance(found, dict) else f'a {type(found).__name__}'}, not tensors by name")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise Unusable(f"{name!r} in it is no tensor but a {type(tensor).__name__}")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise Unusable(f"{name!r} in it is no tensor of plain numbers")
    return {name: tensor.detach() for name, tensor in found.items()}


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
