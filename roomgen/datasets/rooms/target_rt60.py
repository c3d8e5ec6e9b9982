"""Rooms of a dataset that have a target RT60: one number, or one for each octave.

Both are solved on responses of 30 positions: the first ones of the room, just as the dataset has them, and further ones drawn in
the same way where it has fewer; on fewer, but at least six, where responses are so long that their images would take seconds.
A T_mid needs no more than the octaves around 1 kHz: its responses are simulated at 4 kHz, where their T30 is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.air import Air, speed_of_sound_m_s
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.images.sources import image_source
from roomgen.acoustics.prediction.decay import energy_density
from roomgen.acoustics.prediction.rt60 import Responses, Rt60Of, octaves_of, reachable_rt60_s, solve_absorption_scale
from roomgen.acoustics.prediction.rt60_bands import fit_bands
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions, make_scene
from roomgen.datasets.rooms.conditions import air_of, draw_positions, exact_options
from roomgen.datasets.rooms.placement import distance_m
from roomgen.datasets.rooms.reachable import LONGEST, images_of
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.errors import RoomgenError
from roomgen.streams import Stream, integer_seed

POSITIONS = 30
"""Positions that the RT60 of a room is the mean over."""

_LEAST_POSITIONS = 6  # ISO 3382-2, 4.3.1: the engineering method
_IMAGES = 1e9  # of all responses of a room together
_FIRST_POSITIONS = 8  # of these, for the first guess
_PREDICTED_WITHIN = 1.3  # responses are within that of their prediction
_FIRST_WITHIN = 0.1
_WITHIN = 0.02
_SIMULATIONS_OF_BANDS = 4
_LENGTHS = (1.2, 2.0)  # of responses, in RT60s
_KNOWN_DB = -55.0  # how far a decay must be seen for a T30
_MORE_S = 0.05
_LOW_HZ = 4000  # the lowest rate at which the octave of 1 kHz is whole


@dataclass(frozen=True)
class Positions:
    """Sources and microphones (position, 3) in m of a room, arrivals (position,) in s, and seeds of what is random there."""

    sources: NDArray[np.float32]
    mics: NDArray[np.float32]
    onset_s: NDArray[np.float64]
    seeds: tuple[int, ...]

    def first(self, count: int) -> Positions:
        return Positions(self.sources[:count], self.mics[:count], self.onset_s[:count], self.seeds[:count])


def positions_of(settings: DatasetSettings, size_m: Sequence[float], index: int, count: int = POSITIONS) -> Positions:
    """Return the first positions of a room of the dataset."""
    pairs = [draw_positions(settings, size_m, index, position) for position in range(count)]
    sources, mics = (np.stack(part) for part in zip(*pairs, strict=True))
    c_m_s = speed_of_sound_m_s(air_of(settings))
    onset = np.array([distance_m(source, mic) / c_m_s for source, mic in pairs])
    start = index * settings.place.rirs_per_room
    seeds = tuple(integer_seed(settings.seed, Stream.ENGINE, start + position) for position in range(count))
    return Positions(sources, mics, onset, seeds)


def with_target(settings: DatasetSettings, index: int, room: Shoebox, rt60_s: float) -> Shoebox:
    """Return the room with the RT60 that the settings ask for: this one, or their spectrum; a pure function.

    Raises:
        RoomgenError: it cannot have it.
    """
    bands_s = settings.signal.rt60_bands_s
    if bands_s is None:
        return with_rt60(settings, index, room, rt60_s)
    return with_rt60_bands(settings, index, room, bands_s)


def check_prediction(settings: DatasetSettings, room: Shoebox, rt60_s: float) -> None:
    """Refuse a room that is predicted to be far from the target RT60 whatever the scale; milliseconds.

    Raises:
        RoomgenError: the message says what it can have.
    """
    signal, air = settings.signal, air_of(settings)
    if signal.rt60_bands_s is not None:
        fit_bands(room, signal.rt60_bands_s, fs_hz=signal.fs_hz, air=air).whole()
        return
    shortest, longest = reachable_rt60_s(room, fs_hz=signal.fs_hz, of=signal.rt60_of, air=air)
    if not shortest / _PREDICTED_WITHIN <= rt60_s <= longest * _PREDICTED_WITHIN:
        raise RoomgenError(f"RT60 {rt60_s:g} s: {room!r} can only have {shortest:.2f}…{longest:.2f} s. Redraw either.")


def with_rt60(settings: DatasetSettings, index: int, room: Shoebox, rt60_s: float, *, count: int = POSITIONS) -> Shoebox:
    """Return the room with its absorption scaled so that its responses have this RT60, in the mean over its first positions.

    Raises:
        RoomgenError: no scale gives it.
    """
    air, signal = air_of(settings), settings.signal
    fs_hz = min(signal.fs_hz, _LOW_HZ) if octaves_of(signal.rt60_of, signal.fs_hz) else signal.fs_hz
    low = at_rate(room, signal.fs_hz, fs_hz)
    duration_s = _long_enough_s(low, rt60_s, fs_hz, signal.rt60_of, air) + _MORE_S
    count = _affordable(count, room, duration_s, air)
    places = positions_of(settings, room.size_m, index, count)

    def scale_on(at: Positions, start: float | None, tolerance: float) -> float:
        simulate = simulator(at, fs_hz=fs_hz, duration_s=duration_s, air=air, options=exact_options(settings))
        responses = Responses(simulate, at.onset_s, within=tolerance)
        return solve_absorption_scale(low, rt60_s, fs_hz=fs_hz, of=signal.rt60_of, air=air, responses=responses, start=start)

    start = None
    if count > 2 * _FIRST_POSITIONS:  # few positions lead near enough for many to need one or two simulations
        start = scale_on(places.first(_FIRST_POSITIONS), None, _FIRST_WITHIN)
    return room.scaled(float(np.float32(scale_on(places, start, _WITHIN))))  # as exact as the manifest stores it


def with_rt60_bands(
    settings: DatasetSettings, index: int, room: Shoebox, rt60_bands_s: Sequence[float], *, count: int = POSITIONS
) -> Shoebox:
    """Return the room with walls whose responses have these RT60s, octave by octave, in the mean over its first positions.

    Raises:
        RoomgenError: some octaves cannot have theirs; the message names them.
    """
    air, fs_hz = air_of(settings), settings.signal.fs_hz
    duration_s = LONGEST * max(rt60_bands_s) + _MORE_S
    places = positions_of(settings, room.size_m, index, _affordable(count, room, duration_s, air))
    simulate = simulator(places, fs_hz=fs_hz, duration_s=duration_s, air=air, options=exact_options(settings))
    responses = Responses(simulate, places.onset_s, within=_WITHIN, at_most=_SIMULATIONS_OF_BANDS)
    table = fit_bands(room, rt60_bands_s, fs_hz=fs_hz, air=air, responses=responses).whole()
    return room.with_absorption(table.astype(np.float32).astype(np.float64))  # as exact as the manifest stores it


def simulator(
    at: Positions, *, fs_hz: float, duration_s: float, air: Air | None, options: ImageOptions
) -> Callable[[Shoebox], NDArray[np.float32]]:
    """Return what simulates a room's responses (position, time) of omnidirectional microphones at positions."""

    def responses(room: Shoebox) -> NDArray[np.float32]:
        scenes = [
            make_scene(
                room,
                sources=[source],
                mics=[mic],
                fs_hz=fs_hz,
                duration_s=duration_s,
                air=air,
                options=replace(options, seed=seed),
            )
            for source, mic, seed in zip(at.sources, at.mics, at.seeds, strict=True)
        ]
        return np.stack([image_source(scene, parts=False).rir[0, 0] for scene in scenes])

    return responses


