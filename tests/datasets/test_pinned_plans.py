"""The plans in manifests/ are those that the papers' settings still give."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from roomgen.datasets.devices.plan import DevicesPlan, write_devices
from roomgen.datasets.rooms.pinned import plan_overrides
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.papers import papers
from roomgen.papers.make import planned_parts
from roomgen.papers.parts import Given
from roomgen.settings import resolve
from roomgen.streams import Stream, generator

FOLDER = Path(__file__).parents[2] / "manifests"
PARTS = {file: part for paper in papers() for file, part in planned_parts(paper, Given()).items()}
ROOMS = [file for file, part in PARTS.items() if part.settings()[0].family == "rooms"]
DEVICES = [file for file in PARTS if file not in ROOMS]


def target_of(row):
    """Return the target RT60 of a row of a plan; older plans call it otherwise."""
    return row["rt60_target_s"] if "rt60_target_s" in row else row["rt60_asked_s"]


def settings_in(path):
    return json.loads(pq.read_schema(path).metadata[b"roomgen.settings"])


def test_every_planned_part_is_pinned_in_a_small_file():
    assert {path.name for path in FOLDER.glob("*.parquet")} == set(PARTS)
    assert all(path.stat().st_size < 400_000 for path in FOLDER.glob("*.parquet"))
    counts = {file: pq.read_metadata(FOLDER / file).num_rows for file in PARTS}
    assert counts == {
        "revrir-rirs.parquet": 110,
        "goetz-upstream-rirs.parquet": 64,
        "goetz-downstream-rirs.parquet": 100,
        "mvsd-paired-rooms.parquet": 400,
        "mvsd-unpaired-rooms.parquet": 69,
        "mc-simclr-arrays.parquet": 1000,
        "icl-vintage-dirs.parquet": 66,
        "icl-multi-dirs.parquet": 25 * 72 * 3,
        "icl-many-dirs.parquet": 1000 * 12,
        "icl-recorders.parquet": 6 + 6 + 9,
    }


@pytest.mark.parametrize("file", PARTS)
def test_the_settings_are_those_of_the_paper(file):
    settings, _ = PARTS[file].settings()
    carried = settings_in(FOLDER / file)
    assert carried == settings.model_dump(mode="json")
    if file in ROOMS:
        assert list(carried["splits"]["shares"]) == list(settings.splits.shares)


@pytest.mark.parametrize("file", ROOMS)
def test_the_rooms_are_those_that_the_settings_draw(file):
    settings, _ = PARTS[file].settings()
    plan = RoomsPlan(settings)
    rows = pq.read_table(FOLDER / file).to_pylist()
    # To find an absorption for an RT60 takes simulations: a few rooms stand for all then.
    solved = settings.signal.rt60_s is not None
    for index in (0, 499, 999) if solved else range(len(rows)):
        row, room = rows[index], plan.room(index)
        assert row["room_id"] == room.id
        assert row["room_type"] == room.type
        assert tuple(row[name] for name in ("length_m", "width_m", "height_m")) == room.shoebox.size_m
        assert tuple(row["materials"]) == room.materials
        if row["absorption_bands"]:
            np.testing.assert_allclose(np.reshape(row["absorption_bands"], (6, -1)), room.shoebox.absorption(16000), rtol=1e-5)
        assert row["absorption_scale"] == pytest.approx(room.shoebox.scale, rel=1e-4)
        assert row["rt60_predicted_s"] == pytest.approx(room.rt60_predicted_s, rel=1e-4)
        assert target_of(row) == pytest.approx(room.rt60_target_s, rel=1e-4, nan_ok=True)
        assert row["duration_s"] == pytest.approx(room.duration_s, rel=1e-4, nan_ok=True)
    if solved:
        low, high = settings.signal.rt60_s
        targets = [np.float32(generator(settings.seed, Stream.RT60, i).uniform(low, high)) for i in range(len(rows))]
        assert [target_of(row) for row in rows] == targets
        assert [row["room_id"] for row in rows] == [f"room{i:06d}" for i in range(len(rows))]
        family = settings.rooms.families[0]
        sizes = np.array([[row[name] for name in ("length_m", "width_m", "height_m")] for row in rows])
        assert (sizes >= np.float32(family.min_m)).all()
        assert (sizes <= np.float32(family.max_m)).all()


@pytest.mark.parametrize("file", ROOMS)
def test_a_pinned_plan_is_all_that_its_dataset_needs(file):
    settings, _ = PARTS[file].settings()
    carried, follows = plan_overrides(FOLDER / file)
    pinned = RoomsPlan(resolve(carried, follows, model=DatasetSettings), {"plan": FOLDER / file})
    drawn = RoomsPlan(settings)
    assert pinned.split_sizes == drawn.split_sizes
    first = pinned.shards[0]
    assert pinned.pairs(first) == drawn.pairs(first)
    room, position = pinned.pairs(first)[0]
    row, again = (plan.row(first.split, room, position) for plan in (pinned, drawn))
    assert row["source_xyz_m"] == again["source_xyz_m"]
    assert row["materials"] == again["materials"]
    assert row["n_samples"] == again["n_samples"]


@pytest.mark.parametrize("file", DEVICES)
def test_the_devices_are_those_that_the_settings_draw(file, tmp_path):
    settings, inputs = PARTS[file].settings()
    write_devices(settings, tmp_path / file)
    pinned, drawn = (pq.read_table(path / file).to_pylist() for path in (FOLDER, tmp_path))
    names = ("key", "split", "microphone")
    assert [[row[name] for name in names] for row in pinned] == [[row[name] for name in names] for row in drawn]
    assert len(pinned) == len(DevicesPlan(settings, inputs))
    for name in ("angle_deg", "distance_m"):
        np.testing.assert_array_equal([row[name] for row in pinned], [row[name] for row in drawn])
    designs = {row["design"]: again["design"] for row, again in zip(pinned, drawn, strict=True)}
    assert len(designs) == len({row["microphone"] for row in pinned})
    for design, again in designs.items():
        assert_alike(json.loads(design), json.loads(again))


def assert_alike(one, other):
    """Numbers may differ by what processors round; nothing else may."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_alike(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_alike(*pair)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-9)
    else:
        assert one == other
