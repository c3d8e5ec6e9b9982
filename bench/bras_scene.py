"""The small seminar room of BRAS, the field's benchmark of room simulation, as it lies on disk, and as a shoebox.

BRAS (L. Aspöck, M. Vorländer, F. Brinkmann, D. Ackermann, S. Weinzierl, Benchmark for Room Acoustical Simulation, TU Berlin and
RWTH Aachen, 2019, doi:10.14279/depositonce-6726, CC BY-SA 4.0; F. Brinkmann et al., Applied Acoustics 176, 2021) has measured
rooms with the absorption and scattering of their surfaces. Its scene CR2 (scene 9 before version 3) is a seminar room of 145 m³.

Read are, wherever they lie below the folder: ``mat_CR2_NAME.csv`` (third octaves in Hz, absorption, scattering: three lines), of
those in ``fitted_estimates`` where there are two, and ``CR2_RIR_LS?_MP?_Dodecahedron.wav``. Positions stand in this module;
``positions.csv`` in the folder (lines ``LS1,x,y,z`` in metres, in the coordinates of BRAS) takes their place.

The room is no box: it has 14 corners, niches, sills, radiators and lamps. The box has its height and volume, the proportions of
its floor plan, and on each wall the materials that hang there with the areas that they have in the model of the room (L. Aspöck,
Input and output data for informed room acoustic simulations of the BRAS scene database, RWTH Aachen 2020), so that the equivalent
absorption area is that of the room although the box has a tenth less surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.rooms import WALLS, Shoebox
from roomgen.errors import RoomgenError

Floats = NDArray[np.float64]

FOLDERS = (
    "3 Surface descriptions/_csv/fitted_estimates/mat_CR2_*.csv",
    "1 Scene descriptions/CR2 small room (seminar room)/RIRs/wav/CR2_RIR_LS*_MP*_Dodecahedron.wav",
)
AIR = (19.5, 41.7)
"""Temperature in °C and relative humidity in % during the measurement."""

_HEIGHT_M, _VOLUME_M3 = 2.988, 145.7
_PLAN_M = ((-3.036, 3.154), (-4.255, 4.189))  # what the floor plan extends over, x and y
_AREAS_M2: dict[str, dict[str, float]] = {
    "west": {"plaster": 18.5, "concrete": 10.8},
    "east": {"plaster": 2.4, "concrete": 26.9},
    "south": {"plaster": 14.0, "concrete": 7.5},
    "north": {"windows": 9.75, "concrete": 11.75},
    "floor": {"floor": 49.3},
    "ceiling": {"ceiling": 51.6},
}
_SOURCES_M = {"LS1": (0.931, -2.547), "LS2": (0.119, 2.880)}
_MICS_M = {
    "MP1": (-0.993, 1.426, 1.23),
    "MP2": (0.439, -0.147, 1.23),
    "MP3": (1.361, -0.603, 1.23),
    "MP4": (-1.110, -0.256, 1.23),
    "MP5": (-0.998, -1.409, 1.23),
}
DRIVERS = ((0.460, 0.0, 177.0), (0.723, 177.0, 1420.0), (1.023, 1420.0, np.inf))
"""Height in m of each dodecahedron of the loudspeaker, and from where to where in Hz it plays: whole octaves."""


@dataclass(frozen=True)
class Surface:
    """What a material absorbs and scatters, in third octaves: (third,) each, frequencies in Hz."""

    hz: Floats
    absorption: Floats
    scattering: Floats

    def in_octaves(self, centers_hz: tuple[float, ...]) -> Floats:
        """Return absorption and scattering as means over the three thirds of each octave: (2, band).

        Raises:
            RoomgenError: an octave without a third.
        """
        means = []
        for center in centers_hz:
            inside = np.abs(np.log2(self.hz / center)) < 0.5
            if not inside.any():
                raise RoomgenError(
                    f"a surface of BRAS has no third octave around {center:g} Hz: {self.hz[0]:g}…{self.hz[-1]:g} Hz."
                )
            means.append((self.absorption[inside].mean(), self.scattering[inside].mean()))
        return np.array(means).T


@dataclass(frozen=True)
class SeminarRoom:
    """What lies on disk.

    Args:
        surfaces: by name of the material.
        estimates: which of BRAS' estimates they are: the name of their folder.
        responses: file by (loudspeaker, microphone).
        sources_m: (driver, 3) places of each loudspeaker's drivers in the coordinates of the box; one where a file said so.
        mics_m: (3,) place of each microphone, likewise.
    """

    surfaces: dict[str, Surface]
    estimates: str
    responses: dict[tuple[str, str], Path]
    sources_m: dict[str, Floats]
    mics_m: dict[str, Floats]


def box_size_m() -> tuple[float, float, float]:
    """Return the size of the box: height and volume of the room, proportions of its plan."""
    width, depth = (high - low for low, high in _PLAN_M)
    shrunk = np.sqrt(_VOLUME_M3 / (_HEIGHT_M * width * depth))
    return float(width * shrunk), float(depth * shrunk), _HEIGHT_M


def box(surfaces: dict[str, Surface], centers_hz: tuple[float, ...], *, scattering: bool) -> Shoebox:
    """Return the box with the walls of the room.

    Args:
        centers_hz: the octaves of the sampling rate.
        scattering: whether walls scatter as their materials do, or reflect as mirrors.
    """
    bare = Shoebox(box_size_m())
    octaves = {name: surface.in_octaves(centers_hz) for name, surface in surfaces.items()}
    table = np.zeros((2, len(WALLS), len(centers_hz)))
    for number, (wall, area_m2) in enumerate(zip(WALLS, bare.wall_areas_m2, strict=True)):
        there = sum(_AREAS_M2[wall].values())
        for name, part_m2 in _AREAS_M2[wall].items():
            table[0, number] += octaves[name][0] * part_m2 / area_m2
            table[1, number] += octaves[name][1] * part_m2 / there
    absorption, scattered = np.clip(table, 0.0, 1.0)
    return Shoebox(bare.size_m, absorption=absorption, scattering=scattered if scattering else 0.0)


def read_seminar_room(root: Path) -> SeminarRoom:
    """Return the seminar room of an unpacked BRAS.

    Raises:
        RoomgenError: no folder, a file that is missing or holds something else, or a response of a place that is not known.
    """
    if not root.is_dir():
        raise RoomgenError(f"--root {root} is not a folder: name the one that BRAS was unpacked in.")
    names = sorted({name for parts in _AREAS_M2.values() for name in parts})
    files = {name: _surface_file(root, name) for name in names}
    sources, mics = _positions(root)
    responses: dict[tuple[str, str], Path] = {}
    for path in sorted(root.rglob("CR2_RIR_LS*_MP*_Dodecahedron.wav")):
        source, mic = path.stem.split("_")[2:4]
        if source not in sources or mic not in mics:
            known = ", ".join((*sources, *mics))
            raise RoomgenError(f"{path}: there is no position for {source} or {mic}. Known: {known}; positions.csv adds others.")
        responses.setdefault((source, mic), path)
    if not responses:
        raise _missing(root, "CR2_RIR_LS*_MP*_Dodecahedron.wav")
    return SeminarRoom(
        surfaces={name: read_surface(path) for name, path in files.items()},
        estimates=next(iter(files.values())).parent.name,
        responses=responses,
        sources_m=sources,
        mics_m=mics,
    )


def read_surface(path: Path) -> Surface:
    """Return a surface from a CSV file of three lines (or columns): frequencies, absorption, scattering.

    Raises:
        RoomgenError: the file holds something else.
    """
    try:
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        rows = [[float(value) for value in line.strip().rstrip(",").split(",")] for line in lines]
        if len({len(row) for row in rows}) != 1:
            raise ValueError("its lines are not equally long" if rows else "it is empty")
        table = np.array(rows)
    except (ValueError, OSError) as error:
        raise RoomgenError(f"{path} cannot be read as numbers between commas: {error}", exit_code=1) from None
    table = table.T if table.shape[1] == 3 and table.shape[0] != 3 else table
    shape = table.shape
    if shape[0] != 3 or not (np.all(np.diff(table[0]) > 0) and table[0, 0] > 0 and np.all((table[1:] >= 0) & (table[1:] <= 1))):
        raise RoomgenError(
            f"{path} is no surface of BRAS: three lines are needed (frequencies that rise, absorption and scattering in 0…1); "
            f"it holds {shape[0]} × {shape[1]} numbers.",
            exit_code=1,
        )
    return Surface(*table)


def _surface_file(root: Path, name: str) -> Path:
    found = sorted(root.rglob(f"mat_CR2_{name}.csv"), key=lambda path: ("fitted" not in path.parent.name, str(path)))
    if not found:
        raise _missing(root, f"mat_CR2_{name}.csv")
    return found[0]


def _missing(root: Path, name: str) -> RoomgenError:
    return RoomgenError(f"--root {root}: no file {name} in it. Of BRAS, unpacked there, are read: {'; '.join(FOLDERS)}.")


def _positions(root: Path) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return places of loudspeakers and microphones in the coordinates of the box, from the module or from a file."""
    sources = {name: np.array([(*place, height) for height, _, _ in DRIVERS]) for name, place in _SOURCES_M.items()}
    mics = {name: np.array(place) for name, place in _MICS_M.items()}
    path = root / "positions.csv"
    if path.is_file():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            name, *rest = (part.strip() for part in line.split(","))
            try:
                place = np.array([float(part) for part in rest])
            except ValueError:
                place = np.zeros(0)
            if place.shape != (3,) or not np.isfinite(place).all() or not name.startswith(("LS", "MP")):
                raise RoomgenError(f"{path}, line {number}: {line!r} is not LS1,x,y,z or MP1,x,y,z in metres.", exit_code=1)
            if name.startswith("LS"):
                sources[name] = place[None]
            else:
                mics[name] = place
    middle = [0.5 * (low + high) for low, high in _PLAN_M]
    shift = np.array([*(0.5 * np.array(box_size_m()[:2]) - middle), 0.0])
    return {name: places + shift for name, places in sources.items()}, {name: place + shift for name, place in mics.items()}
