"""The absorption that gives a room a whole spectrum of reverberation times: one prescribed T30 for every octave band.

Eyring's formula is a first guess, right where sound is diffuse. In a shoebox it is not: what travels along the walls decays last,
and T30 is longer than the formula says. But bands hardly know of each other, so the *predicted* T30 of all of them is brought to
what was asked by a few secant steps at once (:func:`roomgen.acoustics.prediction.decay.predict_rt60_bands_s`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.acoustics.air import Air, speed_of_sound_m_s
from roomgen.acoustics.bands import octave_centers
from roomgen.acoustics.prediction.decay import predict_rt60_bands_s
from roomgen.acoustics.rooms import Scattering, Shoebox
from roomgen.errors import RoomgenError

LOSSES = (0.004, 3.0)
"""Least and greatest Eyring exponent −ln(1 − α) of the mean wall: outside, a "room" is a bell jar or a free field."""

_AIR_ALONE = 0.9  # a band is asked for at most this share of the time that air alone would leave it
_TOLERANCE = 0.01
_STEPS = 12
_SLOPES = (-4.0, -0.25)  # of ln T over the logarithm of the exponent: Sabine's −1, within reason


def absorption_for(
    size_m: Sequence[float],
    rt60_bands_s: ArrayLike,
    *,
    fs_hz: float,
    air: Air | None = None,
    relative: ArrayLike = 1.0,
    scattering: Scattering = 0.0,
    tolerance: float = _TOLERANCE,
) -> NDArray[np.float64]:
    """Return the absorption that gives a room this predicted T30 in every octave band.

    Args:
        size_m: length, width, height in m.
        rt60_bands_s: (band,) T30 in s, of all octave bands of the sampling rate. What lies beyond 90 % of the time that air alone
            leaves a band becomes these 90 %: that is as long as any room rings there.
        relative: (wall, band), or what is broadcast to that: how much more one wall absorbs than the mean. It multiplies Eyring's
            exponent −ln(1 − α), which is α where little is absorbed and keeps every α below 1.
        scattering: of the walls, as :class:`Shoebox` takes it.
        tolerance: largest relative error of the predicted T30 of a band.

    Returns:
        (wall, band) energy absorption, exact in float32.

    Raises:
        RoomgenError: some band cannot have its T30 in a room of this size; the message names it.
    """
    centers = octave_centers(fs_hz)
    target = np.asarray(rt60_bands_s, dtype=np.float64)
    if target.shape != (len(centers),) or not (np.isfinite(target).all() and (target > 0).all()):
        raise RoomgenError(
            f"reverberation times {target.tolist()} s are not {len(centers)} positive numbers, one for each octave from "
            f"{centers[0]:g} to {centers[-1]:g} Hz."
        )
    share = np.broadcast_to(np.asarray(relative, dtype=np.float64), (6, len(centers)))
    bare = Shoebox(size_m)
    c_m_s = speed_of_sound_m_s(air)
    air_per_m = np.zeros(len(centers)) if air is None else air.energy_absorption_per_m(centers)
    with np.errstate(divide="ignore"):
        target = np.minimum(target, _AIR_ALONE * 6.0 * np.log(10.0) / (c_m_s * air_per_m))
    eyring = (6.0 * np.log(10.0) / (c_m_s * target) - air_per_m) * 4.0 * bare.volume_m3 / bare.surface_m2
    low, high = np.log(LOSSES)
    log_loss = np.clip(np.log(eyring), low, high)
    error, slope = np.full(len(centers), np.inf), np.full(len(centers), -1.0)
    before = None
    for _ in range(_STEPS):
        table: NDArray[np.float64] = (-np.expm1(-np.exp(log_loss) * share)).astype(np.float32).astype(np.float64)
        room = Shoebox(size_m, absorption=table, scattering=scattering)
        error = np.log(predict_rt60_bands_s(room, fs_hz=fs_hz, air=air) / target)
        if np.abs(error).max() <= tolerance:
            return table
        at_end = np.where(error > 0.0, log_loss >= high, log_loss <= low)
        if (at_end & (np.abs(error) > tolerance)).any():
            break  # the least or most that walls can absorb is not enough
        if before is not None:
            moved = log_loss - before[0]
            known = np.abs(moved) > 1e-9
            slope = np.where(known, np.clip((error - before[1]) / np.where(known, moved, 1.0), *_SLOPES), slope)
        before = (log_loss, error)
        log_loss = np.clip(log_loss - error / slope, low, high)
    worst = int(np.abs(error).argmax())
    shown = " × ".join(f"{v:.3g}" for v in size_m)
    raise RoomgenError(
        f"a room of {shown} m cannot have a T30 of {target[worst]:.3g} s at {centers[worst]:g} Hz: "
        f"walls between {100 * -np.expm1(-LOSSES[0]):.1g} and {100 * -np.expm1(-LOSSES[1]):.0f} % of absorption come to "
        f"{target[worst] * np.exp(error[worst]):.3g} s at best. Ask for another time or another size."
    )
