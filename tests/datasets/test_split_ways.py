"""Ways to divide sources: every class in every split, the corpus' own folds, and a part of the training for validation."""

import json
from collections import Counter, defaultdict

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from roomgen.cli import app
from roomgen.datasets.sources.family import sources_settings
from roomgen.datasets.sources.plan import SourcesPlan
from roomgen.datasets.sources.settings import SourcesSettings
from roomgen.datasets.splits import divide_within
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

FS_HZ = 8000
SHARES = {"train": 0.696, "val": 0.104, "test": 0.2}
FOLDS = {"train": (1, 2, 3), "val": (4,), "test": (5,)}
PLACES = {"airport": 8, "bus": 4, "tram": 15}


def divided(overrides, corpus, root):
    """Return (split, clip) of all that a plan holds, less the paths."""
    plan = SourcesPlan(*sources_settings(corpus, root, {"fs_hz": FS_HZ, **overrides}))
    return [(shard.split, unit.clip) for shard in plan.shards for chunk in plan.chunks(shard) for unit in chunk]


@pytest.fixture
def classes(tmp_path):
    """A folder of classes with as many recordings as PLACES says."""
    for name, count in PLACES.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in range(count):
            soundfile.write(tmp_path / "in" / name / f"{i:02d}.wav", np.full(1000, 0.1), FS_HZ)
    return tmp_path / "in"


@pytest.fixture
def esc(tmp_path):
    """Three classes of ESC-10, each with two takes of one recording in each of five folds."""
    for folder in ("001 - Dog bark", "002 - Rain", "009 - Rooster"):
        (tmp_path / "esc" / folder).mkdir(parents=True)
        for fold in range(1, 6):
            for take in "AB":
                path = tmp_path / "esc" / folder / f"{fold}-{folder[2]}{fold}00-{take}.wav"
                soundfile.write(path, np.full(1000, 0.1), FS_HZ)
    return tmp_path / "esc"


@pytest.fixture
def tau(tmp_path):
    """Places of two scenes, each recorded by A and B at once; some by S4 too, which the fold leaves out."""
    root = tmp_path / "tau"
    (root / "audio").mkdir(parents=True)
    (root / "evaluation_setup").mkdir()
    meta, folds = [], defaultdict(list)
    for scene, start in (("bus", 0), ("park", 100)):
        for place in range(start, start + 20):
            for device in ("a", "b", *(("s4",) if place % 7 == 0 else ())):
                file = f"audio/{scene}-lyon-{place}-{place}-0-{device}.wav"
                soundfile.write(root / file, np.full(1000, 0.1), FS_HZ)
                meta.append(f"{file}\t{scene}\tlyon-{place}\t{device}")
                if device != "s4":
                    folds["test" if place % 20 >= 15 else "train"].append(f"{file}\t{scene}")
    (root / "meta.csv").write_text("\n".join(["filename\tscene_label\tidentifier\tsource_label", *meta]) + "\n")
    for name, subset in (("train", "train"), ("evaluate", "test")):
        (root / f"evaluation_setup/fold1_{name}.csv").write_text("\n".join(["filename\tscene_label", *folds[subset]]) + "\n")
    return root


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (25, (17, 3, 5)),  # 17.4, 2.6, 5
        (8, (5, 1, 2)),  # 5.57, 0.83, 1.6
        (10, (7, 1, 2)),  # 6.96, 1.04, 2
        (4, (2, 1, 1)),  # 2.78, 0.42, 0.8: by remainder alone there were no val
        (3, (1, 1, 1)),
    ],
)
def test_each_class_is_divided_by_largest_remainder_and_lacks_no_split(count, expected):
    groups = [f"{name}{i}" for i in range(count) for name in "ab"]
    split_of = divide_within(groups, {group: group[0] for group in groups}, SHARES, what="groups")
    for name in "ab":
        found = Counter(split for group, split in split_of.items() if group[0] == name)
        assert tuple(found[split] for split in SHARES) == expected


