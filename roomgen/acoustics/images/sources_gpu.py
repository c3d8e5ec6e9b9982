"""The image sources of many rooms at once, in torch: the sum of :mod:`roomgen.acoustics.images.sources` on a GPU (or without one).

Tables (:mod:`~roomgen.acoustics.images.tables`), kernel and filters (:mod:`~roomgen.acoustics.images.spreading`) are the CPU
engine's, so responses agree to the rounding of float32. Only the walk over images (:mod:`~roomgen.acoustics.images.kernels_torch`)
is another:

1. A *row* is all heard cells of the shortest axis for one cell of each other axis, one microphone and one source. Rows of all
   scenes are laid end to end, which gives every image of the batch a number.
2. Images are taken in chunks of equal size, however they fall on rows and scenes. So memory is bounded by the chunk, not by the
   reverberation time, and a chunk keeps the device as busy for a hundred small rooms as for a single large one.
3. Each image is added to the grid of its pair as 64-bit integers in units of 2^-k, k depending on the scene alone. Integer sums
   do not depend on their order: atomic additions, any chunk size and any company in the batch give the same bytes.
4. The diffuse field is the CPU engine's: its pulses are drawn on the host, once per scene, and added to the same grid. The level
   of the field that goes on in place of images (``tail_after_s``) is found there too, which costs a walk over them.
5. Each scene's grids go through an FFT of their own: the plan of a batched FFT, and with it its rounding, could depend on the
   batch.

Bytes are the same from run to run on one device, kind of device, number of CPU threads and torch release; not between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np

from roomgen.acoustics.highpass import highpass
from roomgen.acoustics.images.direct_sound import direct_to_reverberant_db
from roomgen.acoustics.images.spreading import OVERSAMPLING, START_ROW
from roomgen.acoustics.scene import Engine, Response, Scene
from roomgen.errors import RoomgenError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from roomgen.acoustics.images.kernels_torch import Job

IMAGES_IN_FLIGHT = {"cuda": 1 << 22, "cpu": 1 << 14}
"""How many images are worked on at a time, at some 350 bytes each: enough to fill a GPU, few enough for a CPU's cache."""

_CELLS_PER_IMAGE = 16  # of grid (8 bytes each) that may wait for one FFT pass, per image in flight


class ImageSourcesOnGpu(Engine):
    """:func:`simulate_batch` on a CUDA device as an engine; one process keeps the device busy."""

    name, device = "image", "cuda"
    together, processes = 512, 1

    def __init__(self) -> None:
        _device(self.device)

    def simulate(self, scenes: Iterable[Scene]) -> Iterator[Response]:
        waiting = iter(scenes)
        while some := list(islice(waiting, self.together)):
            yield from simulate_batch(some, device=self.device, drr=False)


def simulate_batch(
    scenes: Sequence[Scene],
    *,
    device: str = "cuda",
    max_images_in_flight: int | None = None,
    drr: bool = True,
    kernel: Literal["torch", "triton"] = "torch",
) -> list[Response]:
    """Return the responses of many scenes.

    Args:
        scenes: what to simulate; of any sizes, lengths and sampling rates.
        device: ``"cuda"``, ``"cuda:1"`` … or ``"cpu"``.
        max_images_in_flight: bounds the memory; None: :data:`IMAGES_IN_FLIGHT`. It does not change a byte of what is returned.
        drr: also return the direct-to-reverberant ratios.
        kernel: ``"triton"`` walks over images in one fused kernel (:mod:`~roomgen.acoustics.images.kernels_triton`, CUDA only)
            where no directivity and no random moves are asked for. Other bytes than ``"torch"``, to the rounding of float32.

    Returns:
        One response per scene, in order and in host memory, without ``band_rirs``.

    Raises:
        RoomgenError: torch or the device is missing, or a high-pass at half the sampling rate.
    """
    target = _device(device)
    in_flight = IMAGES_IN_FLIGHT[target.type] if max_images_in_flight is None else max_images_in_flight
    if in_flight < 1:
        raise RoomgenError(f"max_images_in_flight = {max_images_in_flight} must be at least 1; None is a good choice.")
    if kernel == "triton" and target.type != "cuda":
        raise RoomgenError(f"the Triton kernel runs on CUDA devices only, not on {device!r}: use kernel='torch'.")
    from roomgen.acoustics.images.kernels_torch import Job

    responses: dict[int, Response] = {}
    for batch in _batches([Job.of(index, scene) for index, scene in enumerate(scenes)], _CELLS_PER_IMAGE * in_flight):
        responses.update(_simulate(batch, target, in_flight, fused=kernel == "triton"))
    results = [responses[index] for index in range(len(scenes))]
    if drr:
        results = [
            replace(one, drr_db=direct_to_reverberant_db(scene, one.rir)) for scene, one in zip(scenes, results, strict=True)
        ]
    return results


