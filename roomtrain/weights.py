"""The trained weights of a run, by stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from roomtrain.errors import RoomtrainError

if TYPE_CHECKING:
    from torch import Tensor


class Weights:
    """Reads the weights of stages when they are asked for.

    Args:
        folders: stage → its folder.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self.folders = dict(folders)

    def __call__(self, stage: str, *, prefix: str = "") -> dict[str, Tensor]:
        """Return the best weights of a stage; with ``prefix`` those whose names begin with it, without it.

        Raises:
            RoomtrainError: the stage is not trained, its weights are damaged, or there are none of that prefix.
        """
        from roomtrain.checkpoint import BEST, read_weights

        path = self.folders[stage] / BEST
        if not path.is_file():
            raise RoomtrainError(
                f"the stage {stage!r} is not trained: there is no {path}. The `roomtrain train` that began the run makes it.",
                exit_code=1,
            )
        weights = {name.removeprefix(prefix): tensor for name, tensor in read_weights(path).items() if name.startswith(prefix)}
        if not weights:
            raise RoomtrainError(f"{path} has no weights that begin with {prefix!r}: it is of another model.", exit_code=1)
        return weights
