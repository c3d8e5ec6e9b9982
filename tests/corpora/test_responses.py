"""Folders of device responses: MicIRP, and files that tell microphone, angle and distance by name, pattern or list."""

import numpy as np
import pytest
import soundfile

from roomgen.corpora import open_corpus
from roomgen.corpora.base import BrokenFile
from roomgen.corpora.multi_angle import guess, looks_multi_angle, read_responses
from roomgen.datasets.devices.files import read_response
from roomgen.errors import RoomgenError


def write(path, samples, fs_hz=48000, subtype="FLOAT"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(samples, dtype=np.float64), fs_hz, subtype=subtype)


def pulse(at=10, length=600, gain=1.0):
    samples = np.zeros(length)
    samples[at] = gain
    return samples


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("NT2-A_50cm_135deg.wav", ("NT2-A", 135.0, 0.5)),
        ("SM57/50cm/SM57_50cm_005.wav", ("SM57", 5.0, 0.5)),
        ("SM57/0.5m/5.wav", ("SM57", 5.0, 0.5)),
        ("AKG_C414_Omni_az090_d125.wav", ("AKG_C414_Omni", 90.0, 1.25)),
        ("1.25m/NT2-A/NT2-A cardioid 0deg.wav", ("NT2-A cardioid", 0.0, 1.25)),
        ("U_87_angle_45_dist_500mm.wav", ("U_87", 45.0, 0.5)),
        ("normalised/SM58_355_5m.wav", ("SM58", 355.0, 5.0)),
        ("SM57_1p25m_270deg_raw_24.wav", ("SM57", 270.0, 1.25)),
        ("RCA_44BX_1.wav", None),
        ("IR_Lomo52A5M.wav", None),
        ("Toshiba_TypeK_flat.wav", None),
    ],
)
def test_names_are_guessed(path, expected):
    found = guess(path)
    assert (found and (found.microphone, found.angle_deg, found.distance_m)) == expected


@pytest.fixture
def tree(tmp_path):
    for microphone in ("SM57", "NT2-A"):
        for angle in (0, 90, 180):
            write(tmp_path / microphone / f"{microphone}_50cm_{angle:03d}deg.wav", pulse())
    write(tmp_path / "sweep.wav", pulse())
    (tmp_path / "notes.txt").write_text("not audio")
    return tmp_path


def test_a_folder_is_read_by_names_and_says_what_it_could_not_read(tree):
    found, unknown = read_responses(tree)
    assert [(r.microphone, r.angle_deg) for r in found] == [(m, a) for m in ("NT2-A", "SM57") for a in (0.0, 90.0, 180.0)]
    assert {r.distance_m for r in found} == {0.5}
    assert unknown == ["sweep.wav"]
    assert looks_multi_angle(tree)
    assert {clip.group for clip in open_corpus("multi-angle", tree).clips()} == {"SM57", "NT2-A"}


def test_a_pattern_reads_any_names(tmp_path):
    for name in ("x1@000r2000.wav", "x1@045r2000.wav", "y@400r500.wav", "other.wav"):
        write(tmp_path / name, pulse())
    found, unknown = read_responses(tmp_path, pattern=r"(?P<mic>\w+)@(?P<angle>\d+)r(?P<distance>\d+)")
    assert [(r.microphone, r.angle_deg, r.distance_m) for r in found] == [("x1", 0.0, 2.0), ("x1", 45.0, 2.0), ("y", 40.0, 5.0)]
    assert unknown == ["other.wav"]


def test_a_pattern_may_say_what_a_microphone_is(tmp_path):
    write(tmp_path / "m-omni-090.wav", pulse())
    found, _ = read_responses(tmp_path, pattern=r"(?P<mic>m)-(?P<directivity>\w+)-(?P<angle>\d+)")
    assert (found[0].directivity, found[0].angle_deg) == ("omni", 90.0)
    assert np.isnan(found[0].distance_m)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(?P<mic>.*", "not a regular expression"),
        ("(?P<mic>.*)", "lacks the group angle"),
        (r"(?P<mic>.)(?P<angle>.)(?P<size>.)", "has the group size"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_explained(tree, pattern, words):
    with pytest.raises(RoomgenError, match=words):
        read_responses(tree, pattern=pattern)


def test_a_list_stands_in_place_of_names(tree):
    lines = ["file,microphone,angle_deg,distance_m,directivity,transducer", "sweep.wav,Mystery,-90,2.5,cardioid,ribbon"]
    (tree / "list.csv").write_text("\n".join(lines))
    found, unknown = read_responses(tree, csv_path=tree / "list.csv")
    assert (found[0].microphone, found[0].angle_deg, found[0].distance_m) == ("Mystery", 270.0, 2.5)
    assert (found[0].directivity, found[0].transducer, found[0].address) == ("cardioid", "ribbon", "")
    assert len(unknown) == 6
    (tree / "list.csv").rename(tree / "responses.csv")
    assert read_responses(tree) == (found, unknown)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,microfone\nsweep.wav,a", "unknown column 'microfone'.*Did you mean 'microphone'"),
        ("file,angle_deg\nsweep.wav,3", "lacks the column microphone"),
        ("file,microphone\nnot.wav,a", "line 2: there is no audio file 'not.wav'"),
        ("file,microphone\n../sweep.wav,a", "there is no audio file"),
        ("file,microphone\nsweep.wav,", "has no name"),
        ("file,microphone,distance_m\nsweep.wav,a,far", "distance_m 'far' is not a number"),
        ("file,microphone,transducer\nsweep.wav,a,crystal", "'crystal' is none of condenser"),
        ("file,microphone\nsweep.wav,a\nsweep.wav,b", "names sweep.wav 2 times"),
    ],
)
def test_a_list_that_is_wrong_is_explained(tree, text, words):
    (tree / "list.csv").write_text(text)
    with pytest.raises(RoomgenError, match=words):
        read_responses(tree, csv_path=tree / "list.csv")


