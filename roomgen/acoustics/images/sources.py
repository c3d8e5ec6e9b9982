"""The CPU engine: exact image sources in octave bands, and the diffuse field that walls make of them.

What it computes, for every source and microphone, is

    H(f) = K(f) · sum_b W_b(f) · sum_i a_ib / (4 pi d_i) · exp(-j 2 pi f d_i / c),    0 <= t < n_samples / fs,

over all image sources i that arrive within the response: a_ib is the product of the reflection factors sqrt(1 - absorption) of
band b, the directivity of both ends and exp(-m_b d_i / 2) of air; W_b are the filters of :mod:`roomgen.acoustics.bands`, which
add up to one; K is the band limit of :mod:`roomgen.acoustics.images.spreading`. A float64 sum over a list of images agrees to -95
dB.

Where walls scatter, a_ib has lost that part, and what is lost is heard as pulses from all directions, which are added to the sum as
images are: see :mod:`roomgen.acoustics.diffuse.field`.

Band filters are symmetric in time, so they ring before a sound as well as after it. What would come before time 0 is cut off.

The list is never made: :mod:`~roomgen.acoustics.images.tables` says what images are, :mod:`~roomgen.acoustics.images.kernels` adds
them to a grid, :mod:`~roomgen.acoustics.images.spreading` turns the grid into responses. One call uses one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import fft_band_weights
from roomgen.acoustics.diffuse.field import LEVEL_STEP_S, DiffuseField, Heard, image_fade
from roomgen.acoustics.directivity import OMNI, Directivity
from roomgen.acoustics.highpass import highpass
from roomgen.acoustics.images.direct_sound import direct_to_reverberant_db
from roomgen.acoustics.images.spreading import OVERSAMPLING, START_ROW, TAPS, Synthesis, kernel_table
from roomgen.acoustics.images.tables import Axis, image_axes, reach_m, row_floors, scene_synthesis
from roomgen.acoustics.prediction.decay import image_density
from roomgen.acoustics.scene import Engine, Response, Scene

Grid = NDArray[np.float32]
_SEED_MASK = (1 << 63) - 1
_LEVEL_S = 0.03  # of images that set the level of the field that goes on in their place


class ImageSources(Engine):
    """:func:`image_source` as an engine."""

    name = "image"

    def prepare(self) -> None:
        from roomgen.acoustics.images.kernels import warm_up  # numba is imported when it is first needed

        warm_up()

    def simulate(self, scenes: Iterable[Scene]) -> Iterator[Response]:
        return (image_source(scene, parts=False) for scene in scenes)


def image_source(scene: Scene, *, parts: bool = True) -> Response:
    """Return the responses of a scene.

    Args:
        scene: what to simulate.
        parts: also return the octave bands apart and the direct-to-reverberant ratio. The responses are the same without,
            and come up to twice as fast.

    Raises:
        RoomgenError: a high-pass at or above half the sampling rate.
    """
    axes = image_axes(scene)
    filters = scene_synthesis(scene)
    weights = fft_band_weights(filters.n_fft, scene.fs_hz)
    shape = (len(scene.sources_m), len(scene.mics_m))
    rir = np.empty((*shape, scene.n_samples), dtype=np.float32)
    band_rirs = np.empty((*shape, len(weights), scene.n_samples), dtype=np.float32) if parts else None
    grid, field = _empty_grid(filters, axes), DiffuseField.of(scene)
    for s, m in np.ndindex(shape):
        grid[:] = 0.0
        add_pair(grid, scene, axes, s, m)
        if field is not None:
            level = tail_level(scene, axes, s, m)
            if level is not None:
                _fade(grid, scene)
            _add_field(grid, field.heard(s, m, tail_level=level), scene)
        spectrum = filters.spectrum(grid)
        total = filters.sum_spectrum(spectrum)
        rir[s, m] = _respond(scene, filters, total)
        if band_rirs is not None:
            apart = filters.band_spectra(spectrum) if len(filters.filters) > 1 else (total * weights).astype(np.complex64)
            band_rirs[s, m] = _respond(scene, filters, apart)
    return Response(rir, band_rirs, direct_to_reverberant_db(scene, rir) if parts else None)


def _empty_grid(filters: Synthesis, axes: tuple[Axis, Axis, Axis]) -> Grid:
    """Return a (row, lane) grid that begins on a cache line, so that no row of eight lanes lies across two of them."""
    shape = (OVERSAMPLING * filters.n_fft, axes[0].gains.shape[1])
    memory = np.empty(shape[0] * shape[1] + 16, dtype=np.float32)
    skip = -memory.ctypes.data % 64 // memory.itemsize
    return memory[skip : skip + shape[0] * shape[1]].reshape(shape)


def add_pair(grid: Grid, scene: Scene, axes: tuple[Axis, Axis, Axis], source: int, mic: int) -> int:
    """Add the images of one source at one microphone to a grid, and return how many they were.

    Args:
        grid: (row, lane) float32.
    """
    from roomgen.acoustics.images.kernels import add_images, warm_up  # numba is imported when it is first needed

    warm_up()
    options = scene.options
    floors_per_m, floors = row_floors(scene, axes)
    offsets = tuple(axis.offsets_m(scene.sources_m[source], scene.mics_m[mic]) for axis in axes)
    ends = (scene.mic_directivity[mic], scene.source_directivity[source])
    return int(
        add_images(
            grid.reshape(-1),
            grid.shape[1],
            kernel_table(),
            np.array([axis.index for axis in axes]),
            tuple(axis.cells for axis in axes),
            offsets,
            tuple(axis.gains.reshape(-1) for axis in axes),
            tuple(_toward(axis, ends, offset) for axis, offset in zip(axes, offsets, strict=True)),
            np.array([end.p for end in ends], dtype=np.float64),
            reach_m(scene),
            OVERSAMPLING * scene.fs_hz / scene.c_m_s,
            START_ROW,
            -1 if options.max_order is None else options.max_order,
            options.randomize_m,
            options.seed & _SEED_MASK,
            floors_per_m,
            floors.reshape(-1),
        )
    )


def _toward(axis: Axis, ends: tuple[Directivity, Directivity], offsets_m: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the directional shares of microphone and source along one axis: (2, cell) in m."""
    if all(end.p == 1.0 for end in ends):
        return np.zeros((2, 1), dtype=np.float32)  # not read
    mic, source = ends
    return np.stack([axis.towards(mic, offsets_m, of_source=False), axis.towards(source, offsets_m, of_source=True)])


