"""Recording devices, and the compressor against a sample-by-sample reference."""

import numpy as np
import pytest

from roomgen.acoustics.microphones.recorders import RECORDERS, compress, draw_recorder, recorder_magnitude, recorder_response
from roomgen.datasets.devices.family import compressed
from roomgen.errors import RoomgenError

FS_HZ = 32000
OPTIONS = {"threshold_db": -30.0, "ratio": 4.0, "attack_ms": 5.0, "release_ms": 50.0, "makeup_db": 0.0}


def reference(audio, *, fs_hz, threshold_db, ratio, attack_ms, release_ms, makeup_db):
    """Gain computer and smooth branching detector of Giannoulis, Massberg and Reiss (2012), a sample at a time."""
    attack, release = (np.exp(-1 / (t / 1000 * fs_hz)) for t in (attack_ms, release_ms))
    out, smooth = np.zeros_like(audio, dtype=float), 0.0
    for n in range(audio.shape[1]):
        level = 20 * np.log10(max(np.abs(audio[:, n]).max(), 1e-6))
        wanted = threshold_db + (level - threshold_db) / ratio if level > threshold_db else level
        over = level - wanted
        coefficient = attack if over > smooth else release
        smooth = coefficient * smooth + (1 - coefficient) * over
        out[:, n] = audio[:, n] * 10 ** ((makeup_db - smooth) / 20)
    return out


def test_the_compressor_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    envelope = np.repeat(rng.uniform(0, 1, 20) ** 3, 200)
    audio = (rng.standard_normal((2, 4000)) * envelope).astype(np.float32) * 0.3
    options = {**OPTIONS, "makeup_db": 6.0}
    np.testing.assert_allclose(compress(audio, fs_hz=FS_HZ, **options), reference(audio, fs_hz=FS_HZ, **options), atol=1e-6)


@pytest.mark.parametrize("level_db", [-60.0, -31.0, -20.0, -6.0, 0.0])
def test_the_static_curve(level_db):
    audio = np.full((1, FS_HZ // 2), 10 ** (level_db / 20), np.float32)
    settled_db = 20 * np.log10(compress(audio, fs_hz=FS_HZ, **OPTIONS)[0, -1])
    assert settled_db == pytest.approx(level_db if level_db <= -30 else -30 + (level_db + 30) / 4, abs=0.01)


def test_attack_and_release_take_their_time_constants():
    step = np.concatenate([np.full(3200, 1e-4), np.full(6400, 1.0), np.full(6400, 10 ** (-30 / 20))])[None].astype(np.float32)
    gain_db = 20 * np.log10(compress(step, fs_hz=FS_HZ, **OPTIONS)[0] / step[0])
    full_db = -22.5
    assert gain_db[3199] == pytest.approx(0.0, abs=1e-3)
    assert gain_db[3200 + 160 - 1] == pytest.approx(full_db * (1 - np.exp(-1)), rel=0.01)  # 5 ms later
    assert gain_db[9599] == pytest.approx(full_db, abs=0.01)
    assert gain_db[9600 + 1600 - 1] == pytest.approx(full_db * np.exp(-1), rel=0.01)  # 50 ms later


def test_all_channels_get_one_gain():
    rng = np.random.default_rng(1)
    loud, soft = rng.standard_normal(2000) * 0.3, rng.standard_normal(2000) * 0.001
    both = compress(np.stack([loud, soft]).astype(np.float32), fs_hz=FS_HZ, **OPTIONS)
    np.testing.assert_allclose(both[0] / loud, both[1] / soft, rtol=1e-3)


def test_no_ratio_is_no_compression():
    audio = np.random.default_rng(2).standard_normal((1, 500)).astype(np.float32)
    row = {f"drc_{name}": value for name, value in OPTIONS.items()}
    for ratio in (1.0, float("nan")):
        assert compressed(audio, {**row, "drc_ratio": ratio}, fs_hz=FS_HZ) is audio
    np.testing.assert_array_equal(compressed(audio, row, fs_hz=FS_HZ), compress(audio, fs_hz=FS_HZ, **OPTIONS))


@pytest.mark.parametrize("change", [{"ratio": 0.5}, {"attack_ms": 0.0}, {"release_ms": -1.0}, {"threshold_db": float("nan")}])
def test_what_no_compressor_does_is_refused(change):
    with pytest.raises(RoomgenError, match=r"compressor"):
        compress(np.ones((1, 10), np.float32), fs_hz=FS_HZ, **{**OPTIONS, **change})


def test_silence_and_nothing_stay_what_they_are():
    assert not compress(np.zeros((1, 100), np.float32), fs_hz=FS_HZ, **OPTIONS).any()
    assert compress(np.zeros((2, 0), np.float32), fs_hz=FS_HZ, **OPTIONS).shape == (2, 0)


def test_devices_are_drawn_around_their_archetypes():
    drawn = {name: [draw_recorder(name, np.random.default_rng(seed)) for seed in range(20)] for name in RECORDERS}
    assert draw_recorder("S4", np.random.default_rng(3)) == drawn["S4"][3]
    assert drawn["S4"][3] != drawn["S4"][4]
    speech = np.geomspace(200.0, 8000.0, 100)

    def unevenness_db(recorder):
        return float(np.std(20 * np.log10(recorder_magnitude(recorder, speech))))

    average = {name: np.mean([unevenness_db(r) for r in recorders]) for name, recorders in drawn.items()}
    assert min(average, key=average.get) == "A"  # the flat one
    assert all(r.compression.ratio == 1.0 for r in drawn["A"])
    assert all(r.compression.ratio > 1.3 for name in RECORDERS if name.startswith("S") for r in drawn[name])


def test_a_response_has_the_magnitudes_of_its_device():
    for name in RECORDERS:
        recorder = draw_recorder(name, np.random.default_rng(0))
        response = recorder_response(recorder, fs_hz=FS_HZ)
        assert response.shape == (1024,)
        found = np.abs(np.fft.rfft(response, FS_HZ))[[300, 1000, 3000, 9000]]
        expected = recorder_magnitude(recorder, np.array([300.0, 1000.0, 3000.0, 9000.0]))
        np.testing.assert_allclose(20 * np.log10(found), 20 * np.log10(expected), atol=0.2)
        assert expected[1] == pytest.approx(1.0)


def test_an_unknown_device_is_named():
    with pytest.raises(RoomgenError, match="unknown recording device 'S9'"):
        draw_recorder("S9", np.random.default_rng(0))
