"""The Parquet side of the columns: Arrow schemas with units and versions, and tables of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from roomgen.errors import DatasetError
from roomgen.store.columns import COMMON, READABLE_VERSIONS, SCHEMA_VERSION, Column

_TYPES = {
    "float": pa.float32(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "string": pa.string(),
    "name": pa.dictionary(pa.int32(), pa.string()),
    "xyz": pa.list_(pa.float32(), 3),
    "floats": pa.list_(pa.float32()),
    "names": pa.list_(pa.string()),
}


def arrow_schema(settings_hash: str, columns: Sequence[Column]) -> pa.Schema:
    """Return the schema of a family's shards and manifest, with version, settings hash, units and meanings as metadata."""
    fields = [pa.field(c.name, _TYPES[c.kind], nullable=False, metadata={"unit": c.unit, "meaning": c.meaning}) for c in columns]
    return pa.schema(fields, metadata={"roomgen.schema_version": str(SCHEMA_VERSION), "roomgen.settings_hash": settings_hash})


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows as a table of that schema."""
    return pa.table([pa.array([row[f.name] for row in rows], type=f.type) for f in schema], schema=schema)


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Return a writer with the dataset's Parquet settings: zstd, dictionaries for names only."""
    names = [f.name for f in schema if pa.types.is_dictionary(f.type)]
    names += [f"{f.name}.list.element" for f in schema if f.type == _TYPES["names"]]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=names, store_schema=True)


def check_schema(schema: pa.Schema, where: str) -> str:
    """Return the settings hash of a file's schema.

    Raises:
        DatasetError: not written by roomgen, or with another version of the schema.
    """
    metadata = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items() if k.startswith(b"roomgen.")}
    version = metadata.get("roomgen.schema_version")
    if version is None:
        raise DatasetError(f"{where} was not written by roomgen: its schema names no roomgen.schema_version.")
    if version not in map(str, READABLE_VERSIONS):
        raise DatasetError(
            f"{where} has schema version {version}; this roomgen reads {', '.join(map(str, READABLE_VERSIONS))}. "
            "Read it with the roomgen that wrote it (dataset.json names its version), or make it again."
        )
    missing = [c.name for c in COMMON if c.name not in schema.names]
    if missing:
        raise DatasetError(f"{where} lacks the columns {', '.join(missing)}: it is damaged or was edited. Make it again.")
    return str(metadata["roomgen.settings_hash"])
