"""Corpora of speech: LibriSpeech, speechocean762, SoundSpaces-Speech, Acoustic AVSpeech and espeak-ng."""

import ctypes
import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile
from PIL import Image

from roomgen.corpora import open_corpus
from roomgen.corpora.base import BrokenFile
from roomgen.corpora.plain_pickle import NotPlain, load_plain
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate

RNG = np.random.default_rng(7)


def tone(seconds=0.5, fs_hz=16000):
    return (0.3 * np.sin(2 * np.pi * 200 * np.arange(int(seconds * fs_hz)) / fs_hz)).astype(np.float32)


def write(path, audio, fs_hz=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, fs_hz)


@pytest.fixture
def libri(tmp_path):
    root = tmp_path / "LibriSpeech"
    for name in (
        "dev-clean/84/121123/84-121123-0000",
        "dev-clean/84/121123/84-121123-0001",
        "test-other/367/130732/367-130732-0000",
    ):
        write(root / f"{name}.flac", tone())
    (root / "dev-clean/84/121123/84-121123.trans.txt").write_text("84-121123-0000 GO DO YOU HEAR\n84-121123-0001 BUT IN LESS\n")
    (root / "SPEAKERS.TXT").write_text(
        ";ID |SEX| SUBSET |MINUTES| NAME\n84 | F | dev-clean | 8.02 | A\n367  | M | test-other | 8 | B | C\n"
    )
    return root


def test_librispeech_knows_speaker_sex_text_and_subset_from_its_folder_or_the_one_above(libri):
    here, above = open_corpus("librispeech", libri).clips(), open_corpus("librispeech", libri.parent).clips()
    assert [c.name for c in here] == [c.name for c in above] == ["367-130732-0000", "84-121123-0000", "84-121123-0001"]
    assert [(c.speaker, c.sex, c.group, c.subset, c.text) for c in here[:2]] == [
        ("367", "M", "367", "test-other", ""),
        ("84", "F", "84", "dev-clean", "GO DO YOU HEAR"),
    ]
    assert open_corpus("librispeech", libri.parent).probe(above[0]) == (16000, 1, 8000)
    assert np.abs(open_corpus("librispeech", libri).read(here[0]).audio[0] - tone()).max() < 1e-4


def test_an_utterance_with_a_text_and_no_audio_is_broken_not_forgotten(libri):
    (libri / "dev-clean/84/121123/84-121123-0001.flac").unlink()
    corpus = open_corpus("librispeech", libri)
    lost = corpus.clips()[-1]
    assert lost.text == "BUT IN LESS"
    with pytest.raises(BrokenFile, match="no such file"):
        corpus.probe(lost)


def test_librispeech_lists_what_is_there_of_the_real_one(shared_data):
    corpus = open_corpus("librispeech", shared_data / "LibriSpeech")
    clips = corpus.clips()
    assert Counter(c.subset for c in clips) == Counter({"train-clean-100": 211, "test-other": 80})
    assert len({c.speaker for c in clips}) == 219
    assert {c.sex for c in clips} == {"F", "M"}
    seconds = [corpus.probe(c)[2] / 16000 for c in clips]
    assert 50 < sum(seconds) / 60 < 60
    assert corpus.read(clips[0]).audio.shape == (1, corpus.probe(clips[0])[2])


