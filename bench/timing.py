"""How times are taken: warm, interleaved, the shortest of a few.

A machine that others use as well slows everything down now and then. The shortest of several times is what the work itself
takes, and taking turns lets a slow second meet all competitors alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator


def best_s(repeats: int, *functions: Callable[[], object]) -> tuple[float, ...]:
    """Return the shortest time of each function in s, after one call each that does not count."""
    for function in functions:
        function()
    best = [float("inf")] * len(functions)
    for _ in range(repeats):
        for i, function in enumerate(functions):
            begun = time.perf_counter()
            function()
            best[i] = min(best[i], time.perf_counter() - begun)
    return tuple(best)


def best_stages_s(repeats: int, stages: Callable[[], Iterator[str]]) -> dict[str, float]:
    """Return the shortest time of each stage of a function that yields a stage's name whenever one is done, in s."""
    best: dict[str, float] = {}
    for repeat in range(repeats + 1):
        begun = time.perf_counter()
        for name in stages():
            if repeat:
                best[name] = min(best.get(name, float("inf")), time.perf_counter() - begun)
            begun = time.perf_counter()
    return best
