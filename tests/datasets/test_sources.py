"""Datasets of sources: the same bytes each time, no leaks between splits, and nothing broken that goes unnoticed."""

import numpy as np
import pytest
import soundfile

from roomgen.datasets.sources.family import sources_settings
from roomgen.datasets.sources.plan import SourcesPlan, segment_count
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

FS_HZ = 16000
RNG = np.random.default_rng(3)


def noise(seconds, fs_hz=FS_HZ, channels=1, level=0.1):
    return (level * RNG.standard_normal((round(seconds * fs_hz), channels))).astype(np.float32)


def write(path, audio, fs_hz=FS_HZ, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, fs_hz, **more)


def bytes_of(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def make(out, folder=None, *, corpus="folder", workers=0, max_broken=0.0, **overrides):
    values = {key.replace("__", "."): value for key, value in overrides.items()}
    settings, inputs = sources_settings(corpus, folder, values)
    summary = generate(settings, out, workers=workers, progress=False, inputs=inputs, max_broken=max_broken)
    return Dataset(out), summary


@pytest.fixture
def speech(tmp_path):
    """Eight speakers of two parts, each with three utterances of about 1 to 2.5 s, laid out as LibriSpeech is."""
    root = tmp_path / "LibriSpeech"
    for speaker in range(101, 109):
        subset = "train-clean-100" if speaker < 106 else "test-other"
        for i in range(3):
            write(root / subset / str(speaker) / "7" / f"{speaker}-7-{i:04d}.flac", noise(1.0 + 0.75 * i))
    return root


CUT = {"segment_s": 0.8, "shard_size": 8, "seed": 4}


def test_the_same_bytes_for_no_and_two_workers_and_after_a_shard_was_lost(speech, tmp_path):
    made, _ = make(tmp_path / "one", speech, corpus="librispeech", **CUT)
    expected = bytes_of(made.root)
    make(tmp_path / "two", speech, corpus="librispeech", workers=2, **CUT)
    assert bytes_of(tmp_path / "two") == expected
    (tmp_path / "two" / "data" / "train-000001.json").unlink()
    _, summary = make(tmp_path / "two", speech, corpus="librispeech", **CUT)
    assert summary["made"] == 8
    assert bytes_of(tmp_path / "two") == expected
    assert verify(tmp_path / "two", deep=True) == []


def test_splits_divide_speakers_whatever_the_seed(speech, tmp_path):
    divisions = set()
    for seed in range(3):
        made, _ = make(tmp_path / str(seed), speech, corpus="librispeech", segment_s=0.8, seed=seed)
        table = made.table(["split", "speaker", "group"]).astype(str)
        assert (table.groupby("speaker").split.nunique() == 1).all()
        assert (table["speaker"] == table["group"]).all()
        assert set(table["split"]) == {"train", "val", "test"}
        divisions.add(tuple(sorted(set(zip(table["speaker"], table["split"], strict=True)))))
    assert len(divisions) > 1


def test_two_stretches_of_one_corpus_share_no_speaker(speech, tmp_path):
    heard = [
        set(make(tmp_path / name, speech, corpus="librispeech", take=stretch, splits__shares={"train": 1.0})[0].table()["speaker"])
        for name, stretch in (("low", (0.0, 0.5)), ("high", (0.5, 1.0)))
    ]
    assert all(heard)
    assert not heard[0] & heard[1]
    assert len(heard[0] | heard[1]) == 8


def test_splits_can_be_the_parts_of_the_corpus(speech, tmp_path):
    made, _ = make(tmp_path / "out", speech, corpus="librispeech", split_by="subset")
    table = made.table(["split", "subset"]).astype(str)
    assert set(zip(table["split"], table["subset"], strict=True)) == {
        ("train_clean_100", "train-clean-100"),
        ("test_other", "test-other"),
    }
    only, _ = make(tmp_path / "only", speech, corpus="librispeech", subsets=("test-other",), splits__shares={"test": 1.0})
    assert set(only.table()["speaker"]) == {"106", "107", "108"}


def test_a_limit_takes_pieces_of_as_many_recordings_as_it_can(speech, tmp_path):
    limited = {"segment_s": 0.5, "splits__shares": {"train": 1.0}, "max_samples": {"train": 20}}
    made, _ = make(tmp_path / "out", speech, corpus="librispeech", **limited)
    assert made.table()["clip"].nunique() == len(made) == 20
    once, _ = make(tmp_path / "once", speech, corpus="librispeech", segment_s=0.5, per_clip=1, splits__shares={"train": 1.0})
    assert once.table()["clip"].nunique() == len(once) == 24


@pytest.mark.parametrize(
    ("short", "of_whole", "of_short", "filled_s"),
    [("pad", 3, 1, 0.7), ("repeat", 3, 1, 0.7), ("drop", 2, 0, None)],
)
def test_what_becomes_of_pieces_that_are_shorter_than_a_segment(tmp_path, short, of_whole, of_short, filled_s):
    whole, brief = noise(2.6), noise(0.3)  # two segments and more than half of a third; less than half of one
    write(tmp_path / "in" / "whole.wav", whole, subtype="FLOAT")
    write(tmp_path / "in" / "brief.wav", brief, subtype="FLOAT")
    made, _ = make(tmp_path / "out", tmp_path / "in", segment_s=1.0, short=short, splits__shares={"train": 1.0})
    table = made.table()
    assert (table["clip"].str.startswith("whole").sum(), table["clip"].str.startswith("brief").sum()) == (of_whole, of_short)
    assert (table["n_samples"] == FS_HZ).all()
    for item in made:
        original = whole if item.row["clip"].startswith("whole") else brief
        start = round(item.row["start_s"] * FS_HZ)
        here = original[start : start + FS_HZ, 0]
        assert np.abs(item.audio[0, : len(here)] - here).max() < 2**-15
        rest = item.audio[0, len(here) :]
        assert len(rest) == round(item.row["filled_s"] * FS_HZ)
        if len(rest):
            again = here[np.arange(len(rest)) % len(here)] if short == "repeat" else np.zeros(len(rest))
            assert np.abs(rest - again).max() < 2**-15
    if filled_s is not None:
        assert table.loc[table["clip"].str.startswith("brief"), "filled_s"].item() == pytest.approx(filled_s, abs=1e-6)


def test_of_a_long_recording_less_than_half_a_segment_is_left():
    settings, _ = sources_settings("synthetic", None, {"segment_s": 1.0, "corpus_count": 1})
    counts = [segment_count(settings, fs_hz=FS_HZ, frames=frames) for frames in (1, 7999, 16000, 23999, 24000, 31999, 32000)]
    assert counts == [1, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("fs_in_hz", [8000, 11025, 22050, 32000, 44100, 48000, 96000, 192_000])
def test_a_tone_keeps_pitch_level_and_place_from_any_rate(tmp_path, fs_in_hz):
    time_s = np.arange(fs_in_hz) / fs_in_hz
    write(tmp_path / "in" / "tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * time_s), fs_in_hz, subtype="FLOAT")
    made, _ = make(tmp_path / "out", tmp_path / "in", splits__shares={"train": 1.0}, bits=24)
    item = made[0]
    assert (item.row["source_fs_hz"], item.row["fs_hz"], item.row["n_samples"]) == (fs_in_hz, FS_HZ, FS_HZ)
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(FS_HZ) / FS_HZ)
    middle = slice(2000, -2000)  # a tone that begins and ends at once rings at both ends
    assert np.abs(item.audio[0, middle] - expected[middle]).max() < 2e-4
    assert item.row["rms_db"] == pytest.approx(-9.03, abs=0.02)


@pytest.mark.parametrize(("level", "column"), [("rms", "rms_db"), ("peak", "peak_db")])
def test_segments_come_to_the_level_that_was_asked_for_and_say_by_which_gain(tmp_path, level, column):
    for i, amplitude in enumerate((0.001, 0.03, 0.9)):
        write(tmp_path / "in" / f"{i}.wav", np.clip(noise(1.0, level=amplitude / 4), -1, 1), subtype="FLOAT")
    made, _ = make(tmp_path / "out", tmp_path / "in", level=level, level_db=-20.0, bits=24, splits__shares={"train": 1.0})
    assert made.table()[column].to_numpy() == pytest.approx(-20.0, abs=0.01)
    for item in made:
        original, _ = soundfile.read(tmp_path / "in" / item.row["file"], dtype="float32")
        assert np.abs(item.audio[0] - original * 10 ** (item.row["gain_db"] / 20)).max() < 1e-5


def test_a_level_that_would_clip_is_not_reached(tmp_path):
    click = np.zeros(FS_HZ)
    click[100] = 0.5
    write(tmp_path / "in" / "click.wav", click)
    made, _ = make(tmp_path / "out", tmp_path / "in", level="rms", level_db=-10.0, splits__shares={"train": 1.0})
    assert made[0].row["peak_db"] == pytest.approx(-0.01, abs=0.001)
    assert made[0].row["rms_db"] < -30


def test_a_float_file_beyond_full_scale_is_turned_down_not_clipped(tmp_path):
    loud = 3.0 * np.sin(2 * np.pi * 100 * np.arange(FS_HZ) / FS_HZ)
    write(tmp_path / "in" / "loud.wav", loud, subtype="FLOAT")
    made, _ = make(tmp_path / "out", tmp_path / "in", splits__shares={"train": 1.0})
    assert np.abs(made[0].audio[0] - loud * 10 ** (made[0].row["gain_db"] / 20)).max() < 2**-15
    assert made[0].row["gain_db"] == pytest.approx(-20 * np.log10(3) - 0.01, abs=1e-3)


def test_channels_are_averaged_or_kept(tmp_path):
    both = noise(0.5, channels=2)
    write(tmp_path / "in" / "both.wav", both, subtype="FLOAT")
    mono, _ = make(tmp_path / "mono", tmp_path / "in", splits__shares={"train": 1.0})
    kept, _ = make(tmp_path / "kept", tmp_path / "in", channels="keep", splits__shares={"train": 1.0})
    assert np.abs(mono[0].audio[0] - both.mean(axis=1)).max() < 2**-15
    assert np.abs(kept[0].audio - both.T).max() < 2**-15
    assert (mono[0].row["n_channels"], kept[0].row["n_channels"]) == (1, 2)


@pytest.fixture
def partly_broken(tmp_path):
    """Eight recordings that can be used and five that cannot, one of which has a silent second."""
    folder = tmp_path / "in"
    for i in range(8):
        write(folder / f"good{i}.wav", noise(2.0), subtype="FLOAT")
    half = noise(2.0)
    half[FS_HZ:] = 0
    write(folder / "half.wav", half)
    write(folder / "silent.wav", np.zeros(FS_HZ))
    (folder / "text.wav").write_text("this is not audio, however long it goes on " * 9)
    (folder / "empty.flac").write_bytes(b"")
    spoilt = noise(2.0)
    spoilt[77] = np.nan
    write(folder / "nan.wav", spoilt, subtype="FLOAT")
    write(folder / "cut.flac", noise(2.0))
    data = (folder / "cut.flac").read_bytes()
    (folder / "cut.flac").write_bytes(data[: len(data) // 2])
    return folder


def test_what_cannot_be_used_is_left_out_counted_and_named(partly_broken, tmp_path):
    made, summary = make(tmp_path / "out", partly_broken, segment_s=1.0, max_broken=0.4, splits__shares={"train": 0.5, "test": 0.5})
    reasons = dict(summary["broken_files"])
    assert {name for name in reasons if "half" not in name} == {"silent.wav", "text.wav", "empty.flac", "nan.wav", "cut.flac"}
    assert [(name.startswith("half"), reason) for name, reason in reasons.items() if "half" in name] == [
        (True, "the segment is silent")
    ]
    assert "silent" in reasons["silent.wav"]
    assert "finite" in reasons["nan.wav"]
    assert len(made) == summary["samples"] == 8 * 2 + 1
    assert made.info["broken"] == [list(item) for item in sorted(reasons.items())]
    assert "text.wav" in (made.root / "README.md").read_text(encoding="utf-8")
    assert verify(made.root, deep=True) == []
    _, again = make(tmp_path / "out", partly_broken, segment_s=1.0, max_broken=0.4, splits__shares={"train": 0.5, "test": 0.5})
    assert again["made"] == 0
    assert again["broken_files"] == summary["broken_files"]


def test_headers_that_cannot_be_read_are_too_many_before_anything_is_written(partly_broken, tmp_path):
    with pytest.raises(RoomgenError, match=r"2 of 14 input files cannot be read, more than --max-broken 0.1") as caught:
        make(tmp_path / "out", partly_broken, max_broken=0.1)
    assert "text.wav" in str(caught.value)
    assert caught.value.exit_code == 1
    assert not (tmp_path / "out").exists()


def test_contents_that_cannot_be_used_are_too_many_once_they_are_read(partly_broken, tmp_path):
    with pytest.raises(RoomgenError, match=r"5 of 14 input files cannot be read, more than --max-broken 0.3") as caught:
        make(tmp_path / "out", partly_broken, max_broken=0.3, splits__shares={"train": 1.0})
    assert caught.value.exit_code == 1
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_a_corpus_of_broken_files_alone_is_an_error_whatever_is_allowed(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "text.wav").write_text("no audio")
    with pytest.raises(RoomgenError, match=r"no recording .* can be used: 1 of 1 .* text.wav"):
        make(tmp_path / "out", tmp_path / "in", max_broken=1.0)


def test_more_channels_than_a_file_holds_is_named(tmp_path):
    write(tmp_path / "in" / "array.wav", noise(0.5, channels=9))
    write(tmp_path / "in" / "fine.wav", noise(0.5))
    _, summary = make(tmp_path / "out", tmp_path / "in", channels="keep", max_broken=0.5, splits__shares={"train": 1.0})
    assert summary["broken_files"][0][0] == "array.wav"
    assert "9 channels" in summary["broken_files"][0][1]


def test_a_sample_is_made_again_from_its_row(speech, tmp_path):
    cut = {"segment_s": 0.8, "level": "rms", "fs_hz": 22050}
    made, _ = make(tmp_path / "out", speech, corpus="librispeech", **cut)
    for item in list(made)[::7]:
        assert compare_again(made, item).text == "the same to the last bit, all labels equal"


def test_a_recording_that_was_spoilt_afterwards_cannot_be_made_again_and_is_named(speech, tmp_path):
    made, _ = make(tmp_path / "out", speech, corpus="librispeech")
    item = made[0]
    (speech / item.row["file"]).write_bytes(b"gone")
    with pytest.raises(RoomgenError, match=item.row["clip"]):
        compare_again(made, item)


def test_a_corpus_that_changes_half_way_is_noticed(speech, tmp_path):
    settings, inputs = sources_settings("librispeech", speech, {})
    write(speech / "test-other" / "108" / "7" / "108-7-0009.flac", noise(1.0))
    with pytest.raises(RoomgenError, match="has changed since"):
        SourcesPlan(settings, inputs)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"segment_s": 60.0, "short": "drop"}, "no recording that lasts for a segment of 60 s"),
        ({"take": (0.5, 0.2)}, "must rise"),
        ({"subsets": ("train-clean-360",)}, "has no subset train-clean-360; it has test-other, train-clean-100"),
        ({"splits__shares": {f"s{i}": 0.1 for i in range(10)}}, "8 groups .* cannot be divided"),
        ({"max_samples": {"training": 5}}, "split 'training' that there is not"),
        ({"max_samples": {"train": 0, "val": 0, "test": 0}}, "nothing of the corpus"),
        ({"corpus_seed": "x"}, "corpus_seed"),
        ({"corpus_count": 3}, "--count is for embedded corpora"),
        ({"fs_hz": 1000}, "greater than or equal to 4000"),
        ({"segment_s": -1.0}, "greater than or equal to 0.001"),
    ],
)
def test_what_cannot_be_is_one_error(speech, tmp_path, overrides, message):
    with pytest.raises(RoomgenError, match=message) as caught:
        make(tmp_path / "out", speech, corpus="librispeech", **overrides)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_real_speech_keeps_speakers_apart_and_texts(shared_data, tmp_path):
    limits = {"max_samples": {"train": 6, "val": 3, "test": 3}}
    made, _ = make(tmp_path / "out", shared_data / "LibriSpeech", corpus="librispeech", segment_s=4.0, short="drop", **limits)
    table = made.table()
    assert len(made) == 12
    assert (table.groupby("speaker", observed=True)["split"].nunique() == 1).all()
    assert table["rms_db"].between(-60, -5).all()
    assert verify(tmp_path / "out", deep=True) == []