@pytest.fixture
def joined(tmp_path):
    """speechocean762 with the short utterances of each speaker joined: two speakers, three files."""
    root = tmp_path / "joined"
    rows = [
        ("spk0024", "spk0024-000.flac", "0.5", "f", "25.0", "IT WAS GOOD FOR ME | WHAT HE WAS TALKING ABOUT"),
        ("spk0024", "spk0024-001.flac", "0.5", "f", "25.0", "LOVELY"),
        ("spk0036", "spk0036-000.flac", "0.5", "m", "20.0", ""),
    ]
    for speaker, file, *_ in rows:
        write(root / speaker / file, tone())
    lines = ["\t".join(row) for row in (("speaker", "file", "seconds", "sex", "age", "text"), *rows)]
    (root / "utterances.tsv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def released(tmp_path):
    """speechocean762 as it was released: one speaker for training, one for testing."""
    root = tmp_path / "released"
    for part, speaker, sex in (("train", "0001", "m"), ("test", "0003", "f")):
        names = [f"0{speaker}0011", f"0{speaker}0035"]
        (root / part).mkdir(parents=True)
        for name in names:
            write(root / "WAVE" / f"SPEAKER{speaker}" / f"{name}.WAV", tone())
        scp = "".join(f"{name}\tWAVE/SPEAKER{speaker}/{name}.WAV\n" for name in names)
        (root / part / "wav.scp").write_text(scp)
        (root / part / "text").write_text(f"{names[0]}\tWE CALL IT BEAR\n")
        (root / part / "spk2gender").write_text(f"{speaker} {sex}\n")
    return root


def test_speechocean762_knows_speaker_sex_and_text_of_joined_utterances(joined):
    corpus = open_corpus("speechocean762", joined)
    clips = corpus.clips()
    assert [(c.name, c.speaker, c.group, c.sex, c.text) for c in clips] == [
        ("spk0024-000", "spk0024", "spk0024", "F", "IT WAS GOOD FOR ME WHAT HE WAS TALKING ABOUT"),
        ("spk0024-001", "spk0024", "spk0024", "F", "LOVELY"),
        ("spk0036-000", "spk0036", "spk0036", "M", ""),
    ]
    assert corpus.probe(clips[0]) == (16000, 1, 8000)
    assert np.abs(corpus.read(clips[2]).audio[0] - tone()).max() < 1e-4


def test_speechocean762_is_read_as_released_with_its_two_parts(released):
    corpus = open_corpus("speechocean762", released)
    clips = corpus.clips()
    assert [(c.name, c.speaker, c.group, c.sex, c.subset, c.text) for c in clips] == [
        ("000010011", "0001", "0001", "M", "train", "WE CALL IT BEAR"),
        ("000010035", "0001", "0001", "M", "train", ""),
        ("000030011", "0003", "0003", "F", "test", "WE CALL IT BEAR"),
        ("000030035", "0003", "0003", "F", "test", ""),
    ]
    assert [corpus.probe(c) for c in clips] == [(16000, 1, 8000)] * 4


@pytest.mark.parametrize("layout", ["joined", "released"])
def test_an_utterance_that_is_listed_and_has_no_audio_is_broken_not_forgotten(layout, request):
    corpus = open_corpus("speechocean762", request.getfixturevalue(layout))
    clips = corpus.clips()
    (corpus.folder / clips[1].path).unlink()
    assert corpus.clips() == clips
    with pytest.raises(BrokenFile, match="no such file"):
        corpus.probe(clips[1])


def test_a_table_that_names_files_outside_its_folder_reads_none_of_them(joined):
    write(joined.parent / "secret.flac", tone())
    (joined / "utterances.tsv").write_text("speaker\tfile\nspk0024\t../../secret.flac\n")
    corpus = open_corpus("speechocean762", joined)
    with pytest.raises(BrokenFile, match="leads out"):
        corpus.read(corpus.clips()[0])


@pytest.mark.parametrize("table", [None, "speaker\tfile\n", "speaker\tseconds\nspk0024\t1\n", "speaker\tfile\nspk0024\t\n"])
def test_a_folder_that_is_not_speechocean762_is_one_error_that_shows_its_layout(tmp_path, table):
    if table is not None:
        (tmp_path / "utterances.tsv").write_text(table)
    with pytest.raises(RoomgenError, match=r"is not speechocean762: .* It should look like this: WAVE/SPEAKER0001") as caught:
        open_corpus("speechocean762", tmp_path).clips()
    assert "\n" not in str(caught.value)


def test_speechocean762_lists_all_of_the_real_one(shared_data):
    root = shared_data / "speechocean762"
    if not root.is_dir():
        pytest.skip(f"no speechocean762 in {shared_data}")
    corpus = open_corpus("speechocean762", root)
    clips = corpus.clips()
    assert (len(clips), len({c.speaker for c in clips})) == (610, 128)
    assert Counter(c.sex for c in clips) == Counter({"F": 346, "M": 264})
    assert all(c.text for c in clips)
    assert 1.7 < sum(corpus.probe(c)[2] for c in clips) / 16000 / 3600 < 1.8


def test_a_dataset_of_librispeech_never_divides_a_speaker(shared_data, tmp_path):
    overrides = {"segment_s": 4.0, "short": "drop", "per_clip": 1, "max_samples": {"train": 12, "val": 4, "test": 4}}
    settings, inputs = sources_settings("librispeech", shared_data / "LibriSpeech", overrides)
    generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs)
    rows = table(tmp_path / "out")
    assert len(rows) == 20
    assert not rows.groupby("speaker").split.nunique().gt(1).any()
    assert set(rows.sex) == {"F", "M"}
    assert (rows.n_samples == 64000).all()


