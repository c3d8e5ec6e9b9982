"""TAU Urban Acoustic Scenes 2022 Mobile: recordings of 10 s from pieces of 1 s."""

import numpy as np
import pytest
import soundfile

from roomgen.corpora import open_corpus
from roomgen.corpora.base import BrokenFile
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate

RECORDINGS = {
    "airport-lisbon-1000-40000": ("a", "train"),
    "metro_station-paris-12-345": ("s1", "train"),
    "street_traffic-vienna-7-9": ("s6", "test"),
    "bus-lyon-3-77": ("b", "rest"),
}
FS_HZ = 8000  # the real one has 44.1 kHz


@pytest.fixture
def tau(tmp_path):
    root = tmp_path / "TAU-urban-acoustic-scenes-2022-mobile-development"
    (root / "audio").mkdir(parents=True)
    (root / "evaluation_setup").mkdir()
    meta, folds = ["filename\tscene_label\tidentifier\tsource_label"], {"train": [], "test": []}
    for head, (device, subset) in RECORDINGS.items():
        scene, city, place, _ = head.split("-")
        for i in (3, 0, 9, 1, 2, 5, 4, 7, 6, 8):
            file = f"audio/{head}-{i}-{device}.wav"
            soundfile.write(root / file, np.full(FS_HZ, 0.05 * (i + 1)), FS_HZ, subtype="PCM_24")
            meta.append(f"{file}\t{scene}\t{city}-{place}\t{device}")
            if subset != "rest":
                folds[subset].append(f"{file}\t{scene}")
    (root / "meta.csv").write_text("\n".join(meta) + "\n")
    for name, lines in (("train", folds["train"]), ("evaluate", folds["test"])):
        (root / f"evaluation_setup/fold1_{name}.csv").write_text("filename\tscene_label\n" + "\n".join(lines) + "\n")
    without = "\n".join(line.split("\t")[0] for line in folds["test"])
    (root / "evaluation_setup/fold1_test.csv").write_text(f"filename\n{without}\n")
    return root


def test_ten_pieces_are_one_recording_in_their_order(tau):
    corpus = open_corpus("tau2022", tau)
    clips = corpus.clips()
    assert [(c.name, c.class_name, c.device, c.location, c.group, c.subset) for c in clips] == [
        ("airport-lisbon-1000-40000-a", "airport", "A", "lisbon-1000", "lisbon-1000", "train"),
        ("bus-lyon-3-77-b", "bus", "B", "lyon-3", "lyon-3", "rest"),
        ("metro_station-paris-12-345-s1", "metro_station", "S1", "paris-12", "paris-12", "train"),
        ("street_traffic-vienna-7-9-s6", "street_traffic", "S6", "vienna-7", "vienna-7", "test"),
    ]
    assert corpus.probe(clips[0]) == (FS_HZ, 1, 10 * FS_HZ)
    audio = corpus.read(clips[0]).audio
    assert audio.shape == (1, 10 * FS_HZ)
    np.testing.assert_allclose(audio[0].reshape(10, FS_HZ)[:, 17], 0.05 * np.arange(1, 11), atol=1e-6)


def test_the_test_list_does_where_the_evaluate_list_is_missing(tau):
    before = open_corpus("tau2022", tau).clips()
    (tau / "evaluation_setup/fold1_evaluate.csv").unlink()
    assert open_corpus("tau2022", tau).clips() == before


def test_a_recording_without_one_of_its_pieces_is_broken(tau):
    corpus = open_corpus("tau2022", tau)
    (tau / "audio/bus-lyon-3-77-4-b.wav").unlink()
    with pytest.raises(BrokenFile, match=r"bus-lyon-3-77-4-b\.wav: no such file"):
        corpus.probe(corpus.clips()[1])
    # Nor does taking it out of the list hide the gap.
    lines = (tau / "meta.csv").read_text().splitlines()
    (tau / "meta.csv").write_text("\n".join(line for line in lines if "77-4-b" not in line))
    with pytest.raises(BrokenFile, match=r"bus-lyon-3-77-4-b\.wav: no such file"):
        corpus.read(corpus.clips()[1])


def test_pieces_of_different_rates_do_not_fit(tau):
    soundfile.write(tau / "audio/bus-lyon-3-77-4-b.wav", np.zeros(100), 16000)
    corpus = open_corpus("tau2022", tau)
    with pytest.raises(BrokenFile, match="pieces differ"):
        corpus.read(corpus.clips()[1])


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("meta.csv", "filename\tscene_label\tidentifier\tsource_label\naudio/0.wav\tbus\tlyon-3\ta\n", "audio/0.wav"),
        ("meta.csv", "filename,scene_label,identifier,source_label\n", "no column filename"),
        ("evaluation_setup/fold1_train.csv", "filename\naudio/../../x-y-1-2-0-a.wav\n", "which is not"),
        ("evaluation_setup/fold1_train.csv", "filename\naudio/street_traffic-vienna-7-9-0-s6.wav\n", "both the train and the test"),
    ],
)
def test_tables_of_another_kind_are_refused(tau, file, text, problem):
    (tau / file).write_text(text)
    with pytest.raises(RoomgenError, match=problem):
        open_corpus("tau2022", tau).clips()


def test_a_dataset_keeps_the_official_fold(tau, tmp_path):
    import pandas as pd

    settings, inputs = sources_settings("tau2022", tau, {"fs_hz": 4000, "segment_s": 10.0, "subsets": ("train", "test")})
    generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs)
    rows = pd.read_parquet(tmp_path / "out/manifest.parquet").set_index("clip")
    assert (rows.split == rows.subset).all()
    assert sorted(rows.device) == ["A", "S1", "S6"]
    assert (rows.n_samples == 40_000).all()
