"""What it runs on, and whether its random numbers are those of the CPU."""

from __future__ import annotations

import subprocess
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.machine import machine as describe_machine
from roomtrain.bench import now
from roomtrain.draws import Draws
from roomtrain.gpu.items import Report, Setup
from roomtrain.seeds import Purpose

_BATCH, _TIME = 72, 64_000  # of the largest draw in a step: noise for each number of a batch of audio


def machine(setup: Setup, report: Report) -> dict[str, Any]:
    """Return the processor, the versions, and the GPU."""
    gpu = None
    if setup.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        gpu = {
            "name": properties.name,
            "memory_gb": properties.total_memory / 1e9,
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "gpus": torch.cuda.device_count(),
            "driver": _driver(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "bf16": torch.cuda.is_bf16_supported(),
        }
    return {"gpu": gpu, **describe_machine()}


def _driver() -> str | None:
    """Return the version of the driver, as its own program tells it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return lines[0] if lines else None


def draws(setup: Setup, report: Report) -> dict[str, Any]:
    """Return whether :mod:`roomtrain.draws` draws the same on both devices, and how fast.

    Returns:
        kind → ``equal`` bit by bit, or for normal numbers the ``largest_difference`` and whether it is ``within`` 2·10⁻⁵;
        ``noise_ms`` of a batch of audio on the device and on one CPU.
    """
    time_n = 4000 if setup.rehearsal else _TIME
    here, there = _drawn("cpu", time_n), _drawn(setup.device, time_n)
    found: dict[str, Any] = {name: {"equal": torch.equal(there[name].cpu(), cpu)} for name, cpu in here.items() if name != "normal"}
    largest = float((there["normal"].cpu() - here["normal"]).abs().max())
    found["normal"] = {"largest_difference": largest, "within": largest <= 2e-5}
    report(found)
    found["noise_ms"] = {device: _noise_ms(device, time_n) for device in dict.fromkeys((setup.device, "cpu"))}
    return found


def _drawn(device: str, time_n: int) -> dict[str, Tensor]:
    drawn, samples = Draws(9, split=2, epoch=70_000, device=device), np.array([3, 2**33, 4])
    return {
        "words": drawn.words(Purpose.NOISE, samples, time_n),
        "uniform": drawn.uniform(Purpose.SNR, samples, 5, low=5.0, high=19.7),
        "uniform, one each": drawn.uniform(Purpose.GAIN, samples, low=-1.0),
        "integers": drawn.integers(Purpose.CROP, samples, 3999),
        "integers, a bound each": drawn.integers(Purpose.CROP, samples, torch.tensor([3, 99, 2**31]), n=3),
        "normal": drawn.normal(Purpose.NOISE, samples, time_n),
    }


def _noise_ms(device: str, time_n: int) -> float:
    target, samples = torch.device(device), torch.arange(_BATCH, device=device)
    best = float("inf")
    for _ in range(4):
        begun = now(target)
        Draws(0, device=device).normal(Purpose.NOISE, samples, time_n)
        best = min(best, now(target) - begun)
    return 1e3 * best