def table(root):
    import pandas as pd

    return pd.read_parquet(root / "manifest.parquet")


def scene(**changes):
    contents = {
        "source_audio": RNG.standard_normal(4000).astype(np.float32) * 0.1,
        "receiver_audio": RNG.standard_normal(4800) * 0.1,
        "rir": np.eye(1, 900)[0].astype(np.float32),
        "rgb": [np.full((32, 24, 3), shade, np.uint8) for shade in (10, 120, 240)],
        "depth": [np.ones((32, 24), np.float32)] * 3,
        "semantic": [np.full((32, 24), 41, np.int32)] * 3,
    }
    return contents | changes


def test_texts_that_are_pipes_or_endless_are_as_none_and_nobody_waits_for_them(libri):
    texts = libri / "dev-clean/84/121123/84-121123.trans.txt"
    texts.unlink()
    os.mkfifo(texts)
    with open(libri / "SPEAKERS.TXT", "wb") as file:
        file.truncate(1 << 40)
    clips = open_corpus("librispeech", libri).clips()
    assert len(clips) == 3
    assert {(clip.text, clip.sex) for clip in clips} == {("", "")}


@pytest.fixture
def soundspaces(tmp_path):
    root = tmp_path / "soundspaces_speech"
    names = (
        "train/17DRP5sb8fy/84-121123-0000",
        "train/17DRP5sb8fy/367-1-0001",
        "val-mini/2azQ1b91cZZ/84-1-0",
        "test-unseen/x/5-1-0",
    )
    for name in names:
        path = root / f"{name}.pkl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(scene()))
    return root


def test_soundspaces_gives_speech_as_heard_and_the_panorama(soundspaces):
    corpus = open_corpus("soundspaces-speech", soundspaces)
    clips = corpus.clips()
    assert {(c.subset, c.group, c.speaker) for c in clips} == {
        ("train", "17DRP5sb8fy", "84"),
        ("train", "17DRP5sb8fy", "367"),
        ("val", "2azQ1b91cZZ", "84"),
        ("test-unseen", "x", "5"),
    }
    stored = pickle.loads((soundspaces / clips[0].path).read_bytes())
    recording = corpus.read(clips[0])
    assert corpus.probe(clips[0]) == (16000, 1, 4800)
    assert recording.audio.dtype == np.float32
    assert np.array_equal(recording.audio[0], stored["receiver_audio"].astype(np.float32))
    assert np.array_equal(corpus.audio_of(clips[0], "source_audio")[0], stored["source_audio"])
    view = np.asarray(Image.open(io.BytesIO(recording.extras["view.jpg"])))
    assert view.shape == (32, 72, 3)
    assert [int(view[16, x].mean().round()) for x in (12, 36, 60)] == pytest.approx([10, 120, 240], abs=2)


def test_a_dataset_of_soundspaces_keeps_its_subsets_and_leaves_out_what_is_broken(soundspaces, tmp_path):
    (soundspaces / "train/17DRP5sb8fy/999-1-0.pkl").write_bytes(b"\x80\x04K")
    settings, inputs = sources_settings("soundspaces-speech", soundspaces, {})
    summary = generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs, max_broken=0.5)
    rows = table(tmp_path / "out")
    assert Counter(rows.split) == Counter({"train": 2, "val": 1, "test_unseen": 1})
    assert [name for name, _ in summary["broken_files"]] == ["train/17DRP5sb8fy/999-1-0.pkl"]


class Calls:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_are_read_as_pickle_reads_them(protocol):
    value = {
        "f": RNG.standard_normal((3, 4)),
        "fortran": np.asfortranarray(RNG.standard_normal((3, 4)).astype(np.float32)),
        "big": np.arange(6, dtype=">i2"),
        "flags": np.array([True, False]),
        "scalar": np.float64(0.5),
        "none": np.zeros((0, 3), np.uint8),
        "plain": [1, (2.5, "text", b"\x00\xff"), {3, 4}, None, True, 1j],
    }
    read = load_plain(pickle.dumps(value, protocol=protocol))
    assert list(read) == list(value)
    assert read["plain"] == value["plain"]
    for key in ("f", "fortran", "big", "flags", "scalar", "none"):
        np.testing.assert_array_equal(read[key], value[key])
        assert np.asarray(read[key]).dtype == np.asarray(value[key]).dtype.newbyteorder("=")


