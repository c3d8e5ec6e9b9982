from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from roomgen.errors import RoomgenError
from roomgen.label_files import format_csv, format_json, format_table, label_file

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
    assert len(found["rt60_bands_s"]) == len(found["band_hz"]) == 7


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
        (write("text.wav", b"this is no audio at all" * 9), "is not an audio file"),
        (write("cut.wav", whole[:-1000]), "is truncated: its header promises 76800 bytes of audio, 75800 are there"),
        (write("head.wav", whole[:20]), "is truncated: it ends after 20 bytes"),
        (write("cut.flac", flac.read_bytes()[:3000]), "whole|truncated|not an audio file"),
        (write("nan.wav", spoilt), "holds 1 samples that are nan"),
        (write("silent.wav", np.zeros(FS_HZ)), "is silent: every sample is 0"),
        (write("ten.wav", decay(0.3)[:10]), "is too short: 10 samples, 0.625 ms; at least 20 ms"),
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
    assert parsed[1]["rt60_bands_s"] == [None, None]

    rows = list(csv.DictReader(io.StringIO(format_csv(records))))
    assert float(rows[0]["rt60_8000hz_s"]) == pytest.approx(records[0]["rt60_bands_s"][6], rel=1e-5)
    assert float(rows[0]["c50_1000hz_db"]) == pytest.approx(records[0]["c50_bands_db"][3], rel=1e-5)
    assert "d50_125hz" in rows[0]
    assert [rows[1]["rt60_s"], rows[1]["rt60_63hz_s"], rows[0]["rt60_63hz_s"]] == ["", "", ""]

    table = format_table(records).splitlines()
    assert table[1].split()[-8] == f"{records[0]['rt60_s']:.3f}"
    assert table[2].split()[-8:-5] == ["–"] * 3
    assert len({len(line) for line in table[:3]}) == 1
    assert format_csv([]).strip() == ""
    assert format_json([]) == "[]"
