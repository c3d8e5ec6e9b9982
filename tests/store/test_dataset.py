"""A finished dataset, read by roomgen and by the tools that people have: WebDataset, pandas, pyarrow, DuckDB, tar."""

import json
import multiprocessing
import os
import pickle
import shutil
import tarfile

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import roomgen
from roomgen.errors import DatasetError, RoomgenError
from roomgen.run.verify import verify
from roomgen.store.columns import ROOMS
from roomgen.store.info import read_info, write_info


def test_open_counts_and_reads_by_number_and_key(made_once):
    ds = roomgen.open(made_once)
    assert len(ds) == 18
    item = ds[7]
    assert repr(ds[item.key].row) == repr(item.row)  # by text: NaN is not equal to itself
    assert item.audio.dtype == np.float32
    assert item.audio.shape == (item.row["n_channels"], item.row["n_samples"]) == (1, len(item.audio[0]))
    assert [i.key for i in ds] == ds.table()["key"].tolist()
    assert ds[-1].key == ds[17].key
    with pytest.raises(IndexError):
        ds[18]
    with pytest.raises(DatasetError, match="Did you mean 'room000003-000001'"):
        ds["room000003-00001"]


def test_the_audio_is_the_simulated_response(made_once):
    ds = roomgen.open(made_once)
    item = ds[3]
    row = item.row
    room = roomgen.Shoebox(
        (row["length_m"], row["width_m"], row["height_m"]), absorption=row["materials"], scale=row["absorption_scale"]
    )
    duration_s = row["n_samples"] / 16000
    rir = roomgen.simulate(
        room,
        sources=[row["source_xyz_m"]],
        mics=[row["mic_xyz_m"]],
        fs_hz=16000,
        duration_s=duration_s,
        options=roomgen.ImageOptions(highpass_hz=20),
    )
    np.testing.assert_array_equal(rir[0], item.audio)
    labels = roomgen.measure(rir[0, 0], fs_hz=16000, onset_s=row["direct_delay_s"], noise="none")
    assert labels.c50_db == pytest.approx(row["c50_db"], abs=1e-3)


def test_table_has_every_column_and_can_be_cut(made_once):
    ds = roomgen.open(made_once)
    table = ds.table()
    assert table.columns.tolist() == [c.name for c in ROOMS]
    assert np.stack(table["source_xyz_m"].to_list()).shape == (18, 3)
    part = ds.table(["key", "rt60_s"], split="val")
    assert part.columns.tolist() == ["key", "rt60_s"]
    assert len(part) == (table["split"] == "val").sum()
    with pytest.raises(RoomgenError, match=r"no column 'rt60'. Did you mean 'rt60_s'"):
        ds.table(["rt60"])


def test_pandas_reads_the_manifest_as_the_readme_says(made_once):
    table = pd.read_parquet(made_once / "manifest.parquet")
    small = table[(table.split == "train") & (table.volume_m3 < 100)]
    assert 0 < len(small) < len(table)
    assert table.volume_m3.to_numpy() == pytest.approx((table.length_m * table.width_m * table.height_m).to_numpy(), rel=1e-5)


def test_duckdb_reads_the_manifest(made_once):
    import duckdb

    query = f"""
        select split, count(*), avg(c50_db), min(rt60_bands_s[1]) from '{made_once}/manifest.parquet'
        group by split order by split
    """
    rows = duckdb.sql(query).fetchall()
    assert [(split, count) for split, count, *_ in rows] == [("test", 3), ("train", 9), ("val", 6)]


def test_webdataset_streams_the_tars(made_once):
    import webdataset as wds

    tars = sorted(str(path) for path in (made_once / "data").glob("train-*.tar"))
    stream = (
        wds.WebDataset(tars, shardshuffle=False).decode(wds.handle_extension("wav", decode)).to_tuple("__key__", "rir.wav", "json")
    )
    samples = list(stream)
    table = pd.read_parquet(made_once / "manifest.parquet").set_index("key")
    assert len(samples) == 9
    for key, audio, labels in samples:
        assert audio.shape == (labels["n_channels"], labels["n_samples"])
        assert labels["volume_m3"] == pytest.approx(table.volume_m3[key], rel=1e-6)


