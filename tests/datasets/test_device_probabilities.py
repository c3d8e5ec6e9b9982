"""Every source heard by every device with its probability: no pair twice, and no draw that hangs on another device."""

import numpy as np
import pytest
import soundfile

from roomgen.datasets.devices.family import devices_settings
from roomgen.datasets.renders.family import RendersPlan, renders_settings
from roomgen.datasets.renders.settings import RendersSettings
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

FS_HZ = 8000
SHARES = {"train": 0.8, "test": 0.2}
SEEN = ("A", "B", "S1")
RARE = {"train": {"A": 1.0, "B": 0.3, "S1": 0.1}, "test": {}}


def recorders(root, names):
    settings, _ = devices_settings("recorders", None, {"fs_hz": FS_HZ, "n_samples": 128, "recorders": names})
    generate(settings, root, workers=0, progress=False)
    return root


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """400 sources of 10 ms in two splits, and three devices in training and four in the test."""
    root = tmp_path_factory.mktemp("parts")
    (root / "in").mkdir()
    rng = np.random.default_rng(0)
    for i in range(400):
        soundfile.write(root / "in" / f"clip{i:03d}.wav", 0.1 * rng.standard_normal(80), FS_HZ, subtype="PCM_16")
    settings, inputs = sources_settings("folder", root / "in", {"splits.shares": SHARES, "fs_hz": FS_HZ})
    generate(settings, root / "sources", workers=0, progress=False, inputs=inputs)
    recorders(root / "devices", {"train": SEEN, "test": (*SEEN, "S4")})
    return {"sources": root / "sources", "devices": root / "devices"}


def pairs(inputs, **overrides):
    """Return (split, source key, device) of all that a plan holds, in its order."""
    plan = RendersPlan(renders_settings(inputs, overrides), inputs)
    sources = list(Dataset(inputs["sources"]).table(["key"])["key"])
    devices = list(Dataset(inputs["devices"]).table(["microphone"])["microphone"].astype(str))
    units = [(shard.split, unit) for shard in plan.shards for chunk in plan.chunks(shard) for unit in chunk]
    assert [unit.number for _, unit in units] == list(range(len(plan)))
    return [(split, sources[unit.source], devices[unit.device]) for split, unit in units]


def test_each_pair_is_there_once_at_most_and_as_often_as_its_probability_says(parts):
    found = pairs(parts, device_probabilities=RARE)
    assert len(set(found)) == len(found)
    table = Dataset(parts["sources"]).table(["key", "split"]).astype(str)
    for split, names in (("train", SEEN), ("test", (*SEEN, "S4"))):
        keys = set(table["key"][table["split"] == split])
        heard = {name: {key for of, key, device in found if (of, device) == (split, name)} for name in names}
        assert all(members <= keys for members in heard.values())
        for name, members in heard.items():
            p = RARE[split].get(name, 1.0)
            assert abs(len(members) - p * len(keys)) <= 4 * np.sqrt(p * (1 - p) * len(keys))
        assert sum(len(members) for members in heard.values()) == sum(of == split for of, _, _ in found)


def test_devices_hear_a_source_independently_of_one_another(parts):
    half = {"train": {"A": 0.5, "B": 0.5, "S1": 0.5}}
    found = {(key, device) for split, key, device in pairs(parts, device_probabilities=half) if split == "train"}
    keys = sorted(set(Dataset(parts["sources"]).table(split="train")["key"]))
    heard = np.array([[(key, device) in found for device in SEEN] for key in keys])
    correlation = np.corrcoef(heard.T.astype(float))
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 4 / np.sqrt(len(keys))


def test_another_device_moves_none_of_the_others_nor_does_another_probability(parts, tmp_path):
    asked = {"train": {"A": 0.5, "B": 0.3, "S1": 0.1}}
    before = [pair for pair in pairs(parts, device_probabilities=asked) if pair[0] == "train"]
    more = {**parts, "devices": recorders(tmp_path / "more", {"train": ("S6", *SEEN[::-1]), "test": (*SEEN, "S4")})}
    after = [pair for pair in pairs(more, device_probabilities={"train": {**asked["train"], "S6": 0.4}}) if pair[0] == "train"]
    assert {pair for pair in after if pair[2] != "S6"} == set(before)
    raised = [pair for pair in pairs(parts, device_probabilities={"train": {**asked["train"], "B": 0.6}}) if pair[0] == "train"]
    assert {pair for pair in raised if pair[2] != "B"} == {pair for pair in before if pair[2] != "B"}
    assert {pair for pair in raised if pair[2] == "B"} > {pair for pair in before if pair[2] == "B"}


def test_other_seeds_draw_other_pairs_and_all_are_shuffled(parts):
    drawn = [pairs(parts, device_probabilities=RARE, seed=seed) for seed in (0, 1)]
    assert set(drawn[0]) != set(drawn[1])
    order = [key for split, key, device in drawn[0] if (split, device) == ("train", "A")]
    assert order != sorted(order)
    assert order != [key for split, key, device in drawn[1] if (split, device) == ("train", "A")]


