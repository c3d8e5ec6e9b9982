"""Any folder as a corpus, and what all corpora promise."""

import os
import re

import numpy as np
import pytest
import soundfile

from roomgen.corpora import catalog_text, open_corpus
from roomgen.corpora.base import BrokenFile
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate


def write(path, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full((800, channels), 0.1), 8000)


def test_the_first_folder_is_the_class_and_every_file_its_own_group(tmp_path):
    for name in ("rain/heavy/a.b.wav", "rain/c.flac", "top.ogg", ".cache/x.wav", "rain/.hidden.wav", "a b/ü.wav", "a-b/o.wav"):
        write(tmp_path / name)
    (tmp_path / "rain/notes.txt").write_text("no audio")
    clips = open_corpus("folder", tmp_path).clips()
    assert [(c.name, c.path, c.class_name, c.group) for c in clips] == [
        ("a-b", "a b/ü.wav", "a b", ""),
        ("a-b-o", "a-b/o.wav", "a-b", ""),
        ("rain-c", "rain/c.flac", "rain", ""),
        ("rain-heavy-a-b", "rain/heavy/a.b.wav", "rain", ""),
        ("top", "top.ogg", "", ""),
    ]


def test_names_stay_unique_and_plain(tmp_path):
    for name in ("x/y.wav", "x-y.wav", "x y.wav", "x/y.flac", "x-y-2.wav"):
        write(tmp_path / name)
    names = [c.name for c in open_corpus("folder", tmp_path).clips()]
    assert len(set(names)) == 5
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names)


def test_several_channels_are_kept(tmp_path):
    write(tmp_path / "two.wav", channels=2)
    corpus = open_corpus("folder", tmp_path)
    (clip,) = corpus.clips()
    assert corpus.probe(clip) == (8000, 2, 800)
    assert corpus.read(clip).audio.shape == (2, 800)


def test_damaged_empty_and_leading_out_are_broken(tmp_path):
    root = tmp_path / "corpus"
    write(root / "good.wav")
    write(tmp_path / "outside.wav")
    (root / "noise.wav").write_bytes(b"RIFF....WAVEjunk")
    soundfile.write(root / "empty.wav", np.zeros((0, 1)), 8000)
    os.symlink(tmp_path / "outside.wav", root / "link.wav")
    corpus = open_corpus("folder", root)
    reasons = {}
    for clip in corpus.clips():
        try:
            corpus.probe(clip)
        except BrokenFile as error:
            reasons[error.name] = error.reason
    assert reasons.keys() == {"noise.wav", "empty.wav", "link.wav"}
    assert "leads out" in reasons["link.wav"]
    assert "no samples" in reasons["empty.wav"]


def test_the_fingerprint_follows_names_and_sizes(tmp_path):
    write(tmp_path / "a/x.wav")
    corpus = open_corpus("folder", tmp_path)
    before = corpus.fingerprint()
    os.utime(tmp_path / "a/x.wav", (0, 0))
    assert corpus.fingerprint() == before
    write(tmp_path / "a/y.wav")
    added = corpus.fingerprint()
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({before, added, corpus.fingerprint()}) == 3


@pytest.mark.parametrize("at", [60, -60])
def test_the_fingerprint_follows_head_and_tail_of_files_of_one_size(tmp_path, at):
    soundfile.write(tmp_path / "x.wav", np.zeros(80_000), 8000)
    corpus = open_corpus("folder", tmp_path)
    before, content = corpus.fingerprint(), bytearray((tmp_path / "x.wav").read_bytes())
    content[at] ^= 1
    (tmp_path / "x.wav").write_bytes(content)
    assert corpus.fingerprint() != before
    os.mkfifo(tmp_path / "pipe.wav")  # is no file, and nobody waits for it
    corpus.fingerprint()


def test_a_corpus_changed_between_kill_and_resume_is_noticed(tmp_path):
    for i in range(4):
        soundfile.write(tmp_path / f"{i}.wav", np.full(4000, 0.1 + 0.1 * i), 8000)
    settings, inputs = sources_settings("folder", tmp_path, {"splits.shares": {"train": 1.0}, "shard_size": 1})
    out = tmp_path / "out"
    generate(settings, out, workers=0, progress=False, inputs=inputs)
    (out / "data" / "train-000003.json").unlink()  # as if killed before its last shard
    soundfile.write(tmp_path / "2.wav", np.full(4000, 0.35), 8000)  # of the same size
    with pytest.raises(RoomgenError, match="the corpus folder has changed since the dataset was begun"):
        generate(settings, out, workers=0, progress=False, inputs=inputs)


def test_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(RoomgenError, match="no audio files"):
        open_corpus("folder", tmp_path).clips()


@pytest.mark.parametrize(
    "name", ["librispeech", "fsdnoisy18k", "esc50", "esc10", "tau2022", "soundspaces-speech", "avspeech", "espeak"]
)
def test_the_catalog_says_where_a_corpus_comes_from_and_how_it_looks(name):
    try:
        text = catalog_text()
    except ModuleNotFoundError as error:
        pytest.skip(f"not all readers are there yet: {error.name}")
    (paragraph,) = [p for p in text.split("\n\n") if p.startswith(f"{name}:")]
    assert re.search(r"licence +\w", paragraph)
    assert re.search(r"size +\w", paragraph)
    assert "http" in paragraph or "embedded" in paragraph
