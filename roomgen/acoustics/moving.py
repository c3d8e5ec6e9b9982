"""A source that moves: its path is a list of nodes, followed in steps so short that the pitch shifts as it does in the world.

Every sample of the signal leaves the source where the source is at that moment, so what is faded is the signal that goes into a
place's response, not the sound that comes out of it: the reverberation of what was said at the door stays that of the door.

The path is straight and even between two nodes. It is cut into steps, and sound within a step is the mean of that from its two
ends. Where the ways from these differ by half a wavelength they cancel, so a step is at most c / (8 f) for the highest frequency
f that matters: 5 mm for 8 kHz, 2 cm for 2 kHz. The error at f is then 25 dB below the sound, and 12 dB less for each octave below;
half-way, 0.7 dB are missing. Coarser steps cost much: with 10 cm the error is 13 dB below the sound at 1 kHz and 4 dB at 2 kHz,
and a single step, however long, has no Doppler shift at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.air import Air
from roomgen.acoustics.directivity import OMNI, Directivity
from roomgen.acoustics.engine import get_engine
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import ImageOptions, Scene, make_scene
from roomgen.errors import RoomgenError

_STEPS_PER_WAVELENGTH = 8.0
_TURN_DEG = 10.0  # of a step in which a source turns: two patterns this far apart are one within 0.4 %
_IN_BAND = 0.999  # of a signal's energy lies below the frequency that matters: what lies above is no louder than the steps' error


def simulate_moving(
    signal: ArrayLike,
    room: Shoebox,
    *,
    path_m: ArrayLike,
    times_s: ArrayLike,
    mics: ArrayLike,
    fs_hz: float = 16000,
    duration_s: float | None = None,
    engine: str = "image",
    air: Air | tuple[float, float] | None = None,
    source_directivity: Directivity | Sequence[Directivity] = OMNI,
    mic_directivity: Directivity | Sequence[Directivity] = OMNI,
    options: ImageOptions | None = None,
    highest_hz: float | None = None,
) -> NDArray[np.float32]:
    """Return what microphones hear of a signal whose source moves.

    Args:
        signal: (time,) what the source emits, at ``fs_hz``.
        room: the room and its walls.
        path_m: (node, 3) places of the source in metres; between two of them it moves straight ahead at an even speed.
        times_s: (node,) when it is there, rising, in seconds since the first sample of the signal. Before the first and after
            the last of them it stands still.
        mics: (mic, 3) positions in metres.
        duration_s: length of each impulse response; None: until the predicted decay has reached -60 dB.
        source_directivity: one pattern for all of the path, or one per node for a source that turns (the shorter way round).
        highest_hz: frequency that steps are short enough for; None: that below which 99.9 % of the signal's energy lies. A
            metre takes 8 f / c simulations: 187 for 8 kHz.

    The other arguments are those of :func:`~roomgen.acoustics.engine.simulate`.

    Returns:
        (mic, time + response - 1) float32: the signal and its last reverberation.

    Raises:
        RoomgenError: times that do not rise or do not fit the path, an empty signal, a frequency that is not positive, or what
            ``simulate`` raises.
    """
    emitted = _signal(signal)
    if highest_hz is not None and not (np.isfinite(highest_hz) and highest_hz > 0):
        raise RoomgenError(f"highest_hz = {highest_hz} must be a positive frequency in Hz, or None for that of the signal.")
    nodes = make_scene(
        room,
        sources=path_m,
        mics=mics,
        fs_hz=fs_hz,
        duration_s=duration_s,
        air=air,
        source_directivity=source_directivity,
        mic_directivity=mic_directivity,
        options=options,
    )
    node_times = _times(times_s, len(nodes.sources_m)) * nodes.fs_hz
    longest_m = nodes.c_m_s / (_STEPS_PER_WAVELENGTH * (highest_hz or _highest_hz(emitted, nodes.fs_hz)))
    scene, times = _in_steps(nodes, node_times, longest_m)
    heard = np.zeros((len(scene.mics_m), len(emitted) + scene.n_samples - 1), dtype=np.float32)
    response, at = None, None
    for place in range(len(times)):
        begin, part = _share(emitted, times, place)
        if len(part) == 0:
            continue
        here = (tuple(scene.sources_m[place]), scene.source_directivity[place])
        if response is None or here != at:  # a source that rests costs nothing
            response, at = _response_from(scene, place, engine), here
        heard[:, begin : begin + len(part) + scene.n_samples - 1] += _convolve(part, response)
    return heard


def _in_steps(scene: Scene, times: NDArray[np.float64], longest_m: float) -> tuple[Scene, NDArray[np.float64]]:
    """Return a scene whose sources are the places of the path in steps of at most ``longest_m``, and their (place,) times."""
    patterns = scene.source_directivity
    places, when, looks = [scene.sources_m[:1]], [times[:1]], [patterns[0]]
    for node in range(1, len(times)):
        one, other = patterns[node - 1], patterns[node]
        way = float(np.linalg.norm(scene.sources_m[node] - scene.sources_m[node - 1]))
        turn = max(abs(_turn_deg(one, other)), abs(other.elevation_deg - one.elevation_deg))
        count = max(int(np.ceil(way / longest_m - 1e-9)), int(np.ceil(turn / _TURN_DEG - 1e-9)), 1)
        share = np.arange(1, count + 1) / count
        places.append(scene.sources_m[node - 1] * (1 - share[:, None]) + scene.sources_m[node] * share[:, None])
        when.append(times[node - 1] * (1 - share) + times[node] * share)
        looks += [_between(one, other, float(w)) for w in share[:-1]] + [other]
    return replace(scene, sources_m=np.concatenate(places), source_directivity=tuple(looks)), np.concatenate(when)


def _between(one: Directivity, other: Directivity, share: float) -> Directivity:
    if one == other:
        return one
    return Directivity(
        p=one.p + share * (other.p - one.p),
        azimuth_deg=one.azimuth_deg + share * _turn_deg(one, other),
        elevation_deg=one.elevation_deg + share * (other.elevation_deg - one.elevation_deg),
    )


def _turn_deg(one: Directivity, other: Directivity) -> float:
    """Return the shorter way from one azimuth to another, in (-180, 180]."""
    return -((one.azimuth_deg - other.azimuth_deg + 180.0) % 360.0 - 180.0)


def _highest_hz(signal: NDArray[np.float32], fs_hz: float) -> float:
    """Return the frequency below which nearly all energy of a signal lies."""
    energy = np.cumsum(np.abs(np.fft.rfft(signal.astype(np.float64))) ** 2)
    if energy[-1] <= 0.0:
        return 1.0  # silence sounds the same from everywhere
    bins = int(np.searchsorted(energy, _IN_BAND * energy[-1])) + 1
    return min(bins * fs_hz / len(signal), fs_hz / 2)


def _share(signal: NDArray[np.float32], times: NDArray[np.float64], place: int) -> tuple[int, NDArray[np.float32]]:
    """Return the part of a signal that leaves from one place, and where it begins.

    The shares of all places add up to the signal: each rises from the place before and falls to the place after.

    Args:
        times: (place,) in samples.
    """
    last = len(times) - 1
    begin = 0 if place == 0 else min(max(int(np.floor(times[place - 1])), 0), len(signal))
    end = len(signal) if place == last else min(max(int(np.ceil(times[place + 1])) + 1, 0), len(signal))
    near = slice(max(place - 1, 0), place + 2)
    hat = np.interp(np.arange(begin, end), times[near], np.arange(len(times))[near] == place)
    return begin, (signal[begin:end] * hat).astype(np.float32)


def _response_from(scene: Scene, place: int, engine: str) -> NDArray[np.float32]:
    """Return the (mic, time) response from one place."""
    sources, patterns = scene.sources_m[place : place + 1], scene.source_directivity[place : place + 1]
    alone = replace(scene, sources_m=sources, source_directivity=patterns)
    response: NDArray[np.float32] = next(get_engine(engine).simulate([alone])).rir[0]
    return response


def _convolve(signal: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy.signal import oaconvolve

    return np.asarray(oaconvolve(signal[None, :], response, axes=1), dtype=np.float32)


def _signal(signal: ArrayLike) -> NDArray[np.float32]:
    array = np.asarray(signal, dtype=np.float32)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise RoomgenError(f"the signal must be finite samples of one channel, (time,); the shape given is {array.shape}.")
    return array


def _times(times_s: ArrayLike, count: int) -> NDArray[np.float64]:
    times = np.asarray(times_s, dtype=np.float64)
    if times.shape != (count,):
        raise RoomgenError(f"a path of {count} nodes needs {count} times; the shape given is {times.shape}.")
    if not np.isfinite(times).all() or np.any(np.diff(times) <= 0):
        raise RoomgenError("the times of a path must be finite and rise from node to node, in seconds.")
    return times
