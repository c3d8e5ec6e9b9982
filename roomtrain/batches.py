"""Batches ahead of the steps that take them: made in a thread, pinned, and copied to a GPU beside its work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from roomtrain.task import Task

_AHEAD = 2


class Ahead:
    """Makes batches in one thread of its own, a few steps ahead.

    A GPU's copies run on a stream of their own: they wait for nothing, and the step waits for its own copy alone.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        self._task, self._device = task, device
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def batches(self, split: str, epoch: int, steps: Sequence[int]) -> Iterator[Any]:
        """Yield the batches of some steps of an epoch, in their order, on the device."""
        waiting: deque[Future[Any]] = deque()
        left = iter(steps)
        try:
            for step in left:
                waiting.append(self._thread.submit(self._host_batch, split, epoch, step))
                if len(waiting) > _AHEAD:
                    break
            while waiting:
                batch = waiting.popleft().result()
                step = next(left, -1)
                if step >= 0:
                    waiting.append(self._thread.submit(self._host_batch, split, epoch, step))
                yield self._moved(batch)
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _host_batch(self, split: str, epoch: int, step: int) -> Any:
        batch = self._task.host_batch(split, epoch, step)
        return tree_map(_pinned, batch) if self._stream is not None else batch

    def _moved(self, batch: Any) -> Any:
        if self._stream is None:
            return move_data_to_device(batch, self._device)
        with torch.cuda.stream(self._stream):
            moved = move_data_to_device(batch, self._device)
        current = torch.cuda.current_stream(self._device)
        current.wait_stream(self._stream)
        for leaf in tree_leaves(moved):
            if isinstance(leaf, Tensor):
                leaf.record_stream(current)
        return moved


def _pinned(leaf: Any) -> Any:
    return leaf.pin_memory() if isinstance(leaf, Tensor) and leaf.device.type == "cpu" else leaf
