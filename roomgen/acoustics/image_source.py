"""The CPU engine: exact image sources in octave bands.

What it computes, for every source and microphone, is

    H(f) = K(f) · sum_b W_b(f) · sum_i a_ib / (4 pi d_i) · exp(-j 2 pi f d_i / c),    0 <= t < n_samples / fs,

over all image sources i that arrive within the response: a_ib is the product of the reflection factors sqrt(1 - absorption) of
band b, the directivity of both ends and exp(-m_b d_i / 2) of air; W_b are the filters of :mod:`roomgen.acoustics.bands`, which
add up to one; K is the band limit of :mod:`roomgen.acoustics.spreading`. A float64 sum over a list of images agrees to -95 dB.

Band filters are symmetric in time, so they ring before a sound as well as after it. What would come before time 0 is cut off.

The list is never made: :mod:`~roomgen.acoustics.image_tables` says what images are, :mod:`~roomgen.acoustics.image_kernels` adds
them to a grid, :mod:`~roomgen.acoustics.spreading` turns the grid into responses. One call uses one thread.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import fft_band_weights
from roomgen.acoustics.decay import energy_density
from roomgen.acoustics.direct_sound import direct_to_reverberant_db
from roomgen.acoustics.directivity import OMNI, Directivity
from roomgen.acoustics.highpass import highpass
from roomgen.acoustics.image_tables import Axis, image_axes, reach_m, scene_synthesis
from roomgen.acoustics.scene import Response, Scene
from roomgen.acoustics.spreading import EDGE_HALF_WIDTH, OVERSAMPLING, START_ROW, TAPS, Synthesis, kernel_table

Grid = NDArray[np.float32]
_SEED_MASK = (1 << 63) - 1
_LEVEL_S = 0.03  # of images that set the level of the tail
_TAIL_STEP_S = 0.01  # the predicted decay is smooth: over this time it is a straight line in decibels


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
    grid = _empty_grid(filters, axes)
    for s, m in np.ndindex(shape):
        grid[:] = 0.0
        add_pair(grid, scene, axes, s, m)
        if scene.options.tail_after_s is not None:
            _add_tail(grid, scene, axes, s, m, first=int(np.ceil(scene.options.tail_after_s * scene.fs_hz)))
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
    from roomgen.acoustics.image_kernels import add_images, warm_up  # numba is imported when it is first needed

    warm_up()
    options = scene.options
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
        )
    )


def _toward(axis: Axis, ends: tuple[Directivity, Directivity], offsets_m: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the directional shares of microphone and source along one axis: (2, cell) in m."""
    if all(end.p == 1.0 for end in ends):
        return np.zeros((2, 1), dtype=np.float32)  # not read
    mic, source = ends
    return np.stack([axis.towards(mic, offsets_m, of_source=False), axis.towards(source, offsets_m, of_source=True)])


def _add_tail(grid: Grid, scene: Scene, axes: tuple[Axis, Axis, Axis], source: int, mic: int, *, first: int) -> None:
    """Continue a grid with noise from the sample ``first`` on, where its images end.

    Each sample of noise is a pulse like an image. Its variance in each band falls as :func:`energy_density` predicts for
    images, from the level that images had at last; where pulses of one kind end those of the other begin, so there is nothing
    to cross-fade. Each source and microphone has noise of its own.
    """
    count = scene.n_samples + EDGE_HALF_WIDTH - first
    if count <= 0:
        return
    step = int(_TAIL_STEP_S * scene.fs_hz)
    time_s = (first + step * np.arange(count // step + 2)) / scene.fs_hz
    # Without air: a grid goes through the air of the scene as a whole.
    density = energy_density(scene.room, fs_hz=scene.fs_hz, t_s=time_s)[: grid.shape[1]]
    density *= _level(scene, axes, source, mic, bands=len(density))[:, None]
    density *= _diffuse_gain(scene.mic_directivity[mic]) * _diffuse_gain(scene.source_directivity[source]) / scene.fs_hz
    log_level = 0.5 * np.log(np.maximum(density, np.finfo(np.float64).tiny)).T.astype(np.float32)
    way = (np.arange(step, dtype=np.float32) / step)[:, None]
    level = np.exp(log_level[:-1, None] * (1 - way) + log_level[1:, None] * way).reshape(-1, len(density))
    seeds = np.random.SeedSequence(scene.options.seed & _SEED_MASK, spawn_key=(source, mic))
    noise = np.random.default_rng(seeds).standard_normal((count, 1), dtype=np.float32)
    pulses = noise * level[:count]
    for tap in range(TAPS):
        row = START_ROW + OVERSAMPLING * first - TAPS // 2 + 1 + tap
        grid[row : row + OVERSAMPLING * count : OVERSAMPLING, : len(density)] += kernel_table()[0, tap] * pulses


def _level(scene: Scene, axes: tuple[Axis, Axis, Axis], source: int, mic: int, *, bands: int) -> NDArray[np.float64]:
    """Return how the energy of the last images compares with its prediction, in each band: (band,).

    The prediction holds for many images. Between walls of which some are nearly dead there are few, and it can be 10 dB off.
    """
    end_s = reach_m(scene) / scene.c_m_s
    begin_s = end_s - min(_LEVEL_S, 0.5 * end_s)
    # With squared gains, the same walk over all images adds up their energies (but for one of the two factors 1/d).
    squared = [replace(axis, gains=axis.gains**2) for axis in axes]
    omni = replace(scene, mic_directivity=(OMNI,) * len(scene.mics_m), source_directivity=(OMNI,) * len(scene.sources_m))
    grid = _empty_grid(scene_synthesis(scene), axes)
    grid[:] = 0.0
    add_pair(grid, omni, (squared[0], squared[1], squared[2]), source, mic)
    rows = np.arange(int(OVERSAMPLING * begin_s * scene.fs_hz), int(OVERSAMPLING * end_s * scene.fs_hz))
    distance = rows * scene.c_m_s / (OVERSAMPLING * scene.fs_hz)
    found = (grid[START_ROW + rows, :bands] / distance[:, None]).sum(axis=0) / kernel_table()[0, :TAPS].sum()
    time_s = begin_s + (end_s - begin_s) * (np.arange(8) + 0.5) / 8
    predicted = energy_density(scene.room, fs_hz=scene.fs_hz, t_s=time_s)[:bands].mean(axis=1) * (end_s - begin_s)
    return np.asarray(found / np.maximum(predicted, np.finfo(np.float64).tiny))


def _diffuse_gain(pattern: Directivity) -> float:
    """Return the mean of a pattern's squared gain over all directions."""
    return pattern.p**2 + (1.0 - pattern.p) ** 2 / 3.0


def _respond(scene: Scene, filters: Synthesis, spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return what is heard of (…, bin) spectra: (…, time)."""
    response = filters.response(spectra, scene.n_samples)
    if scene.options.highpass_hz is not None:
        response = highpass(response, fs_hz=scene.fs_hz, corner_hz=scene.options.highpass_hz)
    return response
