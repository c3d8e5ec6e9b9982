"""Checkpoints: weights as safetensors, the rest as a file of tensors and plain values that is read without executing anything.

A folder holds ``last.pt`` (where training stands) with the weights that it names, and ``best.safetensors``. Every file is written
under a temporary name, flushed and renamed, ``last.pt`` last: a kill at any moment leaves the checkpoint before or the one after.
Every file carries its own sha256, which is checked before anything in it is used; files of before they did are read without.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from roomgen.store.folder import TEMPORARY_PREFIX, atomic
from roomgen.store.seal import UNSEALED, is_intact, seal
from roomtrain.errors import RoomtrainError

LAST = "last.pt"
BEST = "best.safetensors"
_WEIGHTS = "last-{:09d}.safetensors"
_STATE_SUM = b"sha256 "  # and the sum: the comment that ends the zip file which torch writes
_WEIGHTS_SUM, _WEIGHTS_SUM_AT = b'{"__metadata__":{"sha256":"', 8  # behind the length of the header


class Saver:
    """Writes checkpoints in a thread of its own: a step waits for the copy of what it would change, and for no disk.

    One checkpoint is written at a time, in the order in which they were asked for. What goes wrong is raised at the next call, and
    nothing is written after it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._under_way: list[Future[None]] = []
        self._failed = False

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return any(not future.done() for future in self._under_way)

    def best(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write the weights of the best epoch."""
        self._submit(lambda kept: write_weights(folder / BEST, kept), dict(weights))

    def last(
        self, folder: Path, *, weights: Mapping[str, Tensor], state: Mapping[str, Any], step: int, first: Callable[[], None]
    ) -> None:
        """Write where training stands.

        Args:
            folder: of the run's stage.
            weights: of the model.
            state: tensors and plain values only: optimizers, counters, history.
            step: number of optimizer steps taken.
            first: called before the checkpoint becomes the last one, such as to bring the log to the disk.
        """

        def write(kept: dict[str, Any]) -> None:
            first()
            save_last(folder, weights=kept["weights"], state=kept["state"], step=step)

        self._submit(write, {"weights": dict(weights), "state": dict(state)})

    def _submit(self, write: Callable[[Any], None], tree: Any) -> None:
        self.check()
        kept, ready = _copied(tree)

        def run() -> None:
            if self._failed:
                return  # what comes later counts on it: a last checkpoint names the best epoch, whose weights are then not there
            try:
                if ready is not None:
                    ready.synchronize()
                write(kept)
            except BaseException:
                self._failed = True
                raise

        self._under_way.append(self._thread.submit(run))

    def check(self) -> None:
        """Raise what went wrong in a checkpoint that ended."""
        for future in [future for future in self._under_way if future.done()]:
            self._under_way.remove(future)
            future.result()

    def flush(self) -> None:
        """Wait until all checkpoints are written."""
        for future in self._under_way:
            future.exception()  # waits; check raises it
        self.check()

    def close(self) -> None:
        """End the thread, after what is under way."""
        self._thread.shutdown(wait=True)


def _copied(tree: Any) -> tuple[Any, torch.cuda.Event | None]:
    """Return a tree with its tensors copied to the CPU; those of a GPU are there when the event has passed."""
    on_gpu = any(isinstance(leaf, Tensor) and leaf.is_cuda for leaf in tree_leaves(tree))

    def copied(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        leaf = leaf.detach()
        if not leaf.is_cuda:
            return leaf.clone()
        pinned = torch.empty(leaf.shape, dtype=leaf.dtype, pin_memory=True)
        return pinned.copy_(leaf, non_blocking=True)

    kept = tree_map(copied, tree)
    if not on_gpu:
        return kept, None
    ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
    ready.record()
    return kept, ready


def save_last(folder: Path, *, weights: Mapping[str, Tensor], state: Mapping[str, Any], step: int) -> None:
    """Write where training stands, at once; see :meth:`Saver.last`."""
    name = _WEIGHTS.format(step)
    write_weights(folder / name, weights)
    with atomic(folder / LAST) as temporary, open(temporary, "w+b") as file:
        torch.save({**state, "step": step, "weights": name}, file)
        comment = _STATE_SUM + UNSEALED.encode()
        file.seek(-2, os.SEEK_END)  # the length of the comment: there is none
        file.write(len(comment).to_bytes(2, "little") + comment)
        seal(file, file.tell() - len(UNSEALED))
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
        with open(path, "rb") as file:
            _check(file, max(file.seek(0, os.SEEK_END) - len(_STATE_SUM) - len(UNSEALED), 0), _STATE_SUM)
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
    """Write tensors as safetensors, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"sha256": UNSEALED})
        with open(temporary, "r+b") as file:
            seal(file, _WEIGHTS_SUM_AT + len(_WEIGHTS_SUM))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        RoomtrainError: missing or damaged.
    """
    if not path.is_file():
        raise RoomtrainError(f"there are no weights at {path}: train first.", exit_code=1)
    try:
        with open(path, "rb") as file:
            _check(file, _WEIGHTS_SUM_AT, _WEIGHTS_SUM)
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise RoomtrainError(
            f"the weights {path} cannot be read ({_first_line(error)}): remove {path.parent} to begin it anew.", exit_code=1
        ) from None


def _check(file: BinaryIO, at: int, head: bytes) -> None:
    """Compare a file with the sum that stands behind these bytes; where they do not stand, it was written before there were sums.

    Damage to them alone leaves all that is read as it was.

    Raises:
        ValueError: they differ.
    """
    file.seek(at)
    if file.read(len(head)) == head and not is_intact(file, at + len(head)):
        raise ValueError("its sha256 is not the one that was written: it is damaged")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
