"""Compile with numba, keep the machine code on disk where there is a place to keep it, and say what takes so long."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import njit
from numba.core import event


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator: machine code is kept beside the file, where ``NUMBA_CACHE_DIR`` says, or in the user's cache."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # numba finds no folder that can be written
            return njit(**options)(function)

    return decorate


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Say once on stderr that something is compiled within; numba tells it only when its cache has nothing."""
    with event.install_listener("numba:compile", _Announcement(what)):
        yield


class _Announcement(event.Listener):
    def __init__(self, what: str) -> None:
        self.what = what

    def on_start(self, event: Any) -> None:
        if self.what:
            print(f"roomgen: compiling {self.what} (once, some seconds) …", file=sys.stderr, flush=True)
            self.what = ""

    def on_end(self, event: Any) -> None:
        pass
