"""Files of a dataset: the one place that reads and writes them, names that cannot lead out of it, and writes that are whole or not
there.

A dataset that lies elsewhere (in a bucket) needs another :class:`Store` and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Protocol

from roomgen.errors import DatasetError, RoomgenError

DATASET_FILE = "dataset.json"
MANIFEST_FILE = "manifest.parquet"
CARD_FILE = "README.md"
DATA_FOLDER = "data"
OWN_PREFIX = ".roomgen-"
TEMPORARY_PREFIX = f"{OWN_PREFIX}tmp-"

_OWN = (DATASET_FILE, MANIFEST_FILE, CARD_FILE)
_SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.(tar|parquet|json)")
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES)

_AND = ", then run the same command again. Finished shards are kept."
_REASONS = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the disk quota is used up; make room",
    errno.EROFS: "the file system is read-only; choose another --out",
    errno.EACCES: "no permission to write there; choose another --out",
    errno.EPERM: "no permission to write there; choose another --out",
    errno.ENOENT: "a folder of the path is missing and cannot be made, or was removed; choose another --out",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another --out",
    errno.ENAMETOOLONG: "a name is longer than the file system allows; choose another --out",
    errno.EFBIG: "the file is larger than allowed here; set a smaller --shard-size",
    errno.EIO: "the disk reports an input/output error; check it, or choose another --out",
}


class Store(Protocol):
    """Where the files of a dataset lie; they are named ``dataset.json`` or ``data/train-000000.tar``."""

    def read(self, name: str, start: int = 0, nbytes: int | None = None) -> bytes:
        """Return bytes of a file, up to ``nbytes`` from ``start`` on; FileNotFoundError where there is none."""
        ...

    def stream(self, name: str) -> BufferedReader:
        """Return a file open for reading, in which one can seek; FileNotFoundError where there is none."""
        ...

    def size(self, name: str) -> int | None:
        """Return the length of a file in bytes, or None where there is none."""
        ...

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield the names of the files that begin so, sorted; no scratch."""
        ...

    def scratch(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """Give a path of this attempt alone, to write what shall be ``name``; it is gone afterwards."""
        ...

    def put(self, name: str, source: Path | bytes) -> None:
        """Write a file, from its scratch or from bytes: whole or not there."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that is not there yet, whole, and tell whether it was this call that made it."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        ...


class Folder:
    """A :class:`Store` in a folder of this machine or of a network's file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Return where a file lies.

        Raises:
            DatasetError: no name of a dataset's file, or a link that leads out of it.
        """
        folder, slash, file = name.rpartition("/")
        if folder == DATA_FOLDER and slash:
            return inside_data(self.root, file)
        if name not in _OWN:
            raise DatasetError(f"{name!r} is no file of a dataset.")
        return self.root / name

    def make(self) -> None:
        """Make the folder and the one for its shards."""
        with writing(self.root):
            (self.root / DATA_FOLDER).mkdir(parents=True, exist_ok=True)

    def read(self, name: str, start: int = 0, nbytes: int | None = None) -> bytes:
        with reading(self.path(name)), self.stream(name) as file:
            file.seek(start)
            return file.read(-1 if nbytes is None else nbytes)

    def stream(self, name: str) -> BufferedReader:
        path = self.path(name)
        with reading(path):
            if path.exists() and not path.is_file():  # opening a pipe would wait
                raise DatasetError(f"{path} is no regular file: it is not read.")
            return open(path, "rb")

    def size(self, name: str) -> int | None:
        path = self.path(name)
        try:
            with reading(path):
                return path.stat().st_size
        except FileNotFoundError:
            return None

    def names(self, prefix: str = "") -> Iterator[str]:
        for path in sorted((*(self.root / name for name in _OWN), *(self.root / DATA_FOLDER).glob("*"))):
            name = path.relative_to(self.root).as_posix()
            if name.startswith(prefix) and (name in _OWN or _SHARD_NAME.fullmatch(path.name)) and path.is_file():
                yield name

    @contextlib.contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        place = self.path(name)
        # Two attempts at one file, of whatever processes, never share a scratch.
        path = place.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(4)}-{place.name}")
        try:
            yield path
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def put(self, name: str, source: Path | bytes) -> None:
        path = self.path(name)
        with contextlib.ExitStack() as stack, writing(path):
            if isinstance(source, bytes):
                data, source = source, stack.enter_context(self.scratch(name))
                source.write_bytes(data)
            _sync(source)
            os.replace(source, path)
            sync_folder(path.parent)

    def create(self, name: str, data: bytes) -> bool:
        path = self.path(name)
        with writing(path), self.scratch(name) as temporary:
            temporary.write_bytes(data)
            _sync(temporary)
            try:
                os.link(temporary, path)  # unlike a rename, it fails where there is a file
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if path.exists():
                    return False
                os.rename(temporary, path)
            sync_folder(path.parent)
        return True

    def remove(self, name: str) -> None:
        path = self.path(name)
        with writing(path):
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all scratch: for who holds the folder, so that no other is at work in it."""
        for leftover in (*self.root.glob(f"{TEMPORARY_PREFIX}*"), *(self.root / DATA_FOLDER).glob(f"{TEMPORARY_PREFIX}*")):
            with writing(leftover):
                leftover.unlink(missing_ok=True)

    def is_new(self) -> bool:
        """Tell whether nobody has put anything here: at most an earlier roomgen, which was cut off before it began."""
        found = [path.name for path in self.root.iterdir() if path != self.root / DATA_FOLDER]
        if (self.root / DATA_FOLDER).is_dir():
            found += [path.name for path in (self.root / DATA_FOLDER).iterdir()]
        return all(name.startswith(OWN_PREFIX) for name in found)


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
            _sync(temporary)
            os.replace(temporary, path)
            sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the system's refusals to read into one clear line, but for a file that is not there."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}.") from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write into one clear line."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}; put it right")
        raise RoomgenError(f"cannot write {path}: {reason}{_AND}", exit_code=1) from None


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
    with reading(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
