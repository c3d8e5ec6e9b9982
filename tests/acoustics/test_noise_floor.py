"""Noise floors against decays that are known: where they are cut, and what is added after the cut."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from roomgen.acoustics.labels.measure import measure
from roomgen.acoustics.labels.noise_floor import find_floors
from roomgen.acoustics.labels.reasons import Why

DECAY = 6.0 * np.log(10.0)  # energy falls by exp(-DECAY) in a reverberation time
HOP_S = 0.0005

Array = NDArray[np.float64]


def floor_of(energy: Array, *, width_hz: float = 707.0, period_s: float = 0.001) -> tuple[int, float, float, float]:
    stop = np.array([energy.size])
    found = find_floors(energy[None], hop_s=HOP_S, period_s=np.array([period_s]), width_hz=np.array([width_hz]), stop=stop)
    return int(found.cut[0]), float(found.noise[0]), float(found.tail[0]), float(found.rate[0])


def blocks(levels: list[tuple[float, float]], floor: float, *, blocks: int, seed: int, width_hz: float = 707.0) -> Array:
    """Block energies of noise of a bandwidth: exponentials (level at 0, decay time in s) and a constant floor."""
    time = np.arange(blocks) * HOP_S
    mean = sum(level * np.exp(-DECAY * time / t60_s) for level, t60_s in levels) + floor
    shape = width_hz * HOP_S
    return mean * np.random.default_rng(seed).gamma(shape, 1.0 / shape, blocks)


@pytest.mark.parametrize("t60_s", [0.3, 0.8, 2.0])
@pytest.mark.parametrize("floor_db", [-30.0, -50.0])
def test_one_slope_and_a_floor(t60_s: float, floor_db: float) -> None:
    floor = 10.0 ** (floor_db / 10.0)
    found = np.array([floor_of(blocks([(1.0, t60_s)], floor, blocks=4000, seed=seed)) for seed in range(12)])
    cut, noise, tail, rate = np.median(found, axis=0)  # one in thirty takes the floor for a second slope
    assert noise == pytest.approx(floor, rel=0.06)
    assert cut * HOP_S == pytest.approx(t60_s * -floor_db / 60.0, rel=0.03)  # where the decay has come to the floor
    assert rate == pytest.approx(DECAY / t60_s, rel=0.04)
    assert tail == pytest.approx(floor / (DECAY / t60_s * HOP_S), rel=0.08)


def test_a_decay_that_goes_on_to_the_end_has_no_floor() -> None:
    for seed in range(5):
        cut, noise, tail, rate = floor_of(blocks([(1.0, 0.5)], 0.0, blocks=800, seed=seed))
        assert (cut, noise) == (800, 0.0)
        assert rate == pytest.approx(DECAY / 0.5, rel=0.1)
        expected = np.exp(-DECAY * 0.4 / 0.5) / (DECAY / 0.5 * HOP_S)
        assert tail == pytest.approx(expected, rel=0.3)


def test_the_second_slope_is_no_floor_and_goes_on_below_it() -> None:
    # Judged by its first slope, this decay would reach the floor at 0.45 s; its second one does at 1.08 s.
    for seed in range(5):
        cut, noise, _, rate = floor_of(blocks([(1.0, 0.45), (10**-2.5, 1.85)], 1e-6, blocks=5000, seed=seed))
        assert noise == pytest.approx(1e-6, rel=0.1)
        assert cut * HOP_S == pytest.approx(1.85 * (60.0 - 25.0) / 60.0, rel=0.08)
        assert rate == pytest.approx(DECAY / 1.85, rel=0.15)


def test_no_decay_has_no_tail_to_go_by() -> None:
    energy = np.random.default_rng(0).gamma(0.35, 1.0, 4000)
    assert floor_of(energy)[2] == np.inf or floor_of(energy)[2] > energy.sum()


def test_shifted_and_scaled_blocks_have_the_same_floor() -> None:
    energy = blocks([(1.0, 0.6)], 1e-4, blocks=3000, seed=3)
    cut, noise, tail, rate = floor_of(energy)
    louder = floor_of(1e9 * energy)
    assert louder[0] == cut
    np.testing.assert_allclose(louder[1:], [1e9 * noise, 1e9 * tail, rate], rtol=1e-9)


def two_slopes(seed: int, fs_hz: int) -> Array:
    rng = np.random.default_rng(seed)
    first = rng.uniform(0.2, 0.6)
    second = first * rng.uniform(1.5, 4.0)
    time = np.arange(int((1.3 * second + 0.5) * fs_hz)) / fs_hz
    energy = np.exp(-DECAY * time / first) + 10.0 ** rng.uniform(-3.0, -0.8) * np.exp(-DECAY * time / second)
    return np.asarray(np.sqrt(energy) * rng.standard_normal(time.size))


def test_two_slopes_above_noise() -> None:
    # The same responses with noise 65 and 55 dB under their peak and without: octaves from 125 Hz to 8 kHz.
    fs_hz = 16000
    for floor_db, share, middle in ((-65.0, 0.9, 0.009), (-55.0, 0.05, 0.03)):
        errors = []
        for seed in range(8):
            rir = two_slopes(seed, fs_hz)
            noise = 10.0 ** (floor_db / 20.0) * np.abs(rir).max() * np.random.default_rng(1000 + seed).standard_normal(rir.size)
            clean, noisy = measure(rir, fs_hz=fs_hz, noise="none"), measure(rir + noise, fs_hz=fs_hz)
            errors.append(np.abs(noisy.rt60_bands_s / clean.rt60_bands_s - 1.0))
            assert noisy.rt60_s == pytest.approx(clean.rt60_s, rel=0.05, nan_ok=True) or np.isnan(noisy.rt60_s)
            missing = np.isnan(noisy.rt60_bands_s)
            assert set(noisy.why["rt60_bands_s"][missing]) <= {Why.NOISE}
        known = np.concatenate(errors)
        known = known[~np.isnan(known)]
        assert known.size >= share * 56
        assert np.median(known) < middle
        assert known.max() < 0.15 if floor_db < -60.0 else np.mean(known > 0.1) < 0.2
