"""The plan: which rooms, which positions, which samples where; rules that hold exactly."""

import numpy as np
import pytest

from roomgen.acoustics.arrays import direction_in_frame_deg
from roomgen.datasets.rooms.conditions import revrir_duration_s
from roomgen.datasets.rooms.placement import draw_pair
from roomgen.datasets.rooms.plan import RoomsPlan, apportion
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.rooms.settings import PlaceSettings
from roomgen.errors import RoomgenError
from roomgen.streams import Stream, generator


def all_pairs(plan):
    return [(shard.split, *pair) for shard in plan.shards for pair in plan.pairs(shard)]


def test_revrir_has_the_110_rooms_of_the_paper_in_its_order():
    plan = RoomsPlan(load_settings("revrir", {"rooms.count": 110}))
    rooms = [plan.room(i) for i in range(110)]
    assert [r.type for r in rooms] == ["small"] * 16 + ["large"] * 52 + ["hall"] * 42
    # Built independently: the published loop, with mirror duplicates left out.
    expected = []
    for low, high, step in (
        ((1.5, 2.5, 2.5), (4, 4.5, 3), (1, 1, 0.5)),
        ((6, 6, 2.5), (13, 12, 4), (1, 2, 1)),
        ((1, 7, 2.5), (3, 13, 3.5), (1, 1, 1)),
    ):
        family = []
        for a in np.arange(low[0], high[0] + 0.1, step[0]):
            for b in np.arange(low[1], high[1] + 0.1, step[1]):
                for c in np.arange(low[2], high[2] + 0.1, step[2]):
                    if (b, a, c) not in family:
                        family.append((a, b, c))
        expected += family
    np.testing.assert_allclose([r.shoebox.size_m for r in rooms], expected)
    np.testing.assert_allclose(rooms[0].shoebox.absorption(8000), 0.19)  # 1 - 0.9²


def test_revrir_lengths_follow_the_published_code():
    plan = RoomsPlan(load_settings("revrir", {"rooms.count": 110}))
    lengths = [plan.row("train", i, 0)["n_samples"] for i in range(110)]
    assert (min(lengths), max(lengths)) == (1228, 3042)  # what the published code's formula gives at 8 kHz
    full = RoomsPlan(load_settings("revrir", {"rooms.count": 110, "signal.duration": "auto"}))
    assert all(full.row("train", i, 0)["n_samples"] > 1.5 * n for i, n in enumerate(lengths))
    assert revrir_duration_s(plan.room(0).shoebox) == pytest.approx(1.2 * 0.128)


def test_revrir_with_another_count_keeps_the_mix_and_repeats_no_room():
    plan = RoomsPlan(load_settings("revrir", {"rooms.count": 55}))
    rooms = [plan.room(i) for i in range(55)]
    assert [sum(r.type == t for r in rooms) for t in ("small", "large", "hall")] == [8, 26, 21]
    assert len({r.shoebox.size_m for r in rooms}) == 55


def test_goetz_rooms_are_the_papers():
    plan = RoomsPlan(load_settings("goetz"))
    sizes = np.array([plan.room(i).shoebox.size_m for i in range(100)])
    assert len(plan) == 1000
    assert (sizes >= [3, 3, 3]).all()
    assert (sizes <= [10, 10, 5]).all()
    assert np.ptp(sizes, axis=0) == pytest.approx([7, 7, 2], rel=0.15)  # the whole range is used
    assert len({plan.room(i).shoebox.materials for i in range(100)}) == 100


def test_mixed_has_the_three_families_in_their_ratio_and_ranges():
    settings = load_settings("mixed", {"rooms.count": 110})
    plan = RoomsPlan(settings)
    rooms = [plan.room(i) for i in range(110)]
    assert [sum(r.type == f.name for r in rooms) for f in settings.rooms.families] == [16, 52, 42]
    for room in rooms:
        family = next(f for f in settings.rooms.families if f.name == room.type)
        assert all(
            low <= v <= np.float32(high) for low, v, high in zip(family.min_m, room.shoebox.size_m, family.max_m, strict=True)
        )


@pytest.mark.parametrize("by", ["room", "position"])
def test_every_sample_is_in_exactly_one_shard(by):
    plan = RoomsPlan(load_settings("mixed", {"rooms.count": 13, "place.rirs_per_room": 23, "shard_size": 17, "splits.by": by}))
    pairs = [(room, position) for _, room, position in all_pairs(plan)]
    assert len(pairs) == len(plan) == 13 * 23
    assert len(set(pairs)) == len(pairs)
    assert all(len(plan.pairs(shard)) == shard.count <= 17 for shard in plan.shards)


def test_rooms_are_disjoint_between_splits_and_families_are_spread_over_them():
    plan = RoomsPlan(load_settings("mixed", {"rooms.count": 110}))
    rooms = {split: {room for s, room, _ in all_pairs(plan) if s == split} for split in ("train", "val", "test")}
    assert [len(r) for r in rooms.values()] == [88, 11, 11]
    assert not rooms["train"] & rooms["val"]
    assert not rooms["train"] & rooms["test"]
    assert not rooms["val"] & rooms["test"]
    for split in rooms.values():
        types = [plan.room(i).type for i in split]
        assert types.count("large") / len(types) == pytest.approx(52 / 110, abs=0.1)


def test_splits_by_position_have_the_same_rooms_and_other_positions():
    plan = RoomsPlan(load_settings("revrir", {"rooms.count": 110}))
    places = {split: {(r, p) for s, r, p in all_pairs(plan) if s == split} for split in ("train", "val", "test")}
    assert [len(p) for p in places.values()] == [880, 110, 110]
    assert all({r for r, _ in p} == set(range(110)) for p in places.values())
    assert not places["train"] & places["test"]


