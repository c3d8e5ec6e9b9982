"""Keeping freed memory, on Linux.

Training frees and takes the same tens of megabytes at every step. glibc gives such blocks back to the system at once, and each
step then waits for the system to hand out zeroed pages anew: on two cores that is half of a step's time.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed for the next request; tells whether it could be asked to (glibc only)."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST))
