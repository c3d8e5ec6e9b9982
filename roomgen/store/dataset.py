"""Opening a finished dataset: the manifest as a table, and samples by number or key with one read each."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from roomgen.audio import decode_audio
from roomgen.errors import DatasetError, RoomgenError, suggest
from roomgen.store.columns import COMMON
from roomgen.store.folder import DATA_FOLDER, DATASET_FILE, MANIFEST_FILE, Folder, inside_data
from roomgen.store.info import Info, input_folders, read_info
from roomgen.store.schema import check_schema
from roomgen.store.shard import iterate_tar
from roomgen.text import check_key

if TYPE_CHECKING:
    import pandas as pd

Members = dict[str, dict[str, tuple[int, int]]]
"""Of a tar: key, then ending, to where the bytes begin and how many there are."""

NEEDED = {**{column.name: column.kind for column in COMMON}, "fs_hz": "int32", "n_channels": "int32", "n_samples": "int32"}
"""Columns that all datasets have, and their kinds."""

_SUGGESTED_AMONG = 20_000


@dataclass(frozen=True)
class Item:
    """One sample of a dataset.

    Args:
        key: its name.
        audio: (channel, time) float32.
        fs_hz: sampling rate in Hz.
        row: all its columns in the manifest.
    """

    key: str
    audio: NDArray[np.float32]
    fs_hz: int
    row: dict[str, Any]


class Dataset:
    """A dataset on disk. ``len(ds)``, ``ds[i]``, ``ds["key"]``, iteration, and :meth:`table` for pandas.

    Nothing in the manifest is trusted: shards are opened inside the dataset's folder only, and what is read is decoded as audio,
    never executed. A dataset goes to other processes as its path, and is opened there anew.

    Raises:
        DatasetError: the folder holds no finished dataset, or one that is damaged or of another schema version; so do all methods.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._store = Folder(self.root)
        with reading(self.root / MANIFEST_FILE):
            if self._store.size(MANIFEST_FILE) is None:
                raise DatasetError(_why_not_open(self.root))
        with self._manifest() as parquet:
            self._schema, self._about = parquet.schema_arrow, parquet.metadata
            path = self.root / MANIFEST_FILE
            self.settings_hash = check_schema(self._schema, str(path))
            _check_types(self._schema, path)
            rows = [int(self._about.row_group(group).num_rows) for group in range(self._about.num_row_groups)]
            self._starts = [0, *accumulate(rows)]
            if min(rows, default=0) < 0 or int(self._about.num_rows) != sum(rows):
                raise ValueError("its row groups do not have the rows that it says")
        if self._store.size(DATASET_FILE) is not None:
            self._check_finished()
        self._groups: dict[int, pa.Table] = {}
        self._members: dict[str, Members] = {}

    def __reduce__(self) -> tuple[type[Dataset], tuple[str]]:
        return Dataset, (str(self.root.absolute()),)

    @contextmanager
    def _manifest(self, about: pq.FileMetaData | None = None) -> Iterator[pq.ParquetFile]:
        """Open the manifest for one read: a file that stayed open would be shared by processes that are forked."""
        with reading(self.root / MANIFEST_FILE), self._store.stream(MANIFEST_FILE) as file:
            yield pq.ParquetFile(file, metadata=about)

    def _check_finished(self) -> None:
        """Refuse a manifest that is not of the shards beside it: of an earlier dataset, while another is made in its place."""
        if not self.info.get("complete"):
            raise DatasetError(_why_not_open(self.root))
        found = sum(shard["samples"] for shard in self.info["shards"])
        if (found, self.info["settings_hash"]) != (len(self), self.settings_hash):
            raise DatasetError(
                f"{self.root}: {MANIFEST_FILE} has {len(self)} rows of the settings {self.settings_hash}, the shards of "
                f"{DATASET_FILE} have {found} samples of {self.info['settings_hash']}: they are not of one dataset. "
                f"Run `roomgen verify {self.root}`, or make it again."
            )

    def __len__(self) -> int:
        return self._starts[-1]

    def __repr__(self) -> str:
        return f"Dataset({str(self.root)!r}, {len(self)} samples)"

    @cached_property
    def info(self) -> Info:
        """What ``dataset.json`` says: settings, versions, totals and the sha256 of every shard."""
        return read_info(self.root)

    def table(self, columns: Sequence[str] | None = None, *, split: str | None = None) -> pd.DataFrame:
        """Return the manifest as a pandas table.

        Args:
            columns: which ones; None: all. Lists (positions, bands, materials) come as Arrow-backed columns.
            split: only the rows of this split.
        """
        import pandas as pd

        names = self._schema.names
        for column in columns or ():
            if column not in names:
                raise RoomgenError(f"the manifest has no column {column!r}.{suggest(column, names)} Columns: {', '.join(names)}.")
        filters = None if split is None else [("split", "=", split)]
        with reading(self.root / MANIFEST_FILE), self._store.stream(MANIFEST_FILE) as file:
            table = pq.read_table(file, columns=list(columns) if columns else None, filters=filters)
            table.validate(full=True)
            empty = [name for name in table.schema.names if name in NEEDED and table[name].null_count]
            if empty:
                raise ValueError(f"it has no {', '.join(empty)} in some rows")
            return table.to_pandas(types_mapper=lambda t: pd.ArrowDtype(t) if pa.types.is_nested(t) else None)

    def __getitem__(self, which: int | str) -> Item:
        row = self._row(self._number(which) if isinstance(which, str) else int(which))
        audio, fs_hz = decode_audio(self._read(row), name=f"sample {row['key']} in {row['shard']}")
        return Item(row["key"], audio, fs_hz, row)

    def member(self, key: str, ending: str) -> bytes:
        """Return any member of a sample (``"json"``, ``"view.jpg"``, ``"clean.flac"``) as the bytes that are stored.

        Raises:
            DatasetError: no such sample or member.
        """
        row = self._row(self._number(key))
        places = self._members_of(row["shard"]).get(key, {})
        if ending not in places:
            raise DatasetError(f"sample {key} has no member {ending!r}; it has {', '.join(sorted(places)) or 'none'}.")
        offset, nbytes = places[ending]
        return self._read({**row, "offset": offset, "nbytes": nbytes})

    def _members_of(self, shard: str) -> Members:
        if shard not in self._members:
            path = inside_data(self.root, shard)
            with reading(path):
                found: Members = {}
                for key, ending, offset, nbytes in iterate_tar(path):
                    found.setdefault(key, {})[ending] = (offset, nbytes)
            self._members[shard] = found
        return self._members[shard]

    @property
    def inputs(self) -> dict[str, Path]:
        """Folders that the dataset was made from, where they lay then: name to path."""
        return self.inputs_at()

    def inputs_at(self, given: Mapping[str, Path] | None = None) -> dict[str, Path]:
        """Return where the inputs lie, some of them at given folders; see :func:`roomgen.store.info.input_folders`."""
        return input_folders(self.root, self.info, given)

    def __iter__(self) -> Iterator[Item]:
        return (self[number] for number in range(len(self)))

    def _number(self, key: str) -> int:
        number = self._numbers.get(key)
        if number is None:
            raise DatasetError(f"{self.root} has no sample {key!r}.{suggest(key, list(self._numbers)[:_SUGGESTED_AMONG])}")
        return number

    @cached_property
    def _numbers(self) -> dict[str, int]:
        with self._manifest(self._about) as parquet:
            keys = parquet.read(columns=["key"])
            keys.validate(full=True)
            return {key: number for number, key in enumerate(keys["key"].to_pylist())}

    def _row(self, number: int) -> dict[str, Any]:
        """Return a row, of whose row group all are kept: the next one asked for is mostly among them."""
        if not -len(self) <= number < len(self):
            raise IndexError(f"sample {number} of a dataset of {len(self)}")
        number %= len(self)
        group = bisect_right(self._starts, number) - 1
        if group not in self._groups:
            with self._manifest(self._about) as parquet:
                rows = parquet.read_row_group(group)
                rows.validate(full=True)
            self._groups[group] = rows
        with reading(self.root / MANIFEST_FILE):
            row: dict[str, Any] = self._groups[group].slice(number - self._starts[group], 1).to_pylist()[0]
            empty = [name for name in NEEDED if row[name] is None]
            if empty:
                raise ValueError(f"row {number} has no {', '.join(empty)}")
        check_key(row["key"])
        return row

    def _read(self, row: Mapping[str, Any]) -> bytes:
        """Return the bytes of a sample's audio member, by one read at its offset."""
        path = inside_data(self.root, row["shard"])
        offset, nbytes = row["offset"], row["nbytes"]
        with reading(path), self._store.stream(f"{DATA_FOLDER}/{path.name}") as file:
            if min(offset, nbytes) >= 0 and offset + nbytes <= file.seek(0, os.SEEK_END):
                file.seek(offset)
                return file.read(nbytes)
        raise DatasetError(f"{path} ends before sample {row['key']}: it was cut short. Run `roomgen verify {self.root}`.")


def open(root: str | os.PathLike[str]) -> Dataset:  # read as roomgen.open
    """Open the dataset in a folder; see :class:`Dataset`."""
    return Dataset(root)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever damaged bytes raise while a file is read into one clear line.

    Raises:
        DatasetError: in place of the error inside.
    """
    root = path.parent.parent if path.parent.name == DATA_FOLDER else path.parent
    try:
        yield
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: run `roomgen verify {root}`.") from None
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DatasetError(f"{path} is not readable ({text}): it is damaged. Run `roomgen verify {root}`.") from None


def _check_types(schema: pa.Schema, path: Path) -> None:
    """Raise where a column that all datasets have is of another type; how wide it is does not matter."""
    for name, wanted in NEEDED.items():
        kind = schema.field(name).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (text if wanted in ("string", "name") else pa.types.is_integer(kind)):
            raise DatasetError(f"{path}: its column {name} is of type {kind}: it is damaged or was edited.")


def _why_not_open(root: Path) -> str:
    if not root.exists():
        return f"{root} does not exist."
    if (root / DATASET_FILE).exists():
        return f"{root} is not finished: run the command that began it again, and it goes on where it stopped."
    return f"{root} holds no dataset: there is no {MANIFEST_FILE}."
