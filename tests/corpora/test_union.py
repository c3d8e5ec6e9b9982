"""Several corpora as one: what each recording is called, who is one and the same, and which corpora cannot be together."""

import numpy as np
import pytest
import soundfile

from roomgen.corpora import open_corpora, open_corpus
from roomgen.corpora.base import BrokenFile
from roomgen.corpora.union import labels, sorted_union
from roomgen.errors import RoomgenError


def write(path, value=0.1, seconds=0.5):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(round(seconds * 16000), value), 16000)


@pytest.fixture
def roots(tmp_path):
    """Two folders of LibriSpeech that share speaker 84, and one of recordings that has a file of the same name."""
    write(tmp_path / "one/dev-clean/84/1/84-1-0000.flac", 0.1)
    write(tmp_path / "two/dev-clean/84/1/84-1-0000.flac", 0.2)
    write(tmp_path / "two/dev-clean/85/1/85-1-0000.flac", 0.3)
    write(tmp_path / "mine/84-1-0000.wav", 0.4)
    return [tmp_path / name for name in ("one", "mine", "two")]


NAME = "librispeech+folder+librispeech"


def test_recordings_are_named_after_their_member_and_speakers_after_their_corpus(roots):
    corpus = open_corpora(NAME, roots)
    clips = corpus.clips()
    assert [(c.name, c.path, c.speaker, c.group) for c in clips] == [
        ("folder-84-1-0000", "folder/84-1-0000.wav", "", ""),
        ("librispeech-2-84-1-0000", "librispeech-2/dev-clean/84/1/84-1-0000.flac", "librispeech/84", "librispeech/84"),
        ("librispeech-2-85-1-0000", "librispeech-2/dev-clean/85/1/85-1-0000.flac", "librispeech/85", "librispeech/85"),
        ("librispeech-84-1-0000", "librispeech/dev-clean/84/1/84-1-0000.flac", "librispeech/84", "librispeech/84"),
    ]
    assert [float(corpus.read(c).audio[0, 0].round(3)) for c in clips] == pytest.approx([0.4, 0.2, 0.3, 0.1], abs=1e-3)
    assert [corpus.probe(c) for c in clips] == [(16000, 1, 8000)] * 4


def test_the_fingerprint_is_that_of_each_member(roots):
    expected = [
        open_corpus(name, root).fingerprint() for name, root in zip(("folder", "librispeech"), (roots[1], roots[0]), strict=True)
    ]
    assert open_corpora("librispeech+folder", roots[:2]).fingerprint() == "+".join(expected)


def test_names_stay_unique_where_a_label_and_a_name_together_are_another_s(roots):
    write(roots[1] / "x.wav")
    write(roots[2] / "other" / "x.wav")
    write(roots[1] / "2-x.wav")  # "folder" and "2-x" as "folder-2" and "x"
    clips = open_corpora("folder+folder", (roots[1], roots[2] / "other")).clips()
    assert len({c.name for c in clips}) == len(clips) == 4


def test_a_broken_file_is_named_as_in_the_union(roots):
    corpus = open_corpora(NAME, roots)
    clip = corpus.clips()[1]
    (roots[2] / "dev-clean/84/1/84-1-0000.flac").write_bytes(b"no audio")
    for ask in (corpus.probe, corpus.read):
        with pytest.raises(BrokenFile, match=r"^librispeech-2/dev-clean/84/1/84-1-0000.flac: not readable"):
            ask(clip)


def test_members_are_sorted_by_name_and_those_of_one_corpus_keep_their_order(roots):
    name, folders = sorted_union(NAME, roots)
    assert name == "folder+librispeech+librispeech"
    assert folders == (roots[1], roots[0], roots[2])
    assert labels(name) == ["folder", "librispeech", "librispeech-2"]


@pytest.mark.parametrize(
    ("name", "folders", "message"),
    [
        ("librispeech+folder", ("one",), r"takes 2 folders, and --root gives 1: name a corpus for each folder"),
        ("librispeech", ("one", "two"), r"takes 1 folder, and --root gives 2"),
        ("librispeech+librispeech", ("one", "one"), r"--root .*one is the same folder as"),
        ("librispeech+folder", ("one", "one/dev-clean"), r"--root .*dev-clean lies in --root"),
        ("librispeech+nothing", ("one", "two"), r"unknown corpus 'nothing'"),
        ("librispeech+espeak", ("one", "two"), r"espeak is embedded in roomgen and has no folder: leave it out"),
        ("librispeech+avspeech", ("one", "two"), r"some of these corpora have pictures and others have none"),
        ("librispeech+folder", ("one", "nowhere"), r"nowhere is not a folder"),
    ],
)
def test_what_cannot_be_together_is_one_error(roots, name, folders, message):
    with pytest.raises(RoomgenError, match=message) as caught:
        open_corpora(name, [roots[0].parent / folder for folder in folders])
    assert "\n" not in str(caught.value)
