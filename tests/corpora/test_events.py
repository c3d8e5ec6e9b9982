"""Corpora of sound events: FSDnoisy18k, ESC-50 and ESC-10."""

from collections import Counter

import numpy as np
import pytest
import soundfile

from roomgen.corpora import open_corpus
from roomgen.corpora.base import BrokenFile
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate


def write(path, seconds=0.2):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.2 * np.sin(np.arange(int(seconds * 44100)) / 20), 44100)


@pytest.fixture
def fsd(tmp_path):
    root = tmp_path / "fsd"
    for name in ("train/17.wav", "train/243.wav", "train/1001.wav", "test/564.wav"):
        write(root / f"FSDnoisy18k.audio_{name}")
    meta = root / "FSDnoisy18k.meta"
    meta.mkdir()
    (meta / "train.csv").write_text(
        "fname,label,aso_id,manually_verified,noisy_small\n"
        "17.wav,Walk_or_footsteps,/m/07pbtc8,0,0\n"
        "243.wav,Acoustic_guitar,/m/042v_gx,1,0\n"
        "1001.wav,Rain,/m/06mb1,0,1\n"
    )
    (meta / "test.csv").write_text("fname,label,aso_id\n564.wav,Walk_or_footsteps,/m/07pbtc8")
    return root


def test_fsdnoisy18k_has_a_noisy_a_clean_and_a_test_part(fsd):
    corpus = open_corpus("fsdnoisy18k", fsd)
    assert [(c.name, c.class_name, c.subset) for c in corpus.clips()] == [
        ("1001", "Rain", "noisy"),
        ("17", "Walk_or_footsteps", "noisy"),
        ("243", "Acoustic_guitar", "clean"),
        ("564", "Walk_or_footsteps", "test"),
    ]
    assert {corpus.probe(c) for c in corpus.clips()} == {(44100, 1, 8820)}


def test_a_file_that_only_a_table_knows_is_broken(fsd):
    (fsd / "FSDnoisy18k.audio_train/17.wav").unlink()
    corpus = open_corpus("fsdnoisy18k", fsd)
    with pytest.raises(BrokenFile, match=r"17\.wav: no such file"):
        corpus.probe(corpus.clips()[1])
    settings, inputs = sources_settings("fsdnoisy18k", fsd, {})
    summary = generate(settings, fsd.parent / "out", workers=0, progress=False, inputs=inputs, max_broken=0.5)
    assert summary["samples"] == 3
    assert [name for name, _ in summary["broken_files"]] == ["FSDnoisy18k.audio_train/17.wav"]


@pytest.mark.parametrize("name", ["../../secret.wav", "/etc/hostname", "x" * 300 + ".wav"])
def test_a_table_cannot_lead_out_of_the_folder(fsd, name):
    write(fsd.parent / "secret.wav")
    (fsd / "FSDnoisy18k.meta/test.csv").write_text(f"fname,label,aso_id\n{name},Rain,/m/06mb1\n")
    corpus = open_corpus("fsdnoisy18k", fsd)
    clip = next(c for c in corpus.clips() if c.subset == "test")
    for act in (corpus.probe, corpus.read):
        with pytest.raises(BrokenFile, match=r"leads out|no such file"):
            act(clip)
    assert len(corpus.fingerprint()) == 16


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (b"fname,label\n17.wav,Rain\n", "no column manually_verified"),
        (b"fname,label,aso_id,manually_verified,noisy_small\n17.wav,,x,1,0\n", "line 2 of .* has no label"),
        (b"fname,label\n\xff\xfe", "not a text file"),
        (b"fname,label\0", "not a text file"),
        (b"", "no column fname, label"),
    ],
)
def test_a_table_that_is_none_is_said_to_be_so(fsd, table, problem):
    (fsd / "FSDnoisy18k.meta/train.csv").write_bytes(table)
    with pytest.raises(RoomgenError, match=problem):
        open_corpus("fsdnoisy18k", fsd).clips()


@pytest.fixture
def esc50(tmp_path):
    root = tmp_path / "ESC-50"
    rows = [
        ("1-100032-A-0.wav", 1, 0, "dog", True),
        ("1-100032-B-0.wav", 1, 0, "dog", True),
        ("5-9032-A-0.wav", 5, 11, "sea_waves", True),
    ]
    rows.append(("2-100038-A-14.wav", 2, 14, "chirping_birds", False))
    (root / "meta").mkdir(parents=True)
    lines = [f"{f},{fold},{t},{c},{ten},{f.split('-')[1]},{f.split('-')[2]}" for f, fold, t, c, ten in rows]
    (root / "meta/esc50.csv").write_text("filename,fold,target,category,esc10,src_file,take\n" + "\n".join(lines) + "\n")
    for row in rows:
        write(root / "audio" / row[0])
    return root


def test_esc50_groups_by_the_recording_a_clip_was_cut_from(esc50):
    clips = open_corpus("esc50", esc50).clips()
    assert [(c.name, c.class_name, c.fold, c.group, c.licence) for c in clips] == [
        ("1-100032-A-0", "dog", 1, "100032", "CC BY 3.0"),
        ("1-100032-B-0", "dog", 1, "100032", "CC BY 3.0"),
        ("2-100038-A-14", "chirping_birds", 2, "100038", "CC BY-NC 3.0"),
        ("5-9032-A-0", "sea_waves", 5, "9032", "CC BY 3.0"),
    ]
    assert [c.name for c in open_corpus("esc10", esc50).clips()] == ["1-100032-A-0", "1-100032-B-0", "5-9032-A-0"]


def test_esc10_from_its_class_folders_names_classes_as_esc50_does(tmp_path):
    write(tmp_path / "003 - Sea waves/5-9032-A.ogg")
    write(tmp_path / "001 - Dog bark/1-100032-A.ogg")
    write(tmp_path / "notes/other.ogg")
    assert [(c.name, c.class_name, c.fold, c.group) for c in open_corpus("esc10", tmp_path).clips()] == [
        ("1-100032-A", "dog", 1, "100032"),
        ("5-9032-A", "sea_waves", 5, "9032"),
    ]


def test_the_real_esc10(shared_data):
    corpus = open_corpus("esc10", shared_data / "ESC-10")
    clips = corpus.clips()
    assert len({c.name for c in clips}) == 400
    assert set(Counter(c.class_name for c in clips).values()) == {40}
    assert Counter(c.fold for c in clips) == Counter(dict.fromkeys(range(1, 6), 80))
    assert {c.licence for c in clips} == {"CC0", "CC-BY", "CC-Sampling+"}
    folds = {}
    for clip in clips:
        assert folds.setdefault(clip.group, clip.fold) == clip.fold  # a recording is in one fold
    recording = corpus.read(clips[0])
    assert (recording.fs_hz, *recording.audio.shape) == corpus.probe(clips[0])
    assert 4.9 < recording.audio.shape[1] / 44100 < 5.1


@pytest.mark.parametrize("name", ["fsdnoisy18k", "esc50", "esc10", "librispeech", "tau2022", "soundspaces-speech", "avspeech"])
def test_another_folder_is_refused_with_the_layout_and_the_address(name, tmp_path):
    write(tmp_path / "some/sound.wav")
    corpus = open_corpus(name, tmp_path)
    with pytest.raises(RoomgenError, match=r"It should look like this: .* It comes from http"):
        corpus.clips()
    with pytest.raises(RoomgenError, match="needs --root"):
        open_corpus(name, None)