def test_micirp_is_66_microphones(shared_data):
    clips = open_corpus("micirp", shared_data / "MicIRP").clips()
    assert len(clips) == 66
    assert len({clip.name for clip in clips}) == 66
    assert {"B&O_BM2", "Altec_639", "Coles_4038"} <= {clip.device for clip in clips}
    assert not looks_multi_angle(shared_data / "MicIRP")


def test_a_folder_without_responses_shows_how_it_should_look(tmp_path):
    for corpus in ("micirp", "multi-angle"):
        with pytest.raises(RoomgenError, match="It should look like this"):
            open_corpus(corpus, tmp_path).clips()


OPTIONS = {"fs_hz": 32000, "n_samples": 256, "lead_samples": 32, "window_beta": None}


def test_the_peak_stands_where_it_is_asked_for(tmp_path):
    write(tmp_path / "late.wav", pulse(at=500, length=2000), fs_hz=32000)
    write(tmp_path / "early.wav", pulse(at=5, length=100), fs_hz=32000)
    for name, place in (("late.wav", 32), ("early.wav", 5)):
        audio, fs_hz = read_response(tmp_path, name, **OPTIONS)
        assert audio.shape == (1, 256)
        assert fs_hz == 32000
        assert np.flatnonzero(audio[0]).tolist() == [place]


@pytest.mark.parametrize("fs_hz", [44100, 48000, 96000])
def test_resampling_keeps_the_spectrum(tmp_path, fs_hz):
    time_s = np.arange(int(0.008 * fs_hz)) / fs_hz
    samples = np.exp(-time_s * 2000) / fs_hz  # its spectrum in pascal-seconds does not know the rate
    write(tmp_path / "a.wav", np.concatenate([np.zeros(fs_hz // 200), samples]), fs_hz=fs_hz)
    audio, source_fs_hz = read_response(tmp_path, "a.wav", **{**OPTIONS, "n_samples": 1024, "lead_samples": 200})
    assert source_fs_hz == fs_hz
    hz = np.array([100.0, 500.0, 2000.0])
    found = np.abs(np.exp(-2j * np.pi * hz[:, None] * np.arange(1024) / 32000) @ audio[0])
    np.testing.assert_allclose(found, 1 / np.hypot(2000, 2 * np.pi * hz), rtol=0.04)


def test_the_window_falls_from_the_peak_to_the_end(tmp_path):
    samples = np.full(400, 0.5)
    samples[20] = 1.0
    write(tmp_path / "a.wav", samples, fs_hz=32000)
    audio, _ = read_response(tmp_path, "a.wav", **{**OPTIONS, "window_beta": 2.0})
    np.testing.assert_allclose(audio[0, :20], 0.5)
    assert audio[0, 20] == pytest.approx(1.0)
    np.testing.assert_allclose(audio[0, 21:], 0.5 * np.kaiser(2 * 235 + 1, 2.0)[236:], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "samples", "words"),
    [
        ("silent", np.zeros(500), "is silent"),
        ("short", np.ones(7), "7 samples long"),
        ("long", np.ones(11 * 8000), "lasts 11.0 s"),
        ("stereo", np.stack([pulse(3), pulse(4)], axis=1), "2 different channels"),
        ("nan", np.full(100, np.nan), "not finite"),
    ],
)
def test_what_is_no_response_is_named(tmp_path, name, samples, words):
    write(tmp_path / f"{name}.wav", samples, fs_hz=8000)
    with pytest.raises(BrokenFile, match=words):
        read_response(tmp_path, f"{name}.wav", **OPTIONS)


def test_two_equal_channels_are_one(tmp_path):
    write(tmp_path / "both.wav", np.stack([pulse(), pulse()], axis=1))
    assert read_response(tmp_path, "both.wav", **OPTIONS)[0].shape == (1, 256)
