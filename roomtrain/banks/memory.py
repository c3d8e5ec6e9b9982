"""How much memory a bank takes, how much is free, and a clear word before a machine is brought to its knees."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from roomtrain.errors import RoomtrainError

_MOST = 0.8  # of what is free: models, batches and other programs need some too


def check_memory(needed: int, device: torch.device, *, what: str) -> None:
    """Check that something fits into a device's memory.

    The processes that train side by side on this machine share its memory, and each will hold the same: what the CPU must have
    free is counted for all of them. On a GPU each has a device of its own.

    Args:
        needed: bytes, of this process.
        what: the subject of the message, such as ``"the audio of data/rirs"``.

    Raises:
        RoomtrainError: it would take more than 80 % of what is free.
    """
    processes = processes_here() if device.type == "cpu" else 1
    free = free_bytes(device)
    if needed * processes <= _MOST * free:
        return
    times = f" in each of {processes} processes" if processes > 1 else ""
    where = "of memory" if device.type == "cpu" else f"on {device}"
    raise RoomtrainError(
        f"{what} takes {gigabytes(needed)}{times}, and {gigabytes(free)} {where} are free, of which {_MOST:.0%} may be taken: "
        "use a mapped bank (mapped-16 or mapped-32), which reads what is needed from a file.",
        exit_code=1,
    )


def free_bytes(device: torch.device) -> int:
    """Return how many bytes can still be taken on a device; what the system merely caches files in counts as free."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch holds and does not use is free for torch alone.
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except OSError:  # no Linux
        pass
    names = os.sysconf_names
    pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in names else "SC_PHYS_PAGES"  # macOS tells only how many there are
    return int(os.sysconf(pages)) * int(os.sysconf("SC_PAGE_SIZE"))


def processes_here() -> int:
    """Return how many processes train together on this machine, as torchrun says."""
    return int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("WORLD_SIZE") or "1")


def gigabytes(count: int) -> str:
    """Return a number of bytes for reading."""
    return f"{count / 1e9:.3g} GB"
