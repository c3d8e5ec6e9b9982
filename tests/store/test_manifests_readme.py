"""The schema in words is that of the code, and its queries give one answer in DuckDB and in pandas."""

import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile

from roomgen.datasets.devices.family import devices_settings
from roomgen.datasets.renders.family import renders_settings
from roomgen.datasets.rooms.pinned import PLAN_SCHEMA
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.sources.family import sources_settings
from roomgen.run.generate import generate
from roomgen.store.columns import ARRAYS, DEVICES, RENDERS, ROOMS, SOURCES, describe

FOLDER = Path(__file__).parents[2] / "manifests"
TEXT = (FOLDER / "README.md").read_text(encoding="utf-8")
SETUP = re.search(r"```python\n(import json.*?)```", TEXT, flags=re.DOTALL)[1]
QUERIES = re.findall(r"### ([^\n]+)\n\n```sql\n(.*?)```\n\n```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize(
    "columns", [ROOMS, ARRAYS[len(ROOMS) :], DEVICES, SOURCES, RENDERS], ids=["rooms", "arrays", "devices", "sources", "renders"]
)
def test_the_columns_are_those_of_the_code(columns):
    assert f"\n\n{describe(columns)}\n" in TEXT


def test_the_pinned_plans_are_listed_with_their_columns():
    listed = set(re.findall(r"^\| `([\w-]+\.parquet)` \|", TEXT, flags=re.MULTILINE))
    assert listed == {path.name for path in FOLDER.glob("*.parquet")}
    for field in PLAN_SCHEMA:
        row = re.search(rf"^\| `{field.name}` \|.*{re.escape(field.metadata[b'meaning'].decode())} \|$", TEXT, flags=re.MULTILINE)
        assert row, field.name
    for name in pq.read_schema(FOLDER / "icl-recorders.parquet").names:
        assert f"`{name}`" in TEXT.split("Files of devices have")[1].split("## Queries")[0]


@pytest.fixture(scope="module")
def datasets(made_once, tmp_path_factory):
    """One tiny dataset of each family; the speech has five speakers, a broken file, a silent one and a silent piece."""
    root = tmp_path_factory.mktemp("datasets")
    (root / "rooms").symlink_to(made_once)
    rng = np.random.default_rng(0)
    for speaker in range(101, 106):
        for i in range(2):
            audio = 0.1 * rng.standard_normal(16000)
            audio[8000:] *= not (speaker == 103 and i == 1)
            path = root / "corpus" / "dev-clean" / str(speaker) / "7" / f"{speaker}-7-{i:04d}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, audio * (0 if (speaker, i) == (104, 0) else 1), 16000)
    (root / "corpus/dev-clean/105/7/105-7-0000.flac").write_bytes(b"no audio")

    def make(name, settings, inputs):
        generate(settings, root / name, workers=0, progress=False, inputs=inputs, max_broken=0.5)

    make("speech", *sources_settings("librispeech", root / "corpus", {"segment_s": 0.5}))
    arrays = {"array.geometry": "circular4:0.05", "array.yaw_deg": "random", "rooms.count": 3, "signal.rt60_s": None}
    arrays |= {"walls.absorption": 0.8, "signal.duration": 0.1, "place.rirs_per_room": 5}
    make("arrays", load_settings("mc-simclr", arrays), {})
    make("devices", *devices_settings("microphones", None, {"count": 6, "angles_deg": (0.0, 180.0), "n_samples": 256}))
    inputs = {"sources": root / "speech", "rirs": root / "rooms"}
    make("renders", renders_settings(inputs, {"per_source": 2}), inputs)
    return root


def test_there_are_at_least_ten_questions():
    assert len(QUERIES) >= 10
    assert len({title for title, _, _ in QUERIES}) == len(QUERIES)
    assert TEXT.count("```sql") == len(QUERIES)


@pytest.mark.parametrize(("title", "sql", "code"), QUERIES, ids=[title for title, _, _ in QUERIES])
def test_both_ways_give_the_same_answer(datasets, monkeypatch, title, sql, code):
    monkeypatch.chdir(datasets)
    rows = duckdb.sql(sql).df()
    names: dict[str, object] = {}
    exec(SETUP + code, names)  # the project's own text
    answer = names["answer"]
    assert isinstance(answer, pd.DataFrame)
    assert list(rows.columns) == list(answer.columns)
    assert len(rows) == len(answer)
    assert (len(rows) == 0) == ("(none" in title)
    first = rows.columns[0]
    if not pd.api.types.is_numeric_dtype(rows[first]):  # pandas keeps names in the order of the file, DuckDB in that of letters
        rows, answer = (table.assign(**{first: table[first].astype(str)}).sort_values(first) for table in (rows, answer))
    for name in rows.columns:
        one, other = rows[name], answer[name]
        if pd.api.types.is_numeric_dtype(one):
            np.testing.assert_allclose(one.to_numpy(float), other.to_numpy(float), rtol=1e-5)
            assert np.isfinite(one.to_numpy(float)).all()
        else:
            assert one.astype(str).tolist() == other.astype(str).tolist()
