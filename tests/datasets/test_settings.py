"""Settings: presets, overrides, and errors that name what is wrong and what is allowed."""

import re

import pytest

from roomgen.datasets.devices.settings import DevicesSettings
from roomgen.datasets.rooms.presets import load_settings, preset_names
from roomgen.datasets.sources.settings import SourcesSettings
from roomgen.errors import RoomgenError
from roomgen.settings import differing_keys, parse_assignment, resolve


def test_presets_are_there_and_valid():
    assert preset_names() == ("goetz", "mc-simclr", "mixed", "mvsd", "revrir")
    for name in preset_names():
        assert load_settings(name).preset == name


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rooms.count", 0, "--n 0: .*greater than or equal to 1"),
        ("rooms.count", -5, "--n -5"),
        ("rooms.count", 10**9, "less than or equal to 10000000"),
        ("rooms.count", 2.5, "--n 2.5.*integer"),
        ("rooms.cuont", 3, "unknown setting 'rooms.cuont'. Did you mean 'rooms.count'"),
        ("bogus", 3, "unknown setting 'bogus'"),
        ("signal.fs_hz", 3, "signal.fs_hz 3: .*1000"),
        ("signal.duration", "long", 'signal.duration \'long\': give "auto", "octaves", "revrir", or seconds between 0 and 120'),
        ("signal.duration", -1, "seconds between 0 and 120"),
        ("signal.air", (20, 500), "humidity_pct = 500 % is outside 10…100"),
        ("signal.rt60_s", (0.9, 0.2), "must rise"),
        ("splits.shares", {"train": 0.5, "val": 0.1}, "add up to 0.6, not 1"),
        ("splits.shares", {"Train!": 1.0}, "lower-case"),
        ("walls.absorption", 1.5, "outside 0…1"),
        ("walls.absorption", "brikwork", "Did you mean 'brickwork'"),
        ("walls.absorption", {"floor": 0.1}, "walls are west, east"),
        ("place.max_distance_m", 0.2, "larger than min_distance_m"),
        ("shard_size", 0, "shard_size 0"),
        ("seed", -1, "seed -1"),
        ("engine.name", "pra", "'image' or 'reference'"),
    ],
)
def test_a_bad_value_is_one_clear_line(key, value, message):
    with pytest.raises(RoomgenError) as error:
        load_settings("mixed", {key: value}, flags={"rooms.count": "--n"})
    assert re.search(message, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 2


def test_an_unknown_preset_lists_all():
    with pytest.raises(RoomgenError, match=r"unknown preset 'revrirr'. Did you mean 'revrir'.*mc-simclr, mixed, mvsd, revrir"):
        load_settings("revrirr")


def test_assignments_are_read_as_toml():
    assert parse_assignment("place.wall_distance_m=0.3") == ("place.wall_distance_m", 0.3)
    assert parse_assignment('walls.absorption="brickwork"') == ("walls.absorption", "brickwork")
    assert parse_assignment("walls.absorption=brickwork") == ("walls.absorption", "brickwork")
    assert parse_assignment("signal.air=[20, 50]") == ("signal.air", [20, 50])
    with pytest.raises(RoomgenError, match="not key=value"):
        parse_assignment("place.wall_distance_m")


def test_the_hash_follows_every_setting():
    base = load_settings("mixed")
    assert base.hash() == load_settings("mixed").hash()
    others = [("seed", 1), ("shard_size", 10), ("signal.fs_hz", 8000), ("place.wall_distance_m", 0.4), ("engine.highpass_hz", 0)]
    assert len({base.hash(), *(load_settings("mixed", {k: v}).hash() for k, v in others)}) == 1 + len(others)


def test_differing_keys_are_named_with_both_values():
    old, new = load_settings("mixed"), load_settings("mixed", {"seed": 3, "signal.fs_hz": 8000})
    assert differing_keys(old.model_dump(mode="json"), new.model_dump(mode="json")) == ["seed: 0 → 3", "signal.fs_hz: 16000 → 8000"]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("rooms.count.x=1", "rooms.count is a value, not a group"),
        ("rooms.families.0=1", "rooms.families is a value, not a group"),
        ("walls.absorption.west.a=1", "absorption.west is a value|absorption names|setting walls"),
        ("rooms.count=" + "1" * 5000, "more digits than any setting"),
        ("rooms.count=0x" + "f" * 5000, "more than 4300 digits.*less than or equal to"),
        ("engine.max_order=0x" + "f" * 5000, "engine.max_order"),
        ("place.rirs_per_room=1000000", "at most 100,000,000"),
        ("rooms={sizes='grid',families=[{name='a',min_m=[1,1,1],max_m=[9,9,9],step_m=[1e-6,1,1]}]}", "step_m.*sizes"),
        ("engine.device=tpu", "runs on the CPU and cuda"),
        ("engine.highpass_hz=inf", "highpass_hz = inf"),
        ("splits.seen=" + "9" * 200, "splits.seen"),
    ],
)
def test_what_would_never_end_or_crash_is_one_short_line(assignment, message):
    with pytest.raises(RoomgenError) as error:
        load_settings("mixed", dict([parse_assignment(assignment)]))
    assert re.search(message, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_a_dataset_of_terabytes_is_refused_before_it_is_begun():
    asked = {"rooms.count": 1_000_000, "place.rirs_per_room": 100, "signal.duration": 10, "array.geometry": "circular4:0.05"}
    with pytest.raises(RoomgenError, match=r"take 256 TB, and a dataset at most 10 TB"):
        load_settings("mixed", asked)
    assert load_settings("mixed", {**asked, "rooms.count": 1000}).rooms.count == 1000


def test_devices_and_sources_have_limits_too():
    with pytest.raises(RoomgenError, match=r"21600000 responses.*at most 5,000,000"):
        resolve({}, {"count": 100_000}, model=DevicesSettings)
    with pytest.raises(RoomgenError, match=r"corpus_count 1000000000"):
        resolve({"corpus": "synthetic", "fingerprint": ""}, {"corpus_count": 10**9}, model=SourcesSettings)
    with pytest.raises(RoomgenError, match=r"segment_s 1e-09"):
        resolve({"corpus": "synthetic", "fingerprint": ""}, {"segment_s": 1e-9}, model=SourcesSettings)
