"""The same physics said as plainly as possible, in float64: a list of all images, one pulse after another, long FFTs.

Octave bands and air are written here once more, so that a mistake in the engine's is found; tests compare engines with this sum,
and :mod:`bench.accuracy` publishes how far they are from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.air import Air
from roomgen.acoustics.scene import Scene

HALF_WIDTH = 40  # samples to each side of a band-limited pulse
PAD_S = 0.5  # of silence around a response, in which band filters ring out


@dataclass(frozen=True)
class Images:
    """All images of a source that a microphone hears: (image,) distances in m and orders, (image, band) amplitudes."""

    distance_m: NDArray[np.float64]
    order: NDArray[np.int64]
    amplitude: NDArray[np.float64]


def images(scene: Scene, source: int = 0, mic: int = 0) -> Images:
    """List the images of one source at one microphone, by mirroring the source and its axis in one wall after the other."""
    size = np.asarray(scene.room.size_m)
    reach = scene.c_m_s * (scene.n_samples + HALF_WIDTH) / scene.fs_hz
    most = (reach / size).astype(int) + 2
    cells = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in most], indexing="ij"), axis=-1).reshape(-1, 3)
    order = np.abs(cells).sum(axis=1)
    if scene.options.max_order is not None:
        cells, order = (a[order <= scene.options.max_order] for a in (cells, order))
    odd = cells % 2 == 1
    position = cells * size + np.where(odd, size - scene.sources_m[source], scene.sources_m[source])
    ray = position - scene.mics_m[mic]
    distance = np.linalg.norm(ray, axis=1)
    near = distance <= reach
    cells, order, odd, ray, distance = (a[near] for a in (cells, order, odd, ray, distance))

    alpha = scene.room.absorption(scene.fs_hz)
    amplitude = np.ones((len(cells), alpha.shape[1])) / (4 * np.pi * distance)[:, None]
    for axis in range(3):
        for wall in range(2):
            first = cells[:, axis] > 0 if wall == 1 else cells[:, axis] < 0
            hits = (np.abs(cells[:, axis]) + first) // 2
            amplitude *= np.sqrt(1 - alpha[2 * axis + wall]) ** hits[:, None]
    direction = ray / distance[:, None]
    amplitude *= scene.mic_directivity[mic].gain(direction)[:, None]
    amplitude *= scene.source_directivity[source].gain(np.where(odd, direction, -direction))[:, None]
    if scene.air is not None:
        amplitude *= np.exp(-0.5 * distance[:, None] * air_per_m(scene.air, centers_hz(scene.fs_hz)))
    return Images(distance, order, amplitude)


def band_rirs(scene: Scene, source: int = 0, mic: int = 0) -> NDArray[np.float64]:
    """Return the response of one source at one microphone in every octave band: (band, time)."""
    found = images(scene, source, mic)
    pad = int(PAD_S * scene.fs_hz)
    n_fft = 1 << int(np.ceil(np.log2(scene.n_samples + 2 * pad)))
    train = np.zeros((found.amplitude.shape[1], n_fft))
    arrival = found.distance_m * scene.fs_hz / scene.c_m_s
    nearest = np.round(arrival).astype(int)
    for k in range(-HALF_WIDTH, HALF_WIDTH + 1):
        t = nearest + k - arrival
        pulse = np.sinc(t) * 0.5 * (1 + np.cos(np.pi * t / HALF_WIDTH)) * (np.abs(t) <= HALF_WIDTH)
        for band, amplitude in enumerate(found.amplitude.T):
            train[band] += np.bincount(nearest + k + pad, weights=amplitude * pulse, minlength=n_fft)
    spectrum = np.fft.rfft(train, axis=1) * band_weights(np.fft.rfftfreq(n_fft, 1 / scene.fs_hz), scene.fs_hz)
    return np.fft.irfft(spectrum, n=n_fft, axis=1)[:, pad : pad + scene.n_samples]


def rir(scene: Scene, source: int = 0, mic: int = 0) -> NDArray[np.float64]:
    """Return the response of one source at one microphone: (time,)."""
    return np.asarray(band_rirs(scene, source, mic).sum(axis=0))


def centers_hz(fs_hz: float) -> NDArray[np.float64]:
    """Return the centres of the octave bands of a sampling rate: 125 Hz and its octaves up to Nyquist."""
    centers = [125.0]
    while 2 * centers[-1] <= fs_hz / 2:
        centers.append(2 * centers[-1])
    return np.array(centers)


def band_weights(freq_hz: NDArray[np.floating], fs_hz: float) -> NDArray[np.float64]:
    """Return the (band, freq) amplitude weights of the octave bands.

    From one centre to the next a band fades into its neighbour: from the lower centre f on, over (√2 - 1) · 2f, as cos² of a
    quarter turn (Antoni 2010).
    """
    centers = centers_hz(fs_hz)
    weights = np.ones((len(centers), len(freq_hz)))
    for lower, center in enumerate(centers[:-1]):
        turn = (freq_hz - center) / (2 * center * (np.sqrt(2) - 1))
        gone = np.cos(0.5 * np.pi * np.clip(turn, 0, 1)) ** 2
        weights[: lower + 1] *= gone
        weights[lower + 1 :] *= 1 - gone
    return weights


def air_per_m(air: Air, freq_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (freq,) energy attenuation coefficients of air in 1/m (ISO 9613-1:1993).

    They are classical absorption and two relaxations, each told by its greatest loss per wavelength.
    """
    kelvin, p = air.temperature_c + 273.15, air.pressure_kpa / 101.325
    t = kelvin / 293.15
    saturated = exp(log(10) * (4.6151 - 6.8346 * (273.16 / kelvin) ** 1.261))  # pressure of water vapour in atmospheres
    h = air.humidity_pct * saturated / p
    of_oxygen = p * (24 + 40_400 * h * (h + 0.02) / (h + 0.391))
    of_nitrogen = p * (9 + 280 * h * exp(4.17 * (1 - t ** (-1 / 3)))) / np.sqrt(t)
    neper_per_m = 1.84e-11 * np.sqrt(t) / p * freq_hz**2
    for relaxation_hz, strength, theta in ((of_oxygen, 0.01275, 2239.1), (of_nitrogen, 0.1068, 3352.0)):
        highest = 0.5 * strength * relaxation_hz * exp(-theta / kelvin) / t**2.5
        x = freq_hz / relaxation_hz
        neper_per_m = neper_per_m + highest * 2 * x**2 / (1 + x**2)
    return np.asarray(neper_per_m * 2 * 8.686 * log(10) / 20)
