"""Opening a finished dataset: the manifest as a table, and samples by number or key with one read each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from roomgen.audio import decode_audio
from roomgen.errors import DatasetError, RoomgenError, suggest
from roomgen.store.folder import DATASET_FILE, MANIFEST_FILE, inside_data
from roomgen.store.schema import check_schema
from roomgen.store.shard import iterate_tar

if TYPE_CHECKING:
    import pandas as pd


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
    never executed.

    Raises:
        DatasetError: the folder holds no finished dataset, or one of another schema version.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        path = self.root / MANIFEST_FILE
        if not path.is_file():
            raise DatasetError(_why_not_open(self.root))
        try:
            self._parquet = pq.ParquetFile(path, memory_map=True)
        except pa.ArrowInvalid as error:
            raise DatasetError(f"{path} is not readable as Parquet ({error}): run `roomgen verify {root}`.") from None
        self.settings_hash = check_schema(self._parquet.schema_arrow, str(path))

    def __len__(self) -> int:
        return int(self._parquet.metadata.num_rows)

    def __repr__(self) -> str:
        return f"Dataset({str(self.root)!r}, {len(self)} samples)"

    @cached_property
    def info(self) -> dict[str, Any]:
        """What ``dataset.json`` says: settings, versions, totals and the sha256 of every shard."""
        return read_info(self.root)

    def table(self, columns: Sequence[str] | None = None, *, split: str | None = None) -> pd.DataFrame:
        """Return the manifest as a pandas table.

        Args:
            columns: which ones; None: all. Lists (positions, bands, materials) come as Arrow-backed columns.
            split: only the rows of this split.
        """
        import pandas as pd

        names = self._parquet.schema_arrow.names
        for column in columns or ():
            if column not in names:
                raise RoomgenError(f"the manifest has no column {column!r}.{suggest(column, names)} Columns: {', '.join(names)}.")
        filters = None if split is None else [("split", "=", split)]
        table = pq.read_table(self.root / MANIFEST_FILE, columns=list(columns) if columns else None, filters=filters)
        return table.to_pandas(types_mapper=lambda t: pd.ArrowDtype(t) if pa.types.is_nested(t) else None)

    def __getitem__(self, which: int | str) -> Item:
        if isinstance(which, str):
            if which not in self._number_of:
                raise DatasetError(f"{self.root} has no sample {which!r}.{suggest(which, list(self._number_of)[:20000])}")
            which = self._number_of[which]
        number = int(which)
        if not -len(self) <= number < len(self):
            raise IndexError(f"sample {number} of a dataset of {len(self)}")
        row = self._rows.slice(number % len(self), 1).to_pylist()[0]
        audio, fs_hz = decode_audio(self._read(row), name=f"sample {row['key']} in {row['shard']}")
        return Item(row["key"], audio, fs_hz, row)

    def member(self, key: str, ending: str) -> bytes:
        """Return any member of a sample (``"json"``, ``"view.jpg"``, ``"clean.flac"``) as the bytes that are stored.

        Raises:
            DatasetError: no such sample or member.
        """
        row = self[key].row
        places = self._members_of(row["shard"]).get(key, {})
        if ending not in places:
            raise DatasetError(f"sample {key} has no member {ending!r}; it has {', '.join(sorted(places))}.")
        offset, nbytes = places[ending]
        return self._read({**row, "offset": offset, "nbytes": nbytes})

    @lru_cache(maxsize=8)  # noqa: B019 (a dataset lives as long as its reader; eight indices of a shard are small)
    def _members_of(self, shard: str) -> dict[str, dict[str, tuple[int, int]]]:
        members: dict[str, dict[str, tuple[int, int]]] = {}
        for key, ending, offset, nbytes in iterate_tar(inside_data(self.root, shard)):
            members.setdefault(key, {})[ending] = (offset, nbytes)
        return members

    @cached_property
    def inputs(self) -> dict[str, Path]:
        """Folders that the dataset was made from, where they lay then: name to path."""
        return {name: self.root / path for name, path in self.info.get("inputs", {}).items()}

    def __iter__(self) -> Iterator[Item]:
        return (self[number] for number in range(len(self)))

    @cached_property
    def _rows(self) -> pa.Table:
        return self._parquet.read()

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {key: number for number, key in enumerate(self._rows["key"].to_pylist())}

    def _read(self, row: dict[str, Any]) -> bytes:
        """Return the bytes of a sample's audio member, by one read at its offset."""
        path = inside_data(self.root, row["shard"])
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise DatasetError(f"{path} is missing: run `roomgen verify {self.root}`.") from None
        try:
            data = os.pread(descriptor, row["nbytes"], row["offset"])
        finally:
            os.close(descriptor)
        if len(data) != row["nbytes"]:
            raise DatasetError(f"{path} ends before sample {row['key']}: it was cut short. Run `roomgen verify {self.root}`.")
        return data


def open(root: str | os.PathLike[str]) -> Dataset:  # read as roomgen.open
    """Open the dataset in a folder; see :class:`Dataset`."""
    return Dataset(root)


def read_info(root: Path) -> dict[str, Any]:
    """Return ``dataset.json``.

    Raises:
        DatasetError: it is missing or not JSON.
    """
    path = root / DATASET_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{root} has no {DATASET_FILE}: it is not a dataset of roomgen.") from None
    except ValueError as error:
        raise DatasetError(f"{path} is not readable as JSON ({error}).") from None
    if not isinstance(values, dict) or not isinstance(values.get("settings"), dict):
        raise DatasetError(f"{path} holds no settings: it is damaged.")
    return values


def _why_not_open(root: Path) -> str:
    if not root.exists():
        return f"{root} does not exist."
    if (root / DATASET_FILE).exists():
        return f"{root} is not finished: run the command that began it again, and it goes on where it stopped."
    return f"{root} holds no dataset: there is no {MANIFEST_FILE}."
