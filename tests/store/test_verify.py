"""Every kind of damage is found, and named; an intact dataset has none."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roomgen.audio import encode_wav
from roomgen.errors import DatasetError
from roomgen.run.verify import verify
from roomgen.store.folder import sha256_of
from roomgen.store.info import write_info


def test_an_intact_dataset_has_no_problems(made_once):
    assert verify(made_once) == []
    assert verify(made_once, deep=True) == []


def tar_of(root):
    return root / "data" / "train-000000.tar"


def cut_short(root):
    data = tar_of(root).read_bytes()
    tar_of(root).write_bytes(data[: len(data) // 2])


def flip_one_bit(root):
    data = bytearray(tar_of(root).read_bytes())
    data[len(data) // 2] ^= 1
    tar_of(root).write_bytes(data)


def remove_tar(root):
    tar_of(root).unlink()


def remove_sidecar(root):
    tar_of(root).with_suffix(".parquet").unlink()


def flip_sidecar(root):
    path = tar_of(root).with_suffix(".parquet")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)


def remove_mark(root):
    tar_of(root).with_suffix(".json").unlink()


def spoil_mark(root):
    tar_of(root).with_suffix(".json").write_text("{")


def remove_manifest(root):
    (root / "manifest.parquet").unlink()


def spoil_manifest(root):
    (root / "manifest.parquet").write_bytes(b"PAR1 no more")


def change_a_label(root):
    path = root / "manifest.parquet"
    table = pq.read_table(path)
    values = np.asarray(table["c50_db"]).copy()
    values[3] += 1
    pq.write_table(table.set_column(table.schema.get_field_index("c50_db"), table.schema.field("c50_db"), pa.array(values)), path)


def repeat_a_key(root):
    path = root / "manifest.parquet"
    table = pq.read_table(path)
    keys = table["key"].to_pylist()
    keys[1] = keys[0]
    pq.write_table(table.set_column(table.schema.get_field_index("key"), table.schema.field("key"), pa.array(keys)), path)


def drop_a_row(root):
    path = root / "manifest.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)


def leave_a_stranger(root):
    (root / "data" / "other-000000.tar").write_bytes(b"")


def edit_settings(root):
    path = root / "dataset.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))


def append_to_tar(root):
    with open(tar_of(root), "ab") as file:
        file.write(bytes(10240))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_short, "train-000000.tar: .*cut short"),
        (append_to_tar, "train-000000.tar: .*added to"),
        (flip_one_bit, "train-000000.tar: its sha256"),
        (remove_tar, "train-000000.tar: missing"),
        (remove_sidecar, "train-000000.parquet: missing"),
        (flip_sidecar, "train-000000.parquet: its sha256"),
        (remove_mark, "train-000000.json: the commit mark is missing"),
        (spoil_mark, "train-000000.json is damaged"),
        (remove_manifest, "manifest.parquet: missing"),
        (spoil_manifest, "manifest.parquet: not readable"),
        (change_a_label, "its rows are not those"),
        (repeat_a_key, "keys are there more than once"),
        (drop_a_row, "17 rows, dataset.json says 18"),
        (leave_a_stranger, "other-000000.tar: belongs to no shard"),
        (edit_settings, "settings hash"),
    ],
)
def test_damage_is_found(tiny, damage, words):
    import re

    damage(tiny)
    problems = verify(tiny)
    assert any(re.search(words, problem) for problem in problems), problems


def rewrite(root, change):
    """Change members of the first shard and sign it again, as somebody would who makes shards by hand."""
    path = tar_of(root)
    with tarfile.open(path) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in change(members):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    sign(root, path)


def sign(root, path):
    """Make the mark, dataset.json and their sums those of a shard and a manifest that were changed."""
    mark_path, rows = path.with_suffix(".json"), path.with_suffix(".parquet")
    mark = json.loads(mark_path.read_text())
    mark |= {"tar_bytes": path.stat().st_size, "tar_sha256": sha256_of(path)}
    mark |= {"parquet_bytes": rows.stat().st_size, "parquet_sha256": sha256_of(rows)}
    mark_path.write_text(json.dumps(mark))
    info = json.loads((root / "dataset.json").read_text())
    for shard in info["shards"]:
        if shard["name"] == path.name:
            shard |= {"sha256": mark["tar_sha256"], "bytes": mark["tar_bytes"]}
    info["files"] = {name: sha256_of(root / name) for name in info["files"]}
    write_info(root, info)


def edit_rows(root, column, change):
    """Change a column of the first shard, in its own Parquet file and in the manifest, and sign both."""
    for path in (tar_of(root).with_suffix(".parquet"), root / "manifest.parquet"):
        table = pq.read_table(path)
        names, values = table["shard"].to_pylist(), table[column].to_pylist()
        values = [change(value) if name == tar_of(root).name else value for name, value in zip(names, values, strict=True)]
        field = table.schema.field(column)
        place = table.schema.get_field_index(column)
        pq.write_table(table.set_column(place, field, pa.array(values, type=field.type)), path)
    sign(root, tar_of(root))


@pytest.mark.parametrize(
    ("column", "change", "words"),
    [
        ("split", lambda split: "val", "train-000000.parquet: rows name another split than train"),
        ("n_samples", lambda n_samples: n_samples + 1, "do not add up to the mark's number of frames"),
        ("key", lambda key: f"../{key}", "is no key of a sample"),
        ("offset", lambda offset: offset + 1, "offset or nbytes of its row are wrong"),
    ],
)
def test_rows_that_are_not_those_of_their_shard_are_found_though_all_is_signed(tiny, column, change, words):
    edit_rows(tiny, column, lambda value: value)
    assert verify(tiny) == []
    edit_rows(tiny, column, change)
    assert any(words in problem for problem in verify(tiny))


def test_not_a_byte_of_the_card_the_manifest_and_dataset_json_can_change(tiny):
    for name in ("README.md", "manifest.parquet", "dataset.json"):
        whole = (tiny / name).read_bytes()
        step = max(len(whole) // 20, 1)
        for place in (*range(0, len(whole), step), len(whole) - 1):
            data = bytearray(whole)
            data[place] ^= 1 << place % 8
            (tiny / name).write_bytes(data)
            try:
                problems = verify(tiny)
            except DatasetError as error:
                problems = [str(error)]
            assert problems, f"{name}, byte {place} of {len(whole)}"
        (tiny / name).write_bytes(whole)
    assert verify(tiny) == []


def test_a_dataset_of_before_there_were_sums_verifies_as_before(tiny):
    info = json.loads((tiny / "dataset.json").read_text())
    del info["files"], info["sha256"]
    (tiny / "dataset.json").write_text(json.dumps(info))
    assert verify(tiny, deep=True) == []
    change_a_label(tiny)
    assert any("its rows are not those" in problem for problem in verify(tiny))


def repeat_a_member(members):
    return [*members, members[0]]


def lose_a_member(members):
    return members[1:]


def lose_a_sample(members):
    return members[2:]


@pytest.mark.parametrize(
    ("change", "words"),
    [(repeat_a_member, "is there twice"), (lose_a_member, "has the members"), (lose_a_sample, "not those of its Parquet rows")],
)
def test_wrong_members_are_found_without_the_deep_check(tiny, change, words):
    rewrite(tiny, change)
    assert any(words in problem for problem in verify(tiny))


def test_a_tar_without_its_end_is_found(tiny):
    path = tar_of(tiny)
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset_data + -(-last.size // 512) * 512])
    sign(tiny, path)
    assert any("zero blocks" in problem for problem in verify(tiny))


def test_a_member_that_is_a_link_is_found(tiny):
    path = tar_of(tiny)
    with tarfile.open(path, "a", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo("link.json")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    sign(tiny, path)
    assert any("not a plain file" in problem for problem in verify(tiny))


def replaced_audio(make):
    def change(members):
        name, data = members[1]
        samples = np.frombuffer(data[58:], "<f4").copy()
        return [members[0], (name, encode_wav(make(samples)[None], fs_hz=16000)), *members[2:]]

    return change


def silent(samples):
    return np.zeros_like(samples)


def not_finite(samples):
    samples[5] = np.nan
    return samples


def turned_around(samples):
    return samples[::-1].copy()


@pytest.mark.parametrize(
    ("make", "words"),
    [(silent, "is silent"), (not_finite, "not finite"), (turned_around, "its row says")],
)
def test_the_deep_check_finds_wrong_audio_in_a_well_signed_shard(tiny, make, words):
    rewrite(tiny, replaced_audio(make))
    assert verify(tiny) == []
    assert any(words in problem for problem in verify(tiny, deep=True))


def test_the_deep_check_finds_audio_that_is_slightly_wrong(tiny):
    rewrite(tiny, replaced_audio(lambda samples: samples * np.float32(1.001)))
    assert any("audio differs by -60" in problem for problem in verify(tiny, deep=True))


def test_a_folder_that_is_no_dataset_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"no dataset.json"):
        verify(tmp_path)
