"""Plans in files: what was written makes the same rooms again, and anybody's own list of rooms can be simulated."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roomgen.datasets.rooms.pin import write_rooms
from roomgen.datasets.rooms.pinned import PLAN_SCHEMA, plan_overrides, rooms_settings
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.verify import verify
from roomgen.settings import resolve
from roomgen.store.dataset import Dataset
from tests.conftest import tiny_settings


def from_plan(path, **overrides):
    """Return the settings that a plan carries, told to take their rooms from it, and the inputs."""
    carried, follows = plan_overrides(path)
    return resolve(carried, {**follows, **overrides}, model=DatasetSettings), {"plan": path}


def given(path, rows, **overrides):
    """Write a list of rooms of one's own and return settings and inputs."""
    pq.write_table(pa.Table.from_pylist(rows), path)
    carried, follows = plan_overrides(path)
    assert carried is None
    small = {"place.rirs_per_room": 2, "splits.shares": {"train": 1.0}}
    return load_settings("goetz", {**small, **follows, **overrides}), {"plan": path}


def test_a_written_plan_makes_the_same_dataset_without_drawing(made_once, tmp_path, monkeypatch):
    path = tmp_path / "plan.parquet"
    assert write_rooms(tiny_settings(), path) == 6
    settings, inputs = from_plan(path)

    def never(*_):
        raise AssertionError("a room was drawn")

    monkeypatch.setattr("roomgen.datasets.rooms.plan.draw_room", never)
    generate(settings, tmp_path / "shards", workers=0, progress=False, inputs=inputs)
    for tar in sorted((made_once / "data").glob("*.tar")):
        assert (tmp_path / "shards" / "data" / tar.name).read_bytes() == tar.read_bytes()
    monkeypatch.undo()
    assert verify(tmp_path / "shards", deep=True) == []


def test_a_plan_is_the_same_bytes_each_time_and_says_what_each_column_is(tmp_path):
    for name in ("one", "two"):
        write_rooms(tiny_settings(), tmp_path / f"{name}.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    schema = pq.read_schema(tmp_path / "one.parquet")
    assert schema.names == PLAN_SCHEMA.names
    assert all(field.metadata[b"meaning"] for field in schema)


def test_an_asked_rt60_need_not_be_solved_again(tmp_path, monkeypatch):
    asked = tiny_settings(signal__rt60_s=(0.2, 0.4), rooms__count=3, place__rirs_per_room=1)
    drawn = [RoomsPlan(asked).room(index) for index in range(3)]
    write_rooms(asked, tmp_path / "plan.parquet")
    monkeypatch.setattr("roomgen.datasets.rooms.target_rt60.with_target", None)
    settings, inputs = from_plan(tmp_path / "plan.parquet")
    read = [RoomsPlan(settings, inputs).room(index) for index in range(3)]
    assert [room.shoebox.scale for room in read] == [room.shoebox.scale for room in drawn]
    assert [room.rt60_target_s for room in read] == [room.rt60_target_s for room in drawn]
    assert [room.shoebox.size_m for room in read] == [room.shoebox.size_m for room in drawn]
    table = pq.read_table(tmp_path / "plan.parquet")
    older = ["rt60_asked_s" if name == "rt60_target_s" else name for name in table.column_names]
    pq.write_table(table.rename_columns(older).replace_schema_metadata(table.schema.metadata), tmp_path / "older.parquet")
    settings, inputs = from_plan(tmp_path / "older.parquet")
    assert RoomsPlan(settings, inputs).room(2).rt60_target_s == drawn[2].rt60_target_s


def test_a_list_of_one_s_own_is_simulated_with_what_it_leaves_out_computed(tmp_path):
    rows = [
        {"length_m": 4.0, "width_m": 5.0, "height_m": 2.5, "materials": ["carpet_cotton"] * 6},
        {"length_m": 3.0, "width_m": 3.5, "height_m": 3.0, "materials": ["0.5"] * 6},
    ]
    settings, inputs = given(tmp_path / "mine.parquet", rows)
    generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs)
    table = Dataset(tmp_path / "out").table()
    assert len(table) == 4
    assert sorted(table["volume_m3"].unique()) == pytest.approx([31.5, 50.0])
    assert set(table["room_type"]) == {"given"}
    assert table["rt60_target_s"].isna().all()
    # Eyring's time of the second: 24 ln 10 / c · V / (−S ln 0.5), by and large that of a simulation.
    eyring_s = 24 * np.log(10) / 343 * 31.5 / (-(2 * (10.5 + 9 + 10.5)) * np.log(0.5))
    assert table.loc[table["volume_m3"] < 40, "rt60_s"].to_numpy() == pytest.approx(eyring_s, rel=0.35)
    assert verify(tmp_path / "out", deep=True) == []


GOOD = {"length_m": 4.0, "width_m": 5.0, "height_m": 2.5, "materials": ["0.5"] * 6}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"materials": ["0.5"] * 5}, "room000001 of the plan"),
        ({"materials": ["marmelade"] * 6}, "marmelade"),
        ({"length_m": -1.0}, "room000001 of the plan"),
        ({"length_m": float("nan")}, "room000001 of the plan"),
        ({"materials": ["1.5"] * 6}, "room000001 of the plan"),
        ({"materials": None}, "room000001 of the plan"),
    ],
)
def test_a_row_that_is_no_room_is_named(tmp_path, change, message):
    settings, inputs = given(tmp_path / "mine.parquet", [GOOD, {**GOOD, **change}])
    with pytest.raises(RoomgenError, match=message):
        RoomsPlan(settings, inputs)


def test_a_room_without_space_for_source_and_microphone_is_named(tmp_path):
    settings, inputs = given(tmp_path / "mine.parquet", [{**GOOD, "length_m": 0.5, "width_m": 0.5}])
    with pytest.raises(RoomgenError, match="room000000"):
        generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs)


