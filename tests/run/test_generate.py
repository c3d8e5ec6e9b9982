"""Making a dataset: the same bytes however it is made, nothing finished is lost, and folders are respected."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from roomgen.datasets.family import shards_of
from roomgen.errors import DatasetError, RoomgenError
from roomgen.run.generate import generate
from tests.conftest import tiny_settings


def bytes_of(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_same_bytes_for_no_one_and_two_workers(made_once, tmp_path):
    expected = bytes_of(made_once)
    assert len(expected) == 3 + 3 * 5
    for workers in (1, 2):
        generate(tiny_settings(), tmp_path / str(workers), workers=workers, progress=False)
        assert bytes_of(tmp_path / str(workers)) == expected


def test_the_same_bytes_where_workers_write_their_own_shards(tmp_path):
    settings = tiny_settings(shard_size=1)  # 18 shards: enough for each of two to have some of its own
    for workers in (0, 2):
        generate(settings, tmp_path / str(workers), workers=workers, progress=False)
    assert bytes_of(tmp_path / "2") == bytes_of(tmp_path / "0")


@pytest.mark.parametrize("damage", ["remove", "zero"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_tar_that_is_damaged_while_others_are_made_is_not_complete(made_once, tmp_path, monkeypatch, damage, workers):
    from roomgen.run import generate as generating

    write_shards, tar = generating.write_shards, tmp_path / "out" / "data" / "train-000000.tar"

    def damaged_after_the_first(*args, **more):
        marks = write_shards(*args, **more)
        yield next(marks)
        if damage == "remove":
            tar.unlink()
        else:
            tar.write_bytes(bytes(tar.stat().st_size))
        yield from marks

    monkeypatch.setattr(generating, "write_shards", damaged_after_the_first)
    words = {"remove": "is missing", "zero": "holds other bytes than were written"}[damage]
    with pytest.raises(DatasetError, match=rf"train-000000.tar {words}.*Delete train-000000.json"):
        generate(tiny_settings(), tmp_path / "out", workers=workers, progress=False)
    assert not json.loads((tmp_path / "out" / "dataset.json").read_text())["complete"]
    assert not (tmp_path / "out" / "manifest.parquet").exists()
    monkeypatch.undo()
    (tmp_path / "out" / "data" / "train-000000.json").unlink()
    generate(tiny_settings(), tmp_path / "out", workers=0, progress=False)
    assert bytes_of(tmp_path / "out") == bytes_of(made_once)


def test_the_first_split_has_eight_shards_unless_a_size_is_asked_for(tmp_path):
    def counts(sizes, shard_size=None):
        return Counter(shard.split for shard in shards_of(sizes, shard_size))

    for first in (128, 129, 137, 880, 1000, 7999, 8000):
        shards = shards_of({"train": first, "val": 110}, None)
        train = [shard.count for shard in shards if shard.split == "train"]
        assert sum(train) == first
        assert len(train) == 8
        assert counts({"train": first, "val": 110})["val"] >= 1
    assert counts({"train": 127}) == {"train": 1}  # each would have fewer than 16
    assert counts({"train": 50_000}) == {"train": 50}
    assert counts({"train": 880}, 1000) == {"train": 1}
    assert counts({"train": 880}, 100) == {"train": 9}
    assert tiny_settings(shard_size=None).shard_size is None


def test_a_finished_dataset_is_left_as_it_is(tiny):
    before = {path: path.stat().st_mtime_ns for path in (tiny / "data").iterdir()}
    summary = generate(tiny_settings(), tiny, workers=0, progress=False)
    assert summary["made"] == 0
    assert {path: path.stat().st_mtime_ns for path in (tiny / "data").iterdir()} == before


def test_only_missing_shards_are_made_again(tiny, made_once):
    for name in ("val-000000.json", "train-000001.json"):
        (tiny / "data" / name).unlink()
    kept = (tiny / "data" / "test-000000.tar").stat().st_mtime_ns
    summary = generate(tiny_settings(), tiny, workers=0, progress=False)
    assert summary["made"] == 5 + 4
    assert (tiny / "data" / "test-000000.tar").stat().st_mtime_ns == kept
    assert bytes_of(tiny) == bytes_of(made_once)


COMMAND = [
    *(sys.executable, "-m", "roomgen.cli", "rooms", "--n", "60", "--rirs-per-room", "5", "--duration", "0.4", "--shard-size", "20"),
    *("--splits", "train=1"),
]


def start(out, *arguments, **more):
    return subprocess.Popen(
        [*COMMAND, "--out", str(out), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def wait_for_shards(root, count, process):
    deadline = time.monotonic() + 120
    while len(list((root / "data").glob("train-*.json"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_after_kill_minus_9_the_same_command_goes_on_to_the_same_bytes(tmp_path):
    process = start(tmp_path / "killed")
    wait_for_shards(tmp_path / "killed", 2, process)
    process.kill()
    process.communicate()
    finished = {p.stem: p.stat().st_mtime_ns for p in (tmp_path / "killed" / "data").glob("train-*.json")}
    tars = {stem: (tmp_path / "killed" / "data" / f"{stem}.tar").stat().st_mtime_ns for stem in finished}
    assert 2 <= len(finished) < 15
    again = start(tmp_path / "killed")
    assert again.wait(timeout=300) == 0, again.stderr.read()
    for stem, changed in tars.items():
        assert (tmp_path / "killed" / "data" / f"{stem}.tar").stat().st_mtime_ns == changed
    whole = start(tmp_path / "whole")
    assert whole.wait(timeout=300) == 0
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_interrupt_ends_soon_keeps_shards_and_says_so(tmp_path):
    process = start(tmp_path / "out", "--n", "20000", start_new_session=True)  # not to be done before it is interrupted
    wait_for_shards(tmp_path / "out", 1, process)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to the whole group
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted. Finished shards are kept" in errors
    assert "Traceback" not in errors
    assert list((tmp_path / "out" / "data").glob("train-*.json"))
    assert not list((tmp_path / "out").rglob(".roomgen-tmp-*"))


def test_other_settings_in_the_same_folder_are_refused_by_name(tiny, made_once):
    with pytest.raises(RoomgenError, match=r"seed: 0 → 3; signal.fs_hz: 16000 → 8000"):
        generate(tiny_settings(seed=3, signal__fs_hz=8000), tiny, workers=0, progress=False)
    assert bytes_of(tiny) == bytes_of(made_once)


def test_overwrite_replaces_the_dataset_and_nothing_else(tiny):
    (tiny / "notes.txt").write_text("mine")
    generate(tiny_settings(seed=3), tiny, workers=0, overwrite=True, progress=False)
    assert json.loads((tiny / "dataset.json").read_text())["settings"]["seed"] == 3
    assert (tiny / "notes.txt").read_text() == "mine"


def test_a_folder_that_holds_something_else_is_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    for overwrite in (False, True):
        with pytest.raises(RoomgenError, match="not a dataset of roomgen"):
            generate(tiny_settings(), tmp_path, workers=0, overwrite=overwrite, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(RoomgenError, match="is a file"):
        generate(tiny_settings(), tmp_path / "out", workers=0, progress=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_one_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RoomgenError, match="no permission"):
        generate(tiny_settings(), tmp_path / "out", workers=0, progress=False)


@pytest.mark.parametrize(("code", "words"), [(28, "disk is full"), (30, "read-only"), (13, "no permission")])
def test_a_disk_that_refuses_is_one_clear_error_and_keeps_what_is_finished(tmp_path, monkeypatch, code, words):
    from roomgen.store import shard

    add, calls = shard.ShardWriter.add, []

    def add_until_full(self, sample):
        calls.append(sample.key)
        if len(calls) > 7:
            monkeypatch.setattr(self._tar, "addfile", refuse)
        add(self, sample)

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(shard.ShardWriter, "add", add_until_full)
    with pytest.raises(RoomgenError, match=f"{words}.*Finished shards are kept") as error:
        generate(tiny_settings(), tmp_path / "out", workers=0, progress=False)
    assert error.value.exit_code == 1
    assert [p.name for p in sorted((tmp_path / "out" / "data").iterdir())] == [
        f"train-000000.{e}" for e in ("json", "parquet", "tar")
    ]
    monkeypatch.undo()
    assert generate(tiny_settings(), tmp_path / "out", workers=0, progress=False)["made"] == 13


def test_a_real_limit_on_file_size_is_a_clear_error(tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    process = subprocess.run(
        [*COMMAND, "--out", str(tmp_path / "out"), "--workers", "0"], capture_output=True, text=True, preexec_fn=limit, check=False
    )
    assert process.returncode == 1
    assert "cannot write" in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("ending", ["tar", "parquet"])
@pytest.mark.parametrize("damage", ["cut", "remove"])
def test_a_finished_shard_that_was_damaged_is_named_and_the_remedy_works(tiny, made_once, ending, damage):
    path = tiny / "data" / f"train-000001.{ending}"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-7])
    else:
        path.unlink()
    with pytest.raises(DatasetError, match=rf"train-000001.{ending} .*Delete train-000001.json"):
        generate(tiny_settings(), tiny, workers=0, progress=False)
    (tiny / "data" / "train-000001.json").unlink()
    generate(tiny_settings(), tiny, workers=0, progress=False)
    assert bytes_of(tiny) == bytes_of(made_once)


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    process = start(tmp_path / "out", "--n", "2000")
    wait_for_shards(tmp_path / "out", 1, process)
    second = subprocess.run([*COMMAND, "--out", str(tmp_path / "out"), "--n", "2000"], capture_output=True, text=True, check=False)
    process.kill()
    process.communicate()
    assert second.returncode == 1
    assert "another roomgen is writing" in second.stderr
