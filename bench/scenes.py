"""The rooms that engines are compared in, and the work that is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.labels.measure import Labels, measure
from roomgen.acoustics.materials import database
from roomgen.acoustics.prediction.rt60 import solve_absorption_scale
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions, Response, Scene, make_scene

FS_HZ = 16000
SPEED_M_S = 343.0
_CROSS_M = 0.05 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])  # 10 cm from end to end
_SOURCE_WALL_M, _MIC_WALL_M = 0.5, 0.7
_PULSE = 41  # samples that the band-limited pulse of an image goes on after it
_WALL_SHARES = np.array([0.8, 1.0, 1.1, 0.9, 1.3, 1.2])  # of the mean absorption: no wall is dead, none is rigid
_BAND_SHARES = np.array([0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3])


@dataclass(frozen=True, eq=False)
class BenchRoom:
    """A room, a (3,) source in it, and (4, 3) microphones around one point, in metres."""

    room: Shoebox
    source_m: NDArray[np.float64]
    mics_m: NDArray[np.float64]

    def scene(self, mics: int, *, duration_s: float | None = None, options: ImageOptions | None = None) -> Scene:
        """Return the scene with the first ``mics`` microphones."""
        places = self.mics_m[:mics]
        return make_scene(self.room, sources=[self.source_m], mics=places, fs_hz=FS_HZ, duration_s=duration_s, options=options)

    def diamond(self, mics: int, order: int) -> Scene:
        """Return the scene with all images of at most ``order`` reflections, and long enough for all of them."""
        farthest = max(self._farthest_m(mic, order) for mic in self.mics_m[:mics])
        duration_s = (np.ceil(farthest / SPEED_M_S * FS_HZ) + _PULSE) / FS_HZ
        return self.scene(mics, duration_s=float(duration_s), options=ImageOptions(max_order=order))

    @property
    def rt_order(self) -> int:
        """The order that pyroomacoustics' ``inverse_sabine`` takes for the room's RT60 (Eyring, mean of 500 Hz to 2 kHz)."""
        centers = np.array(octave_centers(FS_HZ))
        used = (centers >= 500.0) & (centers <= 2000.0)
        alpha = np.average(self.room.absorption(FS_HZ)[:, used], axis=0, weights=self.room.wall_areas_m2)
        eyring = 24.0 * np.log(10.0) * self.room.volume_m3 / (-SPEED_M_S * self.room.surface_m2 * np.log1p(-alpha))
        x, y, z = self.room.size_m
        narrowest = min(a * b / np.hypot(a, b) for a, b in ((x, y), (x, z), (y, z)))
        return max(int(np.ceil(SPEED_M_S * eyring.mean() / narrowest - 1.0)), 1)

    def _farthest_m(self, mic: NDArray[np.float64], order: int) -> float:
        count = np.arange(order + 1)
        squared = []  # of the farther one of the two images with so many reflections along each axis; it rises with them
        for size, source, place in zip(self.room.size_m, self.source_m, mic, strict=True):
            inside = np.where(count % 2 == 0, source, size - source)
            squared.append(np.maximum((count * size + inside - place) ** 2, (-count * size + inside - place) ** 2))
        left = order - count[:, None] - count
        total = np.where(left >= 0, squared[0][:, None] + squared[1] + squared[2][np.maximum(left, 0)], 0.0)
        return float(np.sqrt(total.max()))


def random_rooms(count: int, *, seed: int = 42) -> list[BenchRoom]:
    """Return rooms of 3…10 × 3…10 × 3…5 m, each wall of a random material that is known in seven octave bands."""
    rng = np.random.default_rng(seed)
    names = sorted(name for name, (_, values) in database().items() if len(values) == 7)
    rooms = []
    for _ in range(count):
        size = rng.uniform((3.0, 3.0, 3.0), (10.0, 10.0, 5.0))
        walls = [names[i] for i in rng.integers(len(names), size=6)]
        source = rng.uniform(_SOURCE_WALL_M, size - _SOURCE_WALL_M)
        middle = source
        while np.linalg.norm(middle - source) < 0.5:
            middle = rng.uniform(_MIC_WALL_M, size - _MIC_WALL_M)
        rooms.append(BenchRoom(Shoebox(tuple(size), absorption=walls), source, middle + _CROSS_M))
    return rooms


def solved_room(size_m: tuple[float, float, float], rt60_s: float) -> BenchRoom:
    """Return a room with moderately different walls and bands, whose absorption is scaled to a predicted RT60."""
    room = Shoebox(size_m, absorption=0.1 * np.outer(_WALL_SHARES, _BAND_SHARES))
    room = room.scaled(solve_absorption_scale(room, rt60_s, fs_hz=FS_HZ))
    size = np.asarray(size_m)
    return BenchRoom(room, size * (0.31, 0.37, 0.55), size * (0.66, 0.58, 0.42) + _CROSS_M)


def typical_room() -> BenchRoom:
    """Return the room that throughput is stated for: 105 m³, RT60 0.5 s."""
    return solved_room((7.0, 5.0, 3.0), 0.5)


def labelled(engine: Callable[[Scene], Response], scene: Scene) -> Labels:
    """Simulate a scene of one source and measure all labels at every microphone, from octave bands where the engine has them."""
    response = engine(scene)
    return measure(
        response.rir[0],
        fs_hz=scene.fs_hz,
        band_rirs=None if response.band_rirs is None else response.band_rirs[0],
        onset_s=np.linalg.norm(scene.mics_m - scene.sources_m[0], axis=1) / scene.c_m_s,
        drr_db=None if response.drr_db is None else response.drr_db[0],
        noise="none",
    )