def test_no_split_lacks_a_class_and_no_group_is_in_two(classes):
    seen = set()
    for seed in range(3):
        parts = divided({"split_within": "class_name", "splits.shares": SHARES, "seed": seed}, "folder", classes)
        assert Counter(clip.class_name for _, clip in parts) == PLACES
        found = Counter((clip.class_name, split) for split, clip in parts)
        assert [[found[name, split] for split in SHARES] for name in PLACES] == [[5, 1, 2], [2, 1, 1], [10, 2, 3]]
        seen.add(tuple(sorted((split, clip.name) for split, clip in parts)))
    assert len(seen) == 3  # which ones is drawn


def test_a_class_with_fewer_groups_than_splits_is_one_error(classes):
    for path in sorted((classes / "bus").iterdir())[2:]:
        path.unlink()
    with pytest.raises(
        RoomgenError, match=r"class 'bus': 2 groups of the corpus folder cannot be divided .* train, val, test"
    ) as caught:
        divided({"split_within": "class_name", "splits.shares": SHARES}, "folder", classes)
    assert "\n" not in str(caught.value)


def test_a_group_of_several_classes_counts_as_one_of_that_which_it_holds_most_of(esc):
    for folder, takes in (("001 - Dog bark", "A"), ("002 - Rain", "BC")):
        for take in takes:
            soundfile.write(esc / folder / f"1-900-{take}.wav", np.full(1000, 0.1), FS_HZ)
    for seed in range(5):
        asked = {"split_within": "class_name", "splits.shares": {"train": 0.5, "test": 0.5}, "seed": seed}
        groups = {(split, clip.class_name, clip.group) for split, clip in divided(asked, "esc10", esc)}
        assert Counter((split, name) for split, name, _ in groups if name == "rain") == {("train", "rain"): 3, ("test", "rain"): 3}
        assert Counter(split for split, name, group in groups if name == "dog" and group != "900") == {"train": 3, "test": 2}
        assert len({split for split, _, group in groups if group == "900"}) == 1


def test_the_command_divides_within_classes_and_by_folds(classes, esc):
    def splits(*options):
        result = CliRunner().invoke(app, ["sources", *options, "--dry-run", "--json"])
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.output)["splits"]

    shares = ("--splits", "train=0.696,val=0.104,test=0.2")
    assert splits("folder", "--root", str(classes), "--split-within", "class_name", *shares) == {"train": 17, "val": 4, "test": 6}
    folds = ("--split-by", "fold", "--set", "folds={train=[1,2,3],val=[4],test=[5]}")
    assert splits("esc10", "--root", str(esc), *folds) == {"train": 18, "val": 6, "test": 6}


def test_folds_are_the_corpus_own(esc):
    parts = divided({"split_by": "fold", "folds": FOLDS}, "esc10", esc)
    assert len(parts) == 30
    assert all(clip.fold in FOLDS[split] for split, clip in parts)
    assert all(clip.fold == int(clip.name[0]) for _, clip in parts)
    for split in FOLDS:
        assert {clip.class_name for of, clip in parts if of == split} == {"dog", "rain", "rooster"}
    left_out = divided({"split_by": "fold", "folds": {"train": (2,), "test": (5,)}}, "esc10", esc)
    assert sorted((split, clip.fold) for split, clip in left_out) == [("test", 5)] * 6 + [("train", 2)] * 6


def test_validation_takes_whole_places_of_the_training_alone(tau):
    asked = {"split_by": "subset", "subsets": ("train", "test"), "val_share": 0.13, "split_within": "class_name"}
    parts = divided(asked, "tau2022", tau)
    assert len(parts) == 80
    places = defaultdict(set)
    for split, clip in parts:
        assert clip.device in ("A", "B")
        assert clip.subset == ("test" if split == "test" else "train")
        places[split].add((clip.class_name, clip.group))
    assert not places["val"] & places["train"]
    # 13 % of 15 places are 1.95.
    assert Counter(name for name, _ in places["val"]) == {"bus": 2, "park": 2}
    assert Counter(name for name, _ in places["train"]) == {"bus": 13, "park": 13}
    assert {group for _, group in places["test"]} == {f"lyon-{start + i}" for start in (0, 100) for i in range(15, 20)}
    assert all(Counter(clip.group for of, clip in parts if of == split).most_common()[-1][1] == 2 for split in places)
    without = divided({"split_by": "subset"}, "tau2022", tau)
    assert {clip.name for split, clip in without if split == "test"} == {clip.name for split, clip in parts if split == "test"}