def test_pickles_of_numpy_1_are_read():
    array = np.arange(5, dtype=np.float32)
    old = pickle.dumps(array, protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in old
    np.testing.assert_array_equal(load_plain(old), array)


def bomb():
    value = [0] * 10
    for _ in range(15):
        value = [value] * 10
    return pickle.dumps(value)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Calls(eval, "open('ran', 'w').close()")),
        pickle.dumps({"rir": Calls(print, "ran")}),
        pickle.dumps(Calls(np.load, "file.npy")),
        pickle.dumps(np.array([Calls(print, "ran")], dtype=object)),
        pickle.dumps(np.array(["text"])),
        pickle.dumps(np.zeros(2, dtype=[("a", "f4")])),
        pickle.dumps(np.arange(9))[:-12],
        pickle.dumps(np.arange(9)).replace(b"K\x09\x85", b"K\x7f\x85"),
        b"cnumpy\nfromfile\n.",
        b"c__builtin__\nexec\n(S'1'\ntR.",
        b"Psomewhere\n.",
        b"c__builtin__\nbytes\n(I999999999999\ntR.",
        b"",
        bomb(),
    ],
)
def test_pickles_that_hold_or_do_more_are_refused(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotPlain):
        load_plain(data)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def named_often(what, times):
    """A pickle of a list that names one thing again and again: two bytes each."""
    (_, body) = pickle.dumps(what, protocol=2)[:-1].split(b"\x80\x02")
    return b"\x80\x02](" + body + b"q\xfe" + b"h\xfe" * times + b"e."


def nested_key(depth):
    """A dictionary whose key is a pair of one pair of one pair: its hash takes 2 ** depth steps."""
    return b"\x80\x04}" + b"K\x01" + b"2\x86" * depth + b"Ns."


COSTLY = {
    "bytes copied again and again": (
        b"\x80\x02](cbuiltins\nbytearray\nq\x00(B\x00\x08\x00\x00" + bytes(2048) + b"tq\x02R" + b"h\x00h\x02R" * 1500
    ),
    "text encoded again and again": (
        b"\x80\x02](c_codecs\nencode\nq\x00(X\x00\x08\x00\x00" + b"x" * 2048 + b"tq\x02R" + b"h\x00h\x02R" * 1500
    ),
    "bytes of many arrays": (
        b"\x80\x04](cnumpy._core.numeric\n_frombuffer\nq\x00(B\x00\x08\x00\x00"
        + bytes(2048)
        + b"cnumpy\ndtype\n(X\x02\x00\x00\x00u1tRM\x00\x08\x85X\x01\x00\x00\x00Ctq\x02R"
        + b"h\x00h\x02R" * 1500
    ),
    "sets of one list": b"\x80\x02](cbuiltins\nset\nq\x00(](" + b"K\x01" * 3000 + b"etq\x02R" + b"h\x00h\x02R" * 1500,
    "a list of lists of lists": bomb(),
    "more steps than any": named_often("x", 10_000),
    "a key of keys of keys": nested_key(60),
    "keys whose hashes collide": pickle.dumps({k * (2**61 - 1): 0 for k in range(100)}),
}


@pytest.mark.parametrize("what", COSTLY)
def test_a_pickle_that_asks_for_more_than_it_holds_is_refused_before_it_costs(what):
    data = COSTLY[what] if COSTLY[what].endswith(b".") else COSTLY[what] + b"e."
    tracemalloc.start()
    try:
        with pytest.raises(NotPlain, match=r"far more memory|names its values|instructions|a key that is|nested"):
            load_plain(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000 + 20 * len(data)


def test_an_array_named_a_thousand_times_is_one_array_and_a_memo_has_no_holes():
    tracemalloc.start()
    try:
        arrays = load_plain(named_often(np.zeros(100_000, np.uint8), 1000))
        assert load_plain(b"\x80\x04Nr\xff\xff\xff\x7f.") is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(arrays) == 1001
    assert len({id(array) for array in arrays}) == 1
    assert peak < 2_000_000


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (scene(receiver_audio=None), "receiver_audio"),
        (scene(receiver_audio=np.zeros((2, 5))), "receiver_audio"),
        (scene(rgb=[]), "panorama"),
        (scene(rgb=[np.zeros((3, 3, 3), np.uint8), np.zeros((4, 3, 3), np.uint8)]), "panorama"),
        (scene(rgb=[np.zeros((1000, 1000, 3), np.uint8)] * 100), "pictures of more than"),
        (scene(receiver_audio=np.array([0.1, np.nan])), "not finite"),
        ([1, 2], "dict"),
        (scene(rir=Calls(print, "ran")), "asks for builtins.print"),
    ],
)
def test_pickles_of_other_contents_are_broken(soundspaces, contents, reason):
    path = soundspaces / "test-unseen/x/5-1-0.pkl"
    path.write_bytes(pickle.dumps(contents))
    corpus = open_corpus("soundspaces-speech", soundspaces)
    clip = next(c for c in corpus.clips() if c.subset == "test-unseen")
    with pytest.raises(BrokenFile, match=reason):
        corpus.read(clip)


