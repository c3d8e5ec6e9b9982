"""Which RT60 the rooms of a dataset can have, told before any of them is drawn.

Rooms of every family, its smallest and its largest among them, are given walls as the settings draw them; the prediction
(:mod:`roomgen.acoustics.prediction.decay`, the air of the settings included) says what each can be brought to. A family can have
what any of these can have; of a grid, whose sizes are not drawn again, the smallest and the largest room must each have it.
Responses of more than a milliard of images are out of reach whatever the walls: their plan would take minutes a room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.air import speed_of_sound_m_s
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.prediction.rt60 import octaves_of, reachable_rt60_s
from roomgen.acoustics.prediction.rt60_bands import reachable_rt60_bands_s
from roomgen.acoustics.rooms import Shoebox
from roomgen.datasets.rooms.conditions import air_of, grid_sizes
from roomgen.datasets.rooms.settings import DatasetSettings, FamilySettings
from roomgen.datasets.rooms.walls import draw_walls, scattering_of
from roomgen.errors import RoomgenError

MOST_IMAGES = 1e9
"""Of a response: some seconds of one core."""

LONGEST = 1.2
"""A response that an RT60 is solved on, in RT60s."""

SHORTEST_S = 0.02
_PERIODS = 12.0  # of an octave's centre: shorter decays are its filter's own
_WALLS = 8  # draws per size

Ranges = NDArray[np.float64]


def check_target(settings: DatasetSettings) -> None:
    """Refuse an RT60, or a spectrum of them, that rooms of these settings cannot have; some tenths of a second.

    Raises:
        RoomgenError: the message says what can be had.
    """
    signal = settings.signal
    if settings.rooms.plan is not None or (signal.rt60_s is None and signal.rt60_bands_s is None):
        return
    flag = "--rt60" if signal.rt60_bands_s is None else "--rt60-bands"
    asked = np.array([signal.rt60_s] if signal.rt60_bands_s is None else [(t, t) for t in signal.rt60_bands_s])
    found = {family.name: family_range_s(settings, family) for family in settings.rooms.families}
    common = np.stack(
        [np.max([r[:, 0] for r in found.values()], axis=0), np.min([r[:, 1] for r in found.values()], axis=0)], axis=1
    )
    off = (asked[:, 0] < common[:, 0]) | (asked[:, 1] > common[:, 1])
    if not off.any():
        return
    band = int(np.argmax(off))
    worst = max(
        found, key=lambda name: max(found[name][band, 0] / asked[band, 0], asked[band, 1] / max(found[name][band, 1], 1e-9))
    )
    family = next(family for family in settings.rooms.families if family.name == worst)
    kind = {"mid": "T_mid", "broadband": "broadband RT60", "1000": "RT60 at 1000 Hz"}[signal.rt60_of]
    if signal.rt60_bands_s is not None:
        kind = f"RT60 at {octave_centers(signal.fs_hz)[band]:g} Hz"
    low, high = asked[band]
    shortest, longest = found[worst][band]
    raise RoomgenError(
        f"{flag} asks for a {kind} of {low:g}{'' if low == high else f'…{high:g}'} s, but rooms of the family {worst!r} "
        f"({_size(family.min_m)} to {_size(family.max_m)}) can have {_text(shortest, longest)} with these walls"
        f"{'' if signal.air is None else ' and this air'}. {_advice(common, signal.fs_hz, flag)}"
    )


def family_range_s(settings: DatasetSettings, family: FamilySettings) -> Ranges:
    """Return the shortest and longest RT60 in s that a family's rooms can be brought to: (1, 2), or (band, 2) for a spectrum."""
    sizes = _sizes(settings, family)
    ranges = [_size_range_s(settings, family, size) for size in sizes]
    shortest, longest = (np.stack([r[:, k] for r in ranges]) for k in (0, 1))
    if settings.rooms.sizes == "grid":
        return np.stack([shortest.max(axis=0), longest.min(axis=0)], axis=1)
    return np.stack([shortest.min(axis=0), longest.max(axis=0)], axis=1)


