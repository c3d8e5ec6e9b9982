"""Overlapping segments: where each begins, what becomes of the rest, and that without an overlap all is as it ever was."""

import hashlib
import json
import re

import numpy as np
import pytest
import soundfile

import roomgen
from roomgen.datasets.sources.family import sources_settings
from roomgen.datasets.sources.plan import SourcesPlan, segment_count
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

FS_HZ = 16000


@pytest.fixture
def speech(tmp_path):
    """Eight speakers of 2, 3 and 4.5 s, laid out as speechocean762 was released: WAV files, which any version writes alike."""
    root, rng = tmp_path / "speechocean762", np.random.default_rng(11)
    (root / "train").mkdir(parents=True)
    paths = {}
    for speaker in range(1, 9):
        for i, seconds in enumerate((2, 3, 4.5)):
            name = f"{speaker:05d}{i:04d}"
            paths[name] = f"WAVE/SPEAKER{speaker:04d}/{name}.WAV"
            (root / paths[name]).parent.mkdir(parents=True, exist_ok=True)
            noise = rng.integers(-3000, 3000, round(seconds * FS_HZ), dtype=np.int16)
            soundfile.write(root / paths[name], noise, FS_HZ, format="WAV")
    (root / "train" / "wav.scp").write_text("".join(f"{name} {path}\n" for name, path in paths.items()))
    return root


def make(out, root, *, workers=0, **overrides):
    values = {key.replace("__", "."): value for key, value in overrides.items()}
    settings, inputs = sources_settings("speechocean762", root, values)
    generate(settings, out, workers=workers, progress=False, inputs=inputs, max_broken=0.0)
    return Dataset(out)


def digest_of(dataset):
    """Name all that a dataset holds, but for what versions of libraries, processors and the format decide: containers, levels."""
    rows = [
        {k: v for k, v in item.row.items() if k not in ("offset", "nbytes", "rms_db", "peak_db", "gain_db")} for item in dataset
    ]
    card = (dataset.root / "README.md").read_text(encoding="utf-8").replace(roomgen.__version__, "VERSION")
    card = card[card.index("\n# ") :].split("\n## Files")[0]
    unmeasured = re.sub(r"level .*? Origin", "Origin", card)
    assert unmeasured != card
    pcm = hashlib.sha256(b"".join(np.rint(item.audio * 2**15).astype("<i2").tobytes() for item in dataset)).hexdigest()
    settings = {k: v for k, v in dataset.info["settings"].items() if k not in ("fingerprint", "shard_size")}
    text = json.dumps([settings, rows, unmeasured, pcm], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({}, "f4f65c61a343f13245845126dde1f1a807f96ff3e65927e9e7b7f2294d0d7838"),
        ({"segment_s": 0.8, "shard_size": 8, "seed": 4}, "e31a46ece955beccce5ec5c29d64c6098dd8964a57d1f472b5d5c1c9e603b7ac"),
        (
            {"segment_s": 1.3, "short": "repeat", "take": (0.2, 0.9), "per_clip": 2, "max_samples": {"train": 9}},
            "ca9bc1952624c221bfe9ccedd0abc5c1766a29f09e404667f88d799d9661a779",
        ),
    ],
)
def test_without_an_overlap_datasets_are_those_that_were_made_before_there_was_one(speech, tmp_path, overrides, expected):
    assert digest_of(make(tmp_path / "out", speech, **overrides)) == expected


def test_an_overlap_of_0_is_none_at_all(speech):
    given, _ = sources_settings("speechocean762", speech, {"segment_s": 0.8, "overlap": 0.0})
    left_out, _ = sources_settings("speechocean762", speech, {"segment_s": 0.8})
    assert given.hash() == left_out.hash()
    assert "overlap" not in given.model_dump(mode="json")
    assert sources_settings("speechocean762", speech, {"segment_s": 0.8, "overlap": 0.5})[0].hash() != given.hash()


