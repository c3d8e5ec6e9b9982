"""Labels against closed forms, independent computations, pyrato, and signals that are no impulse responses."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

import roomgen
from roomgen.acoustics.bands import fft_band_weights, octave_centers
from roomgen.acoustics.labels.measure import Labels, measure
from roomgen.acoustics.labels.modulation import speech_transmission_index
from roomgen.acoustics.labels.reasons import Why
from roomgen.errors import RoomgenError

DECAY = 6.0 * np.log(10.0)  # energy falls by exp(-DECAY) in a reverberation time

Array = NDArray[np.float64]


def decay(t60_s: float, *, fs_hz: int, duration_s: float, excitation: str = "signs", delay: int = 0, seed: int = 0) -> Array:
    """An exponential decay: a tone of 4 kHz, random signs (their energy is exactly the curve), or Gaussian noise."""
    rng = np.random.default_rng(seed)
    envelope = np.exp(-0.5 * DECAY * np.arange(round(duration_s * fs_hz)) / fs_hz / t60_s)
    carrier = {
        "tone": lambda n: np.cos(np.pi * (8000.0 / fs_hz * np.arange(n) + 0.25)),
        "signs": lambda n: rng.choice([-1.0, 1.0], n),
        "noise": rng.standard_normal,
    }[excitation]
    return np.concatenate([np.zeros(delay), envelope * carrier(envelope.size)])


def c_db(t60_s: float, early_s: float) -> float:
    return float(10.0 * np.log10(np.expm1(DECAY * early_s / t60_s)))


def values(labels: Labels) -> Array:
    """All labels but the band centres, the delay and the level."""
    skip = ("band_hz", "direct_delay_s", "g_db", "g_bands_db")
    return np.concatenate([np.ravel(v) for k, v in labels.as_dict().items() if k not in skip])


# --- closed forms


@pytest.mark.parametrize("noise", ["none", "auto"])
@pytest.mark.parametrize("excitation", ["tone"])
@pytest.mark.parametrize(
    ("t60_s", "fs_hz"), [(0.1, 16000), (0.3, 8000), (0.3, 22050), (0.7, 16000), (0.7, 44100), (1.5, 48000), (4.0, 8000)]
)
def test_exponential_decay_has_its_closed_forms(t60_s: float, fs_hz: int, excitation: str, noise: str) -> None:
    rir = decay(t60_s, fs_hz=fs_hz, duration_s=1.2 * t60_s, excitation=excitation, delay=100)
    found = measure(rir, fs_hz=fs_hz, noise=noise)
    assert [found.rt60_s, found.t20_s, found.edt_s] == pytest.approx([t60_s] * 3, rel=0.002)
    assert found.c50_db == pytest.approx(c_db(t60_s, 0.05), abs=0.02)
    assert found.c80_db == pytest.approx(c_db(t60_s, 0.08), abs=0.02)
    assert found.d50 == pytest.approx(1.0 - np.exp(-DECAY * 0.05 / t60_s), abs=0.001)
    assert found.ts_s == pytest.approx(t60_s / DECAY, rel=0.005)
    assert found.direct_delay_s == 100 / fs_hz


@pytest.mark.parametrize("noise", ["none", "auto"])
@pytest.mark.parametrize("fs_hz", [16000, 48000])
def test_bands_of_noise_decays_agree_on_average(fs_hz: int, noise: str) -> None:
    # One response of Gaussian noise has a T30 that varies by about 0.9 / sqrt(bandwidth · T60): 10 % at 125 Hz, 1 % at 8 kHz.
    # The tolerance is three standard errors of the mean of 32, and 1 % more.
    rirs = np.stack([decay(0.8, fs_hz=fs_hz, duration_s=0.9, excitation="noise", seed=s) for s in range(32)])
    found = measure(rirs, fs_hz=fs_hz, onset_s=0.0, noise=noise)
    centers = np.array(octave_centers(fs_hz))
    tolerance = 0.01 + 3.0 * 0.9 / np.sqrt(0.7 * centers * 0.8) / np.sqrt(32)
    assert np.all(np.abs(found.rt60_bands_s.mean(axis=0) / 0.8 - 1.0) < tolerance)
    assert np.mean(found.rt60_s) == pytest.approx(0.8, rel=0.01)
    assert found.c50_bands_db[:, 3:].mean() == pytest.approx(c_db(0.8, 0.05), abs=0.3)


def test_each_band_has_its_own_decay() -> None:
    fs_hz, t60_s = 16000, np.array([1.2, 0.9, 0.7, 0.5, 0.4, 0.35, 0.3])
    weights = fft_band_weights(1 << 15, fs_hz)
    rirs = []
    for seed in range(24):
        bands = np.fft.irfft(weights * np.fft.rfft(np.random.default_rng(seed).standard_normal(1 << 15)))
        bands *= np.exp(-0.5 * DECAY * np.arange(1 << 15) / fs_hz / t60_s[:, None])
        rirs.append(bands.sum(axis=0))
    found = measure(np.stack(rirs), fs_hz=fs_hz, onset_s=0.0, noise="none")
    # A band takes in the skirts of its neighbours, which decay more slowly below it: hence 6 %, not the 3 % of chance.
    np.testing.assert_allclose(found.rt60_bands_s.mean(axis=0), t60_s, rtol=0.06)


def test_double_slope_has_the_slope_of_minus_5_to_minus_35_db() -> None:
    fs_hz = 16000
    time = np.arange(2 * fs_hz) / fs_hz
    energy = np.exp(-DECAY * time / 0.3) + 0.01 * np.exp(-DECAY * time / 1.5)
    rir = np.sqrt(energy) * np.random.default_rng(0).choice([-1.0, 1.0], time.size)
    # Independently: the integral of both exponentials in closed form, and a fit over all its samples.
    curve = 0.3 * np.exp(-DECAY * time / 0.3) + 0.015 * np.exp(-DECAY * time / 1.5)
    level = 10.0 * np.log10(curve / curve[0])
    for low, key in ((-35.0, "rt60_s"), (-25.0, "t20_s")):
        rows = (level <= -5.0) & (level >= low)
        expected = -60.0 / np.polyfit(time[rows], level[rows], 1)[0]
        assert 0.4 < expected < 1.4
        for noise in ("none", "auto"):
            assert getattr(measure(rir, fs_hz=fs_hz, noise=noise), key) == pytest.approx(expected, rel=0.01)


# --- where a response ends, and noise


@pytest.mark.parametrize("floor_db", [-48.0, -54.0, -60.0])
@pytest.mark.parametrize(("t60_s", "fs_hz"), [(0.3, 16000), (0.6, 16000), (1.0, 48000), (2.0, 8000)])
def test_noise_floor_is_cut_off(t60_s: float, fs_hz: int, floor_db: float) -> None:
    # The floor is relative to the beginning of the decay, so that the decay sinks into it just 13 dB below -35 dB.
    rir = decay(t60_s, fs_hz=fs_hz, duration_s=1.5 * t60_s, delay=fs_hz // 20)
    noise = 10 ** (floor_db / 20) * np.random.default_rng(1).standard_normal(rir.size)
    found = measure(rir + noise, fs_hz=fs_hz)
    assert found.rt60_s == pytest.approx(t60_s, rel=0.03)
    assert found.c50_db == pytest.approx(c_db(t60_s, 0.05), abs=0.1)
    if floor_db > -50.0:  # what the correction is for: with the noise left in, the decay never reaches -45 dB
        assert np.isnan(measure(rir + noise, fs_hz=fs_hz, noise="none").rt60_s)


def test_too_much_noise_is_nan_and_shorter_ranges_stay() -> None:
    rir = decay(0.6, fs_hz=16000, duration_s=1.0)
    noise = np.random.default_rng(1).standard_normal(rir.size)
    found = measure(rir + 10 ** (-40 / 20) * noise, fs_hz=16000)
    assert np.isnan(found.rt60_s)
    assert Why(found.why["rt60_s"]) == Why.NOISE
    assert [found.t20_s, found.edt_s] == pytest.approx([0.6, 0.6], rel=0.05)
    assert np.isnan(measure(rir + noise, fs_hz=16000).t20_s)


@pytest.mark.parametrize("noise", ["none", "auto"])
@pytest.mark.parametrize(("cut_db", "rel"), [(60.0, 0.005), (54.0, 0.01), (50.0, 0.02)])
def test_truncated_decay_is_completed(cut_db: float, rel: float, noise: str) -> None:
    rir = decay(0.6, fs_hz=16000, duration_s=0.6 * cut_db / 60)
    found = measure(rir, fs_hz=16000, noise=noise)
    assert found.rt60_s == pytest.approx(0.6, rel=rel)
    assert found.c50_db == pytest.approx(c_db(0.6, 0.05), abs=0.02)


@pytest.mark.parametrize("noise", ["none", "auto"])
def test_decay_that_ends_too_early_is_nan(noise: str) -> None:
    found = measure(decay(0.6, fs_hz=16000, duration_s=0.42), fs_hz=16000, noise=noise)
    assert np.isnan(found.rt60_s)
    assert Why(found.why["rt60_s"]) == Why.CUT
    assert found.t20_s == pytest.approx(0.6, rel=0.02)


def test_looking_for_noise_does_not_harm_a_clean_response() -> None:
    # To -60 dB, with band decays that fluctuate: the same within 1 % with and without the search.
    rirs = np.stack([decay(0.5, fs_hz=16000, duration_s=0.5, excitation="noise", delay=80, seed=s) for s in range(8)])
    clean, searched = (measure(rirs, fs_hz=16000, onset_s=0.005, noise=n) for n in ("none", "auto"))
    np.testing.assert_allclose(searched.rt60_s, clean.rt60_s, rtol=0.01)
    np.testing.assert_allclose(searched.rt60_bands_s[:, 1:], clean.rt60_bands_s[:, 1:], rtol=0.01)
    np.testing.assert_allclose(searched.c50_bands_db, clean.c50_bands_db, atol=0.05)


def test_zeros_after_a_response_change_nothing() -> None:
    rir = decay(0.4, fs_hz=16000, duration_s=0.5)
    padded = np.concatenate([rir, np.zeros(16000)])
    for noise in ("none", "auto"):
        found, expected = measure(padded, fs_hz=16000, noise=noise), measure(rir, fs_hz=16000, noise=noise)
        np.testing.assert_allclose(values(found), values(expected), rtol=0.01)


def test_an_offset_is_in_no_band() -> None:
    rir = decay(0.5, fs_hz=16000, duration_s=1.0, excitation="noise", delay=800)
    plain, offset = measure(rir, fs_hz=16000), measure(rir + 0.02, fs_hz=16000)
    np.testing.assert_allclose(offset.rt60_bands_s, plain.rt60_bands_s, rtol=0.02)
    assert offset.rt60_s == pytest.approx(plain.rt60_s, rel=0.02)
    assert offset.direct_delay_s == plain.direct_delay_s


# --- onset, direct sound


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.75])
def test_onset_is_the_main_lobe_of_a_band_limited_pulse(fraction: float) -> None:
    time = np.arange(8000)
    rir = np.sinc(time - 500 - fraction) * (np.abs(time - 500) < 40)
    rir[600:] += 0.05 * decay(0.3, fs_hz=16000, duration_s=7400 / 16000)
    assert abs(measure(rir, fs_hz=16000).direct_delay_s * 16000 - 500 - fraction) < 1.0


def test_energy_before_a_known_onset_is_early() -> None:
    # A pulse between two samples, then a reflection at 60 ms with a quarter of its energy.
    time = np.arange(8000)
    pulse = np.sinc(time - 500.5) * np.hanning(81)[np.clip(time - 460, 0, 80)]
    found = measure(pulse + 0.5 * np.roll(pulse, 960), fs_hz=16000, onset_s=500.5 / 16000, noise="none")
    assert found.c50_db == pytest.approx(10.0 * np.log10(4.0), abs=0.01)
    assert np.isnan(found.c80_db)  # nothing is later than 80 ms
    assert found.ts_s == pytest.approx(0.2 * 0.06, rel=0.01)


def test_drr_from_the_window_or_as_given() -> None:
    rir = np.zeros(16000)
    rir[200] = 1.0
    rir[200 + 80 :] += 0.05 * decay(0.5, fs_hz=16000, duration_s=(16000 - 280) / 16000)
    expected = -10.0 * np.log10(np.sum(rir[280:] ** 2))
    assert measure(rir, fs_hz=16000, noise="none").drr_db == pytest.approx(expected, abs=0.01)
    assert measure(rir, fs_hz=16000, drr_db=3.25).drr_db == 3.25


@pytest.mark.parametrize("fs_hz", [16000, 48000])
def test_direct_sound_ends_two_and_a_half_milliseconds_after_the_onset(fs_hz: int) -> None:
    # The window of Zahorik, "Direct-to-reverberant energy ratio sensitivity", JASA 112 (2002).
    direct, inside, outside, late = 1.0, 0.5, 0.3, 0.2
    for at_ms, energies in ((2.2, (direct + inside, outside + late)), (2.8, (direct, inside + outside + late))):
        rir = np.zeros(fs_hz // 2)
        for time_ms, energy in ((0.0, direct), (at_ms, inside), (4.5, outside), (30.0, late)):
            rir[round((10.0 + time_ms) * 1e-3 * fs_hz)] = np.sqrt(energy)
        expected = 10.0 * np.log10(energies[0] / energies[1])
        assert measure(rir, fs_hz=fs_hz, noise="none").drr_db == pytest.approx(expected, abs=0.15)


def test_strong_direct_sound_leaves_no_line_to_fit() -> None:
    rir = 1e-3 * decay(0.5, fs_hz=16000, duration_s=0.6, delay=80)
    rir[0] = 1.0
    found = measure(rir, fs_hz=16000, noise="none")
    assert found.drr_db > 25.0
    assert np.isnan([found.rt60_s, found.t20_s, found.edt_s]).all()


# --- shapes and invariances


def test_leading_dimensions_equal_a_loop() -> None:
    rirs = np.stack([decay(0.3 + 0.1 * s, fs_hz=8000, duration_s=0.6, excitation="noise", delay=80, seed=s) for s in range(6)])
    rirs = np.stack([np.roll(rir, 30 * s) for s, rir in enumerate(rirs)])  # each has its own onset
    found = measure(rirs.reshape(2, 3, -1), fs_hz=8000)
    assert np.shape(found.rt60_s) == (2, 3)
    assert found.rt60_bands_s.shape == (2, 3, 6)
    for index, rir in enumerate(rirs):
        one = measure(rir, fs_hz=8000)
        assert isinstance(one.rt60_s, float)
        for key, value in one.as_dict().items():
            if key != "band_hz":
                np.testing.assert_array_equal(np.asarray(getattr(found, key))[divmod(index, 3)], value)


@pytest.mark.parametrize("noise", ["none", "auto"])
def test_scale_and_delay_change_nothing_but_the_delay(noise: str) -> None:
    rir = decay(0.4, fs_hz=16000, duration_s=0.5, excitation="noise", delay=800)
    found = measure(rir, fs_hz=16000, noise=noise)
    for scale in (1e-30, -1.0, 1e6):
        scaled = measure(scale * rir, fs_hz=16000, noise=noise)
        np.testing.assert_allclose(values(scaled), values(found), rtol=1e-9)
        np.testing.assert_allclose(scaled.g_bands_db - 20.0 * np.log10(abs(scale)), found.g_bands_db, atol=1e-6)
    later = measure(np.concatenate([np.zeros(4000), rir]), fs_hz=16000, noise=noise)
    np.testing.assert_allclose(values(later), values(found), rtol=1e-5)  # the FFT is longer, its weights lie closer
    assert later.direct_delay_s == pytest.approx(found.direct_delay_s + 0.25)
    np.testing.assert_allclose(values(measure(rir.astype(np.float32), fs_hz=16000, noise=noise)), values(found), rtol=1e-3)


def test_given_bands_are_used_as_they_are() -> None:
    rir = np.stack([decay(0.4, fs_hz=16000, duration_s=0.5, delay=80, seed=s) for s in range(2)])
    bands = np.stack(
        [np.stack([decay(0.1 * b, fs_hz=16000, duration_s=0.5, delay=80, seed=s) for b in range(2, 9)]) for s in range(2)]
    )
    found = measure(rir, fs_hz=16000, band_rirs=bands, onset_s=0.005, noise="none")
    np.testing.assert_allclose(found.rt60_bands_s[:, :3], [[0.2, 0.3, 0.4]] * 2, rtol=0.01)
    np.testing.assert_allclose(found.c50_bands_db, [[c_db(0.1 * b, 0.05) for b in range(2, 9)]] * 2, atol=0.05)
    np.testing.assert_allclose(found.rt60_s, 0.4, rtol=0.01)
    with pytest.raises(RoomgenError, match=r"band_rirs has the shape \(2, 6, 8080\); \(2, 7, 8080\) is needed"):
        measure(rir, fs_hz=16000, band_rirs=bands[:, 1:])


def test_bands_can_begin_lower() -> None:
    rir = np.stack([decay(0.8, fs_hz=8000, duration_s=1.0, excitation="noise", seed=s) for s in range(16)])
    found = measure(rir, fs_hz=8000, bands_hz=(31.5, 63, 125, 250), onset_s=0.0, noise="none")
    assert found.band_hz.tolist() == [31.5, 63.0, 125.0, 250.0]
    np.testing.assert_allclose(np.mean(found.rt60_bands_s[:, 1:], axis=0), 0.8, rtol=0.1)


# --- what is no impulse response


def test_what_cannot_be_measured_is_nan_without_a_warning() -> None:
    rng = np.random.default_rng(0)
    click = np.zeros(16000)
    click[100] = 1.0
    times = ("rt60_s", "t20_s", "edt_s", "rt60_bands_s", "t20_bands_s", "edt_bands_s")
    cases = {
        "silence": (np.zeros(16000), ""),
        "an offset": (np.full(16000, 0.1), ""),
        "click": (click, "c50_db c80_db d50 c50_bands_db"),
        "ten samples": (rng.standard_normal(10), "c50_db d50 c50_bands_db"),
        "one sample": (np.ones(1), "c50_db d50 ts_s"),
        "noise": (rng.standard_normal(16000), "c50_db"),
        "a decay played backwards": (decay(0.5, fs_hz=16000, duration_s=1.0)[::-1], "c50_db"),
        "two clicks": (click + 0.5 * np.roll(click, 800), ""),
    }
    broadband = ("two clicks", "a decay played backwards")  # a filter makes something like a decay of either in some band
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, (rir, others) in cases.items():
            for noise in ("auto", "none"):
                found = measure(rir, fs_hz=16000, noise=noise)
                for key in (*times[: 3 if name in broadband else 6], *others.split()):
                    assert np.isnan(getattr(found, key)).all(), (name, noise, key)
    silent = measure(np.zeros((2, 16000)), fs_hz=16000)
    assert np.isnan(values(silent)).all()
    assert np.isnan(silent.direct_delay_s).all()


def test_silence_beside_a_response_is_nan_alone() -> None:
    rir = decay(0.4, fs_hz=16000, duration_s=0.5)
    found = measure(np.stack([np.zeros_like(rir), rir]), fs_hz=16000)
    assert np.isnan(found.rt60_s).tolist() == [True, False]


@pytest.mark.parametrize(
    ("rir", "arguments", "message"),
    [
        (np.array([1.0, np.nan, np.inf]), {}, "rir holds 2 samples that are nan or infinite"),
        (np.zeros(0), {}, r"rir has the shape \(0,\)"),
        (1.0, {}, r"rir has the shape \(\)"),
        (np.zeros(9, dtype=complex), {}, "rir is complex128: real numbers"),
        (np.zeros(99), {"fs_hz": 0}, "sampling rate 0 Hz"),
        (np.zeros(99), {"fs_hz": 100}, "no octave band at a sampling rate of 100 Hz"),
        (np.zeros(99), {"bands_hz": (125, 500)}, "bands_hz = 125, 500 are not adjacent octaves"),
        (np.zeros(99), {"bands_hz": (4000, 8000, 16000)}, "reach beyond 8000 Hz"),
        (np.zeros(99), {"noise": "loud"}, "noise = 'loud' is unknown"),
        (np.zeros(99), {"onset_s": 1.0}, "onset_s must lie within the response"),
        (np.zeros((3, 99)), {"onset_s": [0.0, 0.0]}, r"onset_s has the shape \(2,\)"),
    ],
)
def test_wrong_input_is_one_clear_line(rir: Array, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(RoomgenError, match=message) as error:
        measure(rir, **{"fs_hz": 16000, **arguments})  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


# --- another implementation


def test_agrees_with_pyrato_on_simulated_rooms() -> None:
    """Ten image-source responses, broadband and in the same octave bands, against pyrato's integration and regression.

    pyrato fits every sample from -5 to -35 dB, we one in 0.5 ms: where few echoes make stairs of the curve, that is worth up to
    0.3 % of T30. C50 is the same sum; pyrato does not add the end of the decay that the response breaks off.
    """
    pra = pytest.importorskip("pyroomacoustics")
    pyfar = pytest.importorskip("pyfar")
    pyrato = pytest.importorskip("pyrato")
    fs_hz = 16000
    for seed in range(10):
        rng = np.random.default_rng(seed)
        size = rng.uniform([3.0, 2.5, 2.2], [5.0, 4.0, 3.0])
        room = pra.ShoeBox(size, fs=fs_hz, materials=pra.Material(rng.uniform(0.3, 0.6)), max_order=30)
        source, mic = rng.uniform(0.3, size - 0.3), rng.uniform(0.3, size - 0.3)
        room.add_source(source)
        room.add_microphone(mic)
        room.compute_rir()
        rir = np.concatenate([np.zeros(1000), np.asarray(room.rir[0][0], dtype=np.float64)])
        onset = 1040 + round(float(np.linalg.norm(source - mic)) / 343.0 * fs_hz)
        signals = np.zeros((7, rir.size))
        n_fft = 2 * rir.size
        signals[:] = np.fft.irfft(fft_band_weights(n_fft, fs_hz)[:7] * np.fft.rfft(rir, n_fft), n_fft)[:, : rir.size]
        found = measure(rir, fs_hz=fs_hz, band_rirs=signals, onset_s=onset / fs_hz, noise="none")

        # Broadband is what lies above the edge of the octave of 125 Hz: cos² and sin² in turn, once more than a plain cross-fade.
        freq = np.fft.rfftfreq(n_fft, 1.0 / fs_hz)
        place = np.clip((freq / (125.0 / np.sqrt(2.0)) - 1.0) / (1.0 - np.sqrt(0.5)), -1.0, 1.0)
        above = np.sin(np.pi / 4.0 * (1.0 + np.sin(np.pi / 2.0 * place)))
        broad = np.fft.irfft(above * np.fft.rfft(rir, n_fft), n_fft)[None, : rir.size]

        # Energy before the onset is early: to pyrato, it arrives with the first sample.
        squares = np.concatenate([broad, signals]) ** 2
        energy = squares[:, onset:].copy()
        energy[:, 0] += squares[:, :onset].sum(axis=1)
        curve = pyrato.edc.schroeder_integration(pyfar.TimeData(energy, np.arange(energy.shape[1]) / fs_hz), is_energy=True)
        curve.time = curve.time / curve.time[:, :1]
        ours_t30, ours_c50 = np.r_[found.rt60_s, found.rt60_bands_s], np.r_[found.c50_db, found.c50_bands_db]
        known = ~np.isnan(ours_t30)
        assert known[0]
        assert known.sum() >= 5
        t30 = pyrato.parameters.reverberation_time_linear_regression(curve, T="T30")
        np.testing.assert_allclose(ours_t30[known], t30[known], rtol=0.005)
        np.testing.assert_allclose(ours_c50, pyrato.parameters.clarity(curve, early_time_limit=50), atol=0.001)


# --- the middle, speech, strength


def test_the_middle_is_the_mean_of_two_octaves() -> None:
    rir = decay(0.6, fs_hz=16000, duration_s=0.8, excitation="noise")
    found = measure(rir, fs_hz=16000, noise="none")
    assert found.rt60_mid_s == pytest.approx(0.5 * (found.rt60_bands_s[2] + found.rt60_bands_s[3]), rel=1e-12)
    assert np.isnan(measure(rir[:4000], fs_hz=16000, noise="none").rt60_mid_s)


@pytest.mark.parametrize("noise", ["none", "auto"])
@pytest.mark.parametrize("t60_s", [0.4, 1.0, 2.5])
def test_sti_of_exponential_decays(t60_s: float, noise: str) -> None:
    # Independently: Houtgast & Steeneken's m(F) = 1 / sqrt(1 + (2πF T / 13.8)²), the same in all octaves.
    modulation_hz = np.array([0.63, 0.8, 1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8, 10, 12.5])
    depth = 1.0 / np.sqrt(1.0 + (2.0 * np.pi * modulation_hz * t60_s / DECAY) ** 2)
    index = np.mean((np.clip(10.0 * np.log10(depth / (1.0 - depth)), -15.0, 15.0) + 15.0) / 30.0)
    rirs = np.stack([decay(t60_s, fs_hz=16000, duration_s=1.2 * t60_s, excitation="noise", seed=s) for s in range(8)])
    # The weights of the octaves are 1 in all, those of the pairs are taken off: 1.381 - 0.381.
    assert np.mean(measure(rirs, fs_hz=16000, onset_s=0.0, noise=noise).sti) == pytest.approx(index, abs=0.01)


def test_sti_agrees_with_pyrato() -> None:
    pyfar = pytest.importorskip("pyfar")
    parameters = pytest.importorskip("pyrato.parameters")
    fs_hz = 48000
    for seed, t60_s in enumerate((0.3, 0.8, 2.0)):
        rir = decay(t60_s, fs_hz=fs_hz, duration_s=1.2 * t60_s + 1.6, excitation="noise", seed=seed)
        expected = parameters.speech_transmission_index_indirect(pyfar.Signal(rir, fs_hz))
        assert measure(rir, fs_hz=fs_hz, noise="none").sti == pytest.approx(float(expected[0]), abs=0.01)


def test_sti_of_any_depths_is_pyratos() -> None:
    parameters = pytest.importorskip("pyrato.parameters")
    if not hasattr(parameters, "_sti_calc"):
        pytest.skip("this pyrato does not make an STI of modulation depths alone")
    for seed in range(20):
        depth = np.random.default_rng(seed).uniform(0.0, 1.0, (7, 14))
        assert speech_transmission_index(depth) == pytest.approx(float(parameters._sti_calc(depth)), abs=1e-12)


def test_sti_needs_all_its_octaves() -> None:
    assert np.isnan(measure(decay(0.4, fs_hz=8000, duration_s=0.5), fs_hz=8000, noise="none").sti)


def test_strength_of_pulses_and_decays() -> None:
    # In a free field G = 20 lg(10 m / r).
    rir = np.zeros(16000)
    rir[100] = 1.0 / (4.0 * np.pi * 2.5)
    assert measure(rir, fs_hz=16000, noise="none").g_db == pytest.approx(20.0 * np.log10(10.0 / 2.5), abs=0.01)
    assert measure(3.0 * rir, fs_hz=16000, noise="none").g_db == pytest.approx(20.0 * np.log10(3.0 * 10.0 / 2.5), abs=0.01)
    assert np.isnan(measure(rir, fs_hz=16000).g_db)  # the level of a recording is not known


def test_strength_of_simulated_responses() -> None:
    # Walls that absorb everything are a free field. The engine's pulse falls off towards Nyquist: by 0.1 dB of all energy.
    room = roomgen.Shoebox((30, 30, 30), absorption=1.0)
    for r in (1.0, 5.0):
        response = roomgen.simulate(room, sources=[(10, 15, 15)], mics=[(10 + r, 15, 15)], fs_hz=16000, duration_s=0.2)
        found = measure(response[0, 0], fs_hz=16000, noise="none")
        assert found.g_db == pytest.approx(20.0 * np.log10(10.0 / r), abs=0.15)
        np.testing.assert_allclose(found.g_bands_db[:-1], 20.0 * np.log10(10.0 / r), atol=0.01)


def test_every_nan_has_a_reason_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for fs_hz in (1000, 8000, 22050, 48000):
        for rir in (rng.standard_normal(37), decay(0.3, fs_hz=fs_hz, duration_s=0.2), np.ones(50), np.eye(1, 900, 30)[0]):
            for noise in ("auto", "none"):
                found = measure(rir, fs_hz=fs_hz, noise=noise)
                assert len(found.why) == len(found.as_dict()) - 2  # the band centres and the delay are always known
                for name, code in found.why.items():
                    np.testing.assert_array_equal(np.isnan(getattr(found, name)), code != Why.MEASURED, err_msg=name)
