"""The walk over the images of many scenes in torch: tables on the device, rows of images, and their addition to a grid.

It follows :mod:`roomgen.acoustics.images.kernels` step by step. Images are in float64 as far as their time, in float32 for their
amplitude, and in 64-bit integers in the grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roomgen.acoustics.diffuse.field import Heard
from roomgen.acoustics.images.spreading import OVERSAMPLING, PHASES, START_ROW, TAPS, Synthesis, kernel_table
from roomgen.acoustics.images.tables import NEGLIGIBLE, Axis, image_axes, reach_m, row_floors, scene_synthesis
from roomgen.acoustics.scene import Scene

_FIXED_POINT_BITS = 44  # below the direct sound: the rounding of one image is at -265 dB, and 2^19 direct sounds fit on top
_SEED_MASK = (1 << 63) - 1

Kind = tuple[int, bool, bool]


@dataclass(frozen=True, eq=False)
class Job:
    """A scene and what all engines derive from it."""

    index: int
    scene: Scene
    axes: tuple[Axis, Axis, Axis]
    filters: Synthesis

    @classmethod
    def of(cls, index: int, scene: Scene) -> Job:
        return cls(index, scene, image_axes(scene), scene_synthesis(scene))

    @property
    def pairs(self) -> int:
        return len(self.scene.sources_m) * len(self.scene.mics_m)

    @property
    def grid_rows(self) -> int:
        return OVERSAMPLING * self.filters.n_fft

    @property
    def kind(self) -> Kind:
        """Lanes of the grid, whether ends have a directivity, whether images move: what decides on the arithmetic."""
        ends = self.scene.source_directivity + self.scene.mic_directivity
        return self.axes[0].gains.shape[1], any(end.p != 1.0 for end in ends), self.scene.options.randomize_m > 0.0

    def toward(self, axis: int, offsets_m: NDArray[np.float64], source: int, mic: int) -> NDArray[np.float32]:
        """Return the directional shares of microphone and source along one axis: (2, cell) in m."""
        ends = (self.scene.mic_directivity[mic], False), (self.scene.source_directivity[source], True)
        return np.stack([self.axes[axis].towards(end, offsets_m, of_source=is_source) for end, is_source in ends])

    @property
    def unit(self) -> float:
        """The power of two by which amplitudes become integers."""
        apart = self.scene.sources_m[:, None] - self.scene.mics_m
        nearest = float(np.linalg.norm(apart, axis=-1).min())
        return float(2.0 ** (_FIXED_POINT_BITS + np.floor(np.log2(4.0 * np.pi * nearest))))


@dataclass(frozen=True, eq=False)
class Tables:
    """The axes of all pairs of a batch end to end, innermost axis first, and a few numbers per pair.

    Args:
        start: (axis, pair) where the cells of a pair begin.
        cell: three (cell,) int64. offset: three (cell,) float64 in m. gain: three (cell, lane) float32.
        toward: three (2, cell) float32, see :meth:`Axis.towards`; zeros where nothing is directive.
        axes: (pair, 3) int64, which of x, y, z the axes are.
        omni: (pair, 2) float32 omnidirectional shares of microphone and source.
        base: (pair,) int64, first grid row. rows_per_m, reach, by_m: (pair,) float64. unit: (pair,) float32. seed: (pair,) int64.
        kernel: (phase, 16) float32.
    """

    start: list[list[int]]
    cell: list[Tensor]
    offset: list[Tensor]
    gain: list[Tensor]
    toward: list[Tensor]
    axes: Tensor
    omni: Tensor
    base: Tensor
    rows_per_m: Tensor
    reach: Tensor
    by_m: Tensor
    unit: Tensor
    seed: Tensor
    kernel: Tensor

    @classmethod
    def of(cls, batch: list[Job], device: torch.device) -> Tables:
        pairs = [(job, s, m) for job in batch for s, m in np.ndindex(len(job.scene.sources_m), len(job.scene.mics_m))]
        start: list[list[int]] = []
        cell: list[Tensor] = []
        offset: list[Tensor] = []
        gain: list[Tensor] = []
        toward: list[Tensor] = []
        for k in range(3):
            axes = [job.axes[k] for job, _, _ in pairs]
            offsets = [a.offsets_m(job.scene.sources_m[s], job.scene.mics_m[m]) for a, (job, s, m) in zip(axes, pairs, strict=True)]
            shares = [
                job.toward(k, x, s, m) if job.kind[1] else np.zeros((2, len(x)), dtype=np.float32)
                for x, (job, s, m) in zip(offsets, pairs, strict=True)
            ]
            start.append([0, *np.cumsum([len(x) for x in offsets]).tolist()])
            for column, parts, axis in (
                (cell, [a.cells for a in axes], 0),
                (offset, offsets, 0),
                (gain, [a.gains for a in axes], 0),
                (toward, shares, 1),
            ):
                column.append(torch.from_numpy(np.concatenate(parts, axis=axis)).to(device))

        def per_pair(values: Sequence[object], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype).to(device)

        lengths = np.cumsum([0, *(job.grid_rows for job, _, _ in pairs)])
        return cls(
            start=start,
            cell=cell,
            offset=offset,
            gain=gain,
            toward=toward,
            axes=per_pair([[axis.index for axis in job.axes] for job, _, _ in pairs], torch.int64),
            omni=per_pair(
                [[job.scene.mic_directivity[m].p, job.scene.source_directivity[s].p] for job, s, m in pairs], torch.float32
            ),
            base=per_pair(lengths[:-1].tolist(), torch.int64),
            rows_per_m=per_pair([OVERSAMPLING * job.scene.fs_hz / job.scene.c_m_s for job, _, _ in pairs], torch.float64),
            reach=per_pair([reach_m(job.scene) for job, _, _ in pairs], torch.float64),
            by_m=per_pair([job.scene.options.randomize_m for job, _, _ in pairs], torch.float64),
            unit=per_pair([job.unit for job, _, _ in pairs], torch.float32),
            seed=per_pair([job.scene.options.seed & _SEED_MASK for job, _, _ in pairs], torch.int64),
            kernel=torch.from_numpy(kernel_table().copy()).to(device),
        )


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of images: (row,) int64 pair, first inner, middle and outer index into :class:`Tables`, and how many images."""

    pair: Tensor
    inner: Tensor
    middle: Tensor
    outer: Tensor
    count: Tensor

    @classmethod
    def joined(cls, parts: list[Rows]) -> Rows:
        return cls(*(torch.cat([getattr(p, name) for p in parts]) for name in ("pair", "inner", "middle", "outer", "count")))


