"""A process that maps a bank: python -m tests.roomtrain.built DATASET LOG [PART]: a line in LOG each time that it is decoded.

With PART it kills itself when that part of the samples is to be written; without, whoever decodes waits for a second process.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import roomgen
from roomtrain.banks import map_bank, opening, source


def main(root: Path, log: Path, kill_at: int | None) -> None:
    read = opening.read
    source._CHUNK_SAMPLES = 16

    def watched(samples: source.Source, put: Callable[[slice, Any], None], *, workers: int) -> None:
        parts = 0

        def counted(part: slice, audio: Any) -> None:
            nonlocal parts
            parts += 1
            if parts == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            put(part, audio)

        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        deadline = time.monotonic() + 60
        while kill_at is None and len(list(log.parent.glob("started-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)  # the other one is at the lock by then
        read(samples, counted, workers=1)

    opening.read = watched  # type: ignore[assignment]
    (log.parent / f"started-{os.getpid()}").touch()
    bank = map_bank(roomgen.open(root), workers=1)
    print(float(bank.rows(np.arange(len(bank))).double().abs().sum()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