def test_of_folds_too_validation_takes_some_of_the_training(esc):
    asked = {"split_by": "fold", "folds": {"train": (1, 2, 3, 4), "test": (5,)}, "val_share": 0.25, "split_within": "class_name"}
    parts = divided(asked, "esc10", esc)
    assert Counter((split, clip.class_name) for split, clip in parts) == {
        (split, name): count for split, count in (("train", 6), ("val", 2), ("test", 2)) for name in ("dog", "rain", "rooster")
    }


def test_a_dataset_says_how_it_was_divided_and_is_whole(esc, tmp_path):
    settings, inputs = sources_settings("esc10", esc, {"fs_hz": FS_HZ, "split_by": "fold", "folds": FOLDS})
    generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs)
    table = Dataset(tmp_path / "out").table()
    assert (table["fold"].map({fold: name for name, folds in FOLDS.items() for fold in folds}) == table["split"].astype(str)).all()
    assert "Splits are by the corpus' own folds." in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["settings"]["folds"] == {
        k: list(v) for k, v in FOLDS.items()
    }
    assert verify(tmp_path / "out", deep=True) == []


def test_ways_that_are_not_taken_leave_no_trace_in_the_settings():
    tree = SourcesSettings(corpus="folder", fingerprint="").model_dump(mode="json")
    assert not {"split_within", "folds", "val_share"} & set(tree)
    taken = SourcesSettings(corpus="folder", fingerprint="", split_within="class_name").model_dump(mode="json")
    assert taken == {**tree, "split_within": "class_name"}
    again = SourcesSettings.model_validate_json(json.dumps(taken))
    assert again.split_within == "class_name"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"split_by": "fold"}, "belong together.*folds={train="),
        ({"folds": FOLDS}, "belong together"),
        ({"split_by": "fold", "folds": {"train": (1, 2), "test": (2,)}}, "no fold may be in two"),
        ({"split_by": "fold", "folds": {"train": (1,), "test": ()}}, "at least one fold"),
        ({"split_by": "fold", "folds": {"Train": (1,)}}, "split name 'Train'"),
        (
            {"split_by": "fold", "folds": {"train": (1,), "test": (6,)}},
            "names the fold 6, and the corpus esc10 has the folds 1, 2, 3",
        ),
        ({"val_share": 0.1}, "give val a share of its own"),
        ({"split_by": "subset", "split_within": "class_name"}, "nothing to divide"),
        ({"split_within": "speaker"}, "--split-within 'speaker'"),
        (
            {"split_by": "fold", "folds": FOLDS, "val_share": 0.1},
            "takes val from train, and the corpus esc10 has the splits test, train, val",
        ),
    ],
)
def test_what_cannot_be_is_one_error(esc, overrides, message):
    flags = {"split_within": "--split-within"}
    with pytest.raises(RoomgenError, match=message) as caught:
        SourcesPlan(*sources_settings("esc10", esc, {"fs_hz": FS_HZ, **overrides}, flags=flags))
    assert "\n" not in str(caught.value)


def test_a_corpus_without_folds_says_so(classes):
    with pytest.raises(RoomgenError, match="the corpus folder has no folds at all"):
        divided({"split_by": "fold", "folds": FOLDS}, "folder", classes)


def test_a_recording_in_the_folds_of_two_splits_is_an_error(esc):
    soundfile.write(esc / "002 - Rain" / "5-2100-C.wav", np.full(1000, 0.1), FS_HZ)  # also in fold 1
    with pytest.raises(RoomgenError, match="the group '2100' of the corpus esc10 is in folds of two splits"):
        divided({"split_by": "fold", "folds": FOLDS}, "esc10", esc)
