"""Datasets of arrays: every microphone where the row says, views beside them, and the same bytes each time."""

import io

import numpy as np
import pytest
from PIL import Image

from roomgen.datasets.rooms.presets import load_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

FS_HZ = 16000
SMALL = {
    "rooms.count": 4,
    "place.rirs_per_room": 3,
    "signal.rt60_s": None,
    "walls.absorption": 0.8,
    "signal.duration": 0.12,
    "array.geometry": "circular4:0.05",
    "array.yaw_deg": "random",
    "shard_size": 4,
    "splits.shares": {"train": 0.5, "test": 0.5},
}


def settings_of(**overrides):
    return load_settings("mc-simclr", {**SMALL, **{key.replace("__", "."): value for key, value in overrides.items()}})


def bytes_of(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    root = tmp_path_factory.mktemp("arrays") / "shards"
    generate(settings_of(panorama=(32, 96)), root, workers=0, progress=False)
    return root


def test_the_same_bytes_for_two_workers_and_after_a_shard_was_lost(arrays, tmp_path):
    settings = settings_of(panorama=(32, 96))
    generate(settings, tmp_path / "two", workers=2, progress=False)
    assert bytes_of(tmp_path / "two") == bytes_of(arrays)
    (tmp_path / "two" / "data" / "test-000000.json").unlink()
    assert generate(settings, tmp_path / "two", workers=0, progress=False)["made"] == 4
    assert bytes_of(tmp_path / "two") == bytes_of(arrays)


def test_verify_finds_nothing_wrong_even_deep(arrays):
    assert verify(arrays, deep=True) == []
    dataset = Dataset(arrays)
    assert all(compare_again(dataset, item).identical for item in list(dataset)[::4])


def test_every_microphone_hears_the_direct_sound_when_it_must(arrays):
    for item in Dataset(arrays):
        assert item.audio.shape == (4, item.row["n_samples"])
        mics = np.reshape(item.row["array_mics_m"], (4, 3))
        np.testing.assert_allclose(mics.mean(axis=0), item.row["mic_xyz_m"], atol=1e-5)
        distances_m = np.linalg.norm(mics - item.row["source_xyz_m"], axis=1)
        # The onset between samples, by the phase of a window around the first peak of each channel against the others.
        arrivals = distances_m / 343.0 * FS_HZ
        for channel, arrival in zip(item.audio, arrivals, strict=True):
            # A high-pass is in the response: its ringing is slow, the direct sound is one sample wide.
            early = np.abs(channel[: int(arrival) + 4])
            assert abs(np.argmax(early) - arrival) <= 1.0
            assert early.max() == pytest.approx(1 / (4 * np.pi) / distances_m[np.argmin(np.abs(arrivals - arrival))], rel=0.4)


def test_the_azimuth_is_that_of_the_array_s_own_frame(arrays):
    yaws = set()
    for row in Dataset(arrays).table().to_dict("records"):
        offset = np.array(row["source_xyz_m"]) - np.array(row["mic_xyz_m"])
        in_room = np.rad2deg(np.arctan2(offset[1], offset[0]))
        assert abs((in_room - row["array_yaw_deg"] - row["azimuth_deg"] + 180) % 360 - 180) < 0.01
        assert row["elevation_deg"] == pytest.approx(np.rad2deg(np.arcsin(offset[2] / row["distance_m"])), abs=0.01)
        yaws.add(row["array_yaw_deg"])
    assert len(yaws) == 12


def test_rooms_do_not_leak_between_splits(arrays):
    table = Dataset(arrays).table()
    assert (table.groupby("room_id", observed=True)["split"].nunique() == 1).all()
    assert set(table["split"]) == {"train", "test"}


def test_every_sample_has_a_view_and_depths_in_millimetres(arrays):
    dataset = Dataset(arrays)
    for key in dataset.table()["key"][::3]:
        row = dataset[key].row
        assert Image.open(io.BytesIO(dataset.member(key, "view.jpg"))).size == (96, 32)
        depth_m = np.asarray(Image.open(io.BytesIO(dataset.member(key, "depth.png")))).astype(float) / 1000
        assert depth_m.shape == (32, 96)
        # Straight down: the row nearest to the floor looks at −87.2°, where only the person could be nearer.
        down = row["mic_xyz_m"][2] / np.sin(np.deg2rad(90 - 180 * 0.5 / 32))
        assert np.median(depth_m[-1]) == pytest.approx(down, abs=0.01)
        diagonal = np.linalg.norm([row["length_m"], row["width_m"], row["height_m"]])
        assert depth_m.max() <= diagonal


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"array__geometry": "circular4:3.0"}, r"room|family"),
        ({"array__geometry": "circular4:-1"}, "circular"),
        ({"array__geometry": "pentagram"}, "pentagram"),
        ({"panorama": (4, 4)}, "greater than or equal to 16"),
    ],
)
def test_an_array_that_cannot_be_is_one_error_before_anything_is_written(tmp_path, overrides, message):
    with pytest.raises(RoomgenError, match=message) as caught:
        generate(settings_of(**overrides), tmp_path / "out", workers=0, progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
