"""What the image sources of a shoebox are, axis by axis.

Mirroring a room in its walls tiles space with copies of it. Along one axis, cell n (…, -1, 0, 1, …) spans n L … (n + 1) L and
holds the image at n L + s where n is even and at (n + 1) L - s where n is odd. Sound from cell n has met the two walls of the
axis |n| times in all, in turn: the far wall (at L) first where n > 0, the near wall (at 0) first where n < 0.

An image source of the room is one cell per axis, and everything about it is separable: its squared distance from a microphone is
a sum, its reflection gain a product and its reflection order a sum over the three axes. So three short tables stand for millions
of images, and no list of them is ever made. Any engine can walk over the same tables; this module needs numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.directivity import Directivity
from roomgen.acoustics.images.spreading import EDGE_HALF_WIDTH, OVERSAMPLING, Synthesis, fft_length, synthesis
from roomgen.acoustics.scene import Scene

NEGLIGIBLE = 1e-9
"""Images that walls have weakened to less than this in every band (-180 dB) are left out: all of them together stay below
-100 dB, and dead walls, whose images are all zero, cost nothing."""

_ROW_DISTANCES = 40  # at which it is looked up which rows a diffuse field covers


@dataclass(frozen=True, eq=False)
class Axis:
    """The image cells along one axis of a room.

    Args:
        index: 0, 1, 2 for x, y, z.
        size_m: of the room along this axis.
        cells: (cell,) int64, rising without gaps.
        gains: (cell, lane) float32 reflection gains; lanes beyond the last band are zero.
    """

    index: int
    size_m: float
    cells: NDArray[np.int64]
    gains: NDArray[np.float32]

    def offsets_m(self, source: NDArray[np.float64], mic: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the positions of the images of a source as seen from a microphone: (cell,) in m, rising.

        Args:
            source, mic: (3,) positions in metres.
        """
        s, k = source[self.index], self.index
        return np.asarray(self.cells * self.size_m + np.where(self.cells % 2 == 0, s, self.size_m - s) - mic[k])

    def towards(self, pattern: Directivity, offsets_m: NDArray[np.float64], *, of_source: bool) -> NDArray[np.float32]:
        """Return this axis' share of the directional part of a first-order pattern, times the distance: (cell,) in m.

        The gain of an image at distance d is p + (sum of the three axes' shares) / d. A microphone looks from itself to the
        image; a source looks the other way, and its image in an odd cell is mirrored along this axis.
        """
        share = (1.0 - pattern.p) * pattern.axis[self.index] * offsets_m
        if of_source:
            share = np.where(self.cells % 2 == 0, -share, share)
        return np.asarray(share, dtype=np.float32)


