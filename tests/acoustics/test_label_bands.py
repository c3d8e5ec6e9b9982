"""The bands of labels: their weights, their energies, and their decay times beside those of standard filters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from roomgen.acoustics.labels.bands import BROADBAND, label_bands
from roomgen.acoustics.labels.block_energy import block_energy
from roomgen.acoustics.labels.measure import measure
from roomgen.errors import RoomgenError

DECAY = 6.0 * np.log(10.0)


@pytest.mark.parametrize(("kind", "fs_hz"), [("octave", 48000.0), ("octave", 16000.0), ("third", 48000.0), ("third", 8000.0)])
def test_energies_add_up_and_edges_lie_3_db_down(kind: str, fs_hz: float) -> None:
    _, bands = label_bands(kind, None, fs_hz)  # type: ignore[arg-type]
    inside = np.linspace(bands[0].center_hz, min(bands[-1].center_hz, fs_hz / 2.0), 5001)
    np.testing.assert_allclose(sum(b.weights(inside) ** 2 for b in bands), 1.0, atol=1e-12)
    for band in bands:
        edges = np.array([band.low_hz, band.center_hz, band.high_hz])
        np.testing.assert_allclose(band.weights(edges) ** 2, [0.5, 1.0, 0.5], atol=1e-12)
        far = np.array([0.49, 0.5, 2.0, 2.1]) * band.center_hz
        np.testing.assert_array_equal(band.weights(far), 0.0)


def test_nominal_centres_stand_for_exact_ones() -> None:
    centers, bands = label_bands("third", None, 48000.0)
    assert (len(centers), centers[0], centers[-1]) == (27, 50.0, 20000.0)
    assert bands[centers.index(630.0)].center_hz == pytest.approx(1000.0 * 2.0 ** (-2.0 / 3.0))
    assert label_bands("octave", (63.0, 125.0), 8000.0)[1][0].center_hz == 62.5
    for kind, given in (("third", (100.0, 200.0)), ("octave", (100.0, 125.0))):
        with pytest.raises(RoomgenError, match="are not adjacent"):
            label_bands(kind, given, 16000.0)  # type: ignore[arg-type]
    with pytest.raises(RoomgenError, match="bands = 'half' is unknown"):
        label_bands("half", None, 16000.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("fs_hz", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("kind", ["octave", "third"])
def test_block_energies_are_those_of_the_filtered_signals(kind: str, fs_hz: int) -> None:
    # Independently: the whole spectrum times the weights, transformed back at the full rate, squared and summed.
    n, onset, pad = fs_hz // 2, 37, fs_hz // 2
    rir = np.random.default_rng(0).standard_normal(n) * np.exp(-0.5 * DECAY * np.arange(n) / fs_hz / 0.4)
    rir[:onset] = 0.0
    rir += 0.01 + 0.02 * np.sin(2.0 * np.pi * 50.0 / fs_hz * np.arange(n))  # offset and hum
    _, bands = label_bands(kind, None, float(fs_hz))  # type: ignore[arg-type]
    found = block_energy(rir, onset=onset, fs_hz=float(fs_hz), bands=bands)
    padded = np.concatenate([np.zeros(pad), rir, np.zeros(pad)])
    freq = np.fft.rfftfreq(padded.size, 1.0 / fs_hz)
    for row, band in enumerate((BROADBAND, *bands)):
        whole = np.fft.irfft(np.fft.rfft(padded) * band.weights(freq), padded.size)
        square = whole[pad + onset : pad + n] ** 2
        later = np.cumsum(square[::-1])[::-1]
        ours = np.cumsum(found.energy[row][::-1])[::-1]
        assert ours[0] + found.before[row] == pytest.approx(later[0] + (whole[: pad + onset] ** 2).sum(), rel=0.02)
        # An envelope has no ripple of its carrier: in a low band, this is what they differ by.
        periods = max(2.0 / band.low_hz, 0.0)
        for time_s in (0.05, 0.1, 0.2):
            block = round(time_s * fs_hz / found.hop)
            near = later[np.clip(block * found.hop + np.array([-1, 0, 1]) * round(periods * fs_hz), 0, later.size - 1)]
            assert near[2] * 0.99 <= ours[block] <= near[0] * 1.01


def test_float32_and_float64_agree() -> None:
    rir = np.random.default_rng(1).standard_normal(8000) * np.exp(-np.arange(8000) / 900.0)
    _, bands = label_bands("octave", None, 16000.0)
    double, single = (block_energy(rir.astype(t), onset=0, fs_hz=16000.0, bands=bands).energy for t in (np.float64, np.float32))
    later = [np.cumsum(energy[:, ::-1], axis=1) for energy in (single, double)]
    np.testing.assert_allclose(*later, rtol=1e-3, atol=1e-8 * later[1].max())


def test_decay_times_agree_with_butterworth_filters_of_iec_61260() -> None:
    """T30 of octaves whose decay differs from their neighbours', as rooms have them, with class 1 filters run backward in time.

    The engine's own bands, -6 dB at the edges, differ by 2 to 3 % in the low octaves.
    """
    fs_hz, t60_s = 48000, {125: 1.1, 250: 0.8, 500: 0.6, 1000: 0.5, 2000: 0.45, 4000: 0.4, 8000: 0.3}
    errors = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        n = round(1.4 * fs_hz)
        rir = np.zeros(n)
        for f, t in t60_s.items():
            carrier = signal.sosfilt(
                signal.butter(3, [f / np.sqrt(2), f * np.sqrt(2)], "bandpass", fs=fs_hz, output="sos"), rng.standard_normal(n)
            )
            rir += carrier * np.exp(-0.5 * DECAY * np.arange(n) / fs_hz / t)
        found = measure(rir, fs_hz=fs_hz, onset_s=0.0, noise="none")
        for f, ours in zip(found.band_hz[:7], found.rt60_bands_s[:7], strict=True):
            filters = signal.butter(3, [f / np.sqrt(2), f * np.sqrt(2)], "bandpass", fs=fs_hz, output="sos")
            energy = signal.sosfilt(filters, np.concatenate([np.zeros(fs_hz // 5), rir])[::-1])[::-1] ** 2
            curve = np.cumsum(energy[::-1])[::-1][fs_hz // 5 :]
            level = 10.0 * np.log10(curve / (curve[0] + energy[: fs_hz // 5].sum()))
            rows = np.flatnonzero((level <= -5.0) & (level >= -35.0))
            errors.append(abs(ours / (-60.0 / np.polyfit(rows / fs_hz, level[rows], 1)[0]) - 1.0))
    per_band = np.median(np.reshape(errors, (6, 7)), axis=0)
    assert per_band.max() < 0.015
    assert np.median(per_band) < 0.006