@pytest.fixture
def avspeech(tmp_path):
    root = tmp_path / "acoustic_avspeech"
    (root / "img").mkdir(parents=True)
    for i in range(40):
        write(root / f"audio/v{i:02d}.wav", tone())
        Image.new("RGB", (48, 27), (i, 100, 200)).save(root / f"img/v{i:02d}.png")
    return root


def test_avspeech_divides_its_sorted_list_and_has_a_view(avspeech):
    corpus = open_corpus("avspeech", avspeech)
    clips = corpus.clips()
    assert [c.subset for c in clips] == ["train"] * 38 + ["val"] + ["test-unseen"]
    assert [c.name for c in clips] == [f"v{i:02d}" for i in range(40)]
    view = np.asarray(Image.open(io.BytesIO(corpus.read(clips[30]).extras["view.jpg"])))
    assert view.shape == (27, 48, 3)
    assert view[13, 24] == pytest.approx([30, 100, 200], abs=3)


def test_another_picture_is_another_avspeech(avspeech):
    corpus = open_corpus("avspeech", avspeech)
    before = corpus.fingerprint()
    picture = avspeech / "img/v01.png"
    picture.write_bytes(picture.read_bytes()[:-1] + b"x")
    assert corpus.fingerprint() != before


def test_avspeech_with_a_missing_or_damaged_part_is_broken(avspeech):
    corpus = open_corpus("avspeech", avspeech)
    (avspeech / "audio/v00.wav").unlink()
    (avspeech / "img/v01.png").write_bytes((avspeech / "img/v01.png").read_bytes()[:60])
    clips = corpus.clips()
    with pytest.raises(BrokenFile, match="no such file"):
        corpus.probe(clips[0])
    with pytest.raises(BrokenFile, match="picture"):
        corpus.read(clips[1])
    Image.new("1", (9000, 9000)).save(avspeech / "img/v02.png")
    with pytest.raises(BrokenFile, match="has 9000 x 9000 pixels"):
        corpus.read(clips[2])


espeak = pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="espeak-ng is not installed (roomgen[tts])")

SPEAK = """
import sys, json, hashlib
from roomgen.corpora import open_corpus
corpus = open_corpus("espeak", None, seed=3, count=60)
clips = {clip.name: clip for clip in corpus.clips()}
print(json.dumps({name: hashlib.sha1(corpus.read(clips[name]).audio.tobytes()).hexdigest() for name in sys.argv[1:]}))
"""


@espeak
def test_espeak_speaks_the_same_whatever_it_spoke_before_and_in_any_process():
    corpus = open_corpus("espeak", None, seed=3, count=60)
    clips = corpus.clips()

    def spoken(clip):
        return hashlib.sha1(corpus.read(clip).audio.tobytes()).hexdigest()

    forwards = {clip.name: spoken(clip) for clip in clips}
    assert {clip.name: spoken(clip) for clip in reversed(clips)} == forwards
    assert len(set(forwards.values())) == 60
    for clip in (clips[40], clips[3]):
        alone = subprocess.run([sys.executable, "-c", SPEAK, clip.name], capture_output=True, text=True, check=True).stdout
        assert json.loads(alone) == {clip.name: forwards[clip.name]}


