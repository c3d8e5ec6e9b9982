"""The diffuse field as it is heard: pulses from all directions, under the energy of :mod:`roomgen.acoustics.diffuse.energy`.

A pulse is a plane wave: it has a time of arrival at the centre of the room, a direction that it comes from, and a sign, all drawn
from the seed and the number of the source alone. So every microphone hears the same field, each at its own instant and through its
own directivity, whatever other microphones there are, and two microphones d apart have the coherence sin(kd) / (kd).

Pulses are as dense in time as reflections are, 4 pi c^3 t^2 / V per second (H. Kuttruff, Room Acoustics, 6th ed. 2016, eq. 4.6), up
to one a sample; t counts from one mean free time before the emission. In each band the square of their amplitude is the energy that
arrives in between: noise whose spectrum follows the bands. They are added to the grid of images, and go through the same air.

With ``tail_after_s``, the same pulses also stand for images after that time. Images are all positive, and what they add up to at
low frequencies must not end in a step: they fade out over the last 20 ms while the field fades in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.diffuse.energy import diffuse_energy
from roomgen.acoustics.directivity import Directivity
from roomgen.acoustics.images.spreading import EDGE_HALF_WIDTH, OVERSAMPLING
from roomgen.acoustics.images.tables import band_reflection, lane_count
from roomgen.acoustics.prediction.decay import specular_density
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import Scene

LEVEL_STEP_S = 0.001  # energies are smooth: between, levels are straight lines
_FADE_S = 0.02
_SEED_MASK = (1 << 63) - 1


@dataclass(frozen=True, eq=False)
class Pulses:
    """The field of one source.

    Args:
        time_s: (pulse,) when each passes the centre of the room, rising.
        origin: (pulse, 3) unit vectors to where it comes from.
        amplitude: (pulse,) for an energy of one per second; with its sign.
    """

    time_s: NDArray[np.float64]
    origin: NDArray[np.float32]
    amplitude: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Heard:
    """Pulses at a microphone, ready to be added to a grid.

    Args:
        rows: (pulse,) float64 grid rows after that of the emission.
        amplitude: (pulse,) float32.
        levels: (step, lane) float32 amplitudes in each band, every :data:`LEVEL_STEP_S` from the emission on.
    """

    rows: NDArray[np.float64]
    amplitude: NDArray[np.float32]
    levels: NDArray[np.float32]


class DiffuseField:
    """What microphones of a scene hear of the diffuse field of each source."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.bands = band_reflection(scene).shape[1]
        self._end_s = (scene.n_samples + EDGE_HALF_WIDTH) / scene.fs_hz
        self._pulses = [self._drawn(source) for source in range(len(scene.sources_m))]
        times = LEVEL_STEP_S * np.arange(int(self._end_s / LEVEL_STEP_S) + 2, dtype=np.float64)
        start = scene.c_m_s / (4.0 * np.pi * scene.room.volume_m3)
        self._scattered = np.zeros((self.bands, len(times)))
        if scene.room.scatters:
            energy = diffuse_energy(scene.room, fs_hz=scene.fs_hz, c_m_s=scene.c_m_s)
            self._scattered = start * energy.diffuse_at(times)[: self.bands]
        self._specular = None
        if scene.options.tail_after_s is not None:
            found = specular_density(scene.room, fs_hz=scene.fs_hz, t_s=times, c_m_s=scene.c_m_s)
            self._specular = found[: self.bands] * (1.0 - image_fade(scene, times) ** 2)

    @classmethod
    def of(cls, scene: Scene) -> DiffuseField | None:
        """Return the field of a scene, or None where there is none."""
        return cls(scene) if scene.room.scatters or scene.options.tail_after_s is not None else None

    def heard(self, source: int, mic: int, *, tail_level: NDArray[np.float64] | None = None) -> Heard:
        """Return what one microphone hears of one source; nothing comes before the direct sound.

        Args:
            tail_level: (band,) energy of the images before ``tail_after_s`` over what is predicted, where the field goes on in
                their place; None where all images are there.
        """
        scene, pulses = self.scene, self._pulses[source]
        away = scene.mics_m[mic] - 0.5 * np.asarray(scene.room.size_m)
        time_s = pulses.time_s - _along(pulses.origin, away / scene.c_m_s)
        direct_s = float(np.linalg.norm(scene.sources_m[source] - scene.mics_m[mic])) / scene.c_m_s
        amplitude = pulses.amplitude * np.sqrt(_diffuse_gain(scene.source_directivity[source]))
        pattern = scene.mic_directivity[mic]
        if pattern.p != 1.0:
            amplitude = amplitude * (pattern.p + (1.0 - pattern.p) * _along(pulses.origin, pattern.axis))
        energy = self._scattered
        if tail_level is not None and self._specular is not None:
            energy = energy + tail_level[:, None] * self._specular
        levels = np.zeros((energy.shape[1], lane_count(self.bands)), dtype=np.float32)
        levels[:, : self.bands] = np.sqrt(energy).T
        inside = (time_s >= direct_s) & (time_s < self._end_s)
        return Heard(time_s[inside] * (OVERSAMPLING * scene.fs_hz), amplitude[inside].astype(np.float32), levels)

    def _drawn(self, source: int) -> Pulses:
        scene = self.scene
        seeds = np.random.SeedSequence(scene.options.seed & _SEED_MASK, spawn_key=(source,)).spawn(2)
        # A microphone in a corner hears a pulse by this much earlier or later than it passes the centre.
        margin_s = 0.5 * float(np.linalg.norm(scene.room.size_m)) / scene.c_m_s
        density = _Density(scene.room, scene.c_m_s, scene.fs_hz, margin_s)
        count = density.count(self._end_s + margin_s)
        drawn = np.random.Generator(np.random.SFC64(seeds[0])).random(count) - 0.5
        time_s, per_s = density.arrivals(np.arange(count) + 2.0 * np.abs(drawn))
        origin = np.random.Generator(np.random.SFC64(seeds[1])).standard_normal((count, 3), dtype=np.float32)
        origin /= np.sqrt(np.einsum("pk,pk->p", origin, origin))[:, None]
        return Pulses(time_s, origin, np.copysign(1.0 / np.sqrt(per_s), drawn))