def _long_enough_s(room: Shoebox, rt60_s: float, fs_hz: float, of: Rt60Of, air: Air | None) -> float:
    """Return how long responses must be to have a T30 when the room is right: longer than usual where its decays are bent."""
    try:
        right = room.scaled(solve_absorption_scale(room, rt60_s, fs_hz=fs_hz, of=of, air=air))
    except RoomgenError:
        return LONGEST * rt60_s  # not by prediction; responses may differ
    t_s = np.linspace(0.0, 3.0 * rt60_s, 300)
    density = energy_density(right, fs_hz=fs_hz, t_s=t_s, air=air, modes=True)
    octaves = octaves_of(of, fs_hz)
    heard = density[[octave_centers(fs_hz).index(f) for f in octaves]] if octaves else density.sum(axis=0, keepdims=True)
    left = np.cumsum(heard[:, ::-1], axis=1)[:, ::-1]
    over = (left < 10.0 ** (_KNOWN_DB / 10.0) * left[:, :1]).argmax(axis=1)
    return float(np.clip(t_s[over].max(), *(np.array(_LENGTHS) * rt60_s)))


def _affordable(count: int, room: Shoebox, duration_s: float, air: Air | None) -> int:
    return int(np.clip(_IMAGES / images_of(room.size_m, duration_s, speed_of_sound_m_s(air)), min(count, _LEAST_POSITIONS), count))


def at_rate(room: Shoebox, fs_hz: float, lower_hz: float) -> Shoebox:
    """Return the same room for a lower rate, which has fewer octaves."""
    bands = len(octave_centers(lower_hz))
    whole = room.scaled(1.0)
    return Shoebox(
        room.size_m, absorption=whole.absorption(fs_hz)[:, :bands], scattering=whole.scattering(fs_hz)[:, :bands], scale=room.scale
    )
