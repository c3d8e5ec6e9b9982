"""Files of a dataset: names that cannot lead out of it, and writes that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from roomgen.errors import DatasetError, RoomgenError

DATASET_FILE = "dataset.json"
MANIFEST_FILE = "manifest.parquet"
CARD_FILE = "README.md"
DATA_FOLDER = "data"
TEMPORARY_PREFIX = ".roomgen-tmp-"
LOCK_FILE = ".roomgen-lock"
"""Not a temporary file: those are removed by whoever begins to write there."""

_HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF)

_SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.(tar|parquet|json)")


def inside_data(root: Path, name: str) -> Path:
    """Return the path of a shard file in ``root/data``.

    Only a plain file name is accepted, and it must not be a link that leads elsewhere: nothing that a manifest says can make a
    reader open a file outside the dataset, a pipe or an address.

    Raises:
        DatasetError: any other name.
    """
    if not _SHARD_NAME.fullmatch(name):
        raise DatasetError(
            f"shard name {name!r} is not a plain file name (letters, digits, - and _, then .tar): the manifest was tampered with."
        )
    path = root / DATA_FOLDER / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise DatasetError(f"{path} is a link that leads out of the dataset: it is not read.")
    return path


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; on success it is flushed to disk and renamed to ``path``, else removed."""
    temporary = path.with_name(TEMPORARY_PREFIX + path.name)
    try:
        with writing(path):
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


class CannotLock(RoomgenError):
    """The file system has no locks."""


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """Hold a folder for this process, if no other holds it, and tell which; the system frees it however the process ends.

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

    The file is opened for writing, as NFS lets nobody lock what is open for reading alone.

    Args:
        path: of the lock file, in a folder that exists.
        wait: until no other process holds it.

    Raises:
        CannotLock: the file system has no locks.
        OSError: the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no flock
        yield True
        return
    with contextlib.ExitStack() as stack:
        alone = False
        while not alone:
            descriptor = _opened(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held it may have removed the file after we opened it: a lock on that one excludes nobody.
                alone = _is_file(descriptor, path)
            except OSError as error:
                if error.errno in _HELD_BY_ANOTHER:
                    break
                if error.errno in _NO_LOCKS:
                    path.unlink(missing_ok=True)
                    raise CannotLock(f"{path.parent} lies on a file system that cannot lock files.", exit_code=1) from None
                raise
            finally:
                if alone:
                    stack.callback(os.close, descriptor)
                else:
                    os.close(descriptor)
        try:
            yield alone
        finally:
            if alone:  # removed while it is still locked: who waits for this very file then sees that it is gone
                with contextlib.suppress(OSError):
                    path.unlink()


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # another user's, who may hold it: what can be read can be locked


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write into one clear line."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full; make room",
            errno.EDQUOT: "the disk quota is used up; make room",
            errno.EROFS: "the file system is read-only; choose another --out",
            errno.EACCES: "no permission to write there; choose another --out",
            errno.EPERM: "no permission to write there; choose another --out",
            errno.ENOTDIR: "a part of the path is a file, not a folder; choose another --out",
            errno.EFBIG: "the file is larger than allowed here; set a smaller --shard-size",
        }
        if error.errno not in reasons:
            raise
        raise RoomgenError(
            f"cannot write {path}: {reasons[error.errno]}, then run the same command again. Finished shards are kept.",
            exit_code=1,
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write a small file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
