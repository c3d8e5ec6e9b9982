"""The inner loop of the CPU engine: walk over all images of a room and add each to the grid (numba).

A row is all cells of the innermost axis for one cell of each other axis: the images of it that are heard are contiguous. Each row
is done in two passes. The first computes distances, times and amplitudes; it is plain arithmetic over arrays, which LLVM
turns into full vectors. The second adds the images to the grid, six rows of eight bands each; LLVM does not find the vectors
in that by itself, so that :func:`add_bands` and :func:`add_time` say them in its own language. Together 4 ns per image.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from roomgen.acoustics.compiled import announced, compiled
from roomgen.acoustics.images.spreading import PHASES, TAPS, kernel_table
from roomgen.acoustics.images.tables import NEGLIGIBLE

_SHIFT = PHASES.bit_length() - 1
_MASK = PHASES - 1
_FAST = ("fast",)
# numba drops the first parameter of what it decorates, which its own type does not say.
_intrinsic: Callable[[Callable[..., Any]], Any] = intrinsic


class _Vectors:
    """The few vector instructions that the two additions below are written in: 8 float32 at a time."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder, self.signature, self.args = context, builder, signature, args
        self.type = ir.VectorType(ir.FloatType(), 8)

    def pointer(self, array: int, index: Any) -> Any:
        data = self.context.make_array(self.signature.args[array])(self.context, self.builder, self.args[array]).data
        return self.builder.bitcast(self.builder.gep(data, [index]), self.type.as_pointer())

    def load(self, pointer: Any) -> Any:
        return self.builder.load(pointer, align=4)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, pointer, align=4)

    def spread(self, vector: Any, lane: int) -> Any:
        """Return a vector with one lane of another everywhere."""
        return self.builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), 8), [lane] * 8))

    def splat(self, scalar: Any) -> Any:
        undefined = ir.Constant(self.type, ir.Undefined)
        return self.spread(self.builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0)), 0)

    def times(self, a: Any, b: Any) -> Any:
        return self.builder.fmul(a, b, flags=_FAST)

    def times_plus(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(a, b, flags=_FAST), c, flags=_FAST)

    def step(self, index: Any, by: int) -> Any:
        return self.builder.add(index, ir.Constant(index.type, by))

    def taps(self, table: int, phase: int, rest: int) -> Any:
        """Return the kernel at a phase of the table and the fraction ``rest`` of the way to the next."""
        row = self.builder.mul(self.args[phase], ir.Constant(self.args[phase].type, 16))
        values, slopes = self.load(self.pointer(table, row)), self.load(self.pointer(table, self.step(row, 8)))
        return self.times_plus(slopes, self.splat(self.args[rest]), values)


@_intrinsic
def add_bands(
    _: Any, grid: Any, at: Any, lanes: Any, table: Any, phase: Any, rest: Any, amplitude: Any, gains: Any, cell: Any, row: Any,
    first: Any,
) -> Any:  # fmt: skip
    """Add ``amplitude · gains[cell : cell + 8] · row[first : first + 8]`` times tap k to ``grid[at + k · lanes : … + 8]``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        taps = v.taps(3, 4, 5)
        gain = v.times(v.load(v.pointer(7, args[8])), v.load(v.pointer(9, args[10])))
        gain = v.times(gain, v.splat(args[6]))
        at = args[1]
        for tap in range(TAPS):
            place = v.pointer(0, at)
            v.store(v.times_plus(v.spread(taps, tap), gain, v.load(place)), place)
            at = builder.add(at, args[2])
        return context.get_dummy_value()

    return types.void(grid, at, lanes, table, phase, rest, amplitude, gains, cell, row, first), codegen


@_intrinsic
def add_time(_: Any, grid: Any, at: Any, table: Any, phase: Any, rest: Any, amplitude: Any) -> Any:
    """Add ``amplitude`` times the taps to ``grid[at : at + 8]``, for a grid of one lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _Vectors(context, builder, signature, args)
        place = v.pointer(0, args[1])
        v.store(v.times_plus(v.taps(2, 3, 4), v.splat(args[5]), v.load(place)), place)
        return context.get_dummy_value()

    return types.void(grid, at, table, phase, rest, amplitude), codegen