def decode(data):
    from roomgen.audio import decode_audio

    return decode_audio(data, name="sample")[0]


def test_tar_is_plain_and_says_nothing_of_time_or_host(made_once):
    keys = []
    for path in sorted((made_once / "data").glob("*.tar")):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
        assert [m.name.partition(".")[2] for m in members] == ["json", "rir.wav"] * (len(members) // 2)
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
        names = [m.name for m in members]
        assert names == sorted(names)
        keys += names[::2]
    assert all("." not in key.removesuffix(".json") for key in keys)


def test_json_members_are_json_with_the_same_keys_and_types_and_agree_with_the_manifest(made_once):
    table = pd.read_parquet(made_once / "manifest.parquet").set_index("key")
    keys, types, nulls = set(), {}, 0
    for path in (made_once / "data").glob("*.tar"):
        with tarfile.open(path) as tar:
            for member in (m for m in tar if m.name.endswith(".json")):
                labels = json.loads(tar.extractfile(member).read(), parse_constant=pytest.fail)  # NaN is not JSON
                keys.add(tuple(labels))
                row = table.loc[member.name.removesuffix(".json")]
                for name, value in labels.items():
                    if value is None:
                        nulls += 1
                        assert np.isnan(row[name])
                    else:
                        types.setdefault(name, set()).add(type(value))
                    if isinstance(value, float):
                        assert np.float32(value) == row[name]
                    elif isinstance(value, list) and row[name].dtype == np.float32:
                        np.testing.assert_array_equal(np.array(value, dtype=np.float32), row[name])
    assert keys == {tuple(c.name for c in ROOMS if c.in_json)}
    assert {len(found) for found in types.values()} == {1}
    assert nulls >= len(table)  # the target RT60 of every sample, at least


def test_parquet_names_units_version_and_settings(made_once):
    schema = pq.read_schema(made_once / "manifest.parquet")
    assert schema.metadata[b"roomgen.schema_version"] == b"4"
    assert schema.metadata[b"roomgen.settings_hash"].decode() == roomgen.open(made_once).info["settings_hash"]
    assert schema.field("c50_db").metadata[b"unit"] == b"dB"
    file = pq.ParquetFile(made_once / "manifest.parquet")
    columns = {
        file.metadata.row_group(0).column(i).path_in_schema: file.metadata.row_group(0).column(i)
        for i in range(file.metadata.num_columns)
    }
    assert {c.compression for c in columns.values()} == {"ZSTD"}
    assert "RLE_DICTIONARY" in columns["room_id"].encodings
    assert "RLE_DICTIONARY" not in columns["c50_db"].encodings


def test_the_card_names_the_tars_of_every_split(made_once):
    text = (made_once / "README.md").read_text()
    assert "path: data/train-*.tar" in text
    assert all(f"| `{c.name}` |" in text for c in ROOMS)


def test_a_folder_without_a_dataset_is_a_clear_error(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        roomgen.open(tmp_path / "nothing")
    with pytest.raises(DatasetError, match=r"no manifest.parquet"):
        roomgen.open(tmp_path)
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(DatasetError, match="not finished"):
        roomgen.open(tmp_path)


def test_an_old_manifest_does_not_open_while_its_dataset_is_made_anew(tiny):
    info = read_info(tiny)
    write_info(tiny, {**info, "complete": False})
    with pytest.raises(DatasetError, match="is not finished"):
        roomgen.open(tiny)
    write_info(tiny, {**info, "shards": info["shards"][1:]})
    with pytest.raises(DatasetError, match=r"18 rows .* 13 samples .* not of one dataset"):
        roomgen.open(tiny)


@pytest.mark.parametrize("name", ["manifest.parquet", "dataset.json", "data/test-000000.tar"])
@pytest.mark.parametrize("become", [os.mkfifo, os.mkdir, lambda path: None])
def test_what_is_no_file_is_told_and_never_waited_for(tiny, name, become):
    (tiny / name).unlink()
    become(tiny / name)
    with pytest.raises(DatasetError, match=r"no regular file|missing|no dataset\.json|no manifest|not finished"):
        list(roomgen.open(tiny)), roomgen.open(tiny).info
    try:
        assert verify(tiny)
    except DatasetError as error:
        assert "dataset.json" in str(error)  # noqa: PT017 (without it nothing can be listed)


def lengths(ds, numbers, queue):
    queue.put([(ds[number].key, ds[number].audio.shape[1]) for number in numbers])


def test_a_dataset_goes_to_spawned_processes_by_its_path(made_once):
    ds = roomgen.open(made_once)
    first = ds[0]  # what is read already stays here
    assert len(pickle.dumps(ds)) < 500
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=lengths, args=(ds, [0, 17], queue))
    process.start()
    assert queue.get(timeout=120) == [(ds[n].key, ds[n].row["n_samples"]) for n in (0, 17)]
    process.join()
    assert pickle.loads(pickle.dumps(ds))[0].key == first.key


def test_members_are_read_without_decoding_and_a_key_without_the_whole_manifest(made_once, tmp_path, monkeypatch):
    shutil.copytree(made_once, tmp_path / "shards")
    path = tmp_path / "shards" / "manifest.parquet"
    pq.write_table(pq.read_table(path), path, row_group_size=4)
    groups = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda self, group: groups.append(group) or read(self, group))
    monkeypatch.setattr("roomgen.store.dataset.decode_audio", None)
    monkeypatch.setattr(pd, "DataFrame", None)
    ds = roomgen.open(tmp_path / "shards")
    key = "room000003-000001"
    assert json.loads(ds.member(key, "json"))["room_id"] == "room000003"
    assert ds.member(key, "rir.wav")[:4] == b"RIFF"
    assert len(groups) == 1
    with pytest.raises(DatasetError, match=r"no member 'flac'; it has json, rir.wav"):
        ds.member(key, "flac")


