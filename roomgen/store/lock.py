"""Holding a folder for one process: whoever else wants to write there is told, and however a process ends, its lock is free."""

from __future__ import annotations

import contextlib
import errno
import warnings
from collections.abc import Iterator
from pathlib import Path

from roomgen.errors import RoomgenError
from roomgen.store.folder import OWN_PREFIX, writing

LOCK_FILE = f"{OWN_PREFIX}lock"
"""Not a temporary file: those are removed by whoever begins to write there."""

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF)


class CannotLock(RoomgenError):
    """The file system has no locks."""


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """Hold a folder for this process, if no other holds it, and tell which.

    While it is held there is a file :data:`LOCK_FILE` in it, which a process that is killed leaves behind; it hinders nobody.

    A folder that cannot be written needs no holding, and counts as held: whoever writes there is told. On a file system without
    locks a warning says so, and the folder counts as held too: most folders have one command at work, and it shall run.
    """
    with contextlib.ExitStack() as stack:
        alone = True
        try:
            alone = stack.enter_context(locked(folder / LOCK_FILE))
        except CannotLock as error:
            warnings.warn(f"{error} Take care that only one command at a time writes to {folder}.", stacklevel=3)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                with writing(folder):
                    raise
        yield alone


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Lock a file that is made for it and removed afterwards, and tell whether it was to be had.

    Args:
        path: of the lock file, in a folder that exists.
        wait: until no other process holds it.

    Raises:
        CannotLock: the file system has no locks.
        OSError: the file cannot be made.
    """
    from filelock import FileLock, Timeout  # a fallback to mere files would outlive whoever is killed

    # Others may lock it too, whoever they are: where nobody else could write the file, they would count the folder as theirs.
    held = FileLock(path, mode=0o666, fallback_to_soft=False, timeout=-1 if wait else 0)
    alone = True
    try:
        held.acquire()
    except Timeout:
        alone = False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        with contextlib.suppress(OSError):
            path.unlink()
        raise CannotLock(f"{path.parent} lies on a file system that cannot lock files.", exit_code=1) from None
    try:
        yield alone
    finally:
        if alone:
            with contextlib.suppress(OSError):  # removed while it is locked: who waits for this very file sees that it is gone
                path.unlink()
            held.release()
