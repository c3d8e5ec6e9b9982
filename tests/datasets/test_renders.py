"""Renders: they are what convolution says, at the stated level and SNR, from the stated source, response and device."""

import io

import numpy as np
import pytest
import soundfile
from scipy.signal import correlate, fftconvolve

from roomgen.datasets.devices.family import devices_settings
from roomgen.datasets.renders.family import RendersPlan, render, renders_settings
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.replay import compare_again
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

FS_HZ = 16000
SHARES = {"train": 0.6, "test": 0.4}
ROOMS = {"rooms.count": 5, "place.rirs_per_room": 2, "walls.absorption": 0.6, "signal.duration": 0.2, "splits.shares": SHARES}


def bytes_of(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def make_sources(out, folder, **overrides):
    settings, inputs = sources_settings("folder", folder, {"splits.shares": SHARES, **overrides})
    generate(settings, out, workers=0, progress=False, inputs=inputs)
    return out


def make_rooms(out, preset="goetz", **overrides):
    settings = load_settings(preset, {**ROOMS, **{key.replace("__", "."): value for key, value in overrides.items()}})
    generate(settings, out, workers=0, progress=False)
    return out


def make_devices(out, kind, **overrides):
    settings, inputs = devices_settings(kind, None, {"fs_hz": FS_HZ, "n_samples": 256, **overrides})
    generate(settings, out, workers=0, progress=False, inputs=inputs)
    return out


def make(out, inputs, *, workers=0, **overrides):
    summary = generate(renders_settings(inputs, overrides), out, workers=workers, progress=False, inputs=inputs)
    return Dataset(out), summary


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Ten sources of 0.5 s, five rooms with two positions each, and recording devices, in the same two splits."""
    root = tmp_path_factory.mktemp("parts")
    (root / "in").mkdir()
    rng = np.random.default_rng(0)
    for i in range(10):
        # The second half is much quieter: what a level or an SNR is measured on makes a difference.
        audio = 0.1 * rng.standard_normal(FS_HZ // 2) * np.where(np.arange(FS_HZ // 2) < FS_HZ // 4, 1.0, 0.05)
        soundfile.write(root / "in" / f"clip{i}.wav", audio, FS_HZ, subtype="PCM_16")
    return {
        "sources": make_sources(root / "sources", root / "in"),
        "rirs": make_rooms(root / "rooms"),
        "devices": make_devices(root / "devices", "recorders"),
    }


def only(parts, *names):
    return {name: parts[name] for name in names}


def test_the_same_bytes_for_no_and_two_workers_and_after_a_shard_was_lost(parts, tmp_path):
    asked = {"per_source": 2, "snr_db": (10.0, 20.0), "clean": True, "shard_size": 5}
    made, _ = make(tmp_path / "one", parts, **asked)
    expected = bytes_of(made.root)
    make(tmp_path / "two", parts, workers=2, **asked)
    assert bytes_of(tmp_path / "two") == expected
    (tmp_path / "two" / "data" / "train-000000.json").unlink()
    _, summary = make(tmp_path / "two", parts, **asked)
    assert summary["made"] == 5
    assert bytes_of(tmp_path / "two") == expected
    assert verify(tmp_path / "two", deep=True) == []


def test_what_is_heard_is_source_through_response_by_the_stated_gain(parts, tmp_path):
    made, _ = make(tmp_path / "out", only(parts, "sources", "rirs"), bits=24)
    sources, rirs = Dataset(parts["sources"]), Dataset(parts["rirs"])
    for item in made:
        source, rir = sources[item.row["source_key"]], rirs[item.row["rir_key"]]
        heard = fftconvolve(source.audio[0].astype(float), rir.audio[0].astype(float))
        advance = round(rir.row["direct_delay_s"] * FS_HZ)
        assert item.row["advance_s"] == pytest.approx(advance / FS_HZ, abs=1e-7)
        expected = heard[advance : advance + source.audio.shape[1]] * 10 ** (item.row["gain_db"] / 20)
        assert np.abs(item.audio[0] - expected).max() < 2e-6
        assert item.row["rms_db"] == pytest.approx(20 * np.log10(np.sqrt(np.mean(item.audio.astype(float) ** 2))), abs=1e-3)
        assert item.row["snr_db"] == np.inf


def test_the_direct_sound_stands_where_the_source_does(parts, tmp_path):
    made, _ = make(tmp_path / "out", only(parts, "sources", "rirs"), clean=True)
    for item in made:
        clean, _ = soundfile.read(io.BytesIO(made.member(item.key, "clean.flac")))
        lag = np.argmax(np.abs(correlate(item.audio[0], clean, "full"))) - (len(clean) - 1)
        assert abs(lag) <= 1
        np.testing.assert_array_equal(clean, Dataset(parts["sources"])[item.row["source_key"]].audio[0])


def test_without_alignment_both_are_late_by_the_sound_s_travel(parts, tmp_path):
    made, _ = make(tmp_path / "out", only(parts, "sources", "rirs"), clean=True, align=False, tail="keep")
    rirs = Dataset(parts["rirs"])
    for item in list(made)[::3]:
        rir = rirs[item.row["rir_key"]]
        clean, _ = soundfile.read(io.BytesIO(made.member(item.key, "clean.flac")))
        late = round(rir.row["direct_delay_s"] * FS_HZ)
        assert item.row["advance_s"] == 0
        assert not clean[:late].any()
        assert clean[late : late + 100].any()
        lag = np.argmax(np.abs(correlate(item.audio[0], clean, "full"))) - (len(clean) - 1)
        assert abs(lag) <= 1


@pytest.mark.parametrize(("tail", "longer"), [("cut", False), ("keep", True)])
def test_the_tail_is_cut_or_kept(parts, tmp_path, tail, longer):
    made, _ = make(tmp_path / "out", only(parts, "sources", "rirs"), tail=tail)
    rirs = Dataset(parts["rirs"])
    for item in made:
        rir = rirs[item.row["rir_key"]]
        more = rir.row["n_samples"] - 1 - round(item.row["advance_s"] * FS_HZ) if longer else 0
        assert item.row["n_samples"] == item.audio.shape[1] == FS_HZ // 2 + more


@pytest.mark.parametrize(("level", "column"), [("rms", "rms_db"), ("peak", "peak_db")])
def test_files_have_the_level_that_was_asked_for(parts, tmp_path, level, column):
    made, _ = make(tmp_path / "out", parts, level=level, level_db=-30.0)
    assert made.table()[column].to_numpy() == pytest.approx(-30.0, abs=0.02)


def test_nothing_clips_however_loud_it_shall_be(parts, tmp_path):
    made, _ = make(tmp_path / "out", only(parts, "sources", "rirs"), level="rms", level_db=0.0)
    peaks = np.array([np.abs(item.audio).max() for item in made])
    assert peaks.max() < 1.0
    assert made.table()["peak_db"].to_numpy() == pytest.approx(-0.01, abs=1e-3)
    kept, _ = make(tmp_path / "kept", only(parts, "sources", "rirs"), level="keep")
    assert (kept.table()["gain_db"] == 0).all()


@pytest.mark.parametrize("kind", ["white", "pink"])
def test_the_noise_is_as_far_below_as_the_row_says(parts, tmp_path, kind):
    inputs = only(parts, "sources", "rirs")
    made, _ = make(tmp_path / "out", inputs, snr_db=(3.0, 12.0), noise=kind, bits=24)
    sources, rirs = Dataset(parts["sources"]), Dataset(parts["rirs"])
    silent = renders_settings(inputs, {"level": "keep"})
    snrs, slopes = [], []
    for item in made:
        assert 3 <= item.row["snr_db"] <= 12
        clean, _ = render(silent, sources[item.row["source_key"]], rirs[item.row["rir_key"]], None, number=0)
        signal = clean[0].astype(float) * 10 ** (item.row["gain_db"] / 20)
        noise = item.audio[0] - signal
        snrs.append(10 * np.log10(np.sum(signal**2) / np.sum(noise**2)) - item.row["snr_db"])
        power = np.abs(np.fft.rfft(noise)) ** 2  # of bins of 2 Hz
        slopes.append(10 * np.log10(power[200:400].mean() / power[1600:3200].mean()))
    assert np.abs(snrs).max() < 0.01
    assert np.std(made.table()["snr_db"]) > 1
    assert np.mean(slopes) == pytest.approx({"white": 0.0, "pink": 9.03}[kind], abs=0.7)


def test_a_row_names_what_it_is_made_of(parts, tmp_path):
    made, _ = make(tmp_path / "out", parts, per_source=3)
    sources, rirs, devices = (Dataset(parts[name]).table().set_index("key") for name in ("sources", "rirs", "devices"))
    table = made.table()
    assert len(table) == 30
    assert (table.groupby("source_key").size() == 3).all()
    for row in table.to_dict("records"):
        source, rir, device = sources.loc[row["source_key"]], rirs.loc[row["rir_key"]], devices.loc[row["device_key"]]
        assert row["split"] == source["split"] == rir["split"] == device["split"]
        assert (row["group"], row["room_id"], row["device"]) == (source["group"], rir["room_id"], device["microphone"])
        for name in ("rt60_s", "c50_db", "drr_db", "distance_m", "azimuth_deg", "elevation_deg", "volume_m3"):
            assert row[name] == pytest.approx(rir[name], nan_ok=True)
    assert not set(table.loc[table["split"] == "train", "room_id"]) & set(table.loc[table["split"] == "test", "room_id"])


def test_every_render_is_made_again_to_the_last_bit(parts, tmp_path):
    made, _ = make(tmp_path / "out", parts, snr_db=(15.0, 15.0), bits=16)
    for item in made:
        assert compare_again(made, item).text == "the same to the last bit, all labels equal"


def test_a_device_compresses_and_colours_what_it_records(parts, tmp_path):
    made, _ = make(tmp_path / "out", only(parts, "sources", "devices"), level="keep", bits=24)
    sources, devices = Dataset(parts["sources"]), Dataset(parts["devices"])
    plain = [item for item in made if devices[item.row["device_key"]].row["drc_ratio"] == 1.0]
    squeezed = [item for item in made if devices[item.row["device_key"]].row["drc_ratio"] > 1.0]
    assert plain
    assert squeezed
    for item in made:
        source, device = sources[item.row["source_key"]], devices[item.row["device_key"]]
        linear = fftconvolve(source.audio[0].astype(float), device.audio[0].astype(float))[: source.audio.shape[1]]
        linear *= 10 ** (item.row["gain_db"] / 20)
        same = np.abs(item.audio[0] - linear).max() < 2e-6
        assert same == (device.row["drc_ratio"] == 1.0)


def test_devices_are_drawn_by_their_weights_and_for_their_share(parts, tmp_path):
    inputs = only(parts, "sources", "devices")
    asked = {"per_source": 60, "device_share": 0.5, "device_weights": {"train": {"A": 9.0}}}
    plan = RendersPlan(renders_settings(inputs, asked), inputs)
    names = Dataset(parts["devices"]).table()["microphone"].to_numpy().astype(str)
    drawn = {}
    for shard in plan.shards:
        drawn.setdefault(shard.split, []).extend(unit.device for chunk in plan.chunks(shard) for unit in chunk)
    for devices in drawn.values():
        assert np.mean(np.array(devices) >= 0) == pytest.approx(0.5, abs=0.1)
    of_a = {split: np.mean([names[d] == "A" for d in devices if d >= 0]) for split, devices in drawn.items()}
    assert of_a["train"] == pytest.approx(9 / 14, abs=0.1)  # A nine times, five others once
    assert of_a["test"] == pytest.approx(1 / 9, abs=0.08)


def test_adding_devices_moves_no_room(parts):
    without = only(parts, "sources", "rirs")
    plans = [RendersPlan(renders_settings(inputs, {}), inputs) for inputs in (without, parts)]
    rooms = [[unit.rir for shard in plan.shards for chunk in plan.chunks(shard) for unit in chunk] for plan in plans]
    assert rooms[0] == rooms[1]


def steered(audio, mics_m, azimuths_deg):
    """Return the steered response power with phase transform (DiBiase 2000) of far sources in the plane of an array."""
    spectrum = np.fft.rfft(audio.astype(float), axis=1)
    hz = np.fft.rfftfreq(audio.shape[1], 1 / FS_HZ)
    used = (hz > 300) & (hz < 3000)
    phases = spectrum[:, used] / np.maximum(np.abs(spectrum[:, used]), 1e-12)
    azimuths = np.deg2rad(azimuths_deg)
    towards = np.stack([np.cos(azimuths), np.sin(azimuths), np.zeros_like(azimuths)])
    early_s = mics_m @ towards / 343.0
    turned = np.exp(-2j * np.pi * hz[used] * early_s[:, :, None])
    return (np.abs(np.einsum("mf,maf->af", phases, turned)) ** 2).sum(axis=1)


def test_the_source_of_a_scene_is_heard_from_its_azimuth(parts, tmp_path):
    arrays = make_rooms(
        tmp_path / "arrays",
        "mc-simclr",
        rooms__count=4,
        signal__rt60_s=None,
        walls__absorption=0.99,
        place__min_distance_m=1.0,
        place__mic_height_m=(1.5, 1.5),
        place__source_height_m=(1.5, 1.5),
    )
    made, _ = make(tmp_path / "scenes", {"sources": parts["sources"], "rirs": arrays})
    assert verify(made.root, deep=True) == []
    angles = np.deg2rad(np.arange(4) * 90)
    frame_m = 0.05 * np.stack([np.cos(angles), np.sin(angles), np.zeros(4)], axis=1)
    grid = np.arange(-180, 180, 0.5)
    azimuths, rirs = [], Dataset(arrays)
    for item in made:
        assert item.audio.shape[0] == item.row["n_channels"] == 4
        row = rirs[item.row["rir_key"]].row
        mics = np.reshape(row["array_mics_m"], (4, 3)) - row["mic_xyz_m"]
        yaw = np.deg2rad(row["array_yaw_deg"])
        back = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        np.testing.assert_allclose(mics @ back.T, frame_m, atol=1e-5)  # the rows' positions are the array, turned
        found = grid[np.argmax(steered(item.audio, frame_m, grid))]
        error = (found - item.row["azimuth_deg"] + 180) % 360 - 180
        assert abs(error) < 3, (found, item.row["azimuth_deg"])
        azimuths.append(item.row["azimuth_deg"])
    assert np.ptp(azimuths) > 90


def test_a_paper_s_folder_may_move(parts, tmp_path):
    import shutil

    root = tmp_path / "all"
    for name, path in parts.items():
        shutil.copytree(path, root / name)
    make(root / "renders", {name: root / name for name in parts})
    shutil.move(root, tmp_path / "moved")
    assert verify(tmp_path / "moved" / "renders", deep=True) == []


@pytest.mark.parametrize(
    ("names", "overrides", "message"),
    [
        (("sources",), {}, "nothing to render with"),
        (("sources", "rirs"), {"snr_db": (20.0, 10.0)}, "must be finite and rise"),
        (("sources", "rirs"), {"max_samples": {"val": 3}}, "max_samples names a split 'val'; the sources have train, test"),
        (("sources", "rirs"), {"max_samples": {"train": 0, "test": 0}}, "no renders are left"),
        (
            ("sources", "devices"),
            {"device_weights": {"train": {"S9": 2.0}}},
            "'S9', which is no device of train; there are: A, B, C",
        ),
        (("sources", "rirs"), {"device_weights": {"train": {"A": 2.0}}}, "there are: none"),
    ],
)
def test_what_cannot_be_is_one_error(parts, tmp_path, names, overrides, message):
    with pytest.raises(RoomgenError, match=message) as caught:
        make(tmp_path / "out", only(parts, *names), **overrides)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_datasets_of_the_wrong_kind_are_named(parts, tmp_path):
    with pytest.raises(RoomgenError, match=r"--rirs .* is a dataset of sources: give one of rooms"):
        make(tmp_path / "out", {"sources": parts["sources"], "rirs": parts["sources"]})
    with pytest.raises(RoomgenError, match=r"--sources .* is a dataset of rooms"):
        make(tmp_path / "out", {"sources": parts["rirs"], "rirs": parts["rirs"]})
    with pytest.raises(RoomgenError, match="does not exist"):
        make(tmp_path / "out", {"sources": parts["sources"], "rirs": tmp_path / "nowhere"})


def test_rates_splits_and_channels_must_fit(parts, tmp_path):
    slow = make_rooms(tmp_path / "slow", signal__fs_hz=8000)
    with pytest.raises(RoomgenError, match=r"sampling rates differ: sources 16000 Hz, rirs 8000 Hz"):
        make(tmp_path / "out", {**parts, "rirs": slow})
    other = make_rooms(tmp_path / "other", splits__shares={"train": 1.0})
    with pytest.raises(RoomgenError, match=r"no split 'test', only train.*--any-split"):
        make(tmp_path / "out", {"sources": parts["sources"], "rirs": other})
    made, _ = make(tmp_path / "any", {"sources": parts["sources"], "rirs": other}, match_splits=False)
    assert len(made) == 10
    large = make_rooms(tmp_path / "large", array__geometry="circular9:0.1")
    with pytest.raises(RoomgenError, match="9 channels are more than a FLAC file holds"):
        make(tmp_path / "out", {"sources": parts["sources"], "rirs": large})
    (tmp_path / "in").mkdir()
    for i in range(4):
        soundfile.write(tmp_path / "in" / f"{i}.wav", np.random.default_rng(i).uniform(-0.1, 0.1, (800, 2)), FS_HZ)
    stereo = make_sources(tmp_path / "stereo", tmp_path / "in", channels="keep")
    four = make_rooms(tmp_path / "four", array__geometry="circular4:0.1")
    with pytest.raises(RoomgenError, match="sources of 2 channels cannot go through responses of 4"):
        make(tmp_path / "out", {"sources": stereo, "rirs": four})
    both, _ = make(tmp_path / "both", {"sources": stereo, "rirs": parts["rirs"]})
    assert both.table()["n_channels"].unique() == [2]


def test_inputs_that_changed_are_noticed(parts, tmp_path):
    import shutil

    rooms = shutil.copytree(parts["rirs"], tmp_path / "rooms")
    inputs = {"sources": parts["sources"], "rirs": rooms}
    settings = renders_settings(inputs, {})
    generate(load_settings("goetz", {**ROOMS, "seed": 9}), rooms, workers=0, progress=False, overwrite=True)
    with pytest.raises(RoomgenError, match="has changed since") as caught:
        generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs)
    assert caught.value.exit_code == 1