@compiled()
def _uniform(key: np.uint64) -> float:
    """Return a number in [-1, 1) that depends on the key alone (the mixer of SplitMix64)."""
    key = key * np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    key = key ^ (key >> np.uint64(31))
    return float(np.int64(key) * 2.0**-63)


@compiled()
def moved(cells: Any, offsets: Any, axes: Any, by_m: float, seed: int) -> float:
    """Return the squared distance of an image that is moved at random along each axis, in m².

    What is drawn depends on the seed and the image alone, not on the microphone or the order of evaluation. An image never
    comes nearer than half its distance.

    Args:
        cells: (3,) int64 cells of the image.
        offsets: (3,) of the image from the microphone, in m.
        axes: (3,) int64 which of x, y, z these are.
    """
    key = np.uint64(seed)
    for k in range(3):
        key = (key ^ np.uint64(0xD1342543DE82EF95)) * np.uint64(0x2545F4914F6CDD1D)
        for j in range(3):  # x, y, z in turn, wherever they stand
            if axes[j] == k:
                key += np.uint64(cells[j])
    square = 0.0
    apart = 0.0
    for j in range(3):
        offset = offsets[j] + by_m * _uniform(key + np.uint64(axes[j] + 1) * np.uint64(0xA0761D6478BD642F))
        square += offset * offset
        apart += offsets[j] * offsets[j]
    return max(square, 0.25 * apart)


