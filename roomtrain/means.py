"""Means over batches, weighted by their samples, kept on the device until they are asked for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from lightning_fabric import Fabric
from torch import Tensor

from roomtrain.processes import reduced


class Means:
    """Sums of values and of their weights, by name."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: dict[str, Tensor | float] = {}
        self._weights: dict[str, float] = {}

    @classmethod
    def of(cls, plain: Mapping[str, list[float]], device: torch.device) -> Means:
        """Return the means that :meth:`plain` described."""
        means = cls(device)
        means._sums = {name: total for name, (total, _) in plain.items()}
        means._weights = {name: weight for name, (_, weight) in plain.items()}
        return means

    def __bool__(self) -> bool:
        return bool(self._sums)

    def add(self, name: str, value: Tensor | float, weight: float) -> None:
        """Add a value, (), of so many samples; nothing waits for it. That of no samples may be anything."""
        if isinstance(value, Tensor):
            value = value.detach().double()
        self._sums[name] = self._sums.get(name, 0.0) + (value * weight if weight else 0.0)
        self._weights[name] = self._weights.get(name, 0.0) + weight

    def taken(self, fabric: Fabric) -> dict[str, float]:
        """Return the means over all processes, and begin anew."""
        totals = reduced(self._totals(), fabric).cpu()
        means = {name: float(total / weight) for name, (total, weight) in zip(self._sums, totals.T, strict=True)}
        self._sums, self._weights = {}, {}
        return means

    def plain(self, fabric: Fabric) -> dict[str, list[float]]:
        """Return sums and weights over all processes, as plain numbers: what every process goes on from is their mean."""
        totals = reduced(self._totals(), fabric).cpu()
        return {name: [float(total), float(weight)] for name, (total, weight) in zip(self._sums, totals.T, strict=True)}

    def _totals(self) -> Tensor:
        sums = [torch.as_tensor(value, dtype=torch.float64, device=self._device) for value in self._sums.values()]
        weights = torch.tensor(list(self._weights.values()), dtype=torch.float64, device=self._device)
        return torch.stack([torch.stack(sums) if sums else weights, weights])
