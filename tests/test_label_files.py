from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from roomgen.errors import RoomgenError
from roomgen.report.label_text import format_csv, format_json, format_table, short_names
from roomgen.run.label import label_file

FS_HZ = 16000


def decay(t60_s: float, seconds: float = 0.6) -> np.ndarray:
    n = round(seconds * FS_HZ)
    return 0.5 * np.random.default_rng(0).choice([-1.0, 1.0], n) * 10.0 ** (-3.0 * np.arange(n) / FS_HZ / t60_s)


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([decay(0.3), decay(0.5)], axis=1), FS_HZ, subtype="FLOAT")
    return path


@pytest.mark.parametrize(("channel", "t60_s"), [(0, 0.3), (1, 0.5)])
def test_a_channel_is_measured(stereo: Path, channel: int, t60_s: float) -> None:
    found = label_file(stereo, channel=channel)
    assert list(found)[:6] == ["file", "channel", "fs_hz", "n_channels", "duration_s", "rt60_s"]
    assert [found[k] for k in list(found)[:5]] == [str(stereo), channel, 16000.0, 2, 0.6]
    assert found["rt60_s"] == pytest.approx(t60_s, rel=0.01)
    assert found["band_hz"] == [63, 125, 250, 500, 1000, 2000, 4000, 8000]
    assert len(found["rt60_bands_s"]) == 8


@pytest.mark.parametrize("name", ["a.flac", "a.wav", "a.aiff", "a.ogg"])
def test_formats_of_16_bits_and_less(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, decay(0.3), FS_HZ)
    assert label_file(tmp_path / name, bands_hz=(500, 1000))["rt60_s"] == pytest.approx(0.3, rel=0.02)


def test_errors_are_one_line_that_names_the_file(tmp_path: Path, stereo: Path) -> None:
    def write(name: str, content: bytes | np.ndarray) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            soundfile.write(path, content, FS_HZ, subtype="FLOAT")
        return path

    whole = stereo.read_bytes()
    flac = tmp_path / "whole.flac"
    soundfile.write(flac, decay(0.3), FS_HZ)
    spoilt = decay(0.3)
    spoilt[7] = np.nan
    cases = [
        (tmp_path / "none.wav", "does not exist"),
        (tmp_path, "is a folder"),
        (write("empty.wav", b""), r"is empty \(0 bytes\)"),
        (write("text.wav", b"this is no audio at all" * 9), "is not readable as audio"),
        (write("cut.wav", whole[:-1000]), "is truncated: its header promises 76800 bytes of audio, 75800 are there"),
        (write("head.wav", whole[:20]), "is truncated: it ends after 20 bytes"),
        (write("cut.flac", flac.read_bytes()[:3000]), "truncated|not readable as audio"),
        (write("nan.wav", spoilt), "holds values that are not finite: 1 of 9600"),
        (write("silent.wav", np.zeros(FS_HZ)), "is silent: every sample is 0"),
        (write("ten.wav", decay(0.3)[:10]), "is too short: 10 samples, 0.625 ms; at least 20 ms"),
        (write("noise.wav", np.random.default_rng(0).standard_normal(FS_HZ)), "is not an impulse response: "),
    ]
    for path, message in cases:
        with pytest.raises(RoomgenError, match=message) as error:
            label_file(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    for channel in (2, -1):
        with pytest.raises(RoomgenError, match=f"has channels 0 to 1; channel {channel} was asked for"):
            label_file(stereo, channel=channel)


def test_a_header_of_unknown_length_is_no_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "pipe.wav", decay(0.3), FS_HZ, subtype="PCM_16")
    content = (tmp_path / "pipe.wav").read_bytes()
    at = content.index(b"data") + 4
    (tmp_path / "pipe.wav").write_bytes(content[:at] + b"\xff" * 4 + content[at + 4 :])
    assert label_file(tmp_path / "pipe.wav")["duration_s"] == 0.6


