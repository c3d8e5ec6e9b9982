"""The embedded events and scenes: a function of the seed alone, sound as it should be, and classes that can be told apart."""

from itertools import pairwise

import numpy as np
import pytest

from roomgen.corpora import corpus_class, open_corpus
from roomgen.corpora.base import BrokenFile, Clip
from roomgen.corpora.procedural import FS_HZ, noise
from roomgen.errors import RoomgenError

EVENT_CLASSES = 20
SCENE_CLASSES = 10


def opened(name, **given):
    return open_corpus(name, None, **given)


def features(audio):
    """Mean, deviation and mean change of 24 log-band energies over time; the level itself is taken out."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio[0], (0, 1024)), 1024)[::512] * np.hanning(1024)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.clip((np.geomspace(60, 20_000, 25) / FS_HZ * 1024).astype(int), 1, 512)
    bands = [power[:, low : max(high, low + 1)].mean(axis=1) for low, high in pairwise(edges)]
    decibel = np.log(np.stack(bands, axis=1) + 1e-9)
    decibel -= decibel.max()
    return np.concatenate([decibel.mean(axis=0), decibel.std(axis=0), np.abs(np.diff(decibel, axis=0)).mean(axis=0)])


def nearest_centroid(x, y, train):
    """Classify what is not for training by the nearest class mean of what is, over standardised features."""
    scaled = (x - x[train].mean(axis=0)) / (x[train].std(axis=0) + 1e-9)
    classes = np.unique(y)
    means = np.stack([scaled[train & (y == name)].mean(axis=0) for name in classes])
    distance = np.square(scaled[~train, None] - means).sum(axis=2)
    return classes[distance.argmin(axis=1)]


@pytest.fixture(scope="module")
def events():
    corpus = opened("synthetic", count=12 * EVENT_CLASSES)
    return corpus.clips(), [corpus.read(clip) for clip in corpus.clips()]


@pytest.fixture(scope="module")
def scenes():
    corpus = opened("synthetic-scenes", count=80)
    clips = [clip for i, clip in enumerate(corpus.clips()) if i // SCENE_CLASSES % 4 < 2]  # two recordings of each place
    return clips, [corpus.read(clip) for clip in clips]


@pytest.mark.parametrize(("name", "classes"), [("synthetic", EVENT_CLASSES), ("synthetic-scenes", SCENE_CLASSES)])
def test_what_the_corpus_says_of_itself(name, classes):
    corpus = opened(name)
    clips = corpus.clips()
    assert len(clips) == {"synthetic": 2000, "synthetic-scenes": 400}[name]
    assert len({clip.name for clip in clips}) == len(clips)
    assert [clip.name for clip in clips] == sorted(clip.name for clip in clips)
    counts = np.unique([clip.class_name for clip in clips], return_counts=True)[1]
    assert len(counts) == classes
    assert np.ptp(counts) == 0
    assert corpus_class(name).embedded


def test_events_have_both_subsets_in_every_class():
    clips = opened("synthetic", count=200).clips()
    for subset, share in (("train", 0.8), ("test", 0.2)):
        chosen = [clip.class_name for clip in clips if clip.subset == subset]
        assert len(chosen) == share * len(clips)
        assert len(set(chosen)) == EVENT_CLASSES
    assert {clip.group for clip in clips} == {""}  # each stands for itself


def test_a_place_belongs_to_one_scene_and_has_four_recordings():
    clips = opened("synthetic-scenes").clips()
    places = {}
    for clip in clips:
        places.setdefault(clip.group, []).append(clip)
    assert len(places) == 100
    assert len({clip.location for clip in clips}) == 100
    for group, members in places.items():
        assert len(members) == 4
        assert {f"{clip.class_name}-{clip.location}" for clip in members} == {group}
        assert len({clip.class_name for clip in members}) == 1


@pytest.mark.parametrize("name", ["synthetic", "synthetic-scenes"])
def test_a_recording_depends_on_the_seed_and_its_number_alone(name):
    few, many = opened(name, seed=5, count=20), opened(name, seed=5, count=1000)
    clips = few.clips()
    assert many.clips()[:20] == clips
    backwards = {i: many.read(clips[i]).audio.tobytes() for i in (11, 3, 0)}
    for i in (0, 3, 11):
        assert few.read(clips[i]).audio.tobytes() == backwards[i]
    other = opened(name, seed=6, count=20)
    assert other.read(other.clips()[3]).audio.tobytes() != backwards[3]


@pytest.mark.parametrize("name", ["synthetic", "synthetic-scenes"])
def test_the_fingerprint_tells_seed_and_count(name):
    base = opened(name, seed=1, count=50).fingerprint()
    assert base == opened(name, seed=1, count=50).fingerprint()
    assert len({base, opened(name, seed=2, count=50).fingerprint(), opened(name, seed=1, count=51).fingerprint()}) == 3
    assert opened("synthetic").fingerprint() != opened("synthetic-scenes").fingerprint()
    assert opened(name).fingerprint() == opened(name, count=len(opened(name).clips())).fingerprint()


@pytest.mark.parametrize("name", ["events", "scenes"])
def test_probe_tells_what_read_gives(name, request):
    clips, recordings = request.getfixturevalue(name)
    corpus = opened({"events": "synthetic", "scenes": "synthetic-scenes"}[name])
    for clip, recording in zip(clips, recordings, strict=True):
        assert corpus.probe(clip) == (recording.fs_hz, *recording.audio.shape)
        assert recording.audio.dtype == np.float32
        seconds = recording.audio.shape[1] / recording.fs_hz
        assert seconds == 10 if name == "scenes" else 0.5 <= seconds <= 8


@pytest.mark.parametrize("name", ["events", "scenes"])
def test_levels(name, request):
    clips, recordings = request.getfixturevalue(name)
    for clip, recording in zip(clips, recordings, strict=True):
        audio = recording.audio.astype(np.float64)
        assert np.isfinite(audio).all(), clip
        assert 0.15 < np.abs(audio).max() <= 0.9, clip
        assert 20 * np.log10(audio.std()) > -60, clip
        assert abs(audio.mean()) < 0.01, clip
    peaks = [np.abs(recording.audio).max() for recording in recordings]
    assert np.std(20 * np.log10(peaks)) > 2  # level tells nothing, and is not one


@pytest.mark.parametrize("name", ["events", "scenes"])
def test_recordings_of_a_class_differ(name, request):
    clips, recordings = request.getfixturevalue(name)
    by_class = {}
    for clip, recording in zip(clips, recordings, strict=True):
        by_class.setdefault(clip.class_name, []).append(features(recording.audio))
    for class_name, members in by_class.items():
        x = np.stack(members)
        distance = np.abs(x[:, None] - x).mean(axis=2)[np.triu_indices(len(x), 1)]
        assert distance.min() > 0.08, class_name


def test_event_classes_can_be_told_apart(events):
    clips, recordings = events
    x = np.stack([features(recording.audio) for recording in recordings])
    y = np.array([clip.class_name for clip in clips])
    train = np.array([clip.subset == "train" for clip in clips])
    right = nearest_centroid(x, y, train) == y[~train]
    assert 0.5 < right.mean() < 1.0, right.mean()  # chance is 0.05


def test_scenes_can_be_told_apart_at_places_never_heard(scenes):
    clips, recordings = scenes
    x = np.stack([features(recording.audio) for recording in recordings])
    y = np.array([clip.class_name for clip in clips])
    places = sorted({clip.group for clip in clips})
    first = {next(place for place in places if place.startswith(f"{name}-")) for name in set(y)}
    # Each half of the places once in training.
    hits = []
    for chosen in (first, set(places) - first):
        train = np.array([clip.group in chosen for clip in clips])
        hits.append(nearest_centroid(x, y, train) == y[~train])
    assert 0.5 < np.mean(hits) < 1.0, np.mean(hits)  # chance is 0.1


def test_recordings_of_a_place_are_more_alike(scenes):
    clips, recordings = scenes
    x = np.stack([features(recording.audio)[:24] for recording in recordings])
    same, other = [], []
    for i, one in enumerate(clips):
        for j, two in enumerate(clips[:i]):
            if one.class_name == two.class_name:
                (same if one.group == two.group else other).append(np.abs(x[i] - x[j]).mean())
    assert np.mean(same) < 0.95 * np.mean(other)


def test_noise_has_its_band_and_unit_power():
    audio = noise(np.random.default_rng(0), 400_000, (1000.0, 2000.0)).astype(np.float64)
    assert np.sqrt(np.mean(audio**2)) == pytest.approx(1.0, abs=1e-3)
    f_hz = np.fft.rfftfreq(len(audio), 1 / FS_HZ)
    power = np.abs(np.fft.rfft(audio)) ** 2

    def level_db(centre_hz):
        near = (f_hz > 0.97 * centre_hz) & (f_hz < 1.03 * centre_hz)
        return 10 * np.log10(power[near].mean())

    middle = level_db(1414)
    assert level_db(125) - level_db(62.5) == pytest.approx(12, abs=1.5)  # dB per octave, outside
    assert level_db(8000) - level_db(16_000) == pytest.approx(12, abs=1.5)
    assert middle - level_db(250) > 15
    assert middle - level_db(8000) > 15


@pytest.mark.parametrize("name", ["synthetic", "synthetic-scenes"])
def test_strangers_are_refused(name):
    corpus = opened(name, count=20)
    for path in ("event-000020", "event", "../event-1x", "event-٣"):
        with pytest.raises(BrokenFile, match="none of the 20"):
            corpus.read(Clip(name="x", path=path))
        with pytest.raises(BrokenFile, match="none of the 20"):
            corpus.probe(Clip(name="x", path=path))


def test_an_embedded_corpus_has_no_folder(tmp_path):
    with pytest.raises(RoomgenError, match="leave --root away"):
        open_corpus("synthetic", tmp_path)