def image_axes(scene: Scene) -> tuple[Axis, Axis, Axis]:
    """Return the tables of a scene, the shortest axis first: walked innermost, it makes the longest rows of images.

    Where walls scatter, the axis along which images last longest comes first instead: a diffuse field then covers most rows as a
    whole (:func:`row_floors`). The factor 1/(4 pi) of a point source is in the gains of the last axis.
    """
    keep = band_reflection(scene)
    lanes = lane_count(keep.shape[1])
    axes = []
    for position, index in enumerate(np.argsort(_walking_order(scene, keep), kind="stable")):
        size = scene.room.size_m[index]
        most = int(reach_m(scene) / size) + 2
        if scene.options.max_order is not None:
            most = min(most, scene.options.max_order)
        cells = np.arange(-most, most + 1)
        near, far = np.sqrt(keep[2 * index : 2 * index + 2])
        hits = np.abs(cells)[:, None]
        gains = near ** ((hits + (cells[:, None] < 0)) // 2) * far ** ((hits + (cells[:, None] > 0)) // 2)
        heard = np.flatnonzero(gains.max(axis=1) >= NEGLIGIBLE)
        kept = slice(heard[0], heard[-1] + 1)
        padded = np.zeros((len(heard), lanes), dtype=np.float32)
        padded[:, : keep.shape[1]] = gains[kept] / (4.0 * np.pi if position == 2 else 1.0)
        axes.append(Axis(int(index), size, cells[kept], padded))
    return axes[0], axes[1], axes[2]


def _walking_order(scene: Scene, keep: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (3,) numbers by which axes are walked, the least innermost."""
    size = np.asarray(scene.room.size_m)
    if not _is_covered(scene):
        return size
    loss = -np.log(np.maximum(keep, NEGLIGIBLE))
    return np.asarray((loss[0::2] + loss[1::2]).min(axis=1) / size)


def _is_covered(scene: Scene) -> bool:
    """Tell whether a diffuse field may cover images."""
    return scene.room.scatters and scene.options.specular_floor_db is not None


def row_floors(scene: Scene, axes: tuple[Axis, Axis, Axis]) -> tuple[float, NDArray[np.float32]]:
    """Return below which gains a diffuse field covers all images of a row: cells of the first axis for one cell of each other.

    An image is covered when its energy lies under that of the diffuse field by ``specular_floor_db`` in every band, were there as
    many like it as there are images then. So all that are left out together do too.

    Returns:
        How many distances there are per metre, and (distance, lane) products of the gains of the other two axes, by how far the
        row is away from the microphone. One distance and zeros where nothing is covered.
    """
    lanes = axes[0].gains.shape[1]
    if not _is_covered(scene):
        return 0.0, np.zeros((1, lanes), dtype=np.float32)
    from roomgen.acoustics.diffuse.energy import diffuse_energy  # mirrors have no need of it

    reach, bands = reach_m(scene), band_reflection(scene).shape[1]
    energy = diffuse_energy(scene.room, fs_hz=scene.fs_hz, c_m_s=scene.c_m_s)
    ways = 8 * _ROW_DISTANCES
    field = energy.diffuse_at(reach / scene.c_m_s * np.linspace(0.0, 1.0, ways + 1))[:bands]
    field = np.sqrt(field * 10.0 ** (-0.1 * float(scene.options.specular_floor_db or 0.0))) / (4.0 * np.pi)
    # The images of cell n are |n| sizes away along their axis, give or take one; what that changes evens out.
    hits = np.arange(np.abs(axes[0].cells).max() + 1)
    away = np.hypot(reach * (np.arange(_ROW_DISTANCES)[:, None] + 0.5) / _ROW_DISTANCES, hits * axes[0].size_m)
    place = np.minimum(away * (ways / reach), ways).astype(np.intp)
    floors = np.full((_ROW_DISTANCES, lanes), np.inf, dtype=np.float32)
    for band in range(bands):
        gain = np.full(len(hits), NEGLIGIBLE)
        np.maximum.at(gain, np.abs(axes[0].cells), axes[0].gains[:, band])
        floors[:, band] = np.where(away < reach, field[band, place] / gain, np.inf).min(axis=1)
    return _ROW_DISTANCES / reach, floors


def band_reflection(scene: Scene) -> NDArray[np.float64]:
    """Return the energy that image sources keep at a reflection: (6 walls, band), with one band only where all are equal."""
    keep = 1.0 - scene.room.absorption(scene.fs_hz)
    scattering = scene.room.scattering(scene.fs_hz)
    one_band = scene.air is None and np.all(keep == keep[:, :1]) and np.all(scattering == scattering[:, :1])
    if scene.options.tail_after_s is not None:
        one_band = False  # what images add by being in phase differs from band to band
    if scene.room.scatters:
        keep = keep * (1.0 - scattering)
    return keep[:, :1] if one_band else keep


def air_absorption_per_m(scene: Scene) -> tuple[float, ...] | None:
    """Return the energy attenuation of air in 1/m in each octave band, or None without air."""
    if scene.air is None:
        return None
    return tuple(float(m) for m in scene.air.energy_absorption_per_m(octave_centers(scene.fs_hz)))


def scene_synthesis(scene: Scene) -> Synthesis:
    """Return what turns a grid of this scene into responses."""
    n_fft = fft_length(scene.n_samples, scene.fs_hz)
    air = air_absorption_per_m(scene)
    if air is not None:
        # Half of it for the amplitude; metres that sound travels during one row of a grid.
        air = tuple(0.5 * m * scene.c_m_s / (OVERSAMPLING * scene.fs_hz) for m in air)
    return synthesis(n_fft, scene.fs_hz, band_reflection(scene).shape[1], air)


def lane_count(bands: int) -> int:
    """Return how many numbers an engine keeps side by side for so many bands: 1, or whole vectors of 8."""
    return 1 if bands == 1 else -(-bands // 8) * 8


def reach_m(scene: Scene) -> float:
    """Return how far away images are heard.

    Those are whose band-limited pulse begins before the response (or its exact part) ends, and before a diffuse field covers them.
    """
    last_s = (scene.n_samples + EDGE_HALF_WIDTH) / scene.fs_hz
    options = scene.options
    if options.tail_after_s is not None:
        last_s = min(last_s, options.tail_after_s)
    if scene.room.scatters and options.specular_floor_db is not None:
        from roomgen.acoustics.prediction.decay import specular_end_s  # mirrors have no need of it

        end_s = specular_end_s(scene.room, fs_hz=scene.fs_hz, c_m_s=scene.c_m_s, floor_db=options.specular_floor_db)
        last_s = min(last_s, end_s)
    return scene.c_m_s * last_s
