"""Lightning Fabric for a command: device, precision, processes."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from roomgen.errors import suggest
from roomgen.store.folder import writing
from roomgen.store.lock import lock
from roomtrain.errors import RoomtrainError

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
_PATIENCE = timedelta(days=1)  # how long processes wait for one that works alone; torchrun ends them all if it dies


def start_fabric(device: str, precision: str = "32-true", *, tf32: bool = False) -> Fabric:
    """Return Fabric for this device, launched: one process, or those that torchrun started.

    Args:
        tf32: let a GPU multiply float32 numbers with ten bits of mantissa, in matrix products and convolutions.

    Raises:
        RoomtrainError: no such device or precision here.
    """
    import torch
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    from roomtrain.allocator import keep_freed_memory

    if device not in DEVICES:
        raise RoomtrainError(f"--device {device!r}: give auto, cpu or cuda.")
    if precision not in PRECISIONS:
        raise RoomtrainError(f"--precision {precision!r}.{suggest(precision, PRECISIONS)} Precisions: {', '.join(PRECISIONS)}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise RoomtrainError(
            "--device cuda: torch finds no GPU here. Give --device cpu, or run on a machine with one.", exit_code=1
        )
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if chosen == "cpu" and precision == "16-mixed":
        raise RoomtrainError("--precision 16-mixed needs a GPU: on a CPU give 32-true or bf16-mixed.")
    if chosen == "cpu":
        keep_freed_memory()
    # Torch itself takes TF32 for convolutions and not for matrix products: here it is both or neither, as the results say.
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        per_node = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
        strategy = DDPStrategy(timeout=_PATIENCE)
        fabric = Fabric(
            accelerator=chosen,
            strategy=strategy,
            devices=per_node,
            num_nodes=processes // per_node,
            precision=precision,  # type: ignore[arg-type]
        )
    else:
        fabric = Fabric(accelerator=chosen, devices=1, precision=precision)  # type: ignore[arg-type]
    fabric.launch()
    if processes > 1:
        atexit.register(_leave_group)
    return fabric


def _leave_group() -> None:
    """End the threads of the process group while Python stands: one that frees a tensor of Python's after that aborts the process.

    Fabric does so for NCCL alone. The group's threads end with the last reference to it, and wrapped models hold one in a cycle.
    """
    import torch.distributed as distributed

    gc.collect()
    if distributed.is_initialized():
        distributed.destroy_process_group()


def alone(fabric: Fabric) -> Fabric:
    """Return a Fabric of this process alone, on the same device and in the same precision."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.strategies.single_device import SingleDeviceStrategy

    if fabric.world_size == 1:
        return fabric
    precision = fabric.strategy.precision
    own = Fabric(strategy=SingleDeviceStrategy(fabric.device, precision=precision), plugins=[LightningEnvironment()])
    own.launch()
    return own


def describe_device(device: torch.device) -> str:
    """Return what a device is called."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"


@contextlib.contextmanager
def held(folder: Path, fabric: Fabric) -> Iterator[bool]:
    """Hold a run's folder for this command, all its processes together, if no other holds it, and tell which.

    A folder that was made to hold it, and in which nothing was begun, is removed again.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with contextlib.ExitStack() as stack:
            mine = True
            if fabric.is_global_zero:
                with writing(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                mine = stack.enter_context(lock(folder))
            yield bool(fabric.broadcast(mine))
    finally:
        if fabric.is_global_zero:
            for path in made:
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()
