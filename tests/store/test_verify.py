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
    mark_path = path.with_suffix(".json")
    mark = json.loads(mark_path.read_text())
    mark |= {"tar_bytes": path.stat().st_size, "tar_sha256": sha256_of(path)}
    mark_path.write_text(json.dumps(mark))
    info = json.loads((root / "dataset.json").read_text())
    for shard in info["shards"]:
        if shard["name"] == path.name:
            shard["sha256"] = mark["tar_sha256"]
    (root / "dataset.json").write_text(json.dumps(info))


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
