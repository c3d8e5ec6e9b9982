"""Proof on any machine that code does not wait for a GPU: what would is refused while it runs on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

# Each of them reads numbers on the host, or has a result whose shape depends on numbers.
WAITING = {
    aten._local_scalar_dense,  # item(), float(), int(), bool(), and an optimizer that counts its steps in tensors
    aten.item,
    aten.is_nonzero,
    aten.equal,
    aten.allclose,
    aten.nonzero,
    aten.nonzero_numpy,
    aten.argwhere,
    aten.masked_select,
    aten.masked_scatter_backward,
    aten._unique,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.bincount,
    aten.repeat_interleave,  # of counts in a tensor; of one number it is made of other operations
}
_INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index, aten._unsafe_index_put}
# They never reach the dispatcher, or look there like any other copy.
_METHODS: set[Callable[..., Any]] = {Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__}


class Waits(AssertionError):
    """An operation was called that would wait for a GPU."""


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        if packet in WAITING or (packet in _INDEXING and any(is_mask(index) for index in args[1])):
            raise Waits(f"{func} waits for the GPU")
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _METHODS:
            raise Waits(f"{func} waits for the GPU")
        return func(*args, **(kwargs or {}))


def is_mask(index: Tensor | None) -> bool:
    """Tell whether an index is a mask, of which torch counts the places first."""
    return index is not None and index.dtype in (torch.bool, torch.uint8)


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise :class:`Waits` where what runs inside on the CPU would wait for a GPU if it ran there.

    Copies between devices by ``to`` and ``copy_`` cannot be told from others on a machine without a GPU: a copy from the host
    waits unless it is ``non_blocking``, one to the host always does.
    """
    with _Methods(), _Operations():
        yield