def test_a_shard_mixes_many_rooms():
    plan = RoomsPlan(load_settings("revrir", {"rooms.count": 110, "place.rirs_per_room": 500}))
    rooms = {room for room, _ in plan.pairs(plan.shards[0])}
    assert len(rooms) == 100


@pytest.mark.parametrize("preset", ["mixed", "revrir", "goetz"])
def test_placement_rules_hold_exactly_in_what_the_row_stores(preset):
    plan = RoomsPlan(load_settings(preset, {"rooms.count": 40}))
    for room in range(40):
        for position in range(5):
            row = plan.row("train", room, position)
            size = np.array([row["length_m"], row["width_m"], row["height_m"]])
            source, mic = np.array(row["source_xyz_m"]), np.array(row["mic_xyz_m"])
            for point in (source, mic):
                np.testing.assert_array_equal(point, point.astype(np.float32))
                assert (point >= 0.5).all()
                assert (size - point >= 0.5).all()
            assert np.linalg.norm(source - mic) >= 0.5
            assert row["distance_m"] == np.linalg.norm(source - mic)


def test_a_corridor_of_twice_the_wall_distance_leaves_its_middle():
    source, mic = draw_pair(generator(0, Stream.PLACE, 0), (1.0, 7.0, 2.5), PlaceSettings(), room="hall")
    assert source[0] == mic[0] == 0.5


def test_largest_distance_is_kept():
    rules = PlaceSettings(min_distance_m=1.0, max_distance_m=1.2)
    for i in range(50):
        source, mic = draw_pair(generator(3, Stream.PLACE, i), (6, 5, 3), rules, room="r")
        assert 1.0 <= np.linalg.norm(source.astype(float) - mic) <= 1.2


@pytest.mark.parametrize(
    ("size", "rules", "words"),
    [
        ((0.9, 5, 3), {}, ["room r7", "0.9 × 5 × 3 m", "wall_distance_m = 0.5", "at most 0.45"]),
        ((1.2, 1.2, 1.2), {}, ["room r7", "min_distance_m = 0.5", "0.346 m apart"]),
        (
            (3, 3, 3),
            {"min_distance_m": 3.45, "max_distance_m": 3.46},
            ["no two points between 3.45 and 3.46 m", "min_distance_m lower"],
        ),
        ((3, 3, 3), {"min_distance_m": 3.47}, ["min_distance_m = 3.47", "at most 3.46 m apart"]),
    ],
)
def test_a_room_too_small_names_room_rule_and_remedy(size, rules, words):
    with pytest.raises(RoomgenError) as error:
        draw_pair(generator(0, Stream.PLACE, 0), size, PlaceSettings(**rules), room="r7")
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_family_too_small_fails_before_anything_is_made():
    with pytest.raises(RoomgenError, match=r"family 'corridor'.*wall_distance_m = 0.6"):
        RoomsPlan(load_settings("mixed", {"place.wall_distance_m": 0.6}))


def test_direction_is_of_the_source_seen_from_the_microphone():
    mic = np.float32([2, 2, 1])
    for offset, expected in (((1, 0, 0), (0, 0)), ((0, 1, 0), (90, 0)), ((-1, 0, 0), (180, 0)), ((0, -1, 0), (-90, 0))):
        assert direction_in_frame_deg(mic + np.float32(offset), mic) == expected
    assert direction_in_frame_deg(np.float32([3, 2, 2]), mic)[1] == pytest.approx(45)


def test_a_new_draw_in_one_stream_moves_no_other():
    base = RoomsPlan(load_settings("mixed", {"rooms.count": 4}))
    walls = RoomsPlan(load_settings("mixed", {"rooms.count": 4, "walls.absorption": 0.3}))
    more = RoomsPlan(load_settings("mixed", {"rooms.count": 4, "place.rirs_per_room": 50}))
    for room in range(4):
        assert base.room(room).shoebox.size_m == walls.room(room).shoebox.size_m
        assert base.row("train", room, 2)["source_xyz_m"] == walls.row("train", room, 2)["source_xyz_m"]
        assert base.row("train", room, 2)["mic_xyz_m"] == more.row("train", room, 2)["mic_xyz_m"]


def test_another_seed_gives_other_rooms():
    one, two = (RoomsPlan(load_settings("mixed", {"seed": seed})).room(0).shoebox for seed in (0, 1))
    assert one.size_m != two.size_m
    assert (one.absorption(16000) != two.absorption(16000)).any()


def test_automatic_length_covers_the_direct_sound():
    plan = RoomsPlan(load_settings("mixed", {"walls.absorption": 0.999, "rooms.count": 30}))
    for room in range(30):
        row = plan.row("train", room, 0)
        assert row["n_samples"] / row["fs_hz"] >= row["direct_delay_s"] + 0.0099


def test_apportion_adds_up():
    assert apportion([16, 52, 42], 110) == [16, 52, 42]
    assert apportion([16, 52, 42], 10) == [1, 5, 4]
    assert apportion([0.8, 0.1, 0.1], 10) == [8, 1, 1]
    assert apportion([1, 1, 1], 2) == [1, 1, 0]
    for total in range(40):
        assert sum(apportion([0.7, 0.2, 0.1], total)) == total


def test_a_plan_of_a_million_samples_is_small():
    import tracemalloc

    tracemalloc.start()
    plan = RoomsPlan(load_settings("mixed", {"rooms.count": 100_000}))
    assert len(plan) == 1_000_000
    assert sum(shard.count for shard in plan.shards) == 1_000_000
    plan.pairs(plan.shards[-1])
    plan.row("test", 99_999, 9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6