def images_of(size_m: Sequence[float], duration_s: float, c_m_s: float) -> float:
    """Return about how many images a response has."""
    return float(4.0 / 3.0 * np.pi * (c_m_s * duration_s) ** 3 / np.prod(size_m))


def _size_range_s(settings: DatasetSettings, family: FamilySettings, size: Sequence[float]) -> Ranges:
    signal, air = settings.signal, air_of(settings)
    ranges = []
    for room in _rooms(settings, family, size):
        if signal.rt60_bands_s is None:
            ranges.append(np.array([reachable_rt60_s(room, fs_hz=signal.fs_hz, of=signal.rt60_of, air=air)]))
        else:
            ranges.append(np.stack(reachable_rt60_bands_s(room, fs_hz=signal.fs_hz, air=air), axis=1))
    affordable = (MOST_IMAGES / images_of(size, 1.0, speed_of_sound_m_s(air))) ** (1.0 / 3.0) / LONGEST
    found = np.stack(ranges)
    shortest = np.maximum(found[..., 0].min(axis=0), _measurable_s(settings))
    return np.stack([shortest, np.minimum(found[..., 1].max(axis=0), affordable)], axis=1)


def _measurable_s(settings: DatasetSettings) -> Ranges:
    """Return the shortest T30 (1,), or (band,), that the filters of labels do not ring themselves."""
    signal = settings.signal
    octaves = octave_centers(signal.fs_hz) if signal.rt60_bands_s is not None else octaves_of(signal.rt60_of, signal.fs_hz)[:1]
    return np.maximum(_PERIODS / np.array(octaves), SHORTEST_S) if octaves else np.array([SHORTEST_S])


def _rooms(settings: DatasetSettings, family: FamilySettings, size: Sequence[float]) -> Iterator[Shoebox]:
    rng = np.random.default_rng(0)
    limits = settings.signal.rt60_mid_limits_s
    assert limits is not None  # asked of settings with a target only
    none = True
    for number in range(_WALLS if settings.walls.are_drawn else 1):
        try:
            yield draw_walls(settings, family, rng, size, rt60_s=limits[number % 2], air=air_of(settings))
            none = False
        except RoomgenError:
            continue  # such walls are drawn again
    if none:  # a model that makes its walls for a target RT60, in vain: equal walls say what there is
        yield Shoebox(size, absorption=0.2, scattering=scattering_of(settings))


def _sizes(settings: DatasetSettings, family: FamilySettings) -> list[tuple[float, ...]]:
    if settings.rooms.sizes == "grid":
        sizes: list[tuple[float, ...]] = sorted(
            grid_sizes(family), key=lambda size: Shoebox(size).volume_m3 / Shoebox(size).surface_m2
        )
        return [sizes[0], sizes[-1]]
    return [family.min_m, family.max_m]


def _text(shortest: float, longest: float) -> str:
    return f"{shortest:.2g}…{longest:.2g} s" if shortest < longest else "no common RT60"


def _advice(common: Ranges, fs_hz: float, flag: str) -> str:
    if (common[:, 0] >= common[:, 1]).any():
        return "Other families, sizes or walls are needed."
    # Rounded inwards, so that what is advised is not refused.
    low, high = (np.ceil(1.05 * common[:, 0] * 100) / 100, np.floor(0.95 * common[:, 1] * 100) / 100)
    if len(common) == 1:
        return f"All rooms of these settings can have {flag} {low[0]:g}:{high[0]:g}."
    bands = ", ".join(f"{c:g} Hz {a:g}…{b:g} s" for c, a, b in zip(octave_centers(fs_hz), low, high, strict=True))
    return f"All rooms of these settings can have: {bands}."


def _size(size: Sequence[float]) -> str:
    return f"{' × '.join(f'{v:g}' for v in size)} m"
