"""Ctrl-C that is not lost: an interrupt within a callback or a finalizer is printed by Python, and forgotten."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def kept_interrupts() -> Iterator[Callable[[], None]]:
    """Give a function that raises KeyboardInterrupt where there was an interrupt since; to be called now and then.

    An interrupt raises at once, as ever. What calls Python from C (finalizers, callbacks of libraries) drops what is raised there,
    and a run would go on for hours as if nobody had asked it to end.
    """
    caught = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal caught
        caught = True
        signal.default_int_handler(number, frame)

    def check() -> None:
        if caught:
            raise KeyboardInterrupt

    # Only the main thread may change signals, and who has a handler of their own keeps it.
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield check
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
