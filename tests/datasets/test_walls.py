"""How walls are drawn, what limits them, and that rows hold all of it."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from roomgen.acoustics.materials import material_absorption
from roomgen.acoustics.prediction.decay import predict_rt60_bands_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.datasets.rooms.family import scene_of
from roomgen.datasets.rooms.pin import write_rooms
from roomgen.datasets.rooms.pinned import plan_overrides
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify
from roomgen.settings import resolve
from roomgen.store.dataset import Dataset

FEW = {"rooms.count": 3, "place.rirs_per_room": 2, "splits.shares": {"train": 1.0}, "signal.fs_hz": 8000, "signal.duration": 0.3}


def rooms_of(preset="mixed", count=60, **overrides):
    named = {key.replace("__", "."): value for key, value in overrides.items()}
    plan = RoomsPlan(load_settings(preset, {"rooms.count": count, **named}))
    return [plan.room(index) for index in range(count)]


def octaves(rooms, fs_hz=16000):
    return np.stack([predict_rt60_bands_s(room.shoebox, fs_hz=fs_hz) for room in rooms])


def test_measured_rooms_have_the_spread_of_measured_rooms():
    rooms = rooms_of("goetz", 150, walls__model="measured")
    bands_s = octaves(rooms)
    mid_s = bands_s[:, 2:4].mean(axis=1)
    assert (mid_s >= 0.1 / 1.02).all()
    assert (mid_s <= 2.0 * 1.02).all()
    np.testing.assert_allclose(
        np.quantile(np.log(mid_s), [0.25, 0.75]), np.log(0.1) + np.log(20) * np.array([0.25, 0.75]), atol=0.25
    )
    # Medians of T30 over T_mid that eighteen measured rooms have.
    np.testing.assert_allclose(np.median(bands_s / mid_s[:, None], axis=0), [1.15, 1.08, 1.0, 1.0, 0.95, 0.82, 0.70], rtol=0.07)
    assert (bands_s[:, :6].max(axis=1) > 3 * bands_s[:, :6].min(axis=1)).mean() <= 0.06
    # Walls differ in Eyring's exponent, which cannot say that a wall absorbs more than all.
    losses = np.stack([-np.log1p(-room.shoebox.absorption(16000)).mean(axis=1) for room in rooms])
    assert np.sqrt(np.log(losses).var(axis=1, ddof=1).mean()) == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize("scattering", [0.0, 0.3])
def test_without_a_spread_every_measured_room_has_the_same_spectrum(scattering):
    spectrum = (1.4, 1.2, 1.0, 1.0, 0.9, 0.8, 0.6)
    sharp = {"walls__spectrum": spectrum, "walls__spectrum_spread": (0.0,) * 7, "walls__rt60_limits_s": (0.7, 0.7001)}
    rooms = rooms_of("mixed", 6, walls__scattering=scattering, **sharp)
    np.testing.assert_allclose(octaves(rooms), np.tile(0.7 * np.array(spectrum), (6, 1)), rtol=0.0205)


@pytest.mark.parametrize("model", ["random", "measured", "materials", "flat"])
def test_a_drawn_dataset_is_made_again_from_its_rows_and_from_its_plan(model, tmp_path):
    settings = load_settings("mixed", {**FEW, "walls.model": model})
    generate(settings, tmp_path / "drawn", workers=0, progress=False)
    assert verify(tmp_path / "drawn", deep=True) == []
    table = Dataset(tmp_path / "drawn").table()
    assert {len(values) for values in table["absorption_bands"]} == {36 if model in ("measured", "materials") else 0}
    write_rooms(settings, tmp_path / "plan.parquet")
    carried, follows = plan_overrides(tmp_path / "plan.parquet")
    planned = resolve(carried, follows, model=DatasetSettings)
    generate(planned, tmp_path / "planned", workers=0, progress=False, inputs={"plan": tmp_path / "plan.parquet"})
    for tar in (tmp_path / "drawn" / "data").glob("*.tar"):
        assert (tmp_path / "planned" / "data" / tar.name).read_bytes() == tar.read_bytes()


def test_a_row_names_what_absorbs_as_its_walls_do():
    settings = load_settings("goetz", {"rooms.count": 8, "walls.model": "measured"})
    plan = RoomsPlan(settings)
    centers = 125.0 * 2.0 ** np.arange(7)
    for index in range(8):
        row = plan.row("train", index, 0)
        table = np.reshape(row["absorption_bands"], (6, 7))
        np.testing.assert_array_equal(scene_of(settings, row).room.absorption(16000), table)
        named, stone = (
            np.stack([material_absorption(name, centers) for name in names]) for names in (row["materials"], ["brickwork"] * 6)
        )
        assert np.square(named - table).sum() < np.square(stone - table).sum()


@pytest.mark.parametrize(("fs_hz", "bands"), [(8000, 6), (16000, 7), (44100, 8), (48000, 8)])
def test_any_rate_has_its_bands(fs_hz, bands):
    for model in ("measured", "materials"):
        (room,) = rooms_of("goetz", 1, walls__model=model, signal__fs_hz=fs_hz, walls__rt60_limits_s=(0.3, 1.0))
        assert room.shoebox.absorption(fs_hz).shape == (6, bands)


def test_the_octave_of_16_khz_holds_on_to_that_of_8_khz():
    (room,) = rooms_of("goetz", 1, walls__model="measured", signal__fs_hz=48000)
    bands_s = predict_rt60_bands_s(room.shoebox, fs_hz=48000)
    assert bands_s[7] == pytest.approx(bands_s[6], rel=0.045)


def test_flat_rooms_absorb_alike_everywhere_within_their_range():
    alpha = np.stack(
        [room.shoebox.absorption(16000) for room in rooms_of("goetz", 200, walls__model="flat", walls__rt60_limits_s=None)]
    )
    assert np.ptp(alpha, axis=(1, 2)).max() == 0
    each = np.log(alpha[:, 0, 0])
    assert (each.min(), each.max()) == pytest.approx((np.log(0.08), np.log(0.6)), abs=0.05)
    assert each.mean() == pytest.approx(0.5 * np.log(0.08 * 0.6), abs=0.1)


def test_furnished_rooms_keep_their_limits():
    rooms = rooms_of("mvsd", 60)
    bands_s = octaves(rooms)
    mid_s = bands_s[:, 2:4].mean(axis=1)
    assert ((mid_s >= 0.15) & (mid_s <= 1.5)).all()
    assert (bands_s[:, :6].max(axis=1) <= 3 * bands_s[:, :6].min(axis=1)).all()
    tiled = [room for room in rooms if room.type == "bathroom"]
    assert tiled
    assert all(room.shoebox.materials is None for room in rooms)


def test_octaves_are_limited_whatever_draws_the_walls():
    rooms = rooms_of("goetz", 30, walls__max_octave_ratio=2.5)
    bands_s = octaves(rooms)[:, :6]
    assert (bands_s.max(axis=1) <= 2.5 * bands_s.min(axis=1)).all()
    free = octaves(rooms_of("goetz", 30))[:, :6]
    assert (free.max(axis=1) > 2.5 * free.min(axis=1)).mean() > 0.5


@pytest.mark.parametrize("given", [0.25, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], "role"])
def test_scattering_is_in_the_room_and_in_its_row(given):
    settings = load_settings("mixed", {"rooms.count": 2, "walls.scattering": given})
    plan = RoomsPlan(settings)
    row = plan.row("train", 0, 0)
    table = plan.room(0).shoebox.scattering(16000)
    np.testing.assert_array_equal(scene_of(settings, row).room.scattering(16000), table)
    np.testing.assert_array_equal(np.reshape(row["scattering_bands"], (6, 7)), table)
    if given != "role":
        np.testing.assert_allclose(table, np.broadcast_to(np.float32(given), (6, 7)))
    else:
        assert (table[4] > table[0]).all()  # furniture stands on the floor
        assert (table[0, 1:] > table[5, 1:]).all()
    half = RoomsPlan(
        load_settings("mixed", {"rooms.count": 2, "walls.scattering": given, "signal.fs_hz": 8000, "signal.duration": 0.3})
    )
    assert half.room(0).shoebox.scattering(8000).shape == (6, 6)


def test_without_scattering_a_row_says_none():
    plan = RoomsPlan(load_settings("revrir"))
    assert load_settings("mixed").walls.scatter
    assert plan.row("train", 0, 0)["scattering_bands"] == []
    assert not plan.room(0).shoebox.scatters


def test_limits_hold_for_walls_that_are_given():
    """0.1 on all walls is too live in the larger ones of these rooms: other sizes are drawn."""
    everywhere, within = (
        rooms_of("goetz", 40, walls__absorption=0.1, walls__rt60_limits_s=limits) for limits in ((0.01, 100.0), (0.3, 1.5))
    )
    mid_s = [octaves(rooms)[:, 2:4].mean(axis=1) for rooms in (everywhere, within)]
    assert (mid_s[0] > 1.5).any()
    assert ((mid_s[1] >= 0.3) & (mid_s[1] <= 1.5)).all()
    with pytest.raises(RoomgenError, match=r"mid-frequency RT60 of .* outside walls.rt60_limits_s 0.1…0.2 s"):
        rooms_of("revrir", 1, walls__rt60_limits_s=(0.1, 0.2), walls__absorption=0.1)


def test_a_preset_s_limits_are_about_its_own_walls():
    dead = load_settings("goetz", {"walls.absorption": 0.9})
    assert dead.walls.rt60_limits_s is None
    assert load_settings("goetz", {"signal.rt60_s": (2.5, 3.0)}).walls.rt60_limits_s is None
    assert load_settings("revrir", {"walls.model": "flat"}).walls.are_drawn
    given = load_settings("mixed", {"walls.absorption": 0.9, "walls.wall_spread": 0.1}).walls
    assert (given.model, given.scattering, given.wall_spread) == ("random", 0.0, 0.1)
    assert not load_settings("mixed", {"engine.name": "reference"}).walls.scatter


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"signal.rt60_s": (0.5, 3.0), "walls.rt60_limits_s": (0.2, 2.0)}, r"--rt60\) asks for what walls.rt60_limits_s"),
        ({"walls.rt60_limits_s": None}, "say from where to where"),
        ({"walls.rt60_limits_s": (0.0, 1.0)}, "say from where to where"),
        ({"walls.materials": ("brickwork",)}, 'what model "random" draws from'),
        ({"walls.flat": (0.5, 0.1)}, "must rise: least absorption first"),
        ({"walls.light": (0.5, 0.1)}, r"light \[0.5, 0.1\] must rise"),
        ({"walls.model": "measurd"}, "'random', 'measured', 'materials' or 'flat'"),
        ({"walls.scattering": 1.5}, "less than or equal to 1"),
        ({"engine.name": "reference", "walls.scattering": 0.2}, "has no diffuse field: set walls.scattering to 0"),
        ({"engine.specular_floor_db": 10}, "greater than or equal to 20"),
        ({"walls.spectrum": (1.0, 1.0)}, "at least 7"),
        ({"walls.max_octave_ratio": 1.0}, "greater than 1"),
        ({"rooms.families": [{"name": "a", "min_m": [3, 3, 3], "max_m": [4, 4, 4], "use": "beedroom"}]}, "Did you mean 'bedroom'"),
    ],
)
def test_settings_that_fit_no_walls_are_refused(overrides, message):
    with pytest.raises(RoomgenError, match=message):
        load_settings("mixed", overrides)


def test_what_no_room_can_have_is_refused():
    with pytest.raises(RoomgenError, match="none of 1000 rooms drawn fits"):
        rooms_of("goetz", 1, walls__model="measured", walls__rt60_limits_s=(0.005, 0.01))


def test_a_plan_of_bands_is_read_at_another_rate(tmp_path):
    path = tmp_path / "plan.parquet"
    write_rooms(load_settings("goetz", {"rooms.count": 2, "walls.model": "measured"}), path)
    carried, follows = plan_overrides(path)
    for fs_hz, bands in ((8000, 6), (48000, 8)):
        settings = resolve(json.loads(json.dumps(carried)), {**follows, "signal.fs_hz": fs_hz}, model=DatasetSettings)
        room = RoomsPlan(settings, {"plan": path}).room(1).shoebox
        stored = np.reshape(pq.read_table(path)["absorption_bands"][1].as_py(), (6, 7))
        np.testing.assert_array_equal(room.absorption(fs_hz)[:, :6], stored[:, :6])
        assert room.absorption(fs_hz).shape == (6, bands)


def test_bands_of_a_plan_that_are_no_six_walls_are_named(tmp_path):
    path = tmp_path / "plan.parquet"
    write_rooms(load_settings("goetz", {"rooms.count": 2, "walls.model": "measured"}), path)
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[1]["absorption_bands"] = rows[1]["absorption_bands"][:40]
    pq.write_table(table.from_pylist(rows, schema=table.schema), path)
    carried, follows = plan_overrides(path)
    with pytest.raises(RoomgenError, match=r"room000001 of the plan: absorption_bands has 40 values"):
        RoomsPlan(resolve(carried, follows, model=DatasetSettings), {"plan": path})


def test_a_dataset_of_the_schema_before_still_opens(tiny):
    new = ("rt60_mid_s", "sti", "g_db", "absorption_bands", "scattering_bands")
    table = pq.read_table(tiny / "manifest.parquet").drop_columns(new)
    metadata = {**table.schema.metadata, b"roomgen.schema_version": b"2"}
    pq.write_table(table.replace_schema_metadata(metadata), tiny / "manifest.parquet")
    dataset = Dataset(tiny)
    assert "rt60_mid_s" not in dataset.table()
    assert compare_again(dataset, dataset[3]).identical
    assert isinstance(scene_of(load_settings("mixed"), dataset[3].row).room, Shoebox)


def test_a_dataset_with_the_target_rt60_under_its_older_name_still_opens(tiny):
    table = pq.read_table(tiny / "manifest.parquet")
    names = ["rt60_asked_s" if name == "rt60_target_s" else name for name in table.column_names]
    metadata = {**table.schema.metadata, b"roomgen.schema_version": b"3"}
    pq.write_table(table.rename_columns(names).replace_schema_metadata(metadata), tiny / "manifest.parquet")
    dataset = Dataset(tiny)
    assert dataset.table()["rt60_asked_s"].isna().all()
    assert compare_again(dataset, dataset[3]).identical


def test_the_mid_frequency_rt60_is_the_mean_of_its_two_octaves(made_once):
    table = Dataset(made_once).table()
    for mid_s, bands_s in zip(table["rt60_mid_s"], table["rt60_bands_s"], strict=True):
        assert mid_s == pytest.approx(np.mean(bands_s[2:4]), rel=1e-5, nan_ok=True)


def test_the_card_says_how_walls_are_drawn_and_what_an_rt60_is(tmp_path):
    few = {**FEW, "rooms.count": 1, "place.rirs_per_room": 1, "signal.duration": 0.2}
    for name, overrides, words in (
        ("measured", {}, "Reverberation times spread over octave bands as in measured rooms."),
        ("given", {"walls.absorption": 0.5}, ""),
    ):
        generate(load_settings("mixed", {**few, **overrides}), tmp_path / name, workers=0, progress=False)
        card = (tmp_path / name / "README.md").read_text(encoding="utf-8")
        assert words in card
        assert ("as in measured rooms" in card) == (name == "measured")
        assert card.index("Mid-frequency RT60 (T30 at 500 and 1000 Hz)") < card.index("broadband RT60")
        assert card.index("`rt60_mid_s`") < card.index("`rt60_s`")
        assert "T30 × 2" not in card
