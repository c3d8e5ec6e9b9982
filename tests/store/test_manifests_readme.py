"""The schema in words is that of the code, and its queries run."""

import re
from pathlib import Path

import duckdb
import pytest

from roomgen.datasets.columns import ROOMS, describe

TEXT = (Path(__file__).parents[2] / "manifests" / "README.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_columns_are_those_of_the_code():
    assert describe(ROOMS) in TEXT


@pytest.mark.parametrize("query", QUERIES, ids=[query.splitlines()[0].strip("- ") for query in QUERIES])
def test_every_query_runs(made_once, query):
    rows = duckdb.sql(query.replace("shards/manifest.parquet", f"{made_once}/manifest.parquet")).fetchall()
    if "more than one split" in query:
        assert rows == []
    else:
        assert rows
        assert all(value is not None for row in rows for value in row)
