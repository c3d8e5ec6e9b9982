"""The manifest: one Parquet file over the rows of all shards."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from roomgen.store.folder import DATA_FOLDER, MANIFEST_FILE, Store, writing
from roomgen.store.schema import parquet_writer

ROWS_A_GROUP = 100_000


def write_manifest(store: Store, stems: Sequence[str], schema: pa.Schema) -> None:
    """Write ``manifest.parquet`` from the shards' own Parquet files, a group of rows at a time."""
    with store.scratch(MANIFEST_FILE) as scratch:
        with writing(scratch.with_name(MANIFEST_FILE)), parquet_writer(scratch, schema) as writer:
            waiting: list[pa.Table] = []
            rows = 0
            for stem in stems:
                with store.stream(f"{DATA_FOLDER}/{stem}.parquet") as file:
                    waiting.append(pq.read_table(file, schema=schema))
                rows += len(waiting[-1])
                if rows >= ROWS_A_GROUP:
                    writer.write_table(_merge(waiting), row_group_size=ROWS_A_GROUP)
                    waiting, rows = [], 0
            if waiting:
                writer.write_table(_merge(waiting), row_group_size=ROWS_A_GROUP)
        store.put(MANIFEST_FILE, scratch)


def _merge(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()
