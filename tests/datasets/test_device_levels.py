"""Levels of responses in a band, and microphones that compress."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from typer.testing import CliRunner

from roomgen.acoustics.microphones.recorders import RECORDERS, draw_compression, draw_recorder
from roomgen.cli import app
from roomgen.datasets.devices.family import devices_settings
from roomgen.datasets.devices.plan import write_devices
from roomgen.datasets.devices.settings import DevicesSettings
from roomgen.datasets.renders.family import renders_settings
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.verify import verify
from roomgen.store.dataset import Dataset

# A figure-eight is among the first three: from the side it hears next to nothing.
FEW = {"count": 6, "angles_deg": (0.0, 90.0, 180.0), "distances_m": (0.5,), "splits.shares": {"train": 1.0}}
COMPRESSION = ("threshold_db", "ratio", "attack_ms", "release_ms", "makeup_db")


def make(root, kind="microphones", folder=None, **overrides):
    settings, inputs = devices_settings(kind, folder, {key.replace("__", "."): value for key, value in overrides.items()})
    generate(settings, root, workers=0, progress=False, inputs=inputs)
    return Dataset(root)


def band_gain_db(audio, fs_hz):
    """Mean of |H|² over 0.5 to 10 kHz, integrated finely: eight times as many frequencies as the response has samples."""
    hz = np.fft.rfftfreq(8 * len(audio), 1 / fs_hz)
    within = (hz >= 500) & (hz <= 10_000)
    power = np.abs(np.fft.rfft(audio.astype(float), 8 * len(audio))[within]) ** 2
    return 10 * np.log10(np.trapezoid(power, hz[within]) / 9500)


@pytest.mark.parametrize("kind", ["microphones", "recorders", "folder", "multi-angle"])
def test_every_response_has_a_mean_power_gain_of_1_in_the_band(tmp_path, kind):
    folder, asked = None, {"microphones": FEW}.get(kind, {})
    if kind in ("folder", "multi-angle"):
        folder, rng = tmp_path / "in", np.random.default_rng(1)
        folder.mkdir()
        for i, gain in enumerate((1.0, 0.1, 0.001)):
            response = np.zeros(2000)
            response[100:300] = gain * rng.standard_normal(200) * np.exp(-np.arange(200) / 20)
            soundfile.write(folder / f"mic{i}_50cm_{90 * i:03d}deg.wav", response, 48000, subtype="FLOAT")
    made = make(tmp_path / "out", kind, folder, level="band", **asked)
    assert len(made) >= 3
    for item in made:
        stored, fs_hz = item.audio[0].astype(float), item.fs_hz
        power = np.abs(np.fft.rfft(stored)) ** 2
        hz = np.arange(len(power)) * fs_hz / len(stored)
        assert np.mean(power[(hz >= 500) & (hz <= 10_000)]) == pytest.approx(1.0, rel=1e-5)
        assert band_gain_db(stored, fs_hz) == pytest.approx(0.0, abs=0.1)
    assert verify(tmp_path / "out", deep=True) == []
    assert "each of a mean power gain of 1 between 0.5 and 10 kHz" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_a_null_is_no_silence_any_more_and_nothing_but_the_level_changes(tmp_path):
    kept, level = make(tmp_path / "keep", **FEW), make(tmp_path / "band", level="band", **FEW)
    before = [band_gain_db(item.audio[0], item.fs_hz) for item in kept]
    assert min(before) < -15
    for one, other in zip(kept, level, strict=True):
        gain = np.sqrt(np.mean(other.audio[0].astype(float) ** 2) / np.mean(one.audio[0].astype(float) ** 2))
        np.testing.assert_allclose(other.audio[0], gain * one.audio[0], atol=1e-6 * gain)


def test_above_half_the_sampling_rate_there_is_no_band(tmp_path):
    for item in make(tmp_path / "out", level="band", fs_hz=16000, **FEW):
        power = np.abs(np.fft.rfft(item.audio[0].astype(float))) ** 2
        assert np.mean(power[round(500 / 16000 * 1024) :]) == pytest.approx(1.0, rel=1e-5)


def compressions(dataset):
    table = dataset.table(["microphone", *(f"drc_{name}" for name in COMPRESSION)])
    per_microphone = table.groupby("microphone", observed=True)
    assert (per_microphone.nunique(dropna=False) == 1).all(axis=None)  # of a microphone, not of a response
    return per_microphone.first()


def test_that_share_of_microphones_compresses_in_all_its_responses(tmp_path):
    asked = {**FEW, "count": 120, "angles_deg": (0.0, 180.0), "n_samples": 128}
    found = {share: compressions(make(tmp_path / str(share), compress=share, **asked)) for share in (0.0, 0.3, 1.0)}
    assert (found[0.0]["drc_ratio"] == 1.0).all()
    assert (found[1.0]["drc_ratio"] > 1.0).all()
    some = found[0.3][found[0.3]["drc_ratio"] > 1.0]
    assert 0.15 < len(some) / 120 < 0.45
    # Whoever compresses with a smaller share does with a larger one, and as before.
    np.testing.assert_array_equal(found[1.0].loc[some.index], some)
    assert found[1.0].nunique().min() > 100
    assert verify(tmp_path / "0.3", deep=True) == []
    audio = [[item.audio for item in Dataset(tmp_path / str(share))] for share in (0.0, 1.0)]
    assert all(np.array_equal(one, other) for one, other in zip(*audio, strict=True))
    assert "30 % of the devices have a dynamic range compression" in (tmp_path / "0.3" / "README.md").read_text(encoding="utf-8")


def test_drawn_compressions_reach_beyond_those_of_the_simulated_recorders():
    drawn = np.array([draw_compression(np.random.default_rng(i)) for i in range(2000)])
    rng = np.random.default_rng(0)
    known = [draw_recorder(name, rng).compression for name in RECORDERS if name.startswith("S") for _ in range(50)]
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    for name, values, least, most in zip(COMPRESSION, np.array(known).T, low, high, strict=True):
        assert least <= values.min() * (1.02 if name == "threshold_db" else 0.98), name
        assert most >= values.max(), name
    # Makeup gain gives back a part of what is taken from the loudest, never more.
    assert (drawn[:, 4] < -drawn[:, 0] * (1 - 1 / drawn[:, 1])).all()
    assert (drawn[:, 1] > 1).all()


def test_renders_through_such_microphones_are_compressed(tmp_path):
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        audio = 0.3 * rng.standard_normal(8000)
        audio[4000:] *= 0.01  # -50 dB: below any threshold
        soundfile.write(tmp_path / "in" / f"{i}.wav", np.clip(audio, -1, 1), 32000)
    cut = {"fs_hz": 32000, "splits.shares": {"train": 1.0}}
    settings, inputs = sources_settings("folder", tmp_path / "in", cut)
    generate(settings, tmp_path / "sources", workers=0, progress=False, inputs=inputs)
    devices = make(tmp_path / "devices", compress=0.5, level="band", **{**FEW, "angles_deg": (0.0,)})
    inputs = {"sources": tmp_path / "sources", "devices": tmp_path / "devices"}
    settings = renders_settings(inputs, {"device_probabilities": {"train": {}}, "level": "keep"})
    generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs)
    sources, steps = Dataset(tmp_path / "sources"), {True: [], False: []}
    for item in Dataset(tmp_path / "out"):
        device = devices[item.row["device_key"]]
        heard = np.convolve(sources[item.row["source_key"]].audio[0], device.audio[0])[:8000]

        def step_db(audio):
            loud, soft = (np.sqrt(np.mean(np.square(part))) for part in (audio[2000:4000], audio[-1000:]))
            return 20 * np.log10(loud / soft)

        steps[bool(device.row["drc_ratio"] > 1)].append(step_db(heard) - step_db(item.audio[0]))
    assert len(steps[True]) + len(steps[False]) == 4 * 6
    assert np.abs(steps[False]).max() < 0.5  # what rounding to 16 bits leaves of it
    assert min(steps[True]) > 2


def test_a_plan_says_what_each_microphone_compresses_like(tmp_path):
    asked = {"count": 8, "angles_deg": (0.0, 90.0), "distances_m": (0.5,), "compress": 0.5}
    write_devices(devices_settings("microphones", None, asked)[0], tmp_path / "plan.parquet")
    rows = pq.read_table(tmp_path / "plan.parquet").to_pylist()
    made = compressions(make(tmp_path / "out", n_samples=128, **asked))
    assert {row["microphone"] for row in rows} == set(made.index.astype(str))
    for row in rows:
        planned = json.loads(row["design"])["compression"]
        columns = made.loc[row["microphone"]].to_numpy()
        if planned is None:
            assert columns[1] == 1.0
        else:
            np.testing.assert_allclose(planned, columns, rtol=1e-6)
    write_devices(devices_settings("microphones", None, {**asked, "compress": 0.0})[0], tmp_path / "without.parquet")
    assert all("compression" not in json.loads(row["design"]) for row in pq.read_table(tmp_path / "without.parquet").to_pylist())


def test_the_command_makes_microphones_that_compress(tmp_path):
    command = ["devices", "microphones", "--n", "3", "--compress", "1", "--out", str(tmp_path / "out"), "--workers", "0"]
    small = ["--set", "angles_deg=[0.0]", "--set", "distances_m=[0.5]", "--set", "level=band"]
    result = CliRunner().invoke(app, [*command, *small])
    assert result.exit_code == 0, result.output
    assert (compressions(Dataset(tmp_path / "out"))["drc_ratio"] > 1).all()
    with pytest.raises(RoomgenError, match=r"^--compress 1\.5: should be less than or equal to 1\.$"):
        CliRunner().invoke(app, ["devices", "microphones", "--compress", "1.5"], standalone_mode=False, catch_exceptions=False)


def test_microphones_that_do_not_compress_have_no_share_in_their_settings():
    assert "compress" not in DevicesSettings().model_dump(mode="json")
    assert DevicesSettings(compress=0.25).model_dump(mode="json") == {**DevicesSettings().model_dump(mode="json"), "compress": 0.25}
    with pytest.raises(RoomgenError, match="compress is for microphones, not for recorders"):
        devices_settings("recorders", None, {"compress": 0.5})
