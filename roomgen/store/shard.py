"""One shard: a WebDataset tar, the Parquet rows of its samples, and the mark that says both are complete.

The tar is plain USTAR with ``mtime`` 0 and owner 0; every sample has the same members in the same order. The mark is written
last: without it a shard does not exist.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from roomgen.datasets.family import Broken
from roomgen.errors import DatasetError
from roomgen.store.folder import DATA_FOLDER, TEMPORARY_PREFIX, atomic, inside_data, sha256_of, write_text, writing
from roomgen.store.samples import Sample
from roomgen.store.schema import parquet_writer, table_of


@dataclass(frozen=True)
class Mark:
    """What the commit mark of a shard says."""

    split: str
    samples: int
    frames: int
    """Audio frames of all samples together."""
    tar_bytes: int
    tar_sha256: str
    parquet_bytes: int
    parquet_sha256: str
    settings_hash: str
    broken: list[list[str]] = field(default_factory=list)
    """(name, reason) of inputs that could not be read, whose samples are therefore missing."""


class ShardWriter:
    """Writes one shard; use it as a context: on success it is committed, otherwise nothing of it stays.

    Args:
        root: folder of the dataset.
        stem: file name without ending, ``train-000000``.
        schema: of the rows.
        settings_hash: goes into the mark.
        audio_member: ending of the member whose place goes into the rows.
    """

    def __init__(self, root: Path, stem: str, *, schema: pa.Schema, settings_hash: str, split: str, audio_member: str) -> None:
        self._root, self._stem, self._schema, self._split = root, stem, schema, split
        self._settings_hash, self._audio_member = settings_hash, audio_member
        self._broken: list[list[str]] = []
        self._rows: list[dict[str, Any]] = []
        self._frames = 0

    def __enter__(self) -> ShardWriter:
        data = self._root / DATA_FOLDER
        self._tar_path, self._temporary = data / f"{self._stem}.tar", data / f"{TEMPORARY_PREFIX}{self._stem}.tar"
        with writing(self._tar_path):
            self._file = _HashingFile(open(self._temporary, "wb"))  # closed in __exit__ and commit
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)  # type: ignore[call-overload]
        return self

    def add(self, sample: Sample) -> None:
        """Append one sample."""
        row = {**sample.row, "shard": self._tar_path.name}
        with writing(self._tar_path):
            for ending, data in sample.members.items():
                info = tarfile.TarInfo(f"{sample.key}.{ending}")
                info.size, info.mode = len(data), 0o644
                if ending == self._audio_member:
                    row["offset"], row["nbytes"] = self._tar.offset + tarfile.BLOCKSIZE, len(data)
                self._tar.addfile(info, io.BytesIO(data))
        self._frames += int(row["n_samples"])
        self._rows.append(row)

    def leave_out(self, broken: Broken) -> None:
        """Note an input that could not be read."""
        entry = [broken.name, broken.reason]
        if entry not in self._broken:
            self._broken.append(entry)

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _commit(self) -> None:
        parquet_path = self._tar_path.with_suffix(".parquet")
        with writing(self._tar_path):
            self._tar.close()
            self._file.sync()
            self._file.close()
            self._temporary.replace(self._tar_path)
        with atomic(parquet_path) as temporary, parquet_writer(temporary, self._schema) as writer:
            writer.write_table(table_of(self._rows, self._schema))
        mark = Mark(
            split=self._split,
            samples=len(self._rows),
            frames=self._frames,
            tar_bytes=self._file.written,
            tar_sha256=self._file.hexdigest(),
            parquet_bytes=parquet_path.stat().st_size,
            parquet_sha256=sha256_of(parquet_path),
            settings_hash=self._settings_hash,
            broken=self._broken,
        )
        write_text(self._tar_path.with_suffix(".json"), json.dumps(asdict(mark), indent=1) + "\n")


class _HashingFile:
    """A file that hashes what it writes, so that the shard need not be read again for its sha256."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self.written = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.written += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.written

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def read_mark(root: Path, stem: str) -> Mark | None:
    """Return the mark of a shard, or None where there is none.

    Raises:
        DatasetError: a mark that is not one.
    """
    path = inside_data(root, f"{stem}.json")
    try:
        mark = Mark(**json.loads(path.read_bytes()))
        numbers = (mark.samples, mark.frames, mark.tar_bytes, mark.parquet_bytes)
        texts = (mark.split, mark.tar_sha256, mark.parquet_sha256, mark.settings_hash)
        if {type(one) for one in numbers} != {int} or {type(one) for one in texts} != {str} or not _are_pairs(mark.broken):
            raise TypeError("values of other types")
        return mark
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError):
        raise DatasetError(
            f"the commit mark {path} is damaged: delete it and run the same command again to make its shard anew."
        ) from None


def _are_pairs(broken: object) -> bool:
    return isinstance(broken, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair) for pair in broken
    )


def is_complete(root: Path, stem: str) -> bool:
    """Tell whether a shard is committed and its files have the sizes that the mark says.

    Raises:
        DatasetError: a mark whose files are missing or of another size: the shard was damaged after it was finished.
    """
    mark = read_mark(root, stem)
    if mark is None:
        return False
    for ending, size in (("tar", mark.tar_bytes), ("parquet", mark.parquet_bytes)):
        path = inside_data(root, f"{stem}.{ending}")
        found = path.stat().st_size if path.exists() else None
        if found != size:
            what = "is missing" if found is None else f"has {found} bytes in place of {size}"
            raise DatasetError(
                f"{path} {what}, though its shard was finished. Delete {path.with_suffix('.json').name} and run the same "
                "command again: only this shard is made anew."
            )
    return True


def iterate_tar(path: Path) -> Iterator[tuple[str, str, int, int]]:
    """Yield (key, ending, offset, nbytes) of every member of a shard, from its headers alone.

    Raises:
        DatasetError: a member that is not a plain file, or a tar that cannot be read.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                if not member.isfile() or "/" in member.name:
                    raise DatasetError(f"{path}: member {member.name!r} is not a plain file.")
                yield key, ending, member.offset_data, member.size
    except (tarfile.TarError, EOFError) as error:
        raise DatasetError(f"{path} is not a whole tar: {error}") from None
