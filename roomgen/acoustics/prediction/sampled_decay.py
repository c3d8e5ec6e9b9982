"""Energy decays that are known at points in time, and what follows from them, as :class:`~.decay.Mixture` says it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_DB = 10.0 / np.log(10.0)
_LEAST = 1e-200


@dataclass(frozen=True, eq=False)
class SampledDecay:
    """Energy decays E(t), one per row, exponential between their points and after the last.

    Args:
        time_s: (decay, point) from 0 on, rising.
        energy: (decay, point) per second, not negative.
    """

    time_s: NDArray[np.float64]
    energy: NDArray[np.float64]

    def density(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return E at the (time,) or (decay, time) times: (decay, time)."""
        times = np.broadcast_to(t_s, (len(self.energy), np.shape(t_s)[-1]))
        log = np.log(np.maximum(self.energy, _LEAST))
        rows = zip(times, self.time_s, log, strict=True)
        slope = (log[:, -1] - log[:, -2]) / (self.time_s[:, -1] - self.time_s[:, -2])
        over = np.maximum(times - self.time_s[:, -1:], 0.0)
        return np.asarray(np.exp(np.stack([np.interp(t, x, y) for t, x, y in rows]) + slope[:, None] * over))

    def level_db(self, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Schroeder's integral relative to its start, in dB, at (decay, time) times: (decay, time)."""
        rows = zip(t_s, self.time_s, self._levels_db, strict=True)
        return np.stack([np.interp(t, x, y) for t, x, y in rows])

    def time_s_at(self, *levels_db: float) -> NDArray[np.float64]:
        """Return the times at which the Schroeder integral has fallen to each level: (decay, level)."""
        rows = zip(self.time_s, self._levels_db, strict=True)
        return np.stack([np.interp(np.negative(levels_db), -y, x) for x, y in rows])

    @cached_property
    def _levels_db(self) -> NDArray[np.float64]:
        return np.asarray(_DB * np.log(self._left / self._left[:, :1]))

    @cached_property
    def _left(self) -> NDArray[np.float64]:
        """(decay, point) Schroeder's integral at each point."""
        energy = np.maximum(self.energy, _LEAST)
        fall = np.log(energy[:, :-1] / energy[:, 1:])
        # The integral of an exponential between two points; of a line where both are nearly the same.
        even = np.abs(fall) < 1e-6
        mean = np.where(even, 0.5 * (energy[:, :-1] + energy[:, 1:]), (energy[:, :-1] - energy[:, 1:]) / np.where(even, 1.0, fall))
        steps = np.diff(self.time_s, axis=1)
        after = energy[:, -1:] * steps[:, -1:] / np.maximum(fall[:, -1:], 1e-9)
        parts = np.concatenate([mean * steps, after], axis=1)
        return np.asarray(np.cumsum(parts[:, ::-1], axis=1)[:, ::-1])
