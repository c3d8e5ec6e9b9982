"""Walls of rooms as people furnish them: by role and use, with light walls, windows, a door, furniture and people.

Materials are those of pyroomacoustics' database (M. Vorländer, "Auralization", 2008; furniture measured in reverberation rooms by
ISO 354). How much of it is in a room, in m² per m² of floor, are ranges of judgement (:data:`USES`): they are wide, and limits on
the RT60 are there to draw again what no room sounds like. Furniture and people are no surfaces of a shoebox: their equivalent
absorption area is spread over the floor and the walls, half each.

Two things tell real rooms from blind draws of materials. Light walls, ceilings and panes swing as a whole and absorb 10–30 % at
125 Hz, which most tables of solid materials leave out (H. Kuttruff, "Room Acoustics", 6th ed. 2016, chapters 2 and 6). And
furniture absorbs in the middle and above, where bare rooms ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import LOWEST_CENTER_HZ
from roomgen.acoustics.materials import material_absorption

Range = tuple[float, float]

PERSON_M2 = (0.12, 0.24, 0.59, 0.98, 1.13, 1.12, 1.12)
"""Equivalent absorption area of one person, standing, without a coat, at 125…8000 Hz (Kuttruff 2016, chapter 6; 8 kHz as 4 kHz)."""

LIGHT = ("ceiling_plasterboard", "plasterboard", "plywood_thin", "wood_1.6cm", "wooden_lining")
"""Materials that are thin plates before a cavity: these swing."""

SIDES = (
    "brickwork",
    "limestone_wall",
    "plasterboard",
    "plasterboard",
    "rough_lime_wash",
    "smooth_brickwork_flush_pointing",
    "wooden_lining",
)
CEILINGS = ("ceiling_plasterboard", "ceiling_plasterboard", "plasterboard", "rough_lime_wash", "wooden_lining")
TREATED = (*CEILINGS, "ceiling_fissured_tile", "ceiling_perforated_gypsum_board", "ceiling_metal_panel")
PANES = ("double_glazing_30mm", "glass_window", "glass_3mm")
HARD_FLOORS = ("audience_floor", "linoleum_on_concrete", "stage_floor")
CARPETS = ("carpet_soft_10mm", "carpet_thin", "carpet_hairy")

_CENTERS_HZ = tuple(LOWEST_CENTER_HZ * 2.0**k for k in range(7))
_DOOR_M2 = 2.0
_WINDOW: Range = (0.1, 0.4)  # of a wall that has one
_ALIKE = 0.6  # how often all four walls are of one material


@dataclass(frozen=True)
class Use:
    """What a room is used for: what its floor, walls and ceiling are made of, and what stands in it.

    Args:
        floors, sides, ceilings: names to draw from.
        things: material of furniture to least and most m² of it per m² of floor.
        people_per_m2: of floor.
        windows: least and most walls that have one.
    """

    floors: tuple[str, ...] = (*HARD_FLOORS, *CARPETS)
    sides: tuple[str, ...] = SIDES
    ceilings: tuple[str, ...] = CEILINGS
    things: dict[str, Range] = field(default_factory=dict)
    people_per_m2: Range = (0.0, 0.1)
    windows: tuple[int, int] = (1, 2)


USES = {
    "living": Use(things={"chairs_upholstered_cloth": (0.2, 0.7), "curtains_cotton_0.5": (0.1, 0.5), "plywood_thin": (0.3, 1.0)}),
    "bedroom": Use(things={"chairs_heavy_upholstered": (0.3, 0.6), "curtains_cotton_0.5": (0.1, 0.5), "plywood_thin": (0.3, 1.0)}),
    "bathroom": Use(
        floors=("ceramic_tiles",),
        sides=("ceramic_tiles", "plasterboard", "rough_lime_wash"),
        things={"curtains_cotton_0.33": (0.2, 1.0), "plywood_thin": (0.2, 0.7)},
        windows=(0, 1),
    ),
    "corridor": Use(
        ceilings=TREATED,
        things={"plywood_thin": (0.3, 1.0), "curtains_cotton_0.5": (0.0, 0.6)},
        people_per_m2=(0.0, 0.05),
        windows=(0, 1),
    ),
    "hall": Use(
        ceilings=TREATED,
        things={"chairs_upholstered_moderate": (0.1, 0.6), "curtains_cotton_0.5": (0.0, 0.4), "plywood_thin": (0.2, 0.8)},
        people_per_m2=(0.0, 0.3),
        windows=(1, 3),
    ),
    "office": Use(
        ceilings=TREATED,
        things={"chairs_medium_upholstered": (0.05, 0.2), "plywood_thin": (0.3, 0.8)},
        windows=(1, 2),
    ),
    "classroom": Use(
        ceilings=TREATED, things={"chairs_wooden": (0.3, 0.6), "plywood_thin": (0.2, 0.6)}, people_per_m2=(0.0, 0.4), windows=(1, 2)
    ),
}
"""The uses that a family of rooms can name."""


def draw_furnished(
    rng: np.random.Generator, size_m: Sequence[float], use: Use, *, light: Range = (0.1, 0.3)
) -> NDArray[np.float64]:
    """Return the absorption of the walls of a furnished room.

    Args:
        size_m: length, width, height in m.
        light: least and greatest absorption at 125 Hz of plates and panes; above, they absorb as plasterboard does in proportion.

    Returns:
        (wall, band) effective energy absorption at 125…8000 Hz, in the order of :data:`roomgen.acoustics.rooms.WALLS`.
    """
    length, width, height = size_m
    area = np.repeat([width * height, length * height, length * width], 2)
    side = str(rng.choice(use.sides))
    others = [str(name) for name in rng.choice(use.sides, 4)]
    sides = [side] * 4 if rng.random() < _ALIKE else others
    names = [*sides, str(rng.choice(use.floors)), str(rng.choice(use.ceilings))]
    plates = _of("plasterboard") / _of("plasterboard")[0] * rng.uniform(*light, (7, 1))  # six walls, and the panes
    alpha = np.stack([np.maximum(_of(name), plates[wall] * (name in LIGHT)) for wall, name in enumerate(names)])
    share = np.zeros((4, 1))
    share[rng.permutation(4)[: rng.integers(use.windows[0], use.windows[1] + 1)]] = rng.uniform(*_WINDOW)
    alpha[:4] += share * (np.maximum(_of(str(rng.choice(PANES))), plates[6]) - alpha[:4])
    entrance = int(rng.integers(4))
    alpha[entrance] += min(_DOOR_M2 / area[entrance], 0.5) * (_of("wooden_door") - alpha[entrance])
    each_m2 = [rng.uniform(*much) * _of(name) for name, much in use.things.items()]
    furniture_m2 = length * width * (np.sum(each_m2, axis=0) + rng.uniform(*use.people_per_m2) * np.asarray(PERSON_M2))
    spread = np.zeros((6, 1))
    spread[4], spread[:4, 0] = 0.5 / area[4], 0.5 / area[:4].sum()
    # Thing by thing in front of a wall: what is absorbed twice counts once, and no wall absorbs more than all.
    return np.asarray(1.0 - (1.0 - alpha) * np.exp(-spread * furniture_m2))


def _of(name: str) -> NDArray[np.float64]:
    return material_absorption(name, _CENTERS_HZ)
