"""What the generator is told of a response: the paper's 12 variables, the source's place as direction and distance.

The paper (Schmidt and Peters 2023, section 5.3) names "directivity, transducer, diaphragm properties and angle/distance in
Cartesian coordinates", 12 in total: 4 + 3 + 3 + 2. With x = r cos θ and y = r sin θ, however, two directions at 5 m lie ten times
as far apart as at 0.5 m, and the paper found that its generator did not generalise over distance. Here the direction is a unit
vector, and the distance counts by its logarithm: the same variables in 13 numbers, all in about ±1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.microphones.designs import CONSTRUCTIONS
from roomgen.acoustics.microphones.response import DIRECTIVITIES, TRANSDUCERS
from roomtrain.errors import RoomtrainError

if TYPE_CHECKING:
    import pandas as pd

_NAMES = {
    "directivity": DIRECTIVITIES,
    "transducer": TRANSDUCERS,
    "diaphragm_count": ("single", "dual"),
    "diaphragm_size": ("small", "large"),
    "address": ("end", "side"),
}
CONDITIONS = (*DIRECTIVITIES, *TRANSDUCERS, "dual", "large", "side", "cos θ", "sin θ", "log distance")
"""What the numbers mean, in their order; the first ten are 1 (yes) or -1 (no)."""
N_CONDITIONS = len(CONDITIONS)
N_KIND = N_CONDITIONS - 3
"""How many of them say what a microphone is; the others say where the source stands."""
DISTANCES_M = (0.5, 1.25, 5.0)
"""Of the Multi DIRs; the nearest and the farthest become ±1."""


def conditions_of(table: pd.DataFrame) -> NDArray[np.float32]:
    """Return (response, 13) of rows of a manifest of device responses.

    Raises:
        RoomtrainError: a row does not say all that is needed; the message names the first.
    """
    kinds = []
    for column, names in _NAMES.items():
        given = table[column].astype(str).to_numpy()
        unknown = np.flatnonzero(~np.isin(given, names))
        if len(unknown):
            raise RoomtrainError(
                f"{table['key'].iloc[unknown[0]]} has the {column} {given[unknown[0]]!r}, where the generator needs one of "
                f"{', '.join(names)}: list the files with --csv, which says what each microphone is."
            )
        # Of two names the second is a yes; of more each has a number of its own.
        kinds += [np.where(given == name, 1.0, -1.0) for name in (names[1:] if len(names) == 2 else names)]
    angle_deg, distance_m = (table[column].to_numpy(dtype=np.float64) for column in ("angle_deg", "distance_m"))
    nowhere = np.flatnonzero(~(np.isfinite(angle_deg) & (distance_m > 0.0)))
    if len(nowhere):
        raise RoomtrainError(
            f"{table['key'].iloc[nowhere[0]]} is at {angle_deg[nowhere[0]]:g}° and a distance of {distance_m[nowhere[0]]:g} m: "
            "the generator needs both, the distance above 0. Give a --pattern that finds them, or a --csv."
        )
    return np.concatenate([np.stack(kinds, axis=1), places(angle_deg, distance_m)], axis=1).astype(np.float32)


def places(angle_deg: NDArray[np.float64], distance_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (response, 3): the direction as a unit vector, and the logarithm of the distance, ±1 at 5 and 0.5 m."""
    angle, (near, far) = np.deg2rad(angle_deg), np.log([min(DISTANCES_M), max(DISTANCES_M)])
    return np.stack([np.cos(angle), np.sin(angle), (2.0 * np.log(distance_m) - near - far) / (far - near)], axis=1)


def draw_conditions(rng: np.random.Generator, n: int, *, distances_m: Sequence[float] = DISTANCES_M) -> NDArray[np.float32]:
    """Return (n, 13) conditions of new microphones: constructions that exist, heard from anywhere around them.

    Constructions are those of :data:`roomgen.acoustics.microphones.designs.CONSTRUCTIONS`, as often as they are there; angles are
    uniform, distances one of those given, for between them the generator has heard nothing.

    Raises:
        RoomtrainError: no distance, or one that is not above 0.
    """
    if not distances_m or min(distances_m) <= 0:
        raise RoomtrainError(f"distances of {list(distances_m)} m: give at least one, above 0.")
    import pandas as pd

    chosen = pd.DataFrame([CONSTRUCTIONS[i]._asdict() for i in rng.integers(len(CONSTRUCTIONS), size=n)])
    chosen["angle_deg"] = rng.uniform(0.0, 360.0, size=n)
    chosen["distance_m"] = rng.choice(np.asarray(distances_m, dtype=np.float64), size=n)
    return conditions_of(chosen)
