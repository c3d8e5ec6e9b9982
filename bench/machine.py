"""What a benchmark ran on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import roomgen
from roomgen.run.executors import available_cores

_PACKAGES = ("numpy", "scipy", "numba", "pandas", "pyarrow", "pyroomacoustics", "pyrato", "webdataset", "torch")


def machine() -> dict[str, Any]:
    """Return processor, cores, system, and versions of what takes part; None for packages that are not installed."""
    return {
        "cpu": _cpu_model(),
        "cores": available_cores(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "roomgen": roomgen.__version__,
        **{name: _version(name) for name in _PACKAGES},
    }


def gpu_name() -> str | None:
    """Return the name of the GPU that torch finds, or None."""
    try:
        import torch
    except ImportError:
        return None
    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
