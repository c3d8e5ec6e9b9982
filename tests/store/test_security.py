"""Nothing in a manifest can make a reader leave the dataset's folder or run a command."""

import os
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

import roomgen
from roomgen.cli import app
from roomgen.datasets.renders.family import renders_settings
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import DatasetError, RoomgenError
from roomgen.report.sample import write_sample
from roomgen.run.generate import generate
from roomgen.run.verify import verify
from roomgen.store.dataset import Item
from roomgen.store.folder import inside_data
from roomgen.store.samples import sample_of
from roomgen.text import check_key, in_card, printable

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


EVIL_KEYS = ["/../../../../owned", "..", "a/b", "a.b", "", "a b", "ä", "x\n", "x\0", "\x1b[2J", "<b>", "k" * 90, "a\\b", "-\u202e"]


@pytest.mark.parametrize("key", EVIL_KEYS)
def test_such_a_key_becomes_no_member_and_no_file(tmp_path, key):
    with pytest.raises(DatasetError, match="is no key of a sample") as error:
        check_key(key)
    assert str(error.value).isprintable()
    with pytest.raises(DatasetError, match="is no key of a sample"):
        sample_of({"key": key}, {}, ())
    with pytest.raises(DatasetError, match="is no key of a sample"):
        write_sample(Item(key, np.zeros((1, 8), np.float32), 8000, {}), tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("key", ["train-000000", "A_b-9", "k" * 89])
def test_a_plain_key_is_one(key):
    assert check_key(key) == key


def sources_of(root, names, **overrides):
    (root / "in").mkdir(parents=True)
    for i, name in enumerate(names):
        soundfile.write(root / "in" / "x.wav", 0.1 * np.random.default_rng(i).standard_normal(4000), 16000)
        (root / "in" / "x.wav").rename(root / "in" / name)
    settings, inputs = sources_settings("folder", root / "in", {"splits.shares": {"train": 1.0}, **overrides})
    return root / "out", generate(settings, root / "out", workers=0, progress=False, inputs=inputs, max_broken=0.5)


def test_a_key_of_a_foreign_dataset_does_not_pass_through_render(tmp_path):
    out, _ = sources_of(tmp_path, ["a.wav"])
    path = out / "manifest.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("key")
    evil = table.set_column(at, table.schema.field("key"), pa.array(["/../../../../owned"] * len(table)))
    pq.write_table(evil.replace_schema_metadata(table.schema.metadata), path)
    settings = renders_settings({"sources": out}, {"snr_db": (10.0, 20.0)})
    with pytest.raises(RoomgenError, match="owned' is no key of a sample"):
        generate(settings, tmp_path / "renders", workers=0, progress=False, inputs={"sources": out})
    for path in (tmp_path / "renders").rglob("*.tar"):
        with tarfile.open(path) as tar:
            assert tar.getnames() == []


def test_names_of_files_reach_neither_terminal_nor_card_as_they_are(tmp_path):
    evil = "\x1b]0;owned\x07\x1b[31m<img src=x onerror=alert(1)>`<b>\u202e.wav"
    assert sources_of(tmp_path, ["a.wav", "b.wav", evil])[1]["samples"] == 3
    (tmp_path / "in" / evil).write_bytes(b"RIFF")
    settings, inputs = sources_settings("folder", tmp_path / "in", {"splits.shares": {"train": 1.0}})
    made = generate(settings, tmp_path / "again", workers=0, progress=False, inputs=inputs, max_broken=0.5)
    ((name, _),) = made["broken_files"]
    assert name == r"\x1b]0;owned\x07\x1b[31m<img src=x onerror=alert(1)>`<b>\u202e.wav"
    card = (tmp_path / "again" / "README.md").read_text()
    assert r"`\x1b]0;owned\x07\x1b[31m‹img src=x onerror=alert(1)›'‹b›\u202e.wav`" in card
    assert all(line.isprintable() for line in card.splitlines())
    with pytest.raises(RoomgenError, match="more than --max-broken") as error:
        generate(settings, tmp_path / "third", workers=0, progress=False, inputs=inputs, max_broken=0.0)
    assert str(error.value).isprintable()


def test_what_commands_print_of_names_is_printable(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "x.wav", np.eye(1, 400)[0], 16000)
    (tmp_path / "in" / "x.wav").rename(tmp_path / "in" / "\x1b[31mred\x9b.wav")
    app(["devices", "folder", "--root", str(tmp_path / "in"), "--splits", "train=1", "--dry-run"], standalone_mode=False)
    assert r"\x1b[31mred\x9b.wav" in capsys.readouterr().out


def test_long_paths_have_keys_that_fit_into_a_tar_also_of_renders(tmp_path):
    names = [f"{'n' * 200}{i}.wav" for i in range(3)]
    out, summary = sources_of(tmp_path, names, segment_s=0.05)
    assert summary["broken"] == 0
    keys = roomgen.open(out).table(["key"]).key
    assert keys.is_unique
    assert keys.str.len().max() <= 80
    settings = renders_settings({"sources": out}, {"snr_db": (10.0, 20.0)})
    assert generate(settings, tmp_path / "renders", workers=0, progress=False, inputs={"sources": out})["samples"] == len(keys)
    assert verify(tmp_path / "renders") == []


def test_text_of_others_is_printed_as_what_it_is():
    assert printable("plain ü 語.wav") == "plain ü 語.wav"
    assert printable("\x1b[2J\r\n\x9b\u202e\udc80") == r"\x1b[2J\r\n\x9b\u202e\udc80"
    assert in_card("a`</code><script>") == "`a'‹/code›‹script›`"
    assert str(RoomgenError("a\x1b\nb")) == r"a\x1b\nb"
    assert os.linesep not in str(DatasetError("one\ntwo"))