def test_shards_hold_what_the_plan_says_and_are_made_again(parts, tmp_path):
    asked = {"device_probabilities": RARE, "seed": 3, "max_samples": {"train": 70, "test": 40}}
    settings = renders_settings(parts, {**asked, "level": "keep", "shard_size": 50})
    for workers in (0, 2):
        generate(settings, tmp_path / str(workers), workers=workers, progress=False, inputs=parts)
    names = [path.relative_to(tmp_path / "0") for path in sorted((tmp_path / "0").rglob("*")) if path.is_file()]
    assert all((tmp_path / "0" / name).read_bytes() == (tmp_path / "2" / name).read_bytes() for name in names)
    made = Dataset(tmp_path / "0")
    table = made.table().astype({"split": str, "device": str})
    rows = list(table[["split", "source_key", "device"]].itertuples(index=False, name=None))
    assert rows == pairs(parts, **asked)
    assert table["key"].is_unique
    assert verify(made.root, deep=True) == []
    assert all(compare_again(made, item).identical for item in list(made)[::20])
    test = table[table["split"] == "test"].groupby("source_key")["device"].agg(set)
    assert len(test) == 10
    assert (test == {*SEEN, "S4"}).all()
    assert "train by A, B (30 %), S1 (10 %)" in (made.root / "README.md").read_text(encoding="utf-8")


def test_a_limit_keeps_whole_sets_of_devices(parts):
    found = [pair for pair in pairs(parts, device_probabilities=RARE, max_samples={"test": 40}) if pair[0] == "test"]
    assert len(found) == 40
    assert len({key for _, key, _ in found}) == 10


def test_a_microphone_of_several_responses_hears_a_source_through_one_of_them(parts, tmp_path):
    asked = {"fs_hz": FS_HZ, "n_samples": 128, "count": 4, "angles_deg": (0.0, 90.0, 180.0), "distances_m": (0.5,)}
    settings, _ = devices_settings("microphones", None, {**asked, "splits.shares": {"train": 0.5, "test": 0.5}})
    generate(settings, tmp_path / "microphones", workers=0, progress=False)
    inputs = {**parts, "devices": tmp_path / "microphones"}
    plan = RendersPlan(renders_settings(inputs, {"device_probabilities": {"train": {}}}), inputs)
    assert len(plan) == 400 * 2
    table = Dataset(inputs["devices"]).table(["microphone", "angle_deg", "split"])
    units = [unit for shard in plan.shards if shard.split == "train" for chunk in plan.chunks(shard) for unit in chunk]
    heard = table.iloc[[unit.device for unit in units]]
    assert set(heard["split"].astype(str)) == {"train"}
    counts = heard.groupby(["microphone", "angle_deg"], observed=True).size()
    assert len(counts) == 2 * 3
    assert counts.between(320 / 3 - 40, 320 / 3 + 40).all()


def test_a_source_is_in_one_room_whichever_device_hears_it(parts, tmp_path):
    few = {"rooms.count": 10, "place.rirs_per_room": 2, "walls.absorption": 0.9, "signal.duration": 0.2, "signal.fs_hz": FS_HZ}
    generate(load_settings("goetz", {**few, "splits.shares": SHARES}), tmp_path / "rooms", workers=0, progress=False)
    inputs = {**parts, "rirs": tmp_path / "rooms"}
    plan = RendersPlan(renders_settings(inputs, {"device_probabilities": RARE}), inputs)
    units = [unit for shard in plan.shards for chunk in plan.chunks(shard) for unit in chunk]
    rooms = {}
    assert all(rooms.setdefault(unit.source, unit.rir) == unit.rir for unit in units)
    assert len(set(rooms.values())) == 20


def test_a_plan_takes_no_more_draws_for_more_sources(parts, monkeypatch):
    import roomgen.datasets.renders.plan as plans

    drawn = []
    monkeypatch.setattr(plans, "generator", lambda *key, f=plans.generator: drawn.append(key) or f(*key))
    RendersPlan(renders_settings(parts, {"device_probabilities": RARE}), parts)
    # One generator per split and device and one per order, however many sources there are.
    assert len(drawn) <= 2 * 4 + 2


def test_datasets_without_probabilities_have_none_in_their_settings(parts):
    without = renders_settings(parts, {})
    assert "device_probabilities" not in without.model_dump(mode="json")
    assert renders_settings(parts, {"device_probabilities": {}}).hash() == without.hash()
    given = renders_settings(parts, {"device_probabilities": RARE})
    assert RendersSettings.model_validate_json(given.model_dump_json()) == given


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"per_source": 2}, "so does per_source"),
        ({"device_weights": {"train": {"A": 2.0}}}, "so does device_weights"),
        ({"device_share": 0.5}, "so does device_share"),
        ({"device_probabilities": {"train": {"A": 1.1}}}, "device_probabilities.train.A 1.1"),
        ({"device_probabilities": {"train": {"S4": 1.0}}}, "'S4', which is no device of train; there are: A, B, S1"),
        ({"device_probabilities": {"val": {"A": 1.0}}}, "device_probabilities names a split 'val'; the sources have"),
        (
            {"device_probabilities": {s: dict.fromkeys((*SEEN, "S4")[: 3 + (s == "test")], 0.0) for s in SHARES}},
            "no renders are left",
        ),
    ],
)
def test_what_cannot_be_is_one_error(parts, overrides, message):
    with pytest.raises(RoomgenError, match=message) as caught:
        RendersPlan(renders_settings(parts, {"device_probabilities": RARE, **overrides}), parts)
    assert "\n" not in str(caught.value)


def test_probabilities_without_devices_are_an_error(parts):
    with pytest.raises(RoomgenError, match=r"need devices to be heard by: give them \(--devices\)"):
        renders_settings({"sources": parts["sources"]}, {"device_probabilities": RARE, "snr_db": (10.0, 10.0)})
