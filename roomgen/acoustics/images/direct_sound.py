"""The direct sound alone, and so the exact direct-to-reverberant ratio of a simulated response: no window has to be guessed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from roomgen.acoustics.bands import fft_band_weights, octave_centers
from roomgen.acoustics.highpass import highpass
from roomgen.acoustics.images.spreading import EDGE_HALF_WIDTH, fft_length
from roomgen.acoustics.scene import Scene


def direct_to_reverberant_db(scene: Scene, rir: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the ratio of the energies of the direct sound alone and of the response without it: (source, mic) in dB.

    It is infinite where one of them is nothing but rounding, and NaN where neither has arrived.

    Args:
        rir: (source, mic, time) responses of the scene, of any engine.
    """
    direct = direct_sound(scene)
    energies = np.array([np.sum(np.square(part, dtype=np.float64), axis=-1) for part in (direct, rir - direct)])
    energies[energies < 1e-9 * energies.max(axis=0)] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(10.0 * np.log10(energies[0] / energies[1]))


def direct_sound(scene: Scene) -> NDArray[np.float32]:
    """Return what is heard of the direct sound: (source, mic, time), with directivity, air and high-pass of the scene."""
    shape = (len(scene.sources_m), len(scene.mics_m))
    sound = np.stack([_pulse(scene, s, m) for s, m in np.ndindex(shape)])
    if scene.air is not None:
        sound = _through_air(scene, sound)
    heard = sound[:, : scene.n_samples].reshape(*shape, -1).astype(np.float32)
    if scene.options.highpass_hz is not None:
        heard = highpass(heard, fs_hz=scene.fs_hz, corner_hz=scene.options.highpass_hz)
    return heard


def _pulse(scene: Scene, source: int, mic: int) -> NDArray[np.float64]:
    """Return the band-limited pulse of one pair in circular time: see :mod:`~roomgen.acoustics.images.spreading`."""
    ray = scene.sources_m[source] - scene.mics_m[mic]
    distance = float(np.linalg.norm(ray))
    seen = ray / distance
    gain = scene.mic_directivity[mic].gain(seen) * scene.source_directivity[source].gain(-seen) / (4.0 * np.pi * distance)
    arrival = distance * scene.fs_hz / scene.c_m_s
    place = np.arange(-EDGE_HALF_WIDTH, EDGE_HALF_WIDTH + 1) + round(arrival)
    time = place - arrival
    window = 0.5 * (1.0 + np.cos(np.pi * time / EDGE_HALF_WIDTH)) * (np.abs(time) <= EDGE_HALF_WIDTH)
    sound = np.zeros(fft_length(scene.n_samples, scene.fs_hz))
    inside = place < scene.n_samples + EDGE_HALF_WIDTH  # what arrives later is not heard; what rings before 0 wraps to the end
    sound[place[inside]] = (gain * np.sinc(time) * window)[inside]
    return sound


def _through_air(scene: Scene, sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (pair, time) pulses with each octave band weakened by the air on their way."""
    assert scene.air is not None  # otherwise nothing is weakened
    n_fft = sound.shape[1]
    rays = scene.sources_m[:, None] - scene.mics_m[None]
    distance = np.linalg.norm(rays, axis=-1).reshape(-1, 1)
    left = np.exp(-0.5 * distance * scene.air.energy_absorption_per_m(octave_centers(scene.fs_hz)))
    return np.asarray(fft.irfft(fft.rfft(sound) * (left @ fft_band_weights(n_fft, scene.fs_hz)), n_fft))