def find_rows(batch: list[Job], tables: Tables, device: torch.device, most: int) -> Iterator[Rows]:
    """Find the images that are heard: as few parts as possible, of less than twice ``most`` rows."""
    waiting: list[Rows] = []
    for part in _rows_by_pair(batch, tables, device, most):
        waiting.append(part)
        if sum(len(rows.count) for rows in waiting) >= most:
            yield Rows.joined(waiting)
            waiting = []
    if waiting:
        yield Rows.joined(waiting)


def _rows_by_pair(batch: list[Job], tables: Tables, device: torch.device, most: int) -> Iterator[Rows]:
    pair = -1
    for job in batch:
        axes, order = job.axes, job.scene.options.max_order
        loudness = [torch.from_numpy(axis.gains).to(device) for axis in axes[1:]]
        reach = reach_m(job.scene)
        slab = max(1, most // len(axes[1].cells))
        floors_per_m, floor_table = row_floors(job.scene, axes)
        floors = torch.from_numpy(floor_table).to(device)
        for _ in range(job.pairs):
            pair += 1
            inner, middle, outer = (tables.offset[k][tables.start[k][pair] : tables.start[k][pair + 1]] for k in range(3))
            for first in range(0, len(outer), slab):
                some = slice(first, min(first + slab, len(outer)))
                left = reach**2 - (outer[some, None] ** 2 + middle**2)
                root = left.clamp(min=0.0).sqrt().reshape(-1)
                begin = torch.searchsorted(inner, -root)
                end = torch.searchsorted(inner, root, right=True)
                if order is not None:
                    orders = [torch.from_numpy(np.abs(axis.cells)).to(device) for axis in axes[1:]]
                    rest = order - (orders[1][some, None] + orders[0]).reshape(-1)
                    begin = torch.maximum(begin, -rest - int(axes[0].cells[0]))
                    end = torch.minimum(end, rest - int(axes[0].cells[0]) + 1)
                gain = loudness[1][some, None] * loudness[0]
                distance = ((outer[some, None] ** 2 + middle**2).sqrt() * floors_per_m).to(torch.int64).clamp(max=len(floors) - 1)
                heard = (gain.amax(dim=-1) >= NEGLIGIBLE / (4.0 * np.pi)) & (gain >= floors[distance]).any(dim=-1)
                count = torch.where((heard & (left >= 0.0)).reshape(-1), (end - begin).clamp(min=0), 0)
                shape = left.shape
                yield Rows(
                    torch.full_like(begin, pair),
                    begin + tables.start[0][pair],
                    torch.arange(shape[1], device=device).repeat(shape[0]) + tables.start[1][pair],
                    torch.arange(some.start, some.stop, device=device).repeat_interleave(shape[1]) + tables.start[2][pair],
                    count,
                )


def add_rows(grid: Tensor, tables: Tables, rows: Rows, kind: Kind, in_flight: int) -> None:
    """Add all images of some rows to the grid, ``in_flight`` at a time."""
    _, directive, moving = kind
    ends = rows.count.cumsum(0)
    shift, total = rows.inner - ends + rows.count, int(ends[-1])
    for first in range(0, total, in_flight):
        number = torch.arange(first, min(first + in_flight, total), device=grid.device)
        row = torch.searchsorted(ends, number, right=True)
        inner = number + shift[row]
        middle, outer, pair = rows.middle[row], rows.outer[row], rows.pair[row]
        at = (inner, middle, outer)
        x = [tables.offset[k][at[k]] for k in range(3)]
        distance = (x[0] ** 2 + (x[2] ** 2 + x[1] ** 2)).sqrt()
        nearness = 1.0 / distance.to(torch.float32)
        amplitude = nearness * tables.unit[pair]
        if directive:
            for end in range(2):
                toward = tables.toward[0][end, inner] + (tables.toward[1][end, middle] + tables.toward[2][end, outer])
                amplitude *= tables.omni[pair, end] + toward * nearness
        if moving:
            cells = [tables.cell[k][at[k]] for k in range(3)]
            late = cells[0].abs() + cells[1].abs() + cells[2].abs() >= 2
            distance = torch.where(late, _moved_m(cells, x, tables, pair), distance)
            amplitude *= torch.where(late, (1.0 / (distance * nearness)).to(torch.float32), 1.0)
            amplitude = torch.where(distance > tables.reach[pair], 0.0, amplitude)
            distance = torch.minimum(distance, tables.reach[pair])
        place = distance * (tables.rows_per_m[pair] * PHASES) + float((START_ROW - TAPS // 2 + 1) * PHASES)
        whole = place.to(torch.int64)
        tap = tables.kernel[whole % PHASES]
        tap = tap[:, :TAPS] + tap[:, 8 : 8 + TAPS] * (place - whole).to(torch.float32)[:, None]
        gain = tables.gain[0][inner] * (tables.gain[1][middle] * tables.gain[2][outer]) * amplitude[:, None]
        target = tables.base[pair] + whole // PHASES
        for k in range(TAPS):
            grid.index_add_(0, target + k, (gain * tap[:, k, None]).to(torch.int64))


def fade_images(grid: Tensor, first: int, fade: NDArray[np.float32]) -> None:
    """Multiply the rows of a (row, lane) grid from ``first`` on, and silence those that follow."""
    last = first + len(fade)
    grid[first:last] = (grid[first:last].double() * torch.from_numpy(fade).to(grid.device)[:, None]).to(torch.int64)
    grid[last:] = 0


def add_pulses(grid: Tensor, heard: Heard, kernel: Tensor, *, unit: float, rows_per_step: float, in_flight: int) -> None:
    """Add the pulses that a microphone hears to its (row, lane) grid, as :mod:`roomgen.acoustics.images.pulse_kernels` does.

    Args:
        kernel: (phase, 16) float32.
        unit: the power of two by which amplitudes become integers.
        rows_per_step: grid rows between two levels.
    """
    levels = torch.from_numpy(heard.levels).to(grid.device)
    for first in range(0, len(heard.rows), in_flight):
        rows = torch.from_numpy(heard.rows[first : first + in_flight]).to(grid.device)
        amplitude = torch.from_numpy(heard.amplitude[first : first + in_flight]).to(grid.device) * unit
        step = rows / rows_per_step
        below = step.to(torch.int64).clamp(max=len(levels) - 2)
        gain = levels[below] + (step - below).to(torch.float32)[:, None] * (levels[below + 1] - levels[below])
        place = rows * PHASES + float((START_ROW - TAPS // 2 + 1) * PHASES)
        whole = place.to(torch.int64)
        tap = kernel[whole % PHASES]
        tap = tap[:, :TAPS] + tap[:, 8 : 8 + TAPS] * (place - whole).to(torch.float32)[:, None]
        gain *= amplitude[:, None]
        for k in range(TAPS):
            grid.index_add_(0, whole // PHASES + k, (gain * tap[:, k, None]).to(torch.int64))


def _moved_m(cells: list[Tensor], offsets: list[Tensor], tables: Tables, pair: Tensor) -> Tensor:
    """Return distances of images that are moved as :func:`roomgen.acoustics.images.kernels.moved` does: (image,) in m."""
    axes = tables.axes[pair]
    key = tables.seed[pair]
    for k in range(3):
        key = (key ^ _signed(0xD1342543DE82EF95)) * _signed(0x2545F4914F6CDD1D)
        for j in range(3):
            key = key + torch.where(axes[:, j] == k, cells[j], 0)
    square, apart = torch.zeros_like(offsets[0]), torch.zeros_like(offsets[0])
    for j in range(3):
        move = tables.by_m[pair] * _uniform(key + (axes[:, j] + 1) * _signed(0xA0761D6478BD642F))
        square += (offsets[j] + move) ** 2
        apart += offsets[j] ** 2
    return torch.maximum(square, 0.25 * apart).sqrt()


def _uniform(key: Tensor) -> Tensor:
    """Return numbers in [-1, 1) from int64 keys that stand for unsigned ones."""
    key = key * _signed(0x9E3779B97F4A7C15)
    key = (key ^ _shifted(key, 30)) * _signed(0xBF58476D1CE4E5B9)
    key = (key ^ _shifted(key, 27)) * _signed(0x94D049BB133111EB)
    return (key ^ _shifted(key, 31)).double() * 2.0**-63


def _shifted(key: Tensor, by: int) -> Tensor:
    return (key >> by) & ((1 << (64 - by)) - 1)  # torch shifts int64 with its sign


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
