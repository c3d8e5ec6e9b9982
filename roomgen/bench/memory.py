"""Peak memory of a program that simulates and labels one long response: RT60 2 s in 100 m³.

Run as a module, this file is that program.
"""

from __future__ import annotations

from typing import Any

from roomgen.acoustics.image_source import image_source
from roomgen.bench.process import run_python
from roomgen.bench.scenes import labelled, solved_room

LIMIT_MB = 500.0
_SIZE_M, _RT60_S = (6.25, 5.0, 3.2), 2.0


def run() -> dict[str, Any]:
    """Return the peak memory and what it was measured on; None where the system does not tell."""
    ran = run_python(["-m", __name__])
    return {"volume_m3": 100.0, "rt60_s": float(ran.stdout), "peak_mb": ran.peak_mb, "limit_mb": LIMIT_MB, "seconds": ran.seconds}


def text(result: dict[str, Any]) -> str:
    """Return one line."""
    what = f"Memory of a program that simulates RT60 {result['rt60_s']:.2f} s in {result['volume_m3']:g} m³"
    if result["peak_mb"] is None:
        return f"{what}: not known on this system"
    met = "met" if result["peak_mb"] < result["limit_mb"] else "MISSED"
    return f"{what}: {result['peak_mb']:.0f} MB (goal: under {result['limit_mb']:.0f} MB: {met})"


if __name__ == "__main__":
    print(labelled(image_source, solved_room(_SIZE_M, _RT60_S).scene(1)).rt60_s[0])  # type: ignore[index]
