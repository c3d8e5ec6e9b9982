"""What needs no training: the response whose conditions are nearest, the mean of all that are equally near, and interpolation.

Of a microphone that nobody has heard, the mean is what all microphones of the most similar kind have in common. In a sector that is
held out, the nearest is the edge; what must be beaten there is a straight line from one edge to the other.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from roomtrain.errors import RoomtrainError

_SAME = 1e-5  # squared distances that differ by less are ties: float32 leaves 1e-7 of them, a step of 1° is 3e-4


def nearest(
    asked: NDArray[np.floating],
    known: NDArray[np.floating],
    *,
    asked_group: NDArray[np.integer] | None = None,
    known_group: NDArray[np.integer] | None = None,
) -> Iterator[NDArray[np.int64]]:
    """Yield, for each that is asked for, the places of all known conditions that are nearest (Euclidean), in their order.

    Args:
        asked, known: (asked, condition) and (known, condition).
        asked_group, known_group: (asked,) and (known,): only what is of the same group counts; None: all does.

    Raises:
        RoomtrainError: nothing is known of a group.
    """
    points = known.astype(np.float64)
    for number, point in enumerate(asked.astype(np.float64)):
        distances = np.square(points - point).sum(axis=1)
        if asked_group is not None and known_group is not None:
            distances[known_group != asked_group[number]] = np.inf
        least = distances.min(initial=np.inf)
        if not np.isfinite(least):
            raise RoomtrainError(f"there is no known response that sample {number} could be compared with: none is of its group.")
        yield np.flatnonzero(distances <= least + _SAME)


def by_nearest(
    responses: NDArray[np.float32], ties: Iterator[NDArray[np.int64]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the first of the nearest responses, and the mean of all of them: (asked, time) each.

    Args:
        responses: (known, time)
        ties: of :func:`nearest`.
    """
    first, mean = [], []
    for places in ties:
        first.append(responses[places[0]])
        mean.append(responses[places].mean(axis=0))
    return np.stack(first), np.stack(mean)


def interpolated(
    responses: NDArray[np.float32],
    *,
    asked_deg: NDArray[np.floating],
    known_deg: NDArray[np.floating],
    asked_group: NDArray[np.integer],
    known_group: NDArray[np.integer],
) -> NDArray[np.float32]:
    """Return responses on the straight line between the two known angles around each that is asked for: (asked, time).

    Args:
        responses: (known, time)
        asked_deg, known_deg: (asked,) and (known,) angles.
        asked_group, known_group: (asked,) and (known,): microphone and distance; only what is of the same group counts.

    Raises:
        RoomtrainError: nothing is known of a group.
    """
    result = np.empty((len(asked_deg), responses.shape[1]), dtype=np.float32)
    for number, (angle, group) in enumerate(zip(asked_deg, asked_group, strict=True)):
        own = np.flatnonzero(known_group == group)
        if not len(own):
            raise RoomtrainError(f"there is no known response that sample {number} could be compared with: none is of its group.")
        ahead, behind = (known_deg[own] - angle) % 360.0, (angle - known_deg[own]) % 360.0
        upper, lower = int(ahead.argmin()), int(behind.argmin())
        width = ahead[upper] + behind[lower]
        share = behind[lower] / width if width else 0.0
        result[number] = (1.0 - share) * responses[own[lower]] + share * responses[own[upper]]
    return result
