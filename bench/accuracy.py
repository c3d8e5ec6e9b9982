"""How far the engine and pyroomacoustics are from the same sum in float64, and from each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bench import brute_force
from bench.scenes import FS_HZ, BenchRoom
from roomgen.acoustics.images.sources import image_source
from roomgen.acoustics.reference import reference
from roomgen.text import table

_DURATION_S = 0.15
_KEPT = int(0.11 * FS_HZ)
"""pyroomacoustics also has images that arrive after the end; filters of 125 Hz ring 40 ms ahead of them."""


def run(rooms: list[BenchRoom]) -> dict[str, list[float]]:
    """Return relative errors in dB of all images of a short response: one per room (of the bands: the worst one)."""
    found: dict[str, list[float]] = {"roomgen_db": [], "roomgen_worst_band_db": [], "pyroomacoustics_db": [], "difference_db": []}
    for room in rooms:
        scene = room.scene(1, duration_s=_DURATION_S)
        exact = brute_force.band_rirs(scene)
        ours, theirs = image_source(scene), reference(scene).rir[0, 0, :_KEPT]
        assert ours.band_rirs is not None
        rir, exact_rir = ours.rir[0, 0], exact.sum(axis=0)
        bands = zip(ours.band_rirs[0, 0], exact, strict=True)
        found["roomgen_db"].append(difference_db(rir, exact_rir))
        found["roomgen_worst_band_db"].append(max(difference_db(band, wanted) for band, wanted in bands if np.any(wanted)))
        found["pyroomacoustics_db"].append(difference_db(theirs, exact_rir[:_KEPT]))
        found["difference_db"].append(difference_db(rir[:_KEPT], theirs))
    return found


def text(result: dict[str, list[float]]) -> str:
    """Return medians and worst values as a table."""
    names = {
        "roomgen_db": "roomgen, against float64",
        "roomgen_worst_band_db": "  its worst octave band",
        "pyroomacoustics_db": "pyroomacoustics, against float64",
        "difference_db": "roomgen against pyroomacoustics",
    }
    rows = [[names[name], f"{np.median(values):.1f}", f"{max(values):.1f}"] for name, values in result.items()]
    count = len(result["roomgen_db"])
    return f"Relative error of {count} responses of {_DURATION_S:g} s\n" + table(["", "median dB", "worst dB"], rows)


def difference_db(found: ArrayLike, wanted: ArrayLike) -> float:
    """Return the energy of the difference over that of what is wanted, in dB; -200 where there is none."""
    exact = np.asarray(wanted, dtype=np.float64)
    ratio = np.sum((np.asarray(found, dtype=np.float64) - exact) ** 2) / np.sum(exact**2)
    return float(10.0 * np.log10(max(ratio, 1e-20)))
