"""Files of records in a cache folder: built once per machine by whoever comes first, and mapped by all.

A file is built under a lock and a temporary name, and renamed when all of it is on the disk: whoever sees the name sees a whole
file. It is named by what it holds, so that nothing in the cache is ever out of date; what is not needed may be removed.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from roomgen.store.folder import TEMPORARY_PREFIX, sync_folder
from roomgen.store.lock import CannotLock, locked
from roomtrain.banks.memory import gigabytes
from roomtrain.errors import RoomtrainError

CACHE = "ROOMTRAIN_CACHE"
"""Environment variable that names the cache folder; without it ``~/.cache/roomtrain``."""

Put: TypeAlias = Callable[[slice, NDArray[np.void]], None]
"""Takes the places of some records, and the records; any thread may call it."""


def cache_folder() -> Path:
    """Return the folder that mapped files lie in."""
    given = os.environ.get(CACHE)
    return Path(given) if given else Path.home() / ".cache" / "roomtrain"


def mapped_records(name: str, dtype: np.dtype[np.void], count: int, fill: Callable[[Put], None]) -> NDArray[np.void]:
    """Return records in a file of the cache, mapped for reading; it is built if it is not there, or damaged.

    Args:
        name: of the file, without its ending; it must tell what the file holds.
        dtype: of a record.
        count: number of records.
        fill: makes all records and hands them over, some at a time.

    Raises:
        RoomtrainError: the cache cannot be written, is too small, or cannot be locked.
    """
    folder = cache_folder()
    path = folder / f"{name}.npy"
    records = map_records(path, dtype, count)
    if records is not None:
        return records
    with contextlib.ExitStack() as stack:
        with _writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / f".lock-{name}", wait=True))
        records = map_records(path, dtype, count)  # another process may have built it while this one waited
        if records is None:
            _build(path, dtype, count, fill)
            records = map_records(path, dtype, count)
    if records is None:
        raise RoomtrainError(f"{path} was written and is not what was written: is its disk sound? Set {CACHE} to another folder.")
    return records


def map_records(path: Path, dtype: np.dtype[np.void], count: int) -> NDArray[np.void] | None:
    """Map a file of so many records of this type, or return None where there is none, or one that is anything else.

    Its header is compared with the one that it must have: nothing in the file is interpreted but as numbers.
    """
    header = _header(dtype, count)
    try:
        with open(path, "rb") as file:
            if file.read(len(header)) != header or os.fstat(file.fileno()).st_size != len(header) + count * dtype.itemsize:
                return None
            return np.memmap(file, dtype=dtype, mode="r", offset=len(header), shape=(count,))
    except OSError:  # not there, or not readable: who then builds it is told why
        return None


def _header(dtype: np.dtype[np.void], count: int) -> bytes:
    """Return what a ``.npy`` of this array begins with."""
    file = io.BytesIO()
    npy.write_array_header_2_0(file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)})
    return file.getvalue()


def _build(path: Path, dtype: np.dtype[np.void], count: int, fill: Callable[[Put], None]) -> None:
    for leftover in path.parent.glob(f"{TEMPORARY_PREFIX}{path.stem}-*"):  # of a process that was killed: we hold the lock
        leftover.unlink(missing_ok=True)
    free = shutil.disk_usage(path.parent).free
    if dtype.itemsize * count > free:
        raise RoomtrainError(
            f"{path.parent} has {gigabytes(free)} free, and a mapped bank of {gigabytes(dtype.itemsize * count)} shall lie there: "
            f"make room, or set {CACHE} to another folder.",
            exit_code=1,
        )
    temporary, header = path.with_name(f"{TEMPORARY_PREFIX}{path.stem}-{uuid.uuid4().hex}"), _header(dtype, count)
    with contextlib.ExitStack() as stack:
        with _writing(path):
            stack.callback(temporary.unlink, missing_ok=True)
            descriptor = stack.enter_context(open(temporary, "xb")).fileno()
            _write_at(descriptor, memoryview(header), 0)

        def put(part: slice, records: NDArray[np.void]) -> None:
            with _writing(path):
                _write_at(descriptor, records.view(np.uint8).data, len(header) + part.start * dtype.itemsize)

        fill(put)
        with _writing(path):
            os.fsync(descriptor)
            os.replace(temporary, path)
            sync_folder(path.parent)


def _write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all of it. Not through a map: a disk that is full would end the process there, without a word."""
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn the system's refusals into one clear line."""
    try:
        yield
    except CannotLock as error:
        raise RoomtrainError(f"{error} Set {CACHE} to a folder on a local disk.", exit_code=1) from None
    except OSError as error:
        raise RoomtrainError(
            f"cannot write {path} ({error.strerror}): make room there, or set {CACHE} to a folder that can be written.", exit_code=1
        ) from None
