"""What is an impulse response and what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from roomgen.acoustics.labels.response_check import why_no_response

FS_HZ = 16000
TIME_S = np.arange(2 * FS_HZ) / FS_HZ


def bursts() -> NDArray[np.float64]:
    """Noise that comes and goes four times a second, as syllables do."""
    return np.random.default_rng(0).standard_normal(TIME_S.size) * np.maximum(np.sin(2.0 * np.pi * 4.0 * TIME_S), 0.0) ** 2


@pytest.mark.parametrize(
    ("name", "given", "seen"),
    [
        ("syllables", bursts(), "louder again|before its peak"),
        ("noise", np.random.default_rng(1).standard_normal(TIME_S.size), "before its peak|does not decay"),
        ("tone", np.cos(2.0 * np.pi * 440.0 * TIME_S), "does not decay"),
        ("bell", np.exp(-3.0 * TIME_S) * sum(np.cos(2.0 * np.pi * f * TIME_S) for f in (440, 882, 1337)), "made of tones"),
    ],
)
def test_what_no_impulse_response_is(name: str, given: NDArray[np.float64], seen: str) -> None:
    found = why_no_response(given, fs_hz=FS_HZ)
    assert found is not None, name
    assert np.any([part in found for part in seen.split("|")]), found


@pytest.mark.parametrize("floor_db", [-200.0, -50.0, -35.0])
def test_decays_are_impulse_responses(floor_db: float) -> None:
    rng = np.random.default_rng(0)
    for t60_s in (0.1, 0.5, 2.0, 8.0):
        rir = np.concatenate([np.zeros(3000), 10.0 ** (-3.0 * TIME_S / t60_s) * rng.standard_normal(TIME_S.size)])
        rir += 10.0 ** (floor_db / 20.0) * rng.standard_normal(rir.size)
        assert why_no_response(rir, fs_hz=FS_HZ) is None, t60_s
    click = np.zeros(2000)
    click[70] = -1.0
    assert why_no_response(click, fs_hz=FS_HZ) is None
    assert why_no_response(click[:400], fs_hz=FS_HZ) is None


def test_measured_responses_pass_and_speech_does_not(shared_data: Path) -> None:
    for path in sorted((shared_data / "measured_rirs").glob("*.wav")):
        audio, fs_hz = soundfile.read(path, always_2d=True)
        assert [why_no_response(channel, fs_hz=fs_hz) for channel in audio.T] == [None] * audio.shape[1], path.name
    speech = sorted((shared_data / "LibriSpeech").rglob("*.flac"))[::12]
    assert speech
    for path in speech:
        assert why_no_response(soundfile.read(path)[0], fs_hz=16000) is not None, path.name
