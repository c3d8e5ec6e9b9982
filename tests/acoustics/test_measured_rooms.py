"""Two measured rooms with published decay times per octave band (The Open AIR Library, University of York)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from roomgen.label_files import label_file

SPORTS_HZ = (125, 250, 500, 1000, 2000, 4000)
SPORTS_T30_S = np.array([7.388, 8.472, 6.795, 6.518, 4.797, 4.089])
SPORTS_EDT_S = np.array([4.667, 5.942, 6.007, 5.941, 5.038, 3.735])
LIVING_HZ = (63, 125, 250, 500, 1000, 2000, 4000, 8000)
LIVING_T30_S = np.array([0.274, 0.365, 0.303, 0.259, 0.227, 0.211, 0.204, 0.181])


@pytest.fixture(scope="module")
def sports(shared_data: Path) -> dict[str, object]:
    return label_file(shared_data / "measured_rirs" / "ir_sportscentre_omni.wav", bands_hz=SPORTS_HZ)


def test_sports_centre_t30(sports: dict[str, object]) -> None:
    found = np.array(sports["rt60_bands_s"])
    np.testing.assert_allclose(found[2:], SPORTS_T30_S[2:], rtol=0.035)
    # At 125 and 250 Hz the noise lies only 45 dB below the decay, and the published values have it in: see the next test. Without
    # it, T30 is a quarter shorter at 250 Hz and lies where the decay from -5 to -25 dB does, too; at 125 Hz too little is seen.
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(sports["t20_bands_s"][1], rel=0.05)  # type: ignore[index]
    assert found[1] < 0.8 * SPORTS_T30_S[1]


def test_published_sports_centre_values_hold_the_noise(shared_data: Path) -> None:
    import soundfile

    from roomgen.acoustics.bands import fft_band_weights

    rir, fs_hz = soundfile.read(shared_data / "measured_rirs" / "ir_sportscentre_omni.wav")
    n_fft = 1 << 20
    bands = np.fft.irfft(np.fft.rfft(rir, n_fft) * fft_band_weights(n_fft, fs_hz, (62.5, *SPORTS_HZ, 8000.0))[1:-1])
    energy = bands[:, 2619 : rir.size] ** 2
    curve = np.cumsum(energy[:, ::-1], axis=1)[:, ::-200]  # all of the file, and nothing taken off
    level = 10.0 * np.log10(curve / curve[:, :1])
    time = np.arange(level.shape[1]) * 200 / fs_hz
    t30 = []
    for one in level:
        rows = (one <= -5.0) & (one >= -35.0)
        t30.append(-60.0 / np.polyfit(time[rows], one[rows], 1)[0])
    np.testing.assert_allclose(t30, SPORTS_T30_S, rtol=0.02)


def test_sports_centre_edt(sports: dict[str, object]) -> None:
    # The EDT hangs on the first milliseconds, which every octave filter smears in its own way.
    np.testing.assert_allclose(sports["edt_bands_s"], SPORTS_EDT_S, rtol=0.05)


def test_living_room_t30(shared_data: Path) -> None:
    # The file begins within the direct sound, has an offset and rumble 45 dB below the peak, and breaks off in it.
    found = label_file(shared_data / "measured_rirs" / "living_room_1.wav", bands_hz=LIVING_HZ)
    np.testing.assert_allclose(found["rt60_bands_s"], LIVING_T30_S, rtol=0.05)
    assert found["rt60_mid_s"] == pytest.approx(0.243, rel=0.02)
    assert found["c50_db"] > 20.0
