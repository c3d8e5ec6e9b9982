"""What an engine is asked and what it must answer.

It gets a :class:`Scene` (checked by :func:`make_scene`) and returns a :class:`Response` in which

- sample 0 is the instant of emission: the direct sound arrives at distance / c, to a fraction of a sample;
- the pressure of a point source is 1/(4 pi r), and a wall reflects with +sqrt(1 - absorption) in each octave band;
- the response is ``scene.n_samples`` long for every pair: later sound is cut off, missing sound is zero;
- what walls scatter is a diffuse field, drawn from the seed and the number of the source alone, the same for all microphones;
- nothing depends on the number of threads, on earlier calls or on the time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.air import Air, speed_of_sound_m_s
from roomgen.acoustics.directivity import OMNI, Directivity
from roomgen.acoustics.rooms import Shoebox
from roomgen.errors import RoomgenError

FS_RANGE_HZ = (1000.0, 192_000.0)
MAX_SAMPLES = 1 << 25
MAX_ORDER = 1_000_000


@dataclass(frozen=True)
class ImageOptions:
    """How image sources are summed; the defaults are the exact answer.

    Args:
        max_order: keep images of at most this many reflections (the order diamond of pyroomacoustics) in place of all
            images that arrive within the response. None: all of them.
        randomize_m: move every image of second order and higher by up to this much along each axis, against sweeping
            echoes in regular rooms. The direct sound and first reflections never move.
        seed: what the moves and the diffuse field are drawn from.
        tail_after_s: compute images up to this time only; from then on a diffuse field goes on in their place, under the
            predicted decay of each band. Faster, not exact; None: exact throughout.
        specular_floor_db: where walls scatter, images end when they lie this far below the diffuse field in every band. None:
            never.
        highpass_hz: corner of a second-order Butterworth high-pass (causal), or None.
    """

    max_order: int | None = None
    randomize_m: float = 0.0
    seed: int = 0
    tail_after_s: float | None = None
    highpass_hz: float | None = None
    specular_floor_db: float | None = 40.0

    def __post_init__(self) -> None:
        if self.max_order is not None and not 0 <= self.max_order <= MAX_ORDER:
            raise RoomgenError(f"max_order = {self.max_order} is outside 0…{MAX_ORDER}; 0 is the direct sound alone.")
        if not 0.0 <= self.randomize_m <= 1.0:
            raise RoomgenError(f"randomize_m = {self.randomize_m} is outside 0…1 m; 0.08 is usual.")
        if self.tail_after_s is not None and not 0.02 <= self.tail_after_s < np.inf:
            raise RoomgenError(f"tail_after_s = {self.tail_after_s} is not possible: give at least 0.02 s, better 0.15 s.")
        if self.specular_floor_db is not None and not 20.0 <= self.specular_floor_db < np.inf:
            raise RoomgenError(f"specular_floor_db = {self.specular_floor_db} is not possible: give at least 20 dB; 40 is usual.")
        if self.highpass_hz is not None and not 0 < self.highpass_hz < np.inf:
            raise RoomgenError(f"highpass_hz = {self.highpass_hz} must be positive, or None for no high-pass.")


@dataclass(frozen=True)
class Scene:
    """A room with sources and microphones, checked and complete: all that an engine is told.

    Args:
        sources_m, mics_m: (source, 3) and (mic, 3) positions in metres, strictly inside the room.
        n_samples: length of every response.
        source_directivity, mic_directivity: one pattern per source and per microphone.
    """

    room: Shoebox
    sources_m: NDArray[np.float64]
    mics_m: NDArray[np.float64]
    fs_hz: float
    n_samples: int
    air: Air | None
    source_directivity: tuple[Directivity, ...]
    mic_directivity: tuple[Directivity, ...]
    options: ImageOptions = field(default_factory=ImageOptions)

    @property
    def c_m_s(self) -> float:
        """Speed of sound in m/s."""
        return speed_of_sound_m_s(self.air)


@dataclass(frozen=True)
class Response:
    """What an engine answers.

    Args:
        rir: (source, mic, time) float32, Pa per unit source.
        band_rirs: (source, mic, band, time) float32: the same before the octave bands are summed; None where the engine
            does not have them.
        drr_db: (source, mic) direct-to-reverberant ratio: the energy of the direct path alone over that of the response
            without it, which an image list tells exactly; None where the engine does not know it.
    """

    rir: NDArray[np.float32]
    band_rirs: NDArray[np.float32] | None = None
    drr_db: NDArray[np.float64] | None = None


class Engine(ABC):
    """One way to answer scenes: a class with a line in :data:`roomgen.acoustics.engine.ENGINES`.

    Making one fails where the machine lacks what it needs.
    """

    name: ClassVar[str]
    device: ClassVar[str] = "cpu"
    together: ClassVar[int] = 10
    """Scenes that it is best asked for at a time."""
    processes: ClassVar[int | None] = None
    """How many processes serve it best; None: one per core."""

    @classmethod  # noqa: B027 (most engines know all options)
    def check(cls, options: ImageOptions, *, scatters: bool = False) -> None:
        """Refuse options, and walls that scatter, that are beyond this engine.

        Raises:
            RoomgenError: what is not possible, and what is.
        """

    def prepare(self) -> None:  # noqa: B027 (most engines have nothing to do)
        """Do once, before workers start, what each of them would otherwise do (compile)."""

    @abstractmethod
    def simulate(self, scenes: Iterable[Scene]) -> Iterator[Response]:
        """Yield the response of each scene, in their order; of its parts ``rir`` alone is sure to be there."""


def make_scene(
    room: Shoebox,
    *,
    sources: ArrayLike,
    mics: ArrayLike,
    fs_hz: float = 16000,
    duration_s: float | None = None,
    air: Air | tuple[float, float] | None = None,
    source_directivity: Directivity | Sequence[Directivity] = OMNI,
    mic_directivity: Directivity | Sequence[Directivity] = OMNI,
    options: ImageOptions | None = None,
) -> Scene:
    """Check what :func:`roomgen.simulate` was given and return it as a :class:`Scene`; same arguments, same errors."""
    if not (np.isfinite(fs_hz) and FS_RANGE_HZ[0] <= fs_hz <= FS_RANGE_HZ[1]):
        raise RoomgenError(f"sampling rate {fs_hz:g} Hz is outside {FS_RANGE_HZ[0]:g}…{FS_RANGE_HZ[1]:g} Hz.")
    sources_m = _positions(sources, room, "source")
    mics_m = _positions(mics, room, "microphone")
    for s, source in enumerate(sources_m):
        for m, mic in enumerate(mics_m):
            if np.linalg.norm(source - mic) < 1e-3:
                raise RoomgenError(f"source {s} and microphone {m} are at the same point {_point(mic)}: move one of them.")
    if isinstance(air, tuple):
        air = Air(*air)
    if duration_s is None:
        from roomgen.acoustics.prediction.decay import decay_time_s  # the decay needs the room only, and only here

        duration_s = decay_time_s(room, fs_hz=fs_hz, air=air)
        direct_s = max(float(np.linalg.norm(s - m)) for s in sources_m for m in mics_m) / speed_of_sound_m_s(air)
        duration_s = max(duration_s, direct_s + 0.01)
    if not (np.isfinite(duration_s) and duration_s > 0):
        raise RoomgenError(f"duration {duration_s} s must be positive and finite.")
    n_samples = int(np.ceil(duration_s * fs_hz - 1e-9))
    if n_samples > MAX_SAMPLES:
        raise RoomgenError(
            f"a response of {duration_s:.3g} s at {fs_hz:g} Hz is {n_samples} samples; at most {MAX_SAMPLES} are possible. "
            "Give a shorter duration or more absorption."
        )
    return Scene(
        room=room,
        sources_m=sources_m,
        mics_m=mics_m,
        fs_hz=float(fs_hz),
        n_samples=n_samples,
        air=air,
        source_directivity=_patterns(source_directivity, len(sources_m), "source"),
        mic_directivity=_patterns(mic_directivity, len(mics_m), "microphone"),
        options=options or ImageOptions(),
    )


def _positions(points: ArrayLike, room: Shoebox, what: str) -> NDArray[np.float64]:
    array = np.array(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3 or len(array) == 0:
        raise RoomgenError(f"{what} positions must be a list of [x, y, z] in metres; the shape given is {array.shape}.")
    for index, inside in enumerate(room.contains(array)):
        if not inside:
            size = " × ".join(f"{v:g}" for v in room.size_m)
            raise RoomgenError(f"{what} {index} at {_point(array[index])} is not inside the room of {size} m.")
    return array


def _patterns(given: Directivity | Sequence[Directivity], count: int, what: str) -> tuple[Directivity, ...]:
    if isinstance(given, Directivity):
        return (given,) * count
    if len(given) != count:
        raise RoomgenError(f"{len(given)} directivities for {count} {what}s: give one for all, or one each.")
    return tuple(given)


def _point(point: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in point) + ")"