def _fade(grid: Grid, scene: Scene) -> None:
    """Fade out the images of a grid where a field takes their place."""
    first, fade = fade_rows(scene)
    grid[first : first + len(fade)] *= fade[:, None]
    grid[first + len(fade) :] = 0.0


def fade_rows(scene: Scene) -> tuple[int, NDArray[np.float32]]:
    """Return the first grid row that is faded, and what it and the next are multiplied by; later ones are silent."""
    per_s = OVERSAMPLING * scene.fs_hz
    last = int(np.ceil(per_s * (scene.options.tail_after_s or 0.0)))
    fade = image_fade(scene, np.arange(last) / per_s)
    first = int(np.argmax(fade < 1.0))
    return START_ROW + first, fade[first:].astype(np.float32)


def _add_field(grid: Grid, heard: Heard, scene: Scene) -> None:
    """Add the pulses that a microphone hears to a grid."""
    from roomgen.acoustics.images.pulse_kernels import add_pulses, warm_up

    warm_up()
    add_pulses(
        grid.reshape(-1),
        grid.shape[1],
        kernel_table(),
        heard.rows,
        heard.amplitude,
        heard.levels.reshape(-1),
        1.0 / (OVERSAMPLING * scene.fs_hz * LEVEL_STEP_S),
        START_ROW,
    )


def tail_level(scene: Scene, axes: tuple[Axis, Axis, Axis], source: int, mic: int) -> NDArray[np.float64] | None:
    """Return how the energy of the last images compares with its prediction, in each band: (band,).

    The prediction holds for many images. Between walls of which some are nearly dead there are few, and it can be 10 dB off. It is
    None where nothing goes on in place of images: without ``tail_after_s``, or where a diffuse field covers them before.
    """
    end_s, switch_s = reach_m(scene) / scene.c_m_s, scene.options.tail_after_s
    if switch_s is None or end_s < switch_s:
        return None
    begin_s = end_s - min(_LEVEL_S, 0.5 * end_s)
    # With squared gains, the same walk over all images adds up their energies (but for one of the two factors 1/d).
    squared = [replace(axis, gains=axis.gains**2) for axis in axes]
    omni = replace(
        scene,
        mic_directivity=(OMNI,) * len(scene.mics_m),
        source_directivity=(OMNI,) * len(scene.sources_m),
        options=replace(scene.options, specular_floor_db=None),
    )
    grid = _empty_grid(scene_synthesis(scene), axes)
    grid[:] = 0.0
    add_pair(grid, omni, (squared[0], squared[1], squared[2]), source, mic)
    rows = np.arange(int(OVERSAMPLING * begin_s * scene.fs_hz), int(OVERSAMPLING * end_s * scene.fs_hz))
    distance = rows * scene.c_m_s / (OVERSAMPLING * scene.fs_hz)
    found = (grid[START_ROW + rows] / distance[:, None]).sum(axis=0) / kernel_table()[0, :TAPS].sum()
    time_s = begin_s + (end_s - begin_s) * (np.arange(8) + 0.5) / 8
    predicted = image_density(scene.room, fs_hz=scene.fs_hz, t_s=time_s, c_m_s=scene.c_m_s).mean(axis=1) * (end_s - begin_s)
    bands = min(len(predicted), grid.shape[1])
    return np.asarray(found[:bands] / np.maximum(predicted[:bands], np.finfo(np.float64).tiny))


def _respond(scene: Scene, filters: Synthesis, spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return what is heard of (…, bin) spectra: (…, time)."""
    response = filters.response(spectra, scene.n_samples)
    if scene.options.highpass_hz is not None:
        response = highpass(response, fs_hz=scene.fs_hz, corner_hz=scene.options.highpass_hz)
    return response
