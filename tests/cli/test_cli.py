"""The command line as a user meets it: what it prints, where, and with which exit code."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from roomgen.audio import encode_wav


def roomgen(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "roomgen.cli", *map(str, arguments)], capture_output=True, text=True, check=False, **more
    )


SMALL = ("--n", 4, "--rirs-per-room", 2, "--set", "walls.absorption=0.6", "--workers", 0)


def test_rooms_writes_a_dataset_and_sums_it_up(tmp_path):
    result = roomgen("rooms", *SMALL, "--out", tmp_path / "shards", "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["rooms"] == 4
    assert summary["samples"] == summary["made"] == 8
    assert sum(summary["splits"].values()) == 8
    assert 0 < summary["rt60_s"]["min"] <= summary["rt60_s"]["median"] <= summary["rt60_s"]["max"] < 2
    assert "RIR/s" in result.stderr  # the progress bar
    assert (tmp_path / "shards" / "manifest.parquet").exists()
    again = roomgen("rooms", *SMALL, "--out", tmp_path / "shards")
    assert again.returncode == 0
    assert "none: the dataset was complete" in again.stdout
    other = roomgen("rooms", *SMALL, "--seed", 7, "--out", tmp_path / "shards")
    assert other.returncode == 1
    assert "seed: 0 → 7" in other.stderr


def test_the_reference_engine_and_every_flag_work_together(tmp_path):
    result = roomgen(
        *("rooms", *SMALL, "--preset", "goetz", "--engine", "reference", "--fs", 8000, "--duration", 0.1, "--air", "20,50"),
        *("--splits", "train=0.5,test=0.5", "--shard-size", 3, "--seed", 5, "--out", tmp_path / "shards", "--json"),
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["splits"] == {"train": 4, "test": 4}
    settings = json.loads((tmp_path / "shards" / "dataset.json").read_text())["settings"]
    asked = {"rt60_s": None, "rt60_of": "mid", "rt60_bands_s": None}
    assert settings["signal"] == {"fs_hz": 8000, "duration": 0.1, "air": [20.0, 50.0], **asked}
    assert settings["engine"]["name"] == "reference"
    assert roomgen("verify", tmp_path / "shards", "--deep").returncode == 0


def test_an_asked_rt60_is_in_the_labels(tmp_path):
    import pandas as pd

    result = roomgen(
        *("rooms", "--preset", "goetz", "--n", 2, "--rirs-per-room", 30, "--rt60", "0.3:0.5", "--fs", 8000),
        *("--workers", 0, "--out", tmp_path / "shards"),
    )
    assert result.returncode == 0, result.stderr
    table = pd.read_parquet(tmp_path / "shards" / "manifest.parquet")
    assert ((table.rt60_target_s >= 0.3) & (table.rt60_target_s <= 0.5)).all()
    table["mid_s"] = [np.mean(bands[2:4]) for bands in table.rt60_bands_s]  # 500 and 1000 Hz
    rooms = table.groupby("room_id").agg({"mid_s": "mean", "rt60_target_s": "first"})
    assert (rooms.mid_s / rooms.rt60_target_s - 1).abs().max() < 0.05
    assert table.groupby("room_id").absorption_scale.nunique().max() == 1


def test_rooms_have_the_spectrum_of_a_measured_response_and_what_it_lacks_is_said(tmp_path):
    import pandas as pd

    time_s = np.arange(8000) / 8000
    decay = 0.2 * np.random.default_rng(0).standard_normal(8000) * 10.0 ** (-3.0 * time_s / 0.4)
    soundfile.write(tmp_path / "hall.wav", decay, 8000, subtype="FLOAT")
    result = roomgen(
        *("rooms", "--preset", "goetz", "--n", 1, "--rirs-per-room", 30, "--rt60-like", tmp_path / "hall.wav"),
        *("--workers", 0, "--out", tmp_path / "shards"),
    )
    assert result.returncode == 0, result.stderr
    assert "hall.wav: the octave of 8000 Hz lies above its rate" in result.stderr
    table = pd.read_parquet(tmp_path / "shards" / "manifest.parquet")
    found = np.nanmean(np.stack(table.rt60_bands_s), axis=0)
    np.testing.assert_allclose(found[1:], 0.4, rtol=0.12)  # noise of one second says no more


@pytest.mark.parametrize("flags", [("--dry-run",), ("--write-plan", "plan.parquet"), ("--out", "shards")])
def test_an_rt60_that_no_room_has_is_refused_at_once(tmp_path, flags):
    result = roomgen("rooms", "--rt60", 30, *flags, cwd=tmp_path)
    assert result.returncode == 2
    assert "asks for a T_mid of 30 s" in result.stderr
    assert "can have --rt60" in result.stderr
    assert not any(tmp_path.iterdir())


def test_a_fixed_room_that_cannot_have_the_rt60_says_what_it_can_have(tmp_path):
    result = roomgen(
        *("rooms", "--n", 1, "--rt60", 0.02, "--workers", 0, "--out", tmp_path / "shards"),
        *("--preset", "revrir", "--set", "walls.absorption=0.9", "--duration", "auto"),
    )
    assert result.returncode == 2
    assert "T_mid of 0.02 s" in result.stderr
    assert "can have --rt60" in result.stderr
    assert "Traceback" not in result.stderr


def test_dry_run_writes_nothing(tmp_path):
    result = roomgen("rooms", "--n", 100_000, "--dry-run", "--json", "--set", "walls.absorption=0.8", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    estimate = json.loads(result.stdout)
    assert estimate["samples"] == 1_000_000
    assert estimate["shards"] == 1000
    assert estimate["peak_memory_mb"] < 1000
    assert estimate["bytes"] > estimate["hours"] * 3600 * 16000 * 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n", 0], "--n 0"),
        (["--n", -3], "--n -3"),
        (["--n", "many"], "valid integer"),
        (["--fs", 3], "--fs 3"),
        (["--splits", "train=0.5"], "--splits: shares add up to 0.5, not 1"),
        (["--splits", "train"], "--splits"),
        (["--preset", "mixd"], "Did you mean 'mixed'? Presets: goetz, mc-simclr, mixed, mvsd, revrir."),
        (["--set", "plce.wall_distance_m=1"], "Did you mean 'place.wall_distance_m'"),
        (["--set", "place.wall_distance_m=2"], "place.wall_distance_m to at most"),
        (["--air", "20"], "--air '20' is not 2 numbers"),
        (["--air", "200,50"], "temperature_c = 200"),
        (["--rt60", "a:b"], "--rt60"),
        (["--rt60", "0.9:0.1"], "must rise"),
        (["--duration", "0"], "--duration '0'"),
        (["--engine", "raytracer"], "'image' or 'reference'"),
        (["--workers", -2], "--workers -2"),
        (["--shard-size", 0], "--shard-size 0"),
        (["--engine", "reference", "--device", "cuda"], "runs on the CPU"),
        (["--engine", "reference", "--set", "walls.scattering=0.2"], "has no diffuse field"),
        (["--bogus"], "No such option"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(tmp_path, arguments, message):
    result = roomgen("rooms", "--out", tmp_path / "shards", *arguments)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "shards").exists()


def test_without_out_nothing_is_made(tmp_path):
    result = roomgen("rooms", "--n", 1, cwd=tmp_path)
    assert result.returncode == 2
    assert "--out is missing" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_verify_lists_what_is_wrong(tiny):
    assert roomgen("verify", tiny).returncode == 0
    (tiny / "data" / "train-000000.tar").unlink()
    result = roomgen("verify", tiny)
    assert result.returncode == 1
    assert "train-000000.tar: missing" in result.stdout
    assert json.loads(roomgen("verify", tiny, "--json").stdout)["problems"] == ["train-000000.tar: missing"]


def test_inspect_sums_up_a_dataset_and_shows_a_sample(made_once, tmp_path):
    result = roomgen("inspect", made_once)
    assert result.returncode == 0
    assert "18 (train 9, val 6, test 3)" in result.stdout
    result = roomgen("inspect", made_once, "room000003-000001", "--out", tmp_path, "--json")
    assert result.returncode == 0, result.stderr
    row = json.loads(result.stdout)
    audio, fs_hz = soundfile.read(row["wav"], dtype="float32")
    assert (len(audio), fs_hz) == (row["n_samples"], 16000)
    assert (tmp_path / "room000003-000001.png").read_bytes().startswith(b"\x89PNG")
    unknown = roomgen("inspect", made_once, "room3")
    assert unknown.returncode == 1
    assert "has no sample 'room3'" in unknown.stderr


def test_replay_makes_the_same_sample_again(made_once):
    result = roomgen("replay", made_once, "room000003-000001")
    assert result.returncode == 0, result.stdout
    assert "the same to the last bit" in result.stdout
    assert json.loads(roomgen("replay", made_once, "room000003-000001", "--json").stdout)["identical"] is True


def test_replay_of_a_changed_row_says_that_it_differs(tiny):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tiny / "manifest.parquet"
    table = pq.read_table(path)
    lengths = pa.array(np.asarray(table["length_m"]) + np.float32(0.01))
    pq.write_table(table.set_column(table.schema.get_field_index("length_m"), table.schema.field("length_m"), lengths), path)
    result = roomgen("replay", tiny, "room000003-000001")
    assert result.returncode == 1
    assert "audio differs by" in result.stdout


def write(path, audio, fs_hz=16000):
    path.write_bytes(encode_wav(np.atleast_2d(np.asarray(audio, np.float32)), fs_hz=fs_hz))
    return path


def test_label_prints_a_list_of_objects(tmp_path):
    rng = np.random.default_rng(0)
    decay = rng.standard_normal((2, 16000)) * np.exp(-6.9078 * np.arange(16000) / 16000 / 0.5)
    one = write(tmp_path / "one.wav", decay)
    result = roomgen("label", one, one, "--channel", 1, "--json")
    assert result.returncode == 0, result.stderr
    labels = json.loads(result.stdout)
    assert len(labels) == 2
    assert labels[0]["file"] == str(one)
    assert labels[0]["channel"] == 1
    assert labels[0]["fs_hz"] == 16000
    assert labels[0]["rt60_s"] == pytest.approx(0.5, rel=0.05)
    assert {"rt60_bands_s", "t20_s", "edt_s", "c50_db", "c50_bands_db", "c80_db", "d50", "drr_db", "ts_s"} <= set(labels[0])
    assert set(labels[0]["rt60_bands_s"]) == {"63", "125", "250", "500", "1000", "2000", "4000", "8000"}
    assert set(json.loads(roomgen("label", one, "--bands", "third", "--json").stdout)[0]["c50_bands_db"]) > {"50", "630", "6300"}
    assert roomgen("label", one, "--csv").stdout.count("\n") == 2
    assert "one.wav" in roomgen("label", one).stdout


def test_label_names_every_bad_file_and_still_prints_the_good(tmp_path):
    good = write(tmp_path / "good.wav", np.random.default_rng(0).standard_normal(8000) * np.exp(-np.arange(8000) / 500))
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("not audio at all, but long enough to be read as a header of some kind")
    write(tmp_path / "silent.wav", np.zeros(8000))
    write(tmp_path / "nan.wav", np.full(8000, np.nan))
    (tmp_path / "truncated.wav").write_bytes(good.read_bytes()[:2000])
    write(tmp_path / "noise.wav", np.random.default_rng(0).standard_normal(8000))
    names = ["empty", "text", "silent", "nan", "truncated", "missing", "noise"]
    result = roomgen("label", good, *(tmp_path / f"{name}.wav" for name in names), "--json")
    assert result.returncode == 1
    assert [item["file"] for item in json.loads(result.stdout)] == [str(good)]
    lines = result.stderr.strip().splitlines()
    assert len(lines) == len(names)
    assert all(name in line for name, line in zip(names, lines, strict=True))
    assert "noise.wav is not an impulse response: " in lines[-1]


def test_label_tells_why_and_refuses_unknown_bands(tmp_path):
    short = write(tmp_path / "short.wav", np.random.default_rng(0).standard_normal(4000) * np.exp(-np.arange(4000) / 1000))
    assert "(cut): " in roomgen("label", short, "--why").stdout
    result = roomgen("label", short, "--bands", "half")
    assert (result.returncode, result.stderr.strip()) == (2, "roomgen: --bands half is unknown: octave or third.")


def test_help_version_and_lists():
    assert "rooms" in roomgen("--help").stdout
    assert roomgen("--version").stdout.startswith("roomgen 0.")
    assert "brickwork" in roomgen("materials").stdout
    assert json.loads(roomgen("config", "--preset", "goetz", "--set", "seed=3").stdout)["seed"] == 3


def test_importing_the_command_line_loads_nothing_heavy():
    heavy = ("torch", "numba", "numpy", "pandas", "matplotlib", "scipy", "pyarrow", "pydantic")
    code = f"import sys, roomgen.cli; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_what_is_ignored_or_missing_is_said(tmp_path):
    plan = tmp_path / "plan.parquet"
    written = roomgen("rooms", *SMALL, "--write-plan", plan)
    assert written.returncode == 0, written.stderr
    assert "leave nothing for the split test: ask for 10 or more (--n)" in written.stderr
    refused = roomgen("rooms", "--plan", plan, "--n", 3, "--out", tmp_path / "shards")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "--n and --plan exclude each other" in refused.stderr
    seeded = roomgen("rooms", "--plan", plan, "--seed", 0, "--dry-run", "--set", "signal.duration=0.05", "--json")
    assert seeded.returncode == 0, seeded.stderr
    digits = roomgen("rooms", "--n", "1" * 5000, "--out", tmp_path / "shards")
    assert digits.returncode == 2
    assert not (tmp_path / "shards").exists()
