"""How good predictions are, and how sure that is.

Conventions. Prediction and truth are (sample,) arrays: numbers for :func:`rmse`, :func:`correlation` and :func:`bias`, class
indices for :func:`accuracy`, :func:`macro_precision` and :func:`macro_recall`, degrees for :func:`angular_error`. Shares are in
0…1. A metric also takes a ``weight`` (…, sample), how often each sample counts, and then returns an array (…): a resampled test
set is a row of weights, so that a bootstrap of thousands is a few matrix products in place of thousands of calls.

Samples of one room are not independent of each other. The intervals therefore resample rooms, not samples (cluster bootstrap; Efron
and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13). All samples of a room then count alike, and the
products are of sums over each room (:class:`ByGroup`): thousands of resamples cost no more the more samples a room has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomtrain.errors import RoomtrainError

Values = NDArray[np.float64]
_TOGETHER = 2_500_000  # weights of groups at a time: 20 MB


class ByGroup:
    """A weight (resample, sample) under which all samples of a group count alike, kept as (resample, group).

    It has what metrics need of an array: its product with (sample,) or (sample, value), made from the sums over each group, and
    its sum. A metric that is no function of sums may ask NumPy for the whole array.

    Args:
        times: (resample, group) how often each group counts.
        group: (sample,) the index of each sample's group.
    """

    def __init__(self, times: Values, group: NDArray[np.intp]) -> None:
        self.times, self.group = times, group

    def __matmul__(self, values: ArrayLike) -> Values:
        columns = np.asarray(values, dtype=float)
        groups = self.times.shape[1]
        sums = [np.bincount(self.group, column, groups) for column in columns.reshape(len(self.group), -1).T]
        return self.times @ np.stack(sums, axis=-1).reshape(groups, *columns.shape[1:])

    def sum(self, axis: int = -1) -> Values:
        """Return (resample,) how many samples count; ``axis`` is there to be called like an array, and is the last."""
        return self @ np.ones(len(self.group))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Values:
        return np.asarray(self.times[:, self.group], dtype=dtype)


Weight = ArrayLike | ByGroup
"""(…, sample): how often each sample counts."""


class Metric(Protocol):
    """What the functions of this module are: a float, or with ``weight`` (…, sample) an array (…)."""

    def __call__(self, prediction: ArrayLike, truth: ArrayLike, *, weight: Weight | None = None) -> Any: ...


@dataclass(frozen=True)
class Pair:
    """Two predictions of one test set, with its truth and groups: (sample,) each."""

    a: ArrayLike
    b: ArrayLike
    truth: ArrayLike
    groups: ArrayLike


def rmse(prediction: ArrayLike, truth: ArrayLike, *, weight: Weight | None = None) -> Any:
    """Return √mean((prediction - truth)²), in the unit of the truth.

    Raises:
        RoomtrainError: shapes that do not fit, no samples, or a number that is not finite. So do all metrics here.
    """
    p, t, w = _checked(prediction, truth, weight)
    return _plain(np.sqrt(w @ (p - t) ** 2 / w.sum(axis=-1)))


def bias(prediction: ArrayLike, truth: ArrayLike, *, weight: Weight | None = None) -> Any:
    """Return mean(prediction - truth): positive where the model answers too much."""
    p, t, w = _checked(prediction, truth, weight)
    return _plain(w @ (p - t) / w.sum(axis=-1))


def correlation(prediction: ArrayLike, truth: ArrayLike, *, weight: Weight | None = None) -> Any:
    """Return Pearson's correlation, in -1…1; NaN where prediction or truth do not vary."""
    p, t, w = _checked(prediction, truth, weight)
    total = w.sum(axis=-1)
    # Moments about the plain mean: about 0 they would cancel where the mean is large against the spread.
    p, t = p - p.mean(), t - t.mean()
    mean_p, mean_t = w @ p / total, w @ t / total
    var_p, var_t = w @ p**2 / total - mean_p**2, w @ t**2 / total - mean_t**2
    varies = (var_p > 1e-12 * np.mean(p**2)) & (var_t > 1e-12 * np.mean(t**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = w @ (p * t) / total - mean_p * mean_t
        return _plain(np.where(varies, np.clip(covariance / np.sqrt(var_p * var_t), -1.0, 1.0), np.nan))


def accuracy(prediction: ArrayLike, truth: ArrayLike, *, weight: Weight | None = None) -> Any:
    """Return the share of right answers."""
    p, t, w = _checked(prediction, truth, weight)
    return _plain(w @ (p == t) / w.sum(axis=-1))


def macro_precision(prediction: ArrayLike, truth: ArrayLike, *, weight: Weight | None = None) -> Any:
    """Return the mean over the classes of: which share of the answers that named the class was right.

    As in scikit-learn, a class that is there but is never named has 0, and one that is neither is left out of the mean.
    """
    right, predicted, present = _counts(prediction, truth, weight)
    return _plain(_macro(right, predicted, (predicted + present) > 0))


def macro_recall(prediction: ArrayLike, truth: ArrayLike, *, weight: Weight | None = None) -> Any:
    """Return the mean over the classes of: which share of the class's samples was named right.

    As in scikit-learn, a class that is named but is not there has 0, and one that is neither is left out of the mean.
    """
    right, predicted, present = _counts(prediction, truth, weight)
    return _plain(_macro(right, present, (predicted + present) > 0))


def angular_error(prediction: ArrayLike, truth: ArrayLike, *, weight: Weight | None = None) -> Any:
    """Return the mean of the angles between prediction and truth, both in degrees: 350 and 10 are 20 apart."""
    p, t, w = _checked(prediction, truth, weight)
    return _plain(w @ _apart_deg(p, t) / w.sum(axis=-1))


def within_20_deg(prediction: ArrayLike, truth: ArrayLike, *, weight: Weight | None = None) -> Any:
    """Return the share of directions that are found within 20°, as DCASE's localisation task does (Politis et al., 2020)."""
    p, t, w = _checked(prediction, truth, weight)
    return _plain(w @ (_apart_deg(p, t) <= 20.0) / w.sum(axis=-1))


def mean_score(prediction: ArrayLike, truth: ArrayLike, *, weight: Weight | None = None) -> Any:
    """Return the mean of scores, which need no truth: ``truth`` is there to be called like the others, and is not looked at."""
    p, _, w = _checked(prediction, np.zeros(np.shape(prediction)), weight)
    return _plain(w @ p / w.sum(axis=-1))


def bootstrap(
    metric: Metric,
    prediction: ArrayLike,
    truth: ArrayLike,
    groups: ArrayLike,
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile interval (low, high) of a metric over resampled groups.

    Args:
        metric: one of this module.
        prediction: (sample,)
        truth: (sample,)
        groups: (sample,) what belongs together, such as the index of the room. A resample draws as many groups as there are, with
            repetition, each with all its samples.
        n: resamples. One that leaves the metric undefined (NaN) is not counted.
        seed: of the draws.
        level: share of the resamples between the two ends.

    Raises:
        RoomtrainError: what the metric raises, fewer than two groups, or a number out of range.
    """
    weights = _resamples([(groups, np.size(truth))], n=n, seed=seed, level=level)
    return _interval(np.concatenate([metric(prediction, truth, weight=weight) for (weight,) in weights]), level)


def bootstrap_difference(
    metric: Metric,
    prediction_a: ArrayLike,
    prediction_b: ArrayLike,
    truth: ArrayLike,
    groups: ArrayLike,
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the interval of metric(a) - metric(b), both on the same resamples of one test set.

    A room that is hard moves both alike and cancels, so the interval is narrower than those of a and b alone. If 0 lies outside, a
    and b differ at that level. The other arguments are those of :func:`bootstrap`.
    """
    pair = Pair(prediction_a, prediction_b, truth, groups)
    return bootstrap_mean_difference(metric, [pair], n=n, seed=seed, level=level)


def bootstrap_mean_difference(
    metric: Metric, pairs: Sequence[Pair], *, n: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of the mean over the pairs of metric(a) - metric(b): a pair for each seed that both were trained with.

    Groups are drawn once for all pairs, so that a room counts as often in each: what is not known from one test set's rooms does
    not become known by trainings on the same rooms. The trainings themselves are not drawn. The other arguments are those of
    :func:`bootstrap`.
    """
    weights = _resamples([(pair.groups, np.size(pair.truth)) for pair in pairs], n=n, seed=seed, level=level)
    draws = [
        np.mean([metric(p.a, p.truth, weight=w) - metric(p.b, p.truth, weight=w) for p, w in zip(pairs, own, strict=True)], axis=0)
        for own in weights
    ]
    return _interval(np.concatenate(draws), level)


def _checked(prediction: ArrayLike, truth: ArrayLike, weight: Weight | None) -> tuple[Values, Values, Values | ByGroup]:
    p, t = np.asarray(prediction, dtype=float), np.asarray(truth, dtype=float)
    if p.ndim != 1 or p.shape != t.shape or len(p) == 0:
        raise RoomtrainError(f"prediction and truth must be (sample,), equally long and not empty, not {p.shape} and {t.shape}.")
    bad = int((~np.isfinite(p)).sum()), int((~np.isfinite(t)).sum())
    if any(bad):
        raise RoomtrainError(f"{bad[0]} predictions and {bad[1]} true values of {len(p)} are not finite.", exit_code=1)
    if isinstance(weight, ByGroup):
        return p, t, weight
    return p, t, np.ones(len(p)) if weight is None else np.asarray(weight, dtype=float)


def _apart_deg(one: Values, other: Values) -> Values:
    return np.abs((one - other + 180.0) % 360.0 - 180.0)


def _counts(prediction: ArrayLike, truth: ArrayLike, weight: Weight | None) -> tuple[Values, Values, Values]:
    """Return how often each class was named rightly, was named, and was there, each (…, class)."""
    p, t, w = _checked(prediction, truth, weight)
    classes = np.union1d(p, t)
    named, there = p[:, None] == classes, t[:, None] == classes
    return w @ (named & there), w @ named, w @ there


def _macro(right: Values, of: Values, counted: NDArray[np.bool_]) -> Values:
    share = np.divide(right, of, out=np.zeros_like(right), where=of > 0)
    return np.asarray((share * counted).sum(axis=-1) / counted.sum(axis=-1))


def _plain(value: Values) -> Any:
    return float(value) if np.ndim(value) == 0 else value


def _resamples(tests: Sequence[tuple[ArrayLike, int]], *, n: int, seed: int, level: float) -> Iterator[list[ByGroup]]:
    """Yield, some resamples at a time, how often each sample of each test counts.

    Args:
        tests: the groups of each, and how many samples it has. Groups of the same name are drawn together.
    """
    if n < 1 or seed < 0 or not 0.0 < level < 1.0:
        raise RoomtrainError(f"n = {n}, seed = {seed}, level = {level}: 1 or more, 0 or more, and between 0 and 1.")
    groups = [np.asarray(found) for found, _ in tests]
    names = np.unique(np.concatenate(groups))
    for group, (_, samples) in zip(groups, tests, strict=True):
        if group.shape != (samples,) or len(names) < 2:
            raise RoomtrainError(f"a bootstrap needs the group of each of the {samples} samples, and two groups or more.")
    index = [np.searchsorted(names, group) for group in groups]
    random = np.random.default_rng(seed)
    times = random.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=n).astype(np.float64)
    rows = max(1, _TOGETHER // len(names))
    for start in range(0, n, rows):
        yield [ByGroup(times[start : start + rows], one) for one in index]


def _interval(draws: Values, level: float) -> tuple[float, float]:
    known = draws[np.isfinite(draws)]
    if len(known) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(known, ((1.0 - level) / 2.0, (1.0 + level) / 2.0))
    return float(low), float(high)
