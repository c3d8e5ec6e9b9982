"""Two measured rooms with published decay times per octave band (The Open AIR Library, University of York)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from roomgen.acoustics.labels.measure import measure
from roomgen.run.label import label_file

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


def test_living_room_t30_of_thirds_of_an_octave(shared_data: Path) -> None:
    # python-acoustics' own tests, 125 to 5000 Hz. At 100 Hz, T30 is as short as the filter rings.
    published = [
        0.340, 0.259, 0.311, 0.267, 0.376, 0.342, 0.268, 0.212, 0.246, 0.211, 0.232, 0.192, 0.231, 0.252, 0.202, 0.184, 0.216,
    ]  # fmt: skip
    found = label_file(shared_data / "measured_rirs" / "living_room_1.wav", bands="third")
    first = found["band_hz"].index(125.0)
    np.testing.assert_allclose(found["rt60_bands_s"][first : first + len(published)], published, rtol=0.06)


def test_living_room_clarity_and_what_a_causal_filter_does_to_it(shared_data: Path) -> None:
    """python-acoustics publishes C50 and C80 of this room; all agree within 1 dB but C50 at 63 and at 250 Hz.

    Its filters are causal: they delay the sound, by 5 ms at 250 Hz, but its 50 ms begin with the file. Where they begin later by
    this delay, 23 dB become 24 dB, whatever the order of the filter; ours delay nothing.
    """
    import soundfile
    from scipy.signal import butter, sosfilt

    path = shared_data / "measured_rirs" / "living_room_1.wav"
    found = label_file(path, bands_hz=LIVING_HZ)
    np.testing.assert_allclose(found["c80_bands_db"], [18.542, 23.078, 27.015, 31.743, 35.469, 36.836, 33.463, 36.063], atol=0.8)
    np.testing.assert_allclose(found["c50_bands_db"][3:], [26.0, 30.0, 31.0, 27.0, 29.0], atol=0.8)

    rir, fs_hz = soundfile.read(path)
    for order in (3, 4):
        filters = butter(order, [250.0 / np.sqrt(2.0), 250.0 * np.sqrt(2.0)], "bandpass", fs=fs_hz, output="sos")
        own = sosfilt(filters, np.eye(1, fs_hz)[0]) ** 2
        delay = round(float(own @ np.arange(fs_hz) / own.sum()))
        energy = sosfilt(filters, rir) ** 2
        early_to_late = [10.0 * np.log10(energy[:n].sum() / energy[n:].sum()) for n in (fs_hz // 20, fs_hz // 20 + delay)]
        assert early_to_late[0] == pytest.approx(23.3, abs=0.4)
        assert early_to_late[1] == pytest.approx(24.15, abs=0.1)
    assert found["c50_bands_db"][2] == pytest.approx(24.15, abs=0.5)


# T30 at 125 to 8000 Hz as an independent program measured it.
_OTHERS = {
    "arthur_sykes_auditorium_s1r4": [0.57, 0.43, 0.43, 0.40, 0.36, 0.32, 0.29],
    "york_council_chamber_s1r1": [0.72, 0.86, 0.93, 0.96, 0.88, 0.79, 0.64],
    "jack_lyons_hall_lp4": [2.10, 2.23, 1.78, 1.82, 1.69, 1.27, 0.88],
    "elveden_smoking_room": [0.73, 0.81, 0.75, 0.79, 0.75, 0.72, 0.58],
    "genesis_studio": [0.32, 0.28, 0.23, 0.22, 0.20, 0.22, 0.21],
    "singleslope_4ch": [1.02, 1.57, 1.26, 1.12, 1.13, 0.97, 0.73],
    "example_room_7mic_10cm": [0.61, 0.77, 0.59, 0.54, 0.53, 0.51, 0.41],
}


@pytest.mark.parametrize("name", _OTHERS)
def test_other_measured_rooms(shared_data: Path, name: str) -> None:
    found = label_file(shared_data / "measured_rirs" / f"{name}.wav", bands_hz=LIVING_HZ[1:])
    np.testing.assert_allclose(found["rt60_bands_s"], _OTHERS[name], rtol=0.065)
    assert found["rt60_mid_s"] == pytest.approx(np.mean(_OTHERS[name][2:4]), rel=0.02)


@pytest.mark.parametrize("name", ["jack_lyons_hall_lp4", "york_council_chamber_s1r1", "elveden_smoking_room", "singleslope_4ch"])
@pytest.mark.parametrize("floor_db", [-65.0, -55.0])
def test_added_noise_changes_labels_little_or_makes_them_nan(shared_data: Path, name: str, floor_db: float) -> None:
    import soundfile

    rir, fs_hz = soundfile.read(shared_data / "measured_rirs" / f"{name}.wav", always_2d=True)
    rir = rir[:, 0]
    noise = 10.0 ** (floor_db / 20.0) * np.abs(rir).max() * np.random.default_rng(7).standard_normal(len(rir))
    clean, noisy = (measure(x, fs_hz=fs_hz, bands_hz=LIVING_HZ[1:]) for x in (rir, rir + noise))
    known = ~np.isnan(noisy.rt60_bands_s)
    assert known.any() or floor_db > -60.0
    np.testing.assert_allclose(noisy.rt60_bands_s[known], clean.rt60_bands_s[known], rtol=0.1)
