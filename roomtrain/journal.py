"""What happens in a training, line by line: ``log.jsonl`` for programs, TensorBoard and Weights & Biases for looking.

A line of ``log.jsonl`` depends on settings and seed alone, so that a resumed training writes the lines that it would have written:
on resuming, lines after the checkpoint are dropped and written again. How fast it went stands in ``speed.jsonl``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from roomgen.store.folder import write_text
from roomtrain.errors import RoomtrainError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG = "log.jsonl"
SPEED = "speed.jsonl"
Sink = Literal["tensorboard", "wandb"]
SINKS: tuple[Sink, ...] = ("tensorboard", "wandb")


class _Board(Protocol):
    def values(self, kind: str, step: int, values: Mapping[str, float]) -> None: ...
    def close(self) -> None: ...


class Journal:
    """Writes the log of one stage; with ``write`` False (all processes but the first) nothing.

    Args:
        folder: of the stage.
        after_step: lines of later steps are dropped first; 0 begins anew.
        lines: how many there were at the checkpoint; more are dropped as well. None: the step alone decides.
        sinks: where values are shown besides.
    """

    def __init__(self, folder: Path, *, after_step: int, write: bool, sinks: Sequence[Sink] = (), lines: int | None = None) -> None:
        self._file = None
        self._speed = None
        self._lines = 0
        self._boards: list[_Board] = []
        if not write:
            return
        kept = [line for line in read_log(folder) if int(line["step"]) <= after_step][:lines] if after_step else []
        self._lines = len(kept)
        write_text(folder / LOG, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = open(folder / LOG, "a", encoding="utf-8")  # noqa: SIM115 (closed by close)
        self._speed = open(folder / SPEED, "a", encoding="utf-8")  # noqa: SIM115
        makers: dict[str, Callable[[Path, int], _Board]] = {"tensorboard": _TensorBoard, "wandb": _WeightsAndBiases}
        self._boards = [makers[sink](folder, after_step) for sink in sinks]

    def line(self, kind: str, *, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Write one line: ``kind`` is train (mean since the last line) or val."""
        if self._file is not None:
            self._file.write(json.dumps({"kind": kind, "epoch": epoch, "step": step, **values}) + "\n")
            self._file.flush()
            self._lines += 1
        for board in self._boards:
            board.values(kind, step, values)

    def speed(self, *, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Write how fast the steps since the last line were."""
        if self._speed is not None:
            self._speed.write(json.dumps({"epoch": epoch, "step": step, **values}) + "\n")
            self._speed.flush()
        for board in self._boards:
            board.values("speed", step, values)

    @property
    def lines(self) -> int:
        """Lines of the log so far."""
        return self._lines

    def sync(self) -> None:
        """Bring all lines to the disk: a checkpoint that counts them is not to be without them."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush everything."""
        for file in (self._file, self._speed):
            if file is not None:
                file.close()
        for board in self._boards:
            board.close()


class _TensorBoard:
    def __init__(self, folder: Path, after_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: SummaryWriter = SummaryWriter(str(folder / "tensorboard"), purge_step=after_step + 1 if after_step else None)

    def values(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    """A run a stage, in a group a cell; WANDB_MODE=offline writes to the stage's folder and sends nothing."""

    def __init__(self, folder: Path, after_step: int) -> None:
        try:
            import wandb
        except ModuleNotFoundError:
            raise RoomtrainError("--log wandb: wandb is not installed: pip install 'roomgen[wandb]'.", exit_code=1) from None
        name = str(folder.resolve())
        self._run: Any = wandb.init(
            project="roomtrain",
            dir=folder,
            id=hashlib.sha256(name.encode()).hexdigest()[:16],  # the same stage goes on in the same run
            name="/".join(folder.parts[-2:]),
            group=folder.parent.name,
            resume="allow",
            settings=wandb.Settings(silent=True),
        )

    def values(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        self._run.log({f"{kind}/{name}": value for name, value in values.items()} | {"step": step})

    def close(self) -> None:
        self._run.finish()


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a stage's log, up to one that a kill cut off or that is damaged."""
    path = folder / LOG
    lines: list[dict[str, Any]] = []
    for text in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        lines.append(line)
    return lines
