"""Files of a dataset: names that cannot lead out of it, and writes that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from roomgen.errors import DatasetError, RoomgenError

DATASET_FILE = "dataset.json"
MANIFEST_FILE = "manifest.parquet"
CARD_FILE = "README.md"
DATA_FOLDER = "data"
TEMPORARY_PREFIX = ".roomgen-tmp-"

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


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """Hold a folder for this process, if no other holds it, and tell which; the system frees it however the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows has no flock
        yield True
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        yield alone
    finally:
        os.close(descriptor)


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