@espeak
def test_an_interrupt_while_espeak_speaks_is_an_interrupt_and_costs_no_speech(monkeypatch):
    from roomgen.corpora import espeak_library

    def interrupt(*_):
        raise KeyboardInterrupt

    corpus = open_corpus("espeak", None, seed=3, count=1)
    (clip,) = corpus.clips()
    whole, taken = corpus.read(clip).audio, ctypes.string_at

    sent = []

    def struck(*arguments):  # where the library hands samples over, once: any instruction there may be where a signal is noticed
        if not sent:
            sent.append(os.kill(os.getpid(), signal.SIGUSR1))
        return taken(*arguments)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(espeak_library.ctypes, "string_at", struck)
            with pytest.raises(KeyboardInterrupt):
                corpus.read(clip)
    finally:
        signal.signal(signal.SIGUSR1, before)
    again = corpus.read(clip).audio
    np.testing.assert_array_equal(again, whole)


@espeak
def test_espeak_says_exactly_how_long_its_recordings_are():
    corpus = open_corpus("espeak", None, count=24)
    for clip in corpus.clips():
        fs_hz, channels, frames = corpus.probe(clip)
        audio = corpus.read(clip).audio
        assert (channels, frames) == audio.shape
        assert 3.5 < frames / fs_hz < 17
        assert 0.1 < np.abs(audio).max() < 1


@espeak
def test_espeak_has_many_speakers_and_no_text_twice():
    clips = open_corpus("espeak", None, count=3000).clips()
    assert len({c.text for c in clips}) == 3000
    assert Counter(c.sex for c in clips if c.name.endswith(tuple(f"{i:06d}" for i in range(48)))) == Counter({"F": 24, "M": 24})
    per_speaker = Counter(c.speaker for c in clips)
    assert len(per_speaker) == 48
    assert max(per_speaker.values()) - min(per_speaker.values()) <= 1
    assert all("{" not in c.text and c.text[0].isupper() and c.text.endswith(".") for c in clips)
    few = {c.name: c for c in open_corpus("espeak", None, count=50).clips()}
    assert few == {c.name: c for c in clips if c.name in few}


@espeak
def test_espeak_women_speak_higher_than_men():
    from roomgen.corpora.espeak import speakers
    from roomgen.corpora.espeak_library import FS_HZ, speak

    def pitch_hz(audio):
        frames = np.lib.stride_tricks.sliding_window_view(audio, 2048)[::1024]
        loud = frames[np.square(frames).mean(axis=1) > 0.1 * np.square(frames).mean(axis=1).max()]
        power = np.abs(np.fft.rfft(loud - loud.mean(axis=1, keepdims=True), 4096)) ** 2
        lags = np.fft.irfft(power)[:, FS_HZ // 400 : FS_HZ // 60]
        return np.median(FS_HZ / (FS_HZ // 400 + lags.argmax(axis=1)))

    text = "We were away a year ago, and all our yellow yarn remained nearby."
    pitches = {s.name: pitch_hz(speak(text, s.voice)) for s in speakers()}
    women, men = ([hz for name, hz in pitches.items() if name.startswith(sex)] for sex in "FM")
    assert min(women) > max(men)


@espeak
def test_espeak_is_named_by_seed_and_count():
    names = {open_corpus("espeak", None, seed=s, count=c).fingerprint() for s in (0, 1) for c in (5, 6, None)}
    assert len(names) == 6
    assert open_corpus("espeak", None).fingerprint() == open_corpus("espeak", None, count=600).fingerprint()


@espeak
def test_a_dataset_of_espeak_is_the_same_for_any_number_of_workers(tmp_path):
    overrides = {
        "corpus_count": 12,
        "segment_s": 4.0,
        "short": "drop",
        "shard_size": 5,
        "splits.shares": {"train": 0.7, "test": 0.3},
    }
    settings, inputs = sources_settings("espeak", None, overrides)
    for workers in (0, 2):
        generate(settings, tmp_path / str(workers), workers=workers, progress=False, inputs=inputs)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / w / "data").iterdir()} for w in "02")
    assert first == second
    assert len(table(tmp_path / "0")) >= 12


def test_without_espeak_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    corpus = open_corpus("espeak", None, count=1)
    with pytest.raises(RoomgenError, match=r"pip install roomgen\[tts\]"):
        corpus.read(corpus.clips()[0])


@espeak
def test_espeak_refuses_when_another_part_of_the_program_holds_it():
    import _ctypes
    import ctypes

    import espeakng_loader

    held = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        corpus = open_corpus("espeak", None, count=1)
        with pytest.raises(RoomgenError, match="another part of this program"):
            corpus.read(corpus.clips()[0])
    finally:
        _ctypes.dlclose(held._handle)
    assert corpus.read(corpus.clips()[0]).fs_hz == 22050