def test_rows_are_the_same_in_groups_of_any_size(made_once, tmp_path):
    shutil.copytree(made_once, tmp_path / "shards")
    path = tmp_path / "shards" / "manifest.parquet"
    expected = pq.read_table(path).to_pylist()
    for size in (1, 5, 18, 100):
        pq.write_table(pq.read_table(path), path, row_group_size=size)
        assert repr([item.row for item in roomgen.open(tmp_path / "shards")]) == repr(expected)


@pytest.mark.parametrize("where", ["/etc", "/", "C:\\data", "\\\\host\\share", "a\0b", "up\x1b[2J"])
def test_an_input_is_followed_only_along_a_relative_path(tiny, tmp_path, where):
    info = read_info(tiny)
    write_info(tiny, {**info, "inputs": {"sources": where, "rirs": "../rirs"}})
    ds = roomgen.open(tiny)
    with pytest.raises(DatasetError, match=r"'sources' lies at .*relative to the dataset.* --input sources=DIR") as raised:
        ds.inputs  # noqa: B018
    assert str(raised.value).isprintable()
    assert any("--input sources=DIR" in problem for problem in verify(tiny, deep=True))
    assert ds.inputs_at({"sources": tmp_path}) == {"sources": tmp_path, "rirs": tiny / "../rirs"}
    with pytest.raises(DatasetError, match=r"no input 'source'. Did you mean 'sources'"):
        ds.inputs_at({"source": tmp_path})
    assert any("input rirs is not at" in problem for problem in verify(tiny, deep=True, inputs={"sources": tmp_path}))


def test_a_manifest_of_a_million_rows_filters_quickly_and_opens_lazily(made_once, tmp_path):
    """Counts and contents only: no time is asserted, the bench tells times."""
    import pyarrow as pa

    table = pq.read_table(made_once / "manifest.parquet")
    big = pa.concat_tables([table] * 60000).slice(0, 1_000_000).combine_chunks()
    (tmp_path / "data").mkdir()
    pq.write_table(big, tmp_path / "manifest.parquet", compression="zstd", row_group_size=100_000)
    ds = roomgen.open(tmp_path)
    assert len(ds) == 1_000_000
    part = ds.table(["key", "rt60_s", "c50_db", "split"], split="val")
    assert len(part) == (np.asarray(big["split"].combine_chunks().dictionary_decode()) == "val").sum()
