"""The walk over images as one fused kernel (Triton): nothing about an image ever lies in memory but what it adds to the grid.

One program takes one row of :class:`~roomgen.acoustics.images.kernels_torch.Rows`: its images are neighbours in the tables, their
times and amplitudes live in registers, and each is added to six grid rows by atomic 64-bit integer additions, whose order does
not matter. It computes what :func:`~roomgen.acoustics.images.kernels_torch.add_rows` computes for scenes without directivities and
moves, up to the rounding of float32.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from roomgen.acoustics.images.kernels_torch import Rows, Tables
from roomgen.acoustics.images.spreading import PHASES, START_ROW, TAPS

IMAGES_AT_ONCE = 64  # rows are mostly 20 to 200 images long
_FIRST_PHASE = (START_ROW - TAPS // 2 + 1) * PHASES


@triton.jit  # type: ignore[untyped-decorator]
def add_row_kernel(  # type: ignore[no-untyped-def]  # Triton reads annotations, and knows none but its own
    grid, pairs, inners, middles, outers, counts, x_inner, x_middle, x_outer, g_inner, g_middle, g_outer,
    bases, rows_per_m, units, taps,
    first_phase: tl.constexpr, phases: tl.constexpr, n_taps: tl.constexpr, lanes: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Add one row of images to the (row · lane,) int64 grid; all arguments but the constants are pointers."""
    row = tl.program_id(0)
    count = tl.load(counts + row)
    pair, inner = tl.load(pairs + row), tl.load(inners + row)
    middle, outer = tl.load(middles + row), tl.load(outers + row)
    y, z = tl.load(x_middle + middle), tl.load(x_outer + outer)
    across = z * z + y * y
    scale = tl.load(rows_per_m + pair) * phases
    base, unit = tl.load(bases + pair), tl.load(units + pair)
    lane = tl.arange(0, lanes)
    row_gain = tl.load(g_middle + middle * lanes + lane) * tl.load(g_outer + outer * lanes + lane) * unit
    first = 0
    while first < count:
        image = first + tl.arange(0, block)
        real = image < count
        x = tl.load(x_inner + inner + image, mask=real, other=1.0)
        distance = tl.sqrt(x * x + across)
        place = distance * scale + first_phase
        whole = place.to(tl.int64)
        rest = (place - whole.to(tl.float64)).to(tl.float32)
        entry = taps + (whole % phases) * 16
        target = grid + ((base + whole // phases) * lanes)[:, None] + lane[None, :]
        gain = tl.load(g_inner + ((inner + image) * lanes)[:, None] + lane[None, :], mask=real[:, None], other=0.0)
        gain = gain * row_gain[None, :] / distance.to(tl.float32)[:, None]
        for k in tl.static_range(n_taps):
            tap = tl.load(entry + k, mask=real, other=0.0) + rest * tl.load(entry + 8 + k, mask=real, other=0.0)
            tl.atomic_add(target + k * lanes, (gain * tap[:, None]).to(tl.int64), mask=real[:, None], sem="relaxed")
        first += block


def add_rows(grid: Tensor, tables: Tables, rows: Rows) -> None:
    """Add all images of some rows to a (row, lane) grid of int64."""
    add_row_kernel[(len(rows.count),)](
        grid, rows.pair, rows.inner, rows.middle, rows.outer, rows.count, *tables.offset, *tables.gain,
        tables.base, tables.rows_per_m, tables.unit, tables.kernel,
        first_phase=_FIRST_PHASE, phases=PHASES, n_taps=TAPS, lanes=grid.shape[1], block=IMAGES_AT_ONCE,
    )  # fmt: skip
