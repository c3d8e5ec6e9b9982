"""The reference engine: the same scene through pyroomacoustics, in our conventions.

pyroomacoustics (0.10) computes its own image sources from our absorption per octave band. What is changed is only what differs
by convention: its delay of half a fractional-delay filter (40 samples) is cut off, its pressure 1/r becomes 1/(4 pi r), its
high-pass is replaced by ours, and lengths are made equal. It is two orders of magnitude slower than
:func:`roomgen.acoustics.images.sources.image_source`, and exists to be compared with: both agree to -50 dB, the limit being the
table from which pyroomacoustics interpolates its sinc.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.directivity import Directivity
from roomgen.acoustics.highpass import highpass
from roomgen.acoustics.images.tables import reach_m
from roomgen.acoustics.rooms import WALLS
from roomgen.acoustics.scene import Engine, ImageOptions, Response, Scene
from roomgen.errors import RoomgenError

MAX_IMAGES = 20_000_000
"""pyroomacoustics holds every image of a source in memory, some 300 bytes each; more than these 6 GB are refused."""

_CONSTANTS = {
    "frac_delay_length": 81,
    "sinc_lut_granularity": 20,
    "octave_bands_base_freq": 125.0,
    "octave_bands_n_fft": 512,
    "rir_hpf_enable": False,
}


class Reference(Engine):
    """:func:`reference` as an engine."""

    name = "reference"

    @classmethod
    def check(cls, options: ImageOptions, *, scatters: bool = False) -> None:
        for name, default in (("randomize_m", 0.0), ("tail_after_s", None)):
            value = getattr(options, name)
            if value != default:
                raise RoomgenError(
                    f"{name} = {value} is not possible with the reference engine: pyroomacoustics also moves the direct sound and "
                    "has no seeded tail. Use engine='image'."
                )
        if scatters:
            raise RoomgenError(
                "the reference engine has no diffuse field: set walls.scattering to 0, or use engine='image'. (pyroomacoustics "
                "hears scattered energy once and then loses it.)"
            )

    def simulate(self, scenes: Iterable[Scene]) -> Iterator[Response]:
        return (reference(scene) for scene in scenes)


def reference(scene: Scene) -> Response:
    """Return the responses of a scene as pyroomacoustics computes them.

    Args:
        scene: what to simulate; ``randomize_m`` and ``tail_after_s`` are beyond this engine.

    Returns:
        ``rir`` alone: pyroomacoustics keeps neither bands nor the direct sound apart.

    Raises:
        RoomgenError: an option that pyroomacoustics does not have, a sampling rate that is no whole number, or a response so
            long that it needs more than :data:`MAX_IMAGES` images.
    """
    Reference.check(scene.options, scatters=scene.room.scatters)
    if not float(scene.fs_hz).is_integer():
        raise RoomgenError(f"the reference engine needs a whole number of samples per second, not {scene.fs_hz} Hz.")
    room = _room(scene)
    with _constants():
        room.compute_rir()
    skip = _CONSTANTS["frac_delay_length"] // 2
    shape = (len(scene.sources_m), len(scene.mics_m), scene.n_samples)
    rir = np.zeros(shape, dtype=np.float32)
    for s, m in np.ndindex(shape[:2]):
        response = room.rir[m][s][skip : skip + scene.n_samples]
        rir[s, m, : len(response)] = response / (4.0 * np.pi)
    if scene.options.highpass_hz is not None:
        rir = highpass(rir, fs_hz=scene.fs_hz, corner_hz=scene.options.highpass_hz)
    return Response(rir=rir)


def order_within(scene: Scene) -> int:
    """Return the lowest reflection order that holds every image which a microphone hears within the response.

    The order of an image is the sum of the numbers of its cells along x, y and z; this is the largest such sum inside the
    sphere that sound reaches.
    """
    reach = reach_m(scene)
    highest = 0
    for source in scene.sources_m:
        for mic in scene.mics_m:
            along = [_axis_orders(*axis, reach) for axis in zip(scene.room.size_m, source, mic, strict=True)]
            (x2, x_order), (y2, y_order), (z2, z_order) = along
            left = reach**2 - x2[:, None] - y2[None, :]
            deepest = np.searchsorted(z2, left, side="right") - 1
            order = x_order[:, None] + y_order[None, :] + np.maximum.accumulate(z_order)[deepest]
            highest = max(highest, int(np.max(order, where=deepest >= 0, initial=0)))
    return highest


def image_count(order: int) -> int:
    """Return how many images of a shoebox have at most ``order`` reflections."""
    return (2 * order + 1) * (2 * order**2 + 2 * order + 3) // 3


def _axis_orders(size: float, source: float, mic: float, reach: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return squared distances in m² along one axis, rising, and the orders of the images that stand there."""
    cells = np.arange(-int(reach / size) - 2, int(reach / size) + 3)
    squared = np.asarray((cells * size + np.where(cells % 2 == 0, source, size - source) - mic) ** 2)
    rising = np.argsort(squared)
    return squared[rising], np.abs(cells)[rising]


def _max_order(scene: Scene) -> int:
    order = scene.options.max_order
    given = order is not None
    if order is None:
        order = order_within(scene)
    if image_count(order) > MAX_IMAGES:
        reason = f"max_order = {order}" if given else f"a response of {scene.n_samples / scene.fs_hz:.3g} s in {scene.room!r}"
        raise RoomgenError(
            f"{reason} needs {image_count(order):,} images (order {order}); the reference engine takes at most {MAX_IMAGES:,}. "
            "Give a shorter duration_s or a lower max_order, or use engine='image', which keeps no list of images."
        )
    return order


def _room(scene: Scene) -> Any:
    """Return the scene as a pyroomacoustics room, ready to be computed."""
    order = _max_order(scene)
    import pyroomacoustics as pra

    centers = list(octave_centers(scene.fs_hz))
    walls = {}
    for wall, alpha in zip(WALLS, scene.room.absorption(scene.fs_hz), strict=True):
        walls[wall] = pra.Material({"coeffs": [float(a) for a in alpha], "center_freqs": centers})
    with _constants():
        room = pra.ShoeBox(scene.room.size_m, fs=int(scene.fs_hz), max_order=order, materials=walls)
        room.set_sound_speed(scene.c_m_s)
        if scene.air is not None:
            # Set directly: the public setter interpolates. Amplitudes fall as exp(-m d / 2), as ours.
            room.air_absorption = scene.air.energy_absorption_per_m(tuple(centers))
        for position, pattern in zip(scene.sources_m, scene.source_directivity, strict=True):
            room.add_source(position, directivity=_pattern(pattern))
        room.add_microphone_array(scene.mics_m.T, directivity=[_pattern(pattern) for pattern in scene.mic_directivity])
    return room


def _pattern(directivity: Directivity) -> Any:
    from pyroomacoustics.directivities import CardioidFamily

    return CardioidFamily(orientation=directivity.axis, p=directivity.p)


@contextmanager
def _constants() -> Iterator[None]:
    """Set pyroomacoustics' global constants to the ones that results are defined by, and put the user's back."""
    from pyroomacoustics import parameters

    before = dict(parameters._constants)
    parameters._constants.update(_CONSTANTS, num_threads=1)
    try:
        yield
    finally:
        parameters._constants.clear()
        parameters._constants.update(before)
