"""Peak memory of a program that simulates and labels one long response: predicted RT60 2 s in 100 m³.

Run as a module, this file is that program.
"""

from __future__ import annotations

from typing import Any

from bench.process import run_python
from bench.scenes import labelled, solved_room
from roomgen.acoustics.images.sources import image_source

LIMIT_MB = 500.0
_SIZE_M, _RT60_S = (6.25, 5.0, 3.2), 2.0


def run() -> dict[str, Any]:
    """Return the peak memory and what it was measured on; None where the system does not tell."""
    ran = run_python(["-m", __name__])
    measured = {"duration_s": float(ran.stdout), "seconds": ran.seconds, "peak_mb": ran.peak_mb}
    return {"size_m": list(_SIZE_M), "rt60_s": _RT60_S, **measured, "limit_mb": LIMIT_MB}


def text(result: dict[str, Any]) -> str:
    """Return one line."""
    size = " × ".join(f"{v:g}" for v in result["size_m"])
    what = f"Memory of a program that simulates {size} m with RT60 {result['rt60_s']:g} s ({result['duration_s']:.2f} s long)"
    if result["peak_mb"] is None:
        return f"{what}: not known on this system"
    met = "met" if result["peak_mb"] < result["limit_mb"] else "MISSED"
    return f"{what}: {result['peak_mb']:.0f} MB (goal: under {result['limit_mb']:.0f} MB: {met})"


if __name__ == "__main__":
    scene = solved_room(_SIZE_M, _RT60_S).scene(1)
    labelled(image_source, scene)
    print(scene.n_samples / scene.fs_hz)
