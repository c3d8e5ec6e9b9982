"""The cells of Table 2, in the order in which they are trained: what belongs together first."""

from __future__ import annotations

from typing import Any

from roomtrain.papers.goetz.settings import STRATEGIES

TEMPERATURES = (0.1, 0.01, 1.0)
FINE_TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""The finer scan that the paper asks for."""


def table_cells() -> list[dict[str, Any]]:
    """Return the overrides of every cell: three temperatures × three strategies, the supervised baseline, the untrained encoder."""
    cells: list[dict[str, Any]] = []
    for temperature in TEMPERATURES:
        cells += [{"strategy": strategy, "upstream.temperature": temperature} for strategy in STRATEGIES]
        if temperature == TEMPERATURES[0]:
            cells += [{"strategy": "untrained"}, {"strategy": "supervised"}]
    return cells


def temperature_scan(strategy: str) -> list[dict[str, Any]]:
    """Return the overrides of a finer scan of the temperature."""
    return [{"strategy": strategy, "upstream.temperature": temperature} for temperature in FINE_TEMPERATURES]