# Without fastmath: it lets LLVM approximate a division where a loop is vectorised and not in what is left over, and which of the
# two an image meets depends on where arrays lie in memory. Exact division costs nothing here and gives the same bytes always.
@compiled(error_model="numpy", nogil=True)
def add_images(
    grid: Any, lanes: int, table: Any, axes: Any, cells: Any, offsets: Any, gains: Any, toward: Any, share: Any,
    reach: float, rows_per_m: float, start_row: int, max_order: int, by_m: float, seed: int, floors_per_m: float, floors: Any,
) -> int:  # fmt: skip
    """Add all images of one source at one microphone to a grid, and return how many they were.

    Args:
        grid: (row · lane,) float32, added to; rows must reach two before and four beyond every image.
        lanes: 1, or a multiple of 8.
        table: of :func:`~roomgen.acoustics.images.spreading.kernel_table`.
        axes: (3,) int64 which of x, y, z the tables stand for, innermost first.
        cells, offsets: three (cell,) arrays each, int64 and float64 (m, rising).
        gains: three (cell · lane,) float32 arrays.
        toward: three (2, cell) float32 arrays: directional shares of microphone and source in m, see ``Axis.towards``.
        share: (2,) omnidirectional share of microphone and source; both 1 leaves ``toward`` unread.
        reach: images further away than this, in m, are not heard.
        rows_per_m: grid rows per metre of distance.
        start_row: grid row of distance 0.
        max_order: greatest number of reflections, or -1 for any.
        floors_per_m, floors: (distance · lane,) float32, see :func:`~roomgen.acoustics.images.tables.row_floors`.
        by_m, seed: how far images of second and higher order are moved, see :func:`moved`.
    """
    inner_cells, middle_cells, outer_cells = cells
    inner, middle, outer = offsets
    inner_gains, middle_gains, outer_gains = gains
    inner_toward, middle_toward, outer_toward = toward
    count = inner.size
    at, phase = np.empty(count, np.int64), np.empty(count, np.int64)
    rest, amplitude, nearness = np.empty(count, np.float32), np.empty(count, np.float32), np.empty(count, np.float32)
    row_gain = np.empty(lanes, np.float32)
    directive = share[0] != 1.0 or share[1] != 1.0
    place, cell = np.empty(3, np.float64), np.empty(3, np.int64)
    floor = np.float32(NEGLIGIBLE / (4.0 * np.pi))
    scale, start = rows_per_m * PHASES, float((start_row - TAPS // 2 + 1) * PHASES)
    total, low, high = 0, 0, count

    for k in range(outer.size):
        for j in range(middle.size):
            across = outer[k] * outer[k] + middle[j] * middle[j]
            left = reach * reach - across
            if left < 0.0:
                continue
            loudest = np.float32(0.0)
            for lane in range(lanes):
                row_gain[lane] = middle_gains[j * lanes + lane] * outer_gains[k * lanes + lane]
                loudest = max(loudest, row_gain[lane])
            if loudest < floor:
                continue
            distances = min(int(np.sqrt(across) * floors_per_m) * lanes, floors.size - lanes)
            covered = True
            for lane in range(lanes):
                if row_gain[lane] >= floors[distances + lane]:
                    covered = False
            if covered:
                continue

            # The images within reach: neighbouring rows begin and end at nearly the same cells.
            while low < count and inner[low] < 0.0 and inner[low] * inner[low] > left:
                low += 1
            while low > 0 and (inner[low - 1] > 0.0 or inner[low - 1] * inner[low - 1] <= left):
                low -= 1
            while high > 0 and inner[high - 1] > 0.0 and inner[high - 1] * inner[high - 1] > left:
                high -= 1
            while high < count and (inner[high] < 0.0 or inner[high] * inner[high] <= left):
                high += 1
            begin, end = low, high
            order = abs(middle_cells[j]) + abs(outer_cells[k])
            if max_order >= 0:
                begin = max(begin, -(max_order - order) - inner_cells[0])
                end = min(end, max_order - order - inner_cells[0] + 1)
            n = end - begin
            if n <= 0:
                continue

            for i in range(n):
                x = inner[begin + i]
                distance = np.sqrt(x * x + across)
                row = distance * scale + start
                whole = np.int64(row)
                at[i] = whole >> _SHIFT
                phase[i] = whole & _MASK
                rest[i] = np.float32(row - whole)
                nearness[i] = np.float32(1.0) / np.float32(distance)
                amplitude[i] = nearness[i]
            if directive:
                for who in range(2):
                    omni, across_toward = np.float32(share[who]), middle_toward[who, j] + outer_toward[who, k]
                    for i in range(n):
                        amplitude[i] *= omni + (inner_toward[who, begin + i] + across_toward) * nearness[i]
            if by_m > 0.0:
                place[1], place[2] = middle[j], outer[k]
                cell[1], cell[2] = middle_cells[j], outer_cells[k]
                for i in range(n):
                    place[0], cell[0] = inner[begin + i], inner_cells[begin + i]
                    if order + abs(cell[0]) >= 2:
                        distance = np.sqrt(moved(cell, place, axes, by_m, seed))
                        row = distance * scale + start
                        whole = np.int64(row)
                        at[i] = whole >> _SHIFT
                        phase[i] = whole & _MASK
                        rest[i] = np.float32(row - whole)
                        amplitude[i] *= np.float32(1.0 / (distance * nearness[i]))
                        if distance > reach:  # it left the response
                            at[i] = 0
                            amplitude[i] = np.float32(0.0)

            if lanes == 8:  # said apart, so that the steps of the addition are constants
                for i in range(n):
                    add_bands(grid, at[i] * 8, 8, table, phase[i], rest[i], amplitude[i], inner_gains, (begin + i) * 8, row_gain, 0)
            elif lanes == 1:
                for i in range(n):
                    add_time(grid, at[i], table, phase[i], rest[i], amplitude[i] * inner_gains[begin + i] * row_gain[0])
            else:
                for first in range(0, lanes, 8):
                    for i in range(n):
                        add_bands(
                            grid, at[i] * lanes + first, lanes, table, phase[i], rest[i], amplitude[i],
                            inner_gains, (begin + i) * lanes + first, row_gain, first,
                        )  # fmt: skip
            total += n
    return total


@lru_cache(maxsize=1)
def warm_up() -> None:
    """Load the compiled loop, or compile it where that has never been done; only then say on stderr what takes so long."""
    offsets = np.ones(1)
    gains, toward, cells = np.ones(8, np.float32), np.zeros((2, 1), np.float32), np.zeros(1, np.int64)
    with announced("the engine"):
        add_images(
            np.zeros(8 * 64, np.float32), 8, kernel_table(), np.arange(3), (cells,) * 3, (offsets,) * 3, (gains,) * 3,
            (toward,) * 3, np.ones(2), 3.0, 1.0, 4, -1, 0.0, 0, 0.0, np.zeros(8, np.float32),
        )  # fmt: skip
