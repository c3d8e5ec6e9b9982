"""All engines by name and device, and their front: :func:`simulate`, which picks one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.air import Air
from roomgen.acoustics.directivity import OMNI, Directivity
from roomgen.acoustics.rooms import Shoebox
from roomgen.acoustics.scene import Engine, ImageOptions, make_scene
from roomgen.errors import RoomgenError, suggest

ENGINES = {
    ("image", "cpu"): "roomgen.acoustics.images.sources:ImageSources",
    ("image", "cuda"): "roomgen.acoustics.images.sources_gpu:ImageSourcesOnGpu",
    ("reference", "cpu"): "roomgen.acoustics.reference:Reference",
}
"""Name and device of every engine, and where its class is; imported when it is first needed."""


def simulate(
    room: Shoebox,
    *,
    sources: ArrayLike,
    mics: ArrayLike,
    fs_hz: float = 16000,
    duration_s: float | None = None,
    engine: str = "image",
    air: Air | tuple[float, float] | None = None,
    source_directivity: Directivity | Sequence[Directivity] = OMNI,
    mic_directivity: Directivity | Sequence[Directivity] = OMNI,
    options: ImageOptions | None = None,
) -> NDArray[np.float32]:
    """Return the impulse responses of a room.

    Args:
        room: the room and its walls.
        sources, mics: (source, 3) and (mic, 3) positions in metres.
        fs_hz: sampling rate in Hz.
        duration_s: length in seconds; None: until the predicted decay of the room has reached -60 dB.
        engine: ``"image"`` (exact octave-band image sources, and a diffuse field where walls scatter) or ``"reference"``
            (pyroomacoustics, between mirrors alone).
        air: None for 343 m/s and no absorption, or :class:`Air`, or (temperature in °C, relative humidity in %).
        source_directivity, mic_directivity: one pattern for all, or one each.
        options: how images are summed; see :class:`ImageOptions`.

    Returns:
        (source, mic, time) float32, Pa per unit source: sample 0 is the instant of emission, a point source has the
        pressure 1/(4 pi r).

    Raises:
        RoomgenError: a position outside the room, a source and a microphone at the same point, or a setting out of range.
    """
    scene = make_scene(
        room,
        sources=sources,
        mics=mics,
        fs_hz=fs_hz,
        duration_s=duration_s,
        air=air,
        source_directivity=source_directivity,
        mic_directivity=mic_directivity,
        options=options,
    )
    direct_s = np.linalg.norm(scene.sources_m[:, None] - scene.mics_m, axis=-1).min() / scene.c_m_s
    if scene.n_samples <= direct_s * scene.fs_hz:
        warnings.warn(
            f"the response of {scene.n_samples / scene.fs_hz:.3g} s ends before the direct sound arrives at {direct_s:.3g} s: "
            "it is silent. Give a longer duration_s.",
            stacklevel=2,
        )
    return next(get_engine(engine).simulate([scene])).rir


def get_engine(name: str, device: str = "cpu") -> Engine:
    """Return an engine that is ready to simulate.

    Raises:
        RoomgenError: no such engine, or this machine lacks what it needs.
    """
    return engine_class(name, device)()


def engine_class(name: str, device: str = "cpu") -> type[Engine]:
    """Return the class of an engine, which tells what it can do on any machine.

    Raises:
        RoomgenError: no such engine, or none of that name on such a device.
    """
    names = tuple(dict.fromkeys(known for known, _ in ENGINES))
    if name not in names:
        raise RoomgenError(f"unknown engine {name!r}.{suggest(name, names)} Engines: {', '.join(names)}.")
    if (name, device) not in ENGINES:
        devices = ["the CPU" if where == "cpu" else where for known, where in ENGINES if known == name]
        raise RoomgenError(f"engine {name!r} runs on {' and '.join(devices)}, not on {device!r}.")
    module, _, attribute = ENGINES[name, device].partition(":")
    found: type[Engine] = getattr(import_module(module), attribute)
    return found
