"""Microphones drawn at random: what a studio's cupboard holds, each a little different from its data sheet.

Constructions follow one another in a fixed order, as various as those of the Multi-Angle, Multi-Distance Microphone Impulse
Response Dataset (25 microphones; omnidirectional to bidirectional; condenser, moving coil, ribbon; one or two diaphragms, small
or large; end or side address); their numbers are drawn within what Eargle, The Microphone Book (2005), ch. 2-5 and 7, shows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from roomgen.acoustics.directivity import PATTERNS
from roomgen.acoustics.microphones.response import MicrophoneDesign, Resonance


class Construction(NamedTuple):
    """What kind of microphone it is."""

    directivity: str
    transducer: str
    diaphragm_size: str
    diaphragm_count: str
    address: str


CONSTRUCTIONS = tuple(
    Construction(*line.split())
    for line in (
        "cardioid condenser large dual side",
        "omni condenser small single end",
        "bidirectional ribbon large single side",
        "cardioid moving_coil small single end",
        "supercardioid condenser small single end",
        "cardioid condenser small single end",
        "omni condenser large dual side",
        "bidirectional condenser large dual side",
        "supercardioid moving_coil small single end",
        "cardioid condenser large single side",
        "cardioid condenser small single end",
        "bidirectional ribbon large single side",
        "omni condenser small single end",
        "cardioid moving_coil large single end",
        "supercardioid condenser large dual side",
        "cardioid condenser large dual side",
        "supercardioid ribbon small dual end",
        "cardioid condenser small single end",
        "omni moving_coil small single end",
        "cardioid moving_coil small single end",
        "bidirectional ribbon large single side",
        "cardioid condenser large single side",
        "supercardioid condenser small single end",
        "cardioid condenser large single end",
        "omni condenser small single end",
    )
)
"""25 constructions; the first ones differ most, so that few microphones are various too."""


def draw_design(number: int, rng: np.random.Generator) -> MicrophoneDesign:
    """Return the ``number``-th microphone: its construction by number, all else from the generator."""
    kind = CONSTRUCTIONS[number % len(CONSTRUCTIONS)]
    radius_m = _radius_m(kind, rng)
    p = round(float(PATTERNS[kind.directivity]), 3)
    if kind.directivity in ("cardioid", "supercardioid"):
        p += rng.uniform(-0.025, 0.025)
        low = p + rng.uniform(0.0, 0.04) + (rng.uniform(0.05, 0.2) if kind.diaphragm_count == "dual" else 0.0)
        high = p + rng.uniform(0.0, 0.12)
    elif kind.directivity == "bidirectional":
        p += rng.uniform(0.0, 0.015)
        low, high = p, p + rng.uniform(0.0, 0.05)
    else:
        low = high = p
    # What opens forward at the end of a tube is little wider than its diaphragm (half-inch capsules: 8.9 mm in 12.7 mm) and throws
    # little back; behind a grille or in a basket there is more of both.
    open_end = kind.address == "end" and (kind.directivity == "omni" or kind.transducer == "condenser")
    body_m = radius_m * rng.uniform(1.25, 1.5 if open_end else 1.8)
    if not open_end:
        body_m += 0.003 if kind.address == "end" else 0.006
    axis_deg = rng.normal(0.0, 1.5)
    return MicrophoneDesign(
        name=f"mic{number:03d}",
        **kind._asdict(),
        pressure_share=p,
        pressure_share_low=low,
        pressure_share_high=high,
        drift_hz=rng.uniform(80.0, 250.0),
        diaphragm_radius_m=radius_m,
        body_radius_m=body_m,
        # A figure-eight's path ends at the rim, since nothing stands between its sides.
        path_m=min(2.0 * radius_m, 0.014) if kind.directivity == "bidirectional" else radius_m * rng.uniform(1.2, 1.9),
        **_transducer(kind, rng),
        imperfection=10.0 ** (rng.uniform(-40.0, -26.0) / 20.0),
        reflection=rng.uniform(0.01, 0.03) if open_end else rng.uniform(0.02, 0.12),
        reflection_path_m=rng.uniform(1.5, 4.0) * body_m,
        axis_deg=float(np.clip(axis_deg, -4.0, 4.0)),
    )


def _radius_m(kind: Construction, rng: np.random.Generator) -> float:
    if kind.transducer == "ribbon":  # a strip: what counts in the horizontal plane is its half width with the pole pieces
        return rng.uniform(0.004, 0.008)
    if kind.transducer == "moving_coil":
        if kind.diaphragm_size == "large":
            return rng.uniform(0.014, 0.017)
        return rng.uniform(0.0065, 0.0095) if kind.directivity == "omni" else rng.uniform(0.009, 0.0125)
    if kind.diaphragm_size == "large":
        return rng.uniform(0.0115, 0.0165)
    # Omnidirectional ones need no path to their back, and are made as small as noise allows: a quarter of an inch to 20 mm.
    return rng.uniform(0.0028, 0.0068) if kind.directivity == "omni" else rng.uniform(0.005, 0.009)


def _transducer(kind: Construction, rng: np.random.Generator) -> dict[str, Any]:
    """Return corners and resonances of a transducer; the last few resonances are those of grille and cavities."""
    small = tuple(
        Resonance(float(np.exp(rng.uniform(np.log(1500.0), np.log(14000.0)))), rng.uniform(-2.0, 2.0), rng.uniform(2.0, 6.0))
        for _ in range(4)
    )
    if kind.transducer == "condenser":
        bass = (rng.uniform(6.0, 20.0), 1) if kind.directivity == "omni" else (rng.uniform(20.0, 60.0), 2)
        treble = (rng.uniform(15000.0, 22000.0), 2)
        own = [Resonance(rng.uniform(8000.0, 12000.0), rng.uniform(1.5, 6.0), rng.uniform(0.9, 2.2))]
    elif kind.transducer == "moving_coil":
        bass = (rng.uniform(60.0, 160.0), 2)
        treble = (rng.uniform(11000.0, 16000.0), 2)
        own = [
            Resonance(rng.uniform(3500.0, 6500.0), rng.uniform(4.0, 8.0), rng.uniform(0.8, 1.5)),
            Resonance(rng.uniform(7500.0, 11000.0), rng.uniform(-4.0, 4.0), rng.uniform(2.0, 4.0)),
        ]
    else:
        bass = (rng.uniform(25.0, 50.0), 2)
        treble = (rng.uniform(5500.0, 10000.0), 1)
        own = [Resonance(rng.uniform(2000.0, 5000.0), rng.uniform(-1.0, 2.5), rng.uniform(0.7, 1.5))]
    return {
        "bass_hz": bass[0],
        "bass_order": bass[1],
        "treble_hz": treble[0],
        "treble_order": treble[1],
        "resonances": (*own, *small),
    }