def test_what_is_no_plan_is_named(tmp_path):
    with pytest.raises(RoomgenError, match=r"--plan .* does not exist"):
        plan_overrides(tmp_path / "nowhere.parquet")
    (tmp_path / "text.parquet").write_text("PAR1 but no more")
    with pytest.raises(RoomgenError, match="not readable as Parquet"):
        plan_overrides(tmp_path / "text.parquet")
    pq.write_table(pa.table({"length_m": [1.0]}), tmp_path / "short.parquet")
    with pytest.raises(RoomgenError, match="lacks the columns width_m, height_m, materials"):
        plan_overrides(tmp_path / "short.parquet")
    pq.write_table(pa.Table.from_pylist([], schema=PLAN_SCHEMA), tmp_path / "none.parquet")
    with pytest.raises(RoomgenError, match="has no rows"):
        plan_overrides(tmp_path / "none.parquet")


def test_settings_in_a_file_that_are_no_settings_are_named(tmp_path):
    table = pa.Table.from_pylist([GOOD]).replace_schema_metadata({"roomgen.settings": "[1"})
    pq.write_table(table, tmp_path / "odd.parquet")
    with pytest.raises(RoomgenError, match="settings in its metadata are not readable"):
        plan_overrides(tmp_path / "odd.parquet")


def test_a_plan_that_changed_or_went_is_noticed(tmp_path):
    write_rooms(tiny_settings(), tmp_path / "plan.parquet")
    settings, inputs = from_plan(tmp_path / "plan.parquet")
    write_rooms(tiny_settings(seed=1), tmp_path / "plan.parquet")
    with pytest.raises(RoomgenError, match="is missing or has changed"):
        RoomsPlan(settings, inputs)
    with pytest.raises(RoomgenError, match="--plan FILE"):
        RoomsPlan(settings, {})


def test_a_manifest_is_no_plan_and_a_room_stands_in_it_once(made_once, tmp_path):
    with pytest.raises(RoomgenError, match=r"names the room 'room00000\d' 3 times.*a plan has one row per room"):
        rooms_settings("mixed", {}, plan=made_once / "manifest.parquet")
    named = [{**GOOD, "room_id": name} for name in ("a", "b", "a")]
    pq.write_table(pa.Table.from_pylist(named), tmp_path / "named.parquet")
    with pytest.raises(RoomgenError, match=r"names the room 'a' 2 times"):
        rooms_settings("mixed", {}, plan=tmp_path / "named.parquet")


def test_the_same_room_is_not_in_two_splits(tmp_path):
    rows = [{**GOOD, "length_m": 4.0 + index % 5} for index in range(10)]
    shares = {"train": 0.5, "test": 0.5}
    settings, inputs = given(tmp_path / "twins.parquet", rows, **{"splits.shares": shares})
    with pytest.raises(RoomgenError, match=r"rows \d and \d of the plan are the same room.*splits train and test"):
        RoomsPlan(settings, inputs)
    by_position = {"splits.shares": shares, "splits.by": "position"}
    assert len(RoomsPlan(*given(tmp_path / "positions.parquet", rows, **by_position))) == 20
    assert len(RoomsPlan(*given(tmp_path / "one_split.parquet", rows))) == 20
    other = [{**row, "materials": [str(0.1 + 0.05 * index)] * 6} for index, row in enumerate(rows)]
    assert len(RoomsPlan(*given(tmp_path / "others.parquet", other, **{"splits.shares": shares}))) == 20


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [("rooms.count", 3, "--n"), ("walls.model", "flat", "--set walls.model"), ("signal.rt60_s", (0.3, 0.3), "--rt60")],
)
def test_what_a_plan_decides_is_not_asked_for_beside_it(tmp_path, key, value, named):
    write_rooms(tiny_settings(), tmp_path / "plan.parquet")
    flags = {"rooms.count": "--n", "signal.rt60_s": "--rt60"}
    with pytest.raises(RoomgenError, match=rf"^{named} and --plan exclude each other"):
        rooms_settings("mixed", {key: value}, plan=tmp_path / "plan.parquet", flags=flags)


def test_a_plan_keeps_its_seed_and_preset_unless_others_are_named(tmp_path):
    write_rooms(tiny_settings(seed=5), tmp_path / "plan.parquet")
    assert rooms_settings("mixed", {}, plan=tmp_path / "plan.parquet")[0].seed == 5
    assert rooms_settings("mixed", {"seed": 0}, plan=tmp_path / "plan.parquet")[0].seed == 0
    preset = tiny_settings().preset
    assert rooms_settings("mvsd", {"preset": preset}, plan=tmp_path / "plan.parquet")[0].preset == preset
    with pytest.raises(RoomgenError, match=r"carries its own settings.*leave --preset mvsd out"):
        rooms_settings("mixed", {"preset": "mvsd"}, plan=tmp_path / "plan.parquet")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"rooms.count": 5}, "5 rooms leave nothing for the split test: ask for 10 or more (--n)"),
        ({"rooms.count": 1}, "1 room leaves nothing for the splits val and test: ask for 10 or more (--n)"),
        ({"rooms.count": 10}, ""),
        ({"rooms.count": 5, "splits.shares": {"train": 0.5, "test": 0.5}}, ""),
        (
            {"splits.by": "position", "place.rirs_per_room": 4},
            "4 positions leave nothing for the split test: ask for 10 or more (--rirs-per-room)",
        ),
    ],
)
def test_a_split_without_a_room_is_said(overrides, said):
    text = RoomsPlan(load_settings("mixed", overrides)).empty_splits
    assert text.startswith(said)
    assert bool(text) == bool(said)