def _device(name: str) -> torch.device:
    try:
        import torch
    except ImportError as error:
        raise RoomgenError("simulating on a device needs torch. Run: pip install 'roomgen[train]'") from error
    try:
        target = torch.device(name)
    except RuntimeError as error:
        raise RoomgenError(f"unknown device {name!r}: use 'cuda', 'cuda:1' … or 'cpu'.") from error
    if target.type not in IMAGES_IN_FLIGHT:
        raise RoomgenError(f"device {name!r} is not supported (sums need 64-bit integers): use 'cuda' or 'cpu'.")
    if target.type == "cuda" and (target.index or 0) >= torch.cuda.device_count():
        raise RoomgenError(f"device {name!r} is not there: torch sees {torch.cuda.device_count()} CUDA devices. Use 'cpu'.")
    return target


def _batches(jobs: list[Job], max_cells: int) -> Iterator[list[Job]]:
    """Split jobs into batches of one kind whose grids have at most ``max_cells`` numbers, or that are a single job."""
    batch: list[Job] = []
    cells = 0
    for job in sorted(jobs, key=lambda job: job.kind):
        more = job.pairs * job.grid_rows * job.kind[0]
        if batch and (job.kind != batch[0].kind or cells + more > max_cells):
            yield batch
            batch, cells = [], 0
        batch.append(job)
        cells += more
    if batch:
        yield batch


def _simulate(batch: list[Job], device: torch.device, in_flight: int, *, fused: bool) -> dict[int, Response]:
    """Return the responses of one batch by the index of their scene."""
    import torch

    from roomgen.acoustics.images.kernels_torch import Tables, add_rows, find_rows

    tables = Tables.of(batch, device)
    rows = sum(job.pairs * job.grid_rows for job in batch)
    grid = torch.zeros((rows, batch[0].kind[0]), dtype=torch.int64, device=device)
    for some in find_rows(batch, tables, device, in_flight):
        if fused and batch[0].kind[1:] == (False, False):
            from roomgen.acoustics.images import kernels_triton as image_kernels_triton

            image_kernels_triton.add_rows(grid, tables, some)
        else:
            add_rows(grid, tables, some, batch[0].kind, in_flight)

    signals, first = [], 0
    for job in batch:
        last = first + job.pairs * job.grid_rows
        _add_field(grid[first:last], job, tables.kernel, in_flight)
        own = grid[first:last].to(torch.float32).mul_(1.0 / job.unit)
        signals.append(_respond(own.view(job.pairs, job.grid_rows, -1), job).reshape(-1))
        first = last
    # One transfer for all, through memory that the device can write to directly.
    pinned = torch.empty(sum(s.numel() for s in signals), dtype=torch.float32, pin_memory=device.type == "cuda")
    host = pinned.copy_(torch.cat(signals)).numpy()
    responses, first = {}, 0
    for job, signal in zip(batch, signals, strict=True):
        scene, options = job.scene, job.scene.options
        rir = host[first : first + signal.numel()].reshape(len(scene.sources_m), len(scene.mics_m), -1).copy()
        if options.highpass_hz is not None:
            rir = highpass(rir, fs_hz=scene.fs_hz, corner_hz=options.highpass_hz)
        responses[job.index] = Response(rir=rir)
        first += signal.numel()
    return responses


def _add_field(grid: Tensor, job: Job, kernel: Tensor, in_flight: int) -> None:
    """Add the diffuse field of a scene to its (pair · row, lane) grid of images."""
    from roomgen.acoustics.diffuse.field import LEVEL_STEP_S, DiffuseField
    from roomgen.acoustics.images.kernels_torch import add_pulses, fade_images
    from roomgen.acoustics.images.sources import fade_rows, tail_level

    scene, field = job.scene, DiffuseField.of(job.scene)
    if field is None:
        return
    per_step = OVERSAMPLING * scene.fs_hz * LEVEL_STEP_S
    for pair, (s, m) in enumerate(np.ndindex(len(scene.sources_m), len(scene.mics_m))):
        own = grid[pair * job.grid_rows : (pair + 1) * job.grid_rows]
        level = tail_level(scene, job.axes, s, m)
        if level is not None:
            fade_images(own, *fade_rows(scene))
        heard = field.heard(s, m, tail_level=level)
        add_pulses(own, heard, kernel, unit=job.unit, rows_per_step=per_step, in_flight=in_flight)


def _respond(grid: Tensor, job: Job) -> Tensor:
    """Turn the (pair, row, lane) grids of a scene into (pair, time) responses: :class:`Synthesis` in torch."""
    import torch

    filters, half = job.filters, job.filters.n_fft // 2
    if filters.air is not None:
        grid[..., : filters.air.shape[1]] *= torch.from_numpy(filters.air).to(grid.device)
    spectrum = torch.fft.rfft(grid, dim=1)
    total = torch.zeros((len(grid), half + 1), dtype=torch.complex64, device=grid.device)
    for band, (first, weights) in enumerate(zip(filters.first_bin, filters.filters, strict=True)):
        held = slice(first, first + len(weights))
        total[:, held] += spectrum[:, held, band] * torch.from_numpy(weights).to(grid.device)
    folded = torch.from_numpy(filters.folded).to(grid.device)
    above = spectrum[:, half : half + len(folded), len(filters.filters) - 1] * folded
    total[:, -len(folded) :] += above.conj().flip(-1)
    start = START_ROW // OVERSAMPLING
    response: Tensor = torch.fft.irfft(total, n=filters.n_fft)
    return response[:, start : start + job.scene.n_samples]
