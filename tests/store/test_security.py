"""Nothing in a manifest can make a reader leave the dataset's folder or run a command."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import roomgen
from roomgen.errors import DatasetError
from roomgen.run.verify import verify
from roomgen.store.folder import inside_data

EVIL = [
    "../x.tar",
    "/etc/passwd",
    "../../../../etc/passwd",
    "pipe:touch owned",
    "http://localhost/x.tar",
    "file:///etc/passwd",
    "sub/x.tar",
    "..",
    "",
    "x.tar\n",
    ".hidden.tar",
    "x.tar;ls",
    "train-000000.tar\x00.tar",
]


@pytest.mark.parametrize("name", EVIL)
def test_only_plain_shard_names_become_paths(tmp_path, name):
    with pytest.raises(DatasetError, match="not a plain file name"):
        inside_data(tmp_path, name)


@pytest.mark.parametrize("name", EVIL)
def test_a_manifest_with_such_a_name_is_refused(tiny, name, monkeypatch):
    monkeypatch.chdir(tiny)
    path = tiny / "manifest.parquet"
    table = pq.read_table(path)
    column = pa.array([name] * len(table)).dictionary_encode()
    pq.write_table(table.set_column(table.schema.get_field_index("shard"), table.schema.field("shard"), column), path)
    with pytest.raises(DatasetError, match="not a plain file name"):
        roomgen.open(tiny)[0]
    assert not (tiny / "owned").exists()
    assert verify(tiny)


def test_dataset_json_with_such_a_name_is_found_by_verify(tiny):
    path = tiny / "dataset.json"
    path.write_text(path.read_text().replace("train-000000.tar", "../../etc/passwd"))
    assert any("not a plain file name" in problem for problem in verify(tiny))


def test_a_link_out_of_the_dataset_is_not_followed(tiny, tmp_path):
    outside = tmp_path / "outside.tar"
    tar = tiny / "data" / "train-000000.tar"
    tar.rename(outside)
    tar.symlink_to(outside)
    with pytest.raises(DatasetError, match="leads out of the dataset"):
        roomgen.open(tiny)[0]
    assert any("leads out of the dataset" in problem for problem in verify(tiny))


def test_a_whole_dataset_behind_a_link_opens(tiny, tmp_path):
    (tmp_path / "link").symlink_to(tiny)
    assert len(roomgen.open(tmp_path / "link")[0].audio) == 1


def test_offsets_beyond_the_file_are_refused(tiny):
    path = tiny / "manifest.parquet"
    table = pq.read_table(path)
    far = pa.array([1 << 40] * len(table), type=pa.int64())
    pq.write_table(table.set_column(table.schema.get_field_index("offset"), table.schema.field("offset"), far), path)
    with pytest.raises(DatasetError, match="cut short"):
        roomgen.open(tiny)[0]
