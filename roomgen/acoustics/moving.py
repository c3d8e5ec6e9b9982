"""A source that moves: its path is a list of nodes, and sound between two nodes is cross-faded from one to the other.

Every sample of the signal leaves the source where the source is at that moment, so what is faded is the signal that goes into a
node's response, not the sound that comes out of it: the reverberation of what was said at the door stays that of the door.

At the nodes the result is exact. Between them it is the mean of two fixed places, with two consequences. The pitch does not
shift within a segment (over many short segments, the Doppler shift appears by itself). And where the ways from two
neighbouring nodes differ by half a wavelength, they cancel: nodes no further apart than c / (8 f) lose at most 0.7 dB at the
frequency f half-way, which is 5 mm for 8 kHz and 2 cm for 2 kHz.
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
) -> NDArray[np.float32]:
    """Return what microphones hear of a signal whose source moves.

    Args:
        signal: (time,) what the source emits, at ``fs_hz``.
        room: the room and its walls.
        path_m: (node, 3) places of the source in metres.
        times_s: (node,) when it is there, rising, in seconds since the first sample of the signal. Before the first and after
            the last of them it stands still.
        mics: (mic, 3) positions in metres.
        duration_s: length of each impulse response; None: until the predicted decay has reached -60 dB.
        source_directivity: one pattern for all of the path, or one per node for a source that turns.

    The other arguments are those of :func:`~roomgen.acoustics.engine.simulate`.

    Returns:
        (mic, time + response - 1) float32: the signal and its last reverberation.

    Raises:
        RoomgenError: times that do not rise or do not fit the path, an empty signal, or what ``simulate`` raises.
    """
    emitted = _signal(signal)
    scene = make_scene(
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
    nodes = _times(times_s, len(scene.sources_m)) * scene.fs_hz
    heard = np.zeros((len(scene.mics_m), len(emitted) + scene.n_samples - 1), dtype=np.float32)
    response, at = None, None
    for node in range(len(nodes)):
        begin, part = _share(emitted, nodes, node)
        if len(part) == 0:
            continue
        place = (tuple(scene.sources_m[node]), scene.source_directivity[node])
        if response is None or place != at:  # a source that rests costs nothing
            response, at = _response_from(scene, node, engine), place
        heard[:, begin : begin + len(part) + scene.n_samples - 1] += _convolve(part, response)
    return heard


def _share(signal: NDArray[np.float32], nodes: NDArray[np.float64], node: int) -> tuple[int, NDArray[np.float32]]:
    """Return the part of a signal that leaves from one node, and where it begins.

    The shares of all nodes add up to the signal: each rises from the node before and falls to the node after.

    Args:
        nodes: (node,) in samples.
    """
    begin = 0 if node == 0 else min(max(int(np.floor(nodes[node - 1])), 0), len(signal))
    end = len(signal) if node == len(nodes) - 1 else min(max(int(np.ceil(nodes[node + 1])) + 1, 0), len(signal))
    hat = np.zeros(len(nodes))
    hat[node] = 1.0
    return begin, (signal[begin:end] * np.interp(np.arange(begin, end), nodes, hat)).astype(np.float32)


def _response_from(scene: Scene, node: int, engine: str) -> NDArray[np.float32]:
    """Return the (mic, time) response of one node."""
    alone = replace(scene, sources_m=scene.sources_m[node : node + 1], source_directivity=scene.source_directivity[node : node + 1])
    response: NDArray[np.float32] = get_engine(engine)(alone, parts=False).rir[0]
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
