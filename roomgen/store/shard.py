"""One shard: a WebDataset tar, the Parquet rows of its samples, and the mark that says both are complete.

The tar is USTAR (PAX where that cannot hold a member) with ``mtime`` 0 and owner 0; every sample has the same members in the same
order. The mark is created last, and once: without it a shard does not exist.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from json import dumps
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pydantic import ConfigDict, TypeAdapter, ValidationError

from roomgen.errors import DatasetError
from roomgen.store.folder import DATA_FOLDER, Folder, Store, sha256_of, writing
from roomgen.store.samples import Sample
from roomgen.store.schema import parquet_writer, table_of


@dataclass(frozen=True)
class Mark:
    """What the commit mark of a shard says."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    split: str
    samples: int
    frames: int
    """Audio frames of all samples together."""
    tar_bytes: int
    tar_sha256: str
    parquet_bytes: int
    parquet_sha256: str
    settings_hash: str
    broken: list[tuple[str, str]] = field(default_factory=list)
    """(name, reason) of inputs that could not be read, whose samples are therefore missing."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """The same of parts of inputs."""


class ShardWriter:
    """Writes one shard; use it as a context: on success it is committed, otherwise nothing of it stays.

    Args:
        store: of the dataset.
        stem: file name without ending, ``train-000000``.
        schema: of the rows.
        settings_hash: goes into the mark.
        split: of all samples.
        audio_member: ending of the member whose place goes into the rows.
    """

    mark: Mark
    """Of the shard, once it is committed."""

    def __init__(self, store: Store, stem: str, *, schema: pa.Schema, settings_hash: str, split: str, audio_member: str) -> None:
        self._store, self._stem, self._schema, self._split = store, stem, schema, split
        self._settings_hash, self._audio_member = settings_hash, audio_member
        self._broken: dict[str, str] = {}
        self._left_out: dict[str, str] = {}
        self._rows: list[dict[str, Any]] = []
        self._frames = 0

    def __enter__(self) -> ShardWriter:
        with contextlib.ExitStack() as stack:
            self._scratch = stack.enter_context(self._store.scratch(_name(self._stem, "tar")))
            self._shown = self._scratch.with_name(f"{self._stem}.tar")
            with writing(self._shown):
                self._file = _HashingFile(open(self._scratch, "wb"))  # closed in _commit or __exit__
            # PAX adds to USTAR where that cannot hold a member, and nothing else
            self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # type: ignore[call-overload]
            self._stack = stack.pop_all()
        return self

    def add(self, sample: Sample) -> None:
        """Append one sample."""
        row = {**sample.row, "shard": f"{self._stem}.tar"}
        with writing(self._shown):
            for ending, data in sample.members.items():
                info = tarfile.TarInfo(f"{sample.key}.{ending}")
                info.size, info.mode = len(data), 0o644
                self._tar.addfile(info, io.BytesIO(data))
                if ending == self._audio_member:
                    padded = -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                    row["offset"], row["nbytes"] = self._tar.offset - padded, len(data)
        self._frames += int(row["n_samples"])
        self._rows.append(row)

    def leave_out(self, name: str, reason: str, *, whole: bool) -> None:
        """Note an input, or a part of one, that cannot be used."""
        (self._broken if whole else self._left_out).setdefault(name, reason)

    def __exit__(self, kind: object, *_: object) -> None:
        with self._stack:
            try:
                if kind is None:
                    self._commit()
            finally:
                with contextlib.suppress(OSError):  # what a full disk refused once it refuses again
                    self._file.close()

    def _commit(self) -> None:
        with writing(self._shown):
            self._tar.close()
            self._file.close()
        parquet = self._stack.enter_context(self._store.scratch(_name(self._stem, "parquet")))
        with writing(self._shown.with_suffix(".parquet")):
            with parquet_writer(parquet, self._schema) as writer:
                writer.write_table(table_of(self._rows, self._schema))
            parquet_bytes, parquet_sha256 = parquet.stat().st_size, sha256_of(parquet)
        self.mark = Mark(
            split=self._split,
            samples=len(self._rows),
            frames=self._frames,
            tar_bytes=self._file.written,
            tar_sha256=self._file.hexdigest(),
            parquet_bytes=parquet_bytes,
            parquet_sha256=parquet_sha256,
            settings_hash=self._settings_hash,
            broken=list(self._broken.items()),
            left_out=list(self._left_out.items()),
        )
        self._publish({"tar": self._scratch, "parquet": parquet})

    def _publish(self, files: dict[str, Path]) -> None:
        """Put the files and, last and once, the mark; if another was first, its files stay, and these go."""
        mark = _name(self._stem, "json")
        if self._store.size(mark) is None:
            for ending, path in files.items():
                self._store.put(_name(self._stem, ending), path)
            if self._store.create(mark, f"{dumps(asdict(self.mark), indent=1)}\n".encode()):
                return
        if parse_mark(self._store.read(mark), mark) != self.mark:
            raise DatasetError(
                f"another run has finished shard {self._stem} with other contents. Delete {mark} and run the same command again."
            )


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

    def close(self) -> None:
        self._file.close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


_MARK = TypeAdapter(Mark)


def _name(stem: str, ending: str) -> str:
    return f"{DATA_FOLDER}/{stem}.{ending}"


def parse_mark(data: bytes, where: str) -> Mark:
    """Return the mark that a file holds.

    Raises:
        DatasetError: it holds none.
    """
    try:
        return _MARK.validate_json(data, strict=True)
    except ValidationError:
        raise DatasetError(
            f"the commit mark {where} is damaged: delete it and run the same command again to make its shard anew."
        ) from None


def read_mark(root: Path, stem: str) -> Mark | None:
    """Return the mark of a shard, or None where there is none.

    Raises:
        DatasetError: a mark that is not one.
    """
    store = Folder(root)
    try:
        return parse_mark(store.read(_name(stem, "json")), str(store.path(_name(stem, "json"))))
    except FileNotFoundError:
        return None


def check_files(store: Store, stem: str, mark: Mark, *, contents: bool) -> None:
    """Make sure that the files of a finished shard are those of its mark: their sizes, and with ``contents`` their bytes.

    Raises:
        DatasetError: a file is missing, of another size, or holds something else: it was damaged after it was finished.
    """
    for ending, size, sha256 in (("tar", mark.tar_bytes, mark.tar_sha256), ("parquet", mark.parquet_bytes, mark.parquet_sha256)):
        name = _name(stem, ending)
        found = store.size(name)
        if found is None:
            what = "is missing"
        elif found != size:
            what = f"has {found} bytes in place of {size}"
        elif contents and _sha256_in(store, name) != sha256:
            what = "holds other bytes than were written"
        else:
            continue
        raise DatasetError(
            f"{name} {what}, though its shard was finished. Delete {stem}.json and run the same command again: only this shard is "
            "made anew."
        )


def _sha256_in(store: Store, name: str) -> str:
    with store.stream(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        raise DatasetError(f"{path} is not a whole tar: {error}") from None
