"""Where the time of one response goes: tables, image loop, Fourier transforms, labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.scenes import typical_room
from bench.timing import best_stages_s
from roomgen.acoustics.images.direct_sound import direct_to_reverberant_db
from roomgen.acoustics.images.sources import add_pair
from roomgen.acoustics.images.spreading import OVERSAMPLING, TAPS
from roomgen.acoustics.images.tables import image_axes, scene_synthesis
from roomgen.acoustics.labels.measure import measure
from roomgen.text import table

_DURATION_S = 0.5
_REPEATS = 15  # stages are short


def run() -> dict[str, Any]:
    """Return the time of each stage of one response of 105 m³ and 0.5 s, in ms, and the nanoseconds per image."""
    scene = typical_room().scene(1, duration_s=_DURATION_S)
    images = 0

    def stages() -> Iterator[str]:
        nonlocal images
        axes, filters = image_axes(scene), scene_synthesis(scene)
        grid = np.zeros((OVERSAMPLING * filters.n_fft, axes[0].gains.shape[1]), dtype=np.float32)
        grid += 0.0  # memory that the system has not handed out yet is no work of the loop
        yield "tables"
        images = add_pair(grid, scene, axes, 0, 0)
        yield "image loop"
        spectrum = filters.spectrum(grid)
        rir = filters.response(filters.sum_spectrum(spectrum), scene.n_samples)
        yield "FFT"
        band_rirs = filters.response(filters.band_spectra(spectrum), scene.n_samples)
        yield "FFT of octave bands"
        drr_db = direct_to_reverberant_db(scene, rir[None, None])[0, 0]
        yield "direct sound alone"
        delay_s = float(np.linalg.norm(scene.mics_m[0] - scene.sources_m[0])) / scene.c_m_s
        measure(rir, fs_hz=scene.fs_hz, band_rirs=band_rirs, onset_s=delay_s, drr_db=drr_db, noise="none")
        yield "labels"

    times_ms = {name: 1e3 * seconds for name, seconds in best_stages_s(_REPEATS, stages).items()}
    return {
        "volume_m3": scene.room.volume_m3,
        "duration_s": _DURATION_S,
        "bands": len(scene.room.absorption(scene.fs_hz)[0]),
        "taps": TAPS,
        "images": images,
        "ns_per_image": 1e6 * times_ms["image loop"] / images,
        "stages_ms": times_ms,
    }


def text(result: dict[str, Any]) -> str:
    """Return the stages as a table."""
    times = result["stages_ms"]
    total = sum(times.values())
    rows = [[name, f"{ms:.2f}", f"{100 * ms / total:.0f} %"] for name, ms in times.items()]
    head = (
        f"One response of {result['volume_m3']:.0f} m³, {result['duration_s']:g} s: {result['images']} images, "
        f"{result['ns_per_image']:.1f} ns each ({result['bands']} bands, {result['taps']} taps)"
    )
    return head + "\n" + table(["stage", "ms", "share"], [*rows, ["all", f"{total:.2f}", "100 %"]])
