"""The datasets of ICL: from TAU's own layout, from ESC-10 by its folds, from stand-ins, and with measured device responses."""

import json
import shutil
from collections import Counter, defaultdict

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from roomgen.cli import app
from roomgen.errors import RoomgenError
from roomgen.papers import papers
from roomgen.papers.parts import Given
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

SEEN, ALL = ("A", "B", "C", "S1", "S2", "S3"), ("A", "B", "C", "S1", "S2", "S3", "S4", "S5", "S6")
DIRS = ("vintage-dirs", "multi-dirs", "many-dirs")
TAU_HZ = 44_100
# Scene: how many places are for training; the test has one more.
PLACES = {"airport": 8, "street_traffic": 4}
TRAIN_DEVICES = [("a", "b"), ("a", "c"), ("a", "s1"), ("a", "s2"), ("a", "s3")]
TONES_HZ = [400.0 * (i + 1) for i in range(10)]


def build(name, root, *options):
    result = CliRunner().invoke(app, ["paper", name, "--out", str(root), "--scale", "0.001", "--workers", "0", *options])
    assert result.exit_code == 0, (result.output, result.exception)
    return {part["part"]: part for part in json.loads((root / "paper.json").read_text())["parts"]}


def measured(folder, names):
    """Write a response for each name: a click that decays."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(names))
    for name in names:
        response = np.zeros(4000)
        response[600:] = rng.standard_normal(3400) * np.exp(-np.arange(3400) / 60)
        soundfile.write(folder / f"{name}.wav", 0.3 * response / np.abs(response).max(), 44_100, subtype="PCM_24")
    return folder


@pytest.fixture(scope="module")
def tau(tmp_path_factory):
    """The official layout: pieces of 1 s of 24 bits, tables divided by tabs, and a recording that the fold leaves out.

    A piece is a tone that tells which of the ten it is.
    """
    root = tmp_path_factory.mktemp("tau") / "TAU-urban-acoustic-scenes-2022-mobile-development"
    (root / "audio").mkdir(parents=True)
    (root / "evaluation_setup").mkdir()
    rng, t = np.random.default_rng(0), np.arange(TAU_HZ) / TAU_HZ
    tones = [0.1 * np.sin(2 * np.pi * f * t) + 1e-3 * rng.standard_normal(TAU_HZ) for f in TONES_HZ]
    meta, folds = [], {"train": [], "test": []}

    def record(scene, place, device, subset):
        for i in rng.permutation(10):
            file = f"audio/{scene}-lisbon-{place}-{4 * place}-{i}-{device}.wav"
            soundfile.write(root / file, tones[i], TAU_HZ, subtype="PCM_24")
            meta.append(f"{file}\t{scene}\tlisbon-{place}\t{device}")
            if subset:
                folds[subset].append(f"{file}\t{scene}")

    for start, (scene, count) in zip((1000, 1100), PLACES.items(), strict=True):
        for i in range(count):
            for device in TRAIN_DEVICES[i % len(TRAIN_DEVICES)]:
                record(scene, start + i, device, "train")
        for device in ("a", "s1", "s4"):
            record(scene, start + 50, device, "test")
    record("airport", 1000, "s6", None)
    (root / "meta.csv").write_text("\n".join(["filename\tscene_label\tidentifier\tsource_label", *meta]) + "\n")
    for name, lines in (("train", folds["train"]), ("evaluate", folds["test"])):
        (root / f"evaluation_setup/fold1_{name}.csv").write_text("\n".join(["filename\tscene_label", *lines]) + "\n")
    test = [line.split("\t")[0] for line in folds["test"]]
    (root / "evaluation_setup/fold1_test.csv").write_text("\n".join(["filename", *test]) + "\n")
    return root


@pytest.fixture(scope="module")
def from_tau(tau, tmp_path_factory):
    root = tmp_path_factory.mktemp("from-tau")
    return root, build("icl", root, "--scenes", str(tau))


def fold_of(tau, name):
    """Return the recordings of an official list, as scene-city-place-segment-device."""
    files = [line.split("\t")[0] for line in (tau / f"evaluation_setup/fold1_{name}.csv").read_text().splitlines()[1:]]
    parts = [file.removeprefix("audio/").removesuffix(".wav").split("-") for file in files]
    counts = Counter("-".join([*p[:4], p[5]]) for p in parts)
    assert set(counts.values()) == {10}
    return set(counts)


def test_of_tau_the_official_fold_stays_and_validation_comes_from_its_training(tau, from_tau):
    root, parts = from_tau
    assert list(parts) == ["scenes", *DIRS]  # devices recorded it: nothing is rendered
    assert parts["scenes"]["real"]
    table = Dataset(root / "scenes").table().astype({"split": str, "location": str, "class_name": str, "device": str})
    by_split = {split: set(rows["clip"]) for split, rows in table.groupby("split")}
    assert by_split["test"] == fold_of(tau, "test") == fold_of(tau, "evaluate")
    assert by_split["train"] | by_split["val"] == fold_of(tau, "train")
    assert set(by_split) == {"train", "val", "test"}
    assert (table.groupby("location")["split"].nunique() == 1).all()
    # 13 % of 8 and of 4 places, by largest remainder: one each.
    places = table.groupby(["split", "class_name"])["location"].nunique()
    assert places.to_dict() == {
        **{(split, name): 1 for split in ("val", "test") for name in PLACES},
        **{("train", name): count - 1 for name, count in PLACES.items()},
    }
    assert not table["clip"].str.endswith("-s6").any()


def test_of_tau_devices_are_named_in_capitals_and_pieces_are_joined_to_10_s(from_tau):
    root, _ = from_tau
    scenes = Dataset(root / "scenes")
    table = scenes.table()
    assert all(row.device == row.clip.rsplit("-", 1)[1].upper() for row in table.itertuples())
    assert set(table["device"]) == {"A", "B", "C", "S1", "S2", "S3", "S4"}
    assert set(table["n_samples"]) == {320_000}
    assert set(table["fs_hz"]) == {32_000}
    assert set(table["source_fs_hz"]) == {TAU_HZ}
    assert (table["filled_s"] == 0).all()
    for item in list(scenes)[::7]:
        spectra = np.abs(np.fft.rfft(item.audio[0].reshape(10, 32_000)))
        np.testing.assert_array_equal(spectra.argmax(axis=1), TONES_HZ)  # a bin is 1 Hz
        assert item.row["rms_db"] == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.05)


def test_parts_of_tau_are_without_faults(from_tau):
    root, parts = from_tau
    for name in parts:
        assert verify(root / name) == []


def test_responses_of_other_devices_are_of_one_level_and_half_of_the_many_compress(from_tau):
    root, parts = from_tau
    microphones = {"vintage-dirs": 66, "multi-dirs": 4, "many-dirs": 8}
    responses = {"vintage-dirs": 1, "multi-dirs": 72 * 3, "many-dirs": 12}
    for name in DIRS:
        dataset = Dataset(root / name)
        table = dataset.table()
        assert set(table.groupby("microphone", observed=True).size()) == {responses[name]}
        assert table["microphone"].nunique() == microphones[name]
        assert set(table["split"]) == {"train", "val", "test"}
        assert not parts[name]["real"]
        for item in list(dataset)[::11]:
            power = np.abs(np.fft.rfft(item.audio[0].astype(float))) ** 2
            assert np.mean(power[16:321]) == pytest.approx(1.0, rel=1e-5)  # 31.25 Hz a bin
        compress = table.groupby("microphone", observed=True)["drc_ratio"].max() > 1
        assert compress.any() == (name == "many-dirs")
    settings = Dataset(root / "many-dirs").info["settings"]
    assert settings["compress"] == 0.5
    assert sorted(settings["angles_deg"]) == [30.0 * i for i in range(12)]
    parts_at_1 = {part.name: part for part in papers()["icl"].parts(root, Given())}
    assert parts_at_1["many-dirs"].settings()[0].count == 1000
    assert parts_at_1["multi-dirs"].settings()[0].count == 25


@pytest.fixture(scope="module")
def from_esc(tmp_path_factory):
    """Three classes of ESC-10, one clip in each fold, and measured responses of both kinds."""
    root = tmp_path_factory.mktemp("esc")
    rng = np.random.default_rng(0)
    for folder in ("001 - Dog bark", "002 - Rain", "009 - Rooster"):
        (root / "in" / folder).mkdir(parents=True)
        for fold in range(1, 6):
            audio = 0.1 * rng.standard_normal(4000)
            soundfile.write(root / "in" / folder / f"{fold}-{folder[2]}{fold}00-A.wav", audio, 8000)
    vintage = measured(root / "vintage", [f"mic{i}" for i in range(5)])
    multi = measured(root / "multi", [f"M{i}_50cm_{angle:03d}deg" for i in range(3) for angle in (0, 90, 180)])
    options = ("--events", str(root / "in"), "--dirs", str(vintage), "--dirs", str(multi))
    return root / "out", build("icl", root / "out", *options)


def test_esc_10_is_divided_by_its_folds(from_esc):
    root, parts = from_esc
    assert list(parts) == ["scenes", *DIRS, "recorders", "scenes-by-device"]
    table = Dataset(root / "scenes").table()
    assert table.groupby("split", observed=True)["fold"].agg(set).to_dict() == {"train": {1, 2, 3}, "val": {4}, "test": {5}}
    assert (table.groupby("split", observed=True)["class_name"].nunique() == 3).all()


def test_every_source_of_validation_and_test_is_heard_by_all_devices(from_esc):
    root, _ = from_esc
    table = Dataset(root / "scenes-by-device").table().astype({"split": str, "device": str})
    assert not table.duplicated(["source_key", "device"]).any()
    heard = defaultdict(set)
    for row in table.itertuples():
        heard[row.split, row.source_key].add(row.device)
    assert Counter(split for split, _ in heard) == {"train": 9, "val": 3, "test": 3}
    assert all(devices == set(SEEN) for (split, _), devices in heard.items() if split == "val")
    assert all(devices == set(ALL) for (split, _), devices in heard.items() if split == "test")
    assert all({"A"} <= devices <= set(SEEN) for (split, _), devices in heard.items() if split == "train")
    assert (table["n_samples"] == 5 * 32_000).all()
    probabilities = Dataset(root / "scenes-by-device").info["settings"]["device_probabilities"]
    # With them device A has its share of the official fold's 139,620 pieces, of which B, C and S1 to S3 have a fifth of the rest.
    assert 1 / sum(probabilities["train"].values()) == pytest.approx(102_150 / 139_620, abs=1e-4)


def test_measured_responses_of_both_kinds_take_their_places_beside_the_many_simulated_ones(from_esc):
    root, parts = from_esc
    assert {name: parts[name]["real"] for name in DIRS} == {"vintage-dirs": True, "multi-dirs": True, "many-dirs": False}
    vintage, multi = (Dataset(root / name).table() for name in DIRS[:2])
    assert sorted(vintage["microphone"]) == [f"mic{i}" for i in range(5)]
    assert Counter(multi["microphone"]) == {f"M{i}": 3 for i in range(3)}
    for name in DIRS[:2]:
        assert set(Dataset(root / name).table()["split"]) == {"train", "val", "test"}
        for item in Dataset(root / name):
            power = np.abs(np.fft.rfft(item.audio[0].astype(float))) ** 2
            assert np.mean(power[16:321]) == pytest.approx(1.0, rel=1e-5)
    for name in parts:
        assert verify(root / name) == []


def test_a_folder_of_esc_50_is_esc_50_by_its_folds(tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "meta").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        for target, category, esc10 in ((0, "dog", "True"), (5, "cat", "False")):
            name = f"{fold}-{target}{fold}-A-{target}.wav"
            soundfile.write(tmp_path / "audio" / name, np.full(800, 0.1), 8000)
            rows.append(f"{name},{fold},{target},{category},{esc10},{target}{fold},A")
    (tmp_path / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    scenes = next(papers()["icl"].parts(tmp_path, Given(events=tmp_path)))
    settings, _ = scenes.settings()
    assert (settings.corpus, settings.split_by, settings.folds["val"]) == ("esc50", "fold", (4,))


def test_stand_ins_have_every_class_in_every_split_at_any_scale(tmp_path):
    from roomgen.datasets.sources.plan import SourcesPlan

    for scale in (0.001, 0.05, 0.3, 1.0):
        scenes = next(papers()["icl"].parts(tmp_path, Given(scale=scale)))
        plan = SourcesPlan(*scenes.settings())
        found, places = defaultdict(set), defaultdict(set)
        for shard in plan.shards:
            for chunk in plan.chunks(shard):
                for unit in chunk:
                    found[shard.split].add(unit.clip.class_name)
                    places[shard.split].add(unit.clip.location)
        assert set(found) == {"train", "val", "test"}
        assert all(len(classes) == 10 for classes in found.values())
        assert not places["train"] & places["test"]
        assert not places["val"] & (places["train"] | places["test"])
        assert 0.18 <= plan.split_sizes["test"] / len(plan) <= 0.34


def test_a_part_of_tau_keeps_its_splits(tau, tmp_path):
    scenes = next(papers()["icl"].parts(tmp_path, Given(scenes=tau, scale=0.1)))
    counts = scenes.settings()[0].max_samples
    assert sum(counts.values()) == pytest.approx(0.1 * (139_620 + 29_680) / 10, abs=2)
    assert next(papers()["icl"].parts(tmp_path, Given(scenes=tau))).settings()[0].max_samples == {}


def test_folders_that_cannot_be_are_one_error_before_anything_is_made(tmp_path):
    few = measured(tmp_path / "few", ["one", "two"])
    many = measured(tmp_path / "many", ["one", "two", "three"])
    again = measured(tmp_path / "again", ["four", "five", "six"])
    (tmp_path / "empty").mkdir()
    for folders, message in (
        ((few,), r"few holds responses of 2 microphones, and train, val and test need one of their own each"),
        ((many, few), r"many and .*few both hold single responses"),
        ((many, again), r"many and .*again both hold single responses of microphones: give one of them"),
        ((tmp_path / "empty",), r"empty is not MicIRP"),
    ):
        with pytest.raises(RoomgenError, match=message) as caught:
            list(papers()["icl"].parts(tmp_path, Given(dirs=folders)))
        assert "\n" not in str(caught.value)
    shutil.rmtree(few)
    single = measured(tmp_path / "single", [f"SM57_50cm_{angle:03d}deg" for angle in (0, 45, 90, 180)])
    with pytest.raises(RoomgenError, match="single holds responses of 1 microphone, and train"):
        list(papers()["icl"].parts(tmp_path, Given(dirs=(single,))))
