"""What happens in a training, line by line: ``log.jsonl`` for programs, TensorBoard for looking.

A line depends on settings and seed alone, so that a resumed training writes the lines that it would have written: on resuming,
lines after the checkpoint are dropped and written again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roomgen.files import write_text

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG = "log.jsonl"


class Journal:
    """Writes the log of one stage; with ``write`` False (all processes but the first) nothing.

    Args:
        folder: of the stage.
        after_step: lines of later steps are dropped first; 0 begins anew.
        lines: how many there were at the checkpoint; more are dropped as well. None: the step alone decides.
        tensorboard: also write event files for TensorBoard, into ``tensorboard/``.
    """

    def __init__(self, folder: Path, *, after_step: int, write: bool, tensorboard: bool, lines: int | None = None) -> None:
        self._file = None
        self._lines = 0
        self._board: SummaryWriter | None = None
        if not write:
            return
        path = folder / LOG
        kept = [line for line in read_log(folder) if int(line["step"]) <= after_step][:lines] if after_step else []
        self._lines = len(kept)
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed by close)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=after_step + 1 if after_step else None)

    def line(self, kind: str, *, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Write one line: ``kind`` is train (mean since the last line), val or final."""
        if self._file is not None:
            self._file.write(json.dumps({"kind": kind, "epoch": epoch, "step": step, **values}) + "\n")
            self._file.flush()
            self._lines += 1
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def sync(self) -> int:
        """Bring all lines to the disk and return how many there are: a checkpoint that counts them is not to be without them."""
        if self._file is not None:
            os.fsync(self._file.fileno())
        return self._lines

    def close(self) -> None:
        """Flush everything."""
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a stage's log; a last line that a kill cut off is left out."""
    path = folder / LOG
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