@pytest.mark.parametrize("overlap", [0.25, 0.5, 0.9])
def test_a_segment_begins_where_the_one_before_it_leaves_its_share(speech, tmp_path, overlap):
    made = make(tmp_path / "out", speech, segment_s=1.0, overlap=overlap, short="drop")
    step = round(FS_HZ * (1 - overlap))
    for item in made:
        original, _ = soundfile.read(speech / item.row["file"], dtype="float32")
        start = item.row["segment"] * step
        assert item.row["start_s"] == pytest.approx(start / FS_HZ, abs=1e-6)
        assert np.array_equal(item.audio[0], original[start : start + FS_HZ])
    table = made.table()
    expected = {f"{speaker:04d}": sum(1 + (n - FS_HZ) // step for n in (32000, 48000, 72000)) for speaker in range(1, 9)}
    assert table.groupby("speaker", observed=True).size().to_dict() == expected
    assert (table.groupby("speaker", observed=True)["split"].nunique() == 1).all()


def test_the_rest_is_kept_where_half_of_what_it_would_bring_is_new(speech):
    def counts(short, overlap):
        settings, _ = sources_settings("speechocean762", speech, {"segment_s": 1.0, "overlap": overlap, "short": short})
        return [segment_count(settings, fs_hz=FS_HZ, frames=frames) for frames in (0, 1, 16000, 19999, 20000, 24000, 27999, 28000)]

    assert counts("pad", 0.5) == counts("repeat", 0.5) == [0, 1, 1, 1, 2, 2, 2, 3]
    assert counts("drop", 0.5) == [0, 0, 1, 1, 1, 2, 2, 2]
    assert counts("pad", 0.0) == [0, 1, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("short", ["pad", "repeat", "drop"])
def test_segments_without_an_overlap_are_counted_as_ever(speech, short):
    settings, _ = sources_settings("speechocean762", speech, {"segment_s": 0.001, "short": short})
    for n in range(1, 100):
        whole, rest = divmod(n, 16)
        kept = int(bool(rest) and (whole == 0 or 2 * rest >= 16)) if short != "drop" else 0
        assert segment_count(settings, fs_hz=FS_HZ, frames=n) == whole + kept


def test_of_the_last_segment_what_no_other_holds_is_heard_and_the_end_is_filled(speech, tmp_path):
    made = make(tmp_path / "out", speech, segment_s=1.2, overlap=0.5)
    last = {item.row["clip"]: item for item in made}["000010002"]  # of 4.5 s; keys rise with segments
    original, _ = soundfile.read(speech / last.row["file"], dtype="float32")
    start = round(last.row["start_s"] * FS_HZ)
    assert last.row["filled_s"] == pytest.approx(0.3, abs=1e-6)
    assert np.array_equal(last.audio[0, : len(original) - start], original[start:])
    assert not last.audio[0, len(original) - start :].any()


def test_overlapping_segments_are_the_same_for_any_number_of_workers_verified_and_made_again(speech, tmp_path):
    cut = {"segment_s": 1.0, "overlap": 0.5, "shard_size": 20, "level": "rms"}
    made = make(tmp_path / "one", speech, **cut)
    make(tmp_path / "two", speech, workers=2, **cut)
    files = [path.relative_to(made.root) for path in sorted(made.root.rglob("*")) if path.is_file()]
    assert len(files) > 3
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in files)
    assert verify(made.root, deep=True) == []
    assert all(compare_again(made, item).identical for item in list(made)[::9])
    assert "each repeats 50 % of the one before it" in (made.root / "README.md").read_text(encoding="utf-8")


def test_a_limit_takes_first_segments_before_it_takes_what_they_repeat(speech):
    limits = {"segment_s": 1.0, "overlap": 0.5, "splits.shares": {"train": 1.0}, "max_samples": {"train": 24}}
    plan = SourcesPlan(*sources_settings("speechocean762", speech, limits))
    assert [unit.segments for chunk in plan.chunks(plan.shards[0]) for unit in chunk] == [(0,)] * 24


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 1.5, float("nan"), float("inf")])
def test_an_overlap_that_cannot_be_is_one_error_that_says_what_can(speech, overlap):
    with pytest.raises(RoomgenError, match=rf"--overlap {overlap}: must be at least 0 and less than 1: .* such as 0.5") as caught:
        sources_settings("speechocean762", speech, {"segment_s": 1.0, "overlap": overlap}, flags={"overlap": "--overlap"})
    assert "\n" not in str(caught.value)


def test_whole_recordings_have_no_overlap(speech):
    with pytest.raises(RoomgenError, match=r"needs segments.*--segment"):
        sources_settings("speechocean762", speech, {"overlap": 0.5})
