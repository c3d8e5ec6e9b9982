"""`roomtrain …` that is sent a signal by itself: python -m tests.roomtrain.killed SIGKILL 4 train goetz …"""

import os
import signal
import sys
from typing import Any

from roomtrain import cli, loop


def main() -> None:
    number, at_step = signal.Signals[sys.argv[1]], int(sys.argv[2])
    step = loop._Run.step
    taken = 0

    def counted(self: loop._Run, batches: list[Any]) -> int:
        nonlocal taken
        taken += 1
        if taken == at_step:
            self.saver.flush()  # what a kill finds on the disk is to be the same every time
            os.kill(os.getpid(), number)
        return step(self, batches)

    loop._Run.step = counted  # type: ignore[method-assign]
    sys.argv[:] = ["roomtrain", *sys.argv[3:]]
    cli.main()


if __name__ == "__main__":
    main()
