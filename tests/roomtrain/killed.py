"""`roomtrain …` that is sent a signal by itself: python -m tests.roomtrain.killed SIGKILL 4 train goetz …"""

import os
import signal
import sys
from typing import Any

from roomtrain import checkpoint, cli
from roomtrain.steps import Stepper


def main() -> None:
    number, at_step = signal.Signals[sys.argv[1]], int(sys.argv[2])
    take = Stepper.take
    savers: list[checkpoint.Saver] = []
    begin = checkpoint.Saver.__init__
    taken = 0

    def known(self: checkpoint.Saver) -> None:
        begin(self)
        savers.append(self)

    def counted(self: Stepper, batches: list[Any], **where: Any) -> int:
        nonlocal taken
        taken += 1
        if taken == at_step:
            for saver in savers:
                saver.flush()  # what a kill finds on the disk is to be the same every time
            os.kill(os.getpid(), number)
        return take(self, batches, **where)

    checkpoint.Saver.__init__ = known  # type: ignore[method-assign]
    Stepper.take = counted  # type: ignore[method-assign]
    sys.argv[:] = ["roomtrain", *sys.argv[3:]]
    cli.main()


if __name__ == "__main__":
    main()