def test_table_csv_and_json(tmp_path: Path, stereo: Path) -> None:
    click = np.zeros(FS_HZ)
    click[10] = 1.0
    soundfile.write(tmp_path / "click.wav", click, FS_HZ)
    records = [label_file(stereo), label_file(tmp_path / "click.wav", bands_hz=(63, 125))]

    parsed = json.loads(format_json(records), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert parsed[0]["rt60_s"] == records[0]["rt60_s"]
    assert parsed[1]["rt60_s"] is None
    assert parsed[1]["rt60_bands_s"] == {"63": None, "125": None}
    assert parsed[0]["rt60_bands_s"]["8000"] == records[0]["rt60_bands_s"][7]
    assert "why" not in parsed[0]

    rows = list(csv.DictReader(io.StringIO(format_csv(records))))
    assert float(rows[0]["rt60_8000hz_s"]) == pytest.approx(records[0]["rt60_bands_s"][7], rel=1e-5)
    assert float(rows[0]["c50_1000hz_db"]) == pytest.approx(records[0]["c50_bands_db"][4], rel=1e-5)
    assert "d50_125hz" in rows[0]
    assert [rows[1]["rt60_s"], rows[1]["rt60_63hz_s"], rows[1]["rt60_1000hz_s"]] == ["", "", ""]

    table = format_table(records).splitlines()
    assert table[1].split()[-10:-8] == [f"{records[0]['rt60_mid_s']:.3f}", f"{records[0]['rt60_s']:.3f}"]
    assert table[2].split()[-10:-6] == ["–"] * 4
    assert len({len(line) for line in table[:3]}) == 1
    assert format_csv([]).strip() == ""
    assert format_json([]) == "[]"


def test_why_values_are_missing(tmp_path: Path) -> None:
    short = tmp_path / "short.wav"
    soundfile.write(short, decay(0.6, seconds=0.3), FS_HZ, subtype="FLOAT")
    record = label_file(short, bands_hz=(500, 1000))
    assert record["why"]["rt60_s"] == "cut"
    assert record["why"]["rt60_bands_s"] == ["cut", "cut"]
    assert record["why"]["g_db"] == "no_level"
    assert "c50_db" not in record["why"]
    assert json.loads(format_json([record], why=True))[0]["why"]["rt60_bands_s"] == {"500": "cut", "1000": "cut"}
    row = next(csv.DictReader(io.StringIO(format_csv([record], why=True))))
    assert (row["why_rt60_1000hz_s"], row["why_rt60_s"]) == ("cut", "cut")
    last = format_table([record], why=True).splitlines()[-1]
    assert last.startswith("short.wav: the response ends too early (cut): ")
    assert "rt60_s" in last
    assert "why" not in format_table([record])


def test_third_octaves_stand_below_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    noise = np.random.default_rng(0).standard_normal(FS_HZ) * 10.0 ** (-3.0 * np.arange(FS_HZ) / FS_HZ / 0.8)
    soundfile.write(path, noise, FS_HZ, subtype="FLOAT")
    thirds, octaves = label_file(path, bands="third"), label_file(path)
    assert thirds["band_hz"][:4] == [50, 63, 80, 100]
    assert thirds["band_hz"][-1] == 6300
    for key in ("rt60_s", "rt60_mid_s", "sti", "c50_db"):  # what is not of a band does not hang on the bands
        assert thirds[key] == pytest.approx(octaves[key], rel=1e-3)
    assert np.nanmean(thirds["rt60_bands_s"][9:]) == pytest.approx(0.8, rel=0.05)
    lines = format_table([thirds]).split("\n\n")[1].splitlines()
    assert len(lines) == 1 + len(thirds["band_hz"])
    assert lines[-1].split()[:2] == ["6300", "Hz"]


def test_names_are_the_ends_that_tell_files_apart() -> None:
    paths = ["/a/b/one/rir.wav", "/a/b/two/rir.wav", "/a/b/two/other.wav", "/a/b/two/rir.wav"]
    records = [{"file": p, "channel": 1, "n_channels": 2 if i == 2 else 1} for i, p in enumerate(paths)]
    assert short_names(records) == ["one/rir.wav", "two/rir.wav", "other.wav [1]", "two/rir.wav"]
    assert short_names([{"file": "rir.wav", "channel": 0, "n_channels": 1}]) == ["rir.wav"]


def test_strength_beside_a_reference(tmp_path: Path) -> None:
    rir = np.concatenate([np.zeros(FS_HZ // 4), decay(0.3)])
    soundfile.write(tmp_path / "free.wav", 0.1 * rir, FS_HZ, subtype="FLOAT")
    soundfile.write(tmp_path / "room.wav", rir, FS_HZ, subtype="FLOAT")
    soundfile.write(tmp_path / "rate.wav", rir, 8000, subtype="FLOAT")
    found = label_file(tmp_path / "room.wav", reference=tmp_path / "free.wav")
    assert found["g_db"] == pytest.approx(20.0, abs=0.01)
    np.testing.assert_allclose(found["g_bands_db"], 20.0, atol=0.1)
    with pytest.raises(RoomgenError, match=r"rate\.wav has a sampling rate of 8000 Hz, the response 16000 Hz"):
        label_file(tmp_path / "room.wav", reference=tmp_path / "rate.wav")


def test_lateral_energy_of_a_side_wall(tmp_path: Path) -> None:
    # A direct sound that the figure-eight does not hear, then at 20 ms a reflection of half its pressure, 30° off the axis.
    omni, eight = np.zeros((2, FS_HZ))
    omni[800], omni[800 + 320] = 1.0, 0.5
    eight[800 + 320] = 0.5 * np.cos(np.deg2rad(30))
    soundfile.write(tmp_path / "two.wav", np.stack([omni, eight], axis=1), FS_HZ, subtype="FLOAT")
    found = label_file(tmp_path / "two.wav", lateral=1, bands_hz=(1000, 2000, 4000))
    np.testing.assert_allclose(found["lf_bands"], 0.25 * 0.75 / 1.25, rtol=0.02)
    assert found["lf"] == pytest.approx(0.25 * 0.75 / 1.25, rel=0.15)  # at 125 Hz direct sound and reflection overlap
    assert "LF" in format_table([found])
