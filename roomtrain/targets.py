"""What a paper estimates: targets, whose kind says which metrics they have, how they are written, and what a head ends in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roomtrain.metrics import (
    Metric,
    accuracy,
    angular_error,
    bias,
    correlation,
    macro_precision,
    macro_recall,
    mean_score,
    rmse,
    within_20_deg,
)

Kind = Literal["number", "class", "angle", "score"]
"""number: in a unit. class: its index. angle: in degrees, where 360 is 0. score: what stands for itself, without a truth (PESQ)."""

METRICS: Mapping[Kind, Mapping[str, Metric]] = {
    "number": {"rmse": rmse, "corr": correlation, "bias": bias},
    "class": {"accuracy": accuracy, "precision": macro_precision, "recall": macro_recall},
    "angle": {"error": angular_error, "within_20": within_20_deg},
    "score": {"mean": mean_score},
}
"""By kind: the metrics of a target, by their names in results; the first is the one that stands for the target."""

TITLES: Mapping[str, str] = {
    "rmse": "RMSE",
    "corr": "correlation",
    "error": "mean error",
    "within_20": "share within 20°",
}
"""Metrics whose name in tables is not their name in results."""

_ERRORS = ("rmse", "error")


@dataclass(frozen=True)
class Target:
    """One thing that is estimated.

    Args:
        name: in settings, folders and results.
        kind: of number; head, loss and metrics follow from it.
        title: as in running text: "RT60", "volume above 160 m³".
        unit: of numbers, such as "s"; "" where there is none.
        classes: of a class, what the indices mean.
        positive: a number that is never below 0: its head ends in a ReLU.
        measured: what it is called among the labels that :func:`roomgen.measure` gives for a response; "" where it gives none.
        lower_is_better: of scores and classes: low metrics are good, such as those of a loss, or of a class that shall not be told
            from embeddings. Of numbers and angles the metrics say it themselves.
    """

    name: str
    kind: Kind = "number"
    title: str = ""
    unit: str = ""
    classes: tuple[str, ...] = ()
    positive: bool = False
    measured: str = ""
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        if (self.kind == "class") != bool(self.classes):
            raise ValueError(f"{self.name}: classes belong to the kind 'class', and to no other")
        if self.lower_is_better and self.kind not in ("score", "class"):
            raise ValueError(f"{self.name}: lower_is_better belongs to scores and classes; of a {self.kind} the metrics say it")

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics of the target by name; the first stands for it."""
        return METRICS[self.kind]

    def numbers(self, estimate: NDArray[Any], truth: NDArray[Any]) -> dict[str, float | None]:
        """Return every metric; None for what cannot be computed, such as the correlation with a constant."""
        return {name: finite(metric(estimate, truth)) for name, metric in self.metrics.items()}

    def badness(self, metric: str, value: float) -> float:
        """Return a number that is the lower the better a metric's value is: a bias is best at 0, errors and losses when low."""
        if metric == "bias":
            return abs(value)
        return value if self.lower_is_better or metric in _ERRORS else -value

    def constant(self, truth: NDArray[Any]) -> float:
        """Return the one answer to all samples that is best for these truths: the mean, the commonest class, a direction."""
        if self.kind == "class":
            return float(np.bincount(truth.astype(np.int64)).argmax())
        if self.kind == "angle":
            return float(np.rad2deg(np.angle(np.exp(1j * np.deg2rad(truth)).sum())))
        return float(np.mean(truth))

    def heading(self) -> str:
        """Return the title of the target's table: ``RT60 in s: RMSE / correlation / bias``."""
        unit = {"class": "%", "angle": "°", "score": self.unit}.get(self.kind, self.unit)
        metrics = " / ".join(TITLES.get(name, name) for name in self.metrics)
        return f"{self.title or self.name}{f' in {unit}' if unit else ''}: {metrics}"

    def text(self, metric: str, value: float | None) -> str:
        """Return the value of a metric as tables have it: three decimals, shares in percent with one."""
        if value is None or not np.isfinite(value):
            return "—"
        if self.kind == "class" or metric == "within_20":
            return f"{100 * value:.1f}"
        return f"{value:.1f}" if self.kind == "angle" else f"{value:.3f}"


def finite(value: float) -> float | None:
    """Return the value, or None where it is NaN or infinite: JSON has neither."""
    return float(value) if np.isfinite(value) else None