def _along(directions: NDArray[np.float32], vector: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the (pulse,) products of (pulse, 3) directions with a vector, in an order that no linear algebra library decides."""
    x, y, z = vector.astype(np.float32)
    return np.asarray(directions[:, 0] * x + directions[:, 1] * y + directions[:, 2] * z)


def image_fade(scene: Scene, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the amplitude of images where a field takes their place: (time,) from 1 to 0."""
    switch_s = scene.options.tail_after_s
    if switch_s is None:
        return np.ones_like(t_s)
    fade_s = min(_FADE_S, 0.5 * switch_s)
    return np.cos(0.5 * np.pi * np.clip((t_s - switch_s) / fade_s + 1.0, 0.0, 1.0))


class _Density:
    """How many pulses there are: constant before the emission, then like reflections, at last one a sample."""

    def __init__(self, room: Shoebox, c_m_s: float, fs_hz: float, margin_s: float) -> None:
        self.mean_free_s = 4.0 * room.volume_m3 / (room.surface_m2 * c_m_s)
        self.growth = 4.0 * np.pi * c_m_s**3 / room.volume_m3
        self.most, self.margin_s = fs_hz, margin_s
        self.least = min(self.growth * self.mean_free_s**2, fs_hz)
        self.full_s = max(float(np.sqrt(fs_hz / self.growth)) - self.mean_free_s, 0.0)
        self.before = self.least * margin_s
        self.growing = self.growth / 3.0 * ((self.full_s + self.mean_free_s) ** 3 - self.mean_free_s**3)

    def count(self, until_s: float) -> int:
        """Return the number of pulses before a time after :attr:`full_s`, or an upper bound of it."""
        return int(np.ceil(self.before + self.growing + self.most * max(until_s - self.full_s, 0.0)))

    def arrivals(self, place: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return when so many pulses have come, and how many come per second then."""
        after = place - self.before
        time_s, per_s = self.full_s + (after - self.growing) / self.most, np.full(len(place), self.most)
        early = after < self.growing
        after = after[early]
        growing = np.cbrt(self.mean_free_s**3 + 3.0 * np.maximum(after, 0.0) / self.growth) - self.mean_free_s
        time_s[early] = np.where(after < 0.0, after / self.least, growing)
        per_s[early] = np.minimum(self.growth * (np.maximum(time_s[early], 0.0) + self.mean_free_s) ** 2, self.most)
        return time_s, per_s


def _diffuse_gain(pattern: Directivity) -> float:
    """Return the mean of a pattern's squared gain over all directions."""
    return pattern.p**2 + (1.0 - pattern.p) ** 2 / 3.0
