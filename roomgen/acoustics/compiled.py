"""Compile with numba, and keep the machine code on disk where there is a place to keep it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator: machine code is kept beside the file, where ``NUMBA_CACHE_DIR`` says, or in the user's cache."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # numba finds no folder that can be written
            return njit(**options)(function)

    return decorate
