"""The seminar room of BRAS, measured and simulated as a shoebox: T30, EDT and C80 per octave.

See :mod:`bench.bras_scene` for what is read. Nothing is fitted here; BRAS' own "fitted" absorption was brought to the
measured reverberation by its authors, with a model that has every niche. The room is simulated twice, with mirrors for walls and
with their scattering, so that both what a box can tell and what scattering gives are seen. What is heard depends on where each
driver of the loudspeaker stands, so each octave comes from its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.bras_scene import AIR, DRIVERS, SeminarRoom, box, read_seminar_room
from bench.effort import Effort
from roomgen.acoustics.air import Air
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.engine import simulate
from roomgen.acoustics.labels.measure import Labels, measure
from roomgen.acoustics.rooms import Shoebox
from roomgen.run.label import label_file
from roomgen.text import table

Floats = NDArray[np.float64]

BANDS_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0)
PARAMETERS = (("T30 s", "rt60_bands_s"), ("EDT s", "edt_bands_s"), ("C80 dB", "c80_bands_db"))
NOTICED = {"rt60_bands_s": 0.05, "edt_bands_s": 0.05, "c80_bands_db": 1.0}
"""Differences that are just noticed (ISO 3382-1, table A.1): relative for times, in dB for clarity."""

_FS_HZ = 16000


def run(effort: Effort, *, root: Path) -> dict[str, Any]:
    """Return measured and simulated parameters per octave, in the mean over the pairs of loudspeaker and microphone.

    Raises:
        RoomgenError: what :func:`~bench.bras_scene.read_seminar_room` or a response raises.
    """
    scene = read_seminar_room(root)
    measured = [label_file(path, bands_hz=BANDS_HZ) for path in scene.responses.values()]
    walls = {"mirrors": False, "scattering": True}
    simulated = {kind: _simulated(scene, scattering=scatters) for kind, scatters in walls.items()}
    return {
        "bands_hz": list(BANDS_HZ),
        "pairs": ["_".join(pair) for pair in scene.responses],
        "estimates": scene.estimates,
        "measured": {name: _mean([record[name] for record in measured]) for _, name in PARAMETERS},
        "simulated": {
            kind: {name: _mean([found[name] for found in each]) for _, name in PARAMETERS} for kind, each in simulated.items()
        },
    }


def text(result: dict[str, Any]) -> str:
    """Return the parameters as tables."""
    head = ["", *(f"{hz:g} Hz" for hz in result["bands_hz"]), "mean |difference|"]
    rows = []
    for title, name in PARAMETERS:
        decibels = name.endswith("_db")
        digits = 1 if decibels else 2
        measured = _floats(result["measured"][name])
        rows.append([f"{title}, measured", *(_text(v, digits) for v in measured), ""])
        for kind, values in result["simulated"].items():
            found = _floats(values[name])
            off = found - measured if decibels else 100.0 * (found / measured - 1.0)
            unit = "dB" if decibels else "%"
            rows.append([f"  simulated, {kind}", *(_text(v, digits) for v in found), ""])
            rows.append([f"    off by {unit}", *(_text(v, 1) for v in off), _text(float(np.nanmean(np.abs(off))), 1)])
    title = (
        f"BRAS CR2, seminar room of 145 m³ as a shoebox, {len(result['pairs'])} pairs of loudspeaker and microphone; "
        f"absorption and scattering: {result['estimates']}. Just noticed: 5 %, 1 dB (ISO 3382-1)"
    )
    return f"{title}\n{table(head, rows)}"


def _simulated(scene: SeminarRoom, *, scattering: bool) -> list[dict[str, Floats]]:
    """Return the parameters of every pair: (band,) each."""
    room = box(scene.surfaces, octave_centers(_FS_HZ), scattering=scattering)
    return [_pair(room, scene.sources_m[source], scene.mics_m[mic]) for source, mic in scene.responses]


def _pair(room: Shoebox, drivers_m: Floats, mic_m: Floats) -> dict[str, Floats]:
    """Return the parameters of one pair, each octave from the driver that plays it."""
    air = Air(*AIR)
    rirs = simulate(room, sources=drivers_m, mics=[mic_m], fs_hz=_FS_HZ, air=air)[:, 0]
    onsets = np.linalg.norm(drivers_m - mic_m, axis=1) / air.speed_of_sound_m_s
    labels = [measure(rir, fs_hz=_FS_HZ, onset_s=float(onset), noise="none") for rir, onset in zip(rirs, onsets, strict=True)]
    return {name: np.array([_of_driver(labels, name, band) for band in range(len(BANDS_HZ))]) for _, name in PARAMETERS}


def _of_driver(labels: list[Labels], name: str, band: int) -> float:
    plays = [number for number, (_, low, high) in enumerate(DRIVERS) if low <= BANDS_HZ[band] < high]
    return float(getattr(labels[plays[0] if len(labels) > 1 else 0], name)[band])


def _mean(values: list[Any]) -> list[float | None]:
    """Return the mean over the pairs of what is known in each band, None where nothing is."""
    each = np.array([_floats(value) for value in values])
    known = np.isfinite(each)
    sums = np.where(known, each, 0.0).sum(axis=0)
    return [float(s / n) if n else None for s, n in zip(sums, known.sum(axis=0), strict=True)]


def _floats(values: Any) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _text(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"
