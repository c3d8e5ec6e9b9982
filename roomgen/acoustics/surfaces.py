"""Which materials of the database are found where: on floors, on walls, on ceilings, and which of them looks like an absorption.

The database names no places. The lists below leave out what is no surface of a room that people speak in (audiences and seats by
the square metre, a reverberation chamber) and what nobody walks on or hangs overhead.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import LOWEST_CENTER_HZ, octave_centers
from roomgen.acoustics.diffuse.scatterers import surface_scattering
from roomgen.acoustics.materials import material_absorption
from roomgen.acoustics.rooms import WALLS

FLOORS = (
    "audience_floor",
    "carpet_1.35_kg_m2",
    "carpet_6mm_closed_cell_foam",
    "carpet_6mm_open_cell_foam",
    "carpet_cotton",
    "carpet_hairy",
    "carpet_rubber_5mm",
    "carpet_soft_10mm",
    "carpet_thin",
    "carpet_tufted_9.5mm",
    "carpet_tufted_9m",
    "ceramic_tiles",
    "concrete_floor",
    "felt_5mm",
    "linoleum_on_concrete",
    "marble_floor",
    "stage_floor",
)
SIDES = (
    "acoustical_plaster_25mm",
    "blinds_half_open",
    "brick_wall_rough",
    "brickwork",
    "ceramic_tiles",
    "curtains_0.2",
    "curtains_cotton_0.33",
    "curtains_cotton_0.5",
    "curtains_densely_woven",
    "curtains_fabric",
    "curtains_fabric_folded",
    "curtains_glass_mat",
    "curtains_velvet",
    "double_glazing_10mm",
    "double_glazing_30mm",
    "facing_brick",
    "fibre_absorber_1",
    "fibre_absorber_2",
    "glass_3mm",
    "glass_window",
    "hard_surface",
    "limestone_wall",
    "panel_fabric_covered_6pcf",
    "panel_fabric_covered_8pcf",
    "perforated_veneered_chipboard",
    "plasterboard",
    "plywood_thin",
    "rough_concrete",
    "rough_lime_wash",
    "smooth_brickwork_10mm_pointing",
    "smooth_brickwork_flush_pointing",
    "studio_curtains",
    "unpainted_concrete",
    "wood_1.6cm",
    "wooden_lining",
)
CEILINGS = (
    "acoustical_plaster_25mm",
    "ceiling_fibre_absorber",
    "ceiling_fissured_tile",
    "ceiling_melamine_foam",
    "ceiling_metal_panel",
    "ceiling_perforated_gypsum_board",
    "ceiling_plasterboard",
    "gypsum_board",
    "hanging_absorber_panels_1",
    "hanging_absorber_panels_2",
    "hard_surface",
    "mineral_wool_50mm_40kgm3",
    "plasterboard",
    "rough_concrete",
    "rough_lime_wash",
    "unpainted_concrete",
    "wood_1.6cm",
    "wooden_lining",
)
ROLES = (SIDES, SIDES, SIDES, SIDES, FLOORS, CEILINGS)
"""The list of each wall, in the order of :data:`roomgen.acoustics.rooms.WALLS`."""

_CENTERS_HZ = tuple(LOWEST_CENTER_HZ * 2.0**k for k in range(7))
_FURNISHED = surface_scattering("classroom_tables", _CENTERS_HZ)

ROLE_SCATTERING = np.stack([*[0.25 * _FURNISHED] * 4, _FURNISHED, np.full(len(_CENTERS_HZ), 0.05)])
"""(wall, band) scattering coefficients of a furnished room at 125…8000 Hz: its floor scatters as one with tables does (Vorländer,
2008, measured by ISO 17497-1), its walls, a quarter of them behind furniture, a quarter of that, its ceiling as a smooth surface
(C. L. Christensen and J. H. Rindel, Forum Acusticum 2005, advise 0.1 and less)."""


def nearest_materials(absorption: NDArray[np.float64], fs_hz: float) -> tuple[str, ...]:
    """Return for each wall the material of its role whose absorption is nearest to the one given.

    A view that is drawn with these names shows what absorbs.

    Args:
        absorption: (wall, band) energy absorption at that sampling rate.

    Returns:
        Six names in the order of :data:`roomgen.acoustics.rooms.WALLS`.
    """
    nearest = []
    for wall in range(len(WALLS)):
        names, known = _known(ROLES[wall], fs_hz)
        nearest.append(names[int(np.square(known - absorption[wall]).sum(axis=1).argmin())])
    return tuple(nearest)


@lru_cache(maxsize=16)
def _known(names: tuple[str, ...], fs_hz: float) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    return names, np.stack([material_absorption(name, octave_centers(fs_hz)) for name in names])
