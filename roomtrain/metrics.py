"""How good predictions are, and how sure that is.

Conventions. Prediction and truth are (sample,) arrays: numbers for :func:`rmse`, :func:`correlation` and :func:`bias`, class
indices for :func:`accuracy`, :func:`macro_precision` and :func:`macro_recall`, degrees for :func:`angular_error`. Shares are in
0…1. A metric also takes a ``weight`` (…, sample), how often each sample counts, and then returns an array (…): a resampled test
set is a row of weights, so that a bootstrap of thousands is a few matrix products in place of thousands of calls.

Samples of one room are not independent of each other. The intervals therefore resample rooms, not samples (cluster bootstrap; Efron
and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomtrain.errors import RoomtrainError

Values = NDArray[np.float64]
_ROWS = 250  # resamples at a time: 250 × 10,000 samples are 20 MB


class Metric(Protocol):
    """What the functions of this module are: a float, or with ``weight`` (…, sample) an array (…)."""

    def __call__(self, prediction: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Any: ...


def rmse(prediction: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Any:
    """Return √mean((prediction - truth)²), in the unit of the truth.

    Raises:
        RoomtrainError: shapes that do not fit, no samples, or a number that is not finite. So do all metrics here.
    """
    p, t, w = _checked(prediction, truth, weight)
    return _plain(np.sqrt(w @ (p - t) ** 2 / w.sum(axis=-1)))


def bias(prediction: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Any:
    """Return mean(prediction - truth): positive where the model answers too much."""
    p, t, w = _checked(prediction, truth, weight)
    return _plain(w @ (p - t) / w.sum(axis=-1))


def correlation(prediction: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Any:
    """Return Pearson's correlation, in -1…1; NaN where prediction or truth do not vary."""
    p, t, w = _checked(prediction, truth, weight)
    w = w / w.sum(axis=-1, keepdims=True)
    # Moments about the plain mean: about 0 they would cancel where the mean is large against the spread.
    p, t = p - p.mean(), t - t.mean()
    mean_p, mean_t = w @ p, w @ t
    var_p, var_t = w @ p**2 - mean_p**2, w @ t**2 - mean_t**2
    varies = (var_p > 1e-12 * np.mean(p**2)) & (var_t > 1e-12 * np.mean(t**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return _plain(np.where(varies, np.clip((w @ (p * t) - mean_p * mean_t) / np.sqrt(var_p * var_t), -1.0, 1.0), np.nan))


def accuracy(prediction: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Any:
    """Return the share of right answers."""
    p, t, w = _checked(prediction, truth, weight)
    return _plain(w @ (p == t) / w.sum(axis=-1))


def macro_precision(prediction: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Any:
    """Return the mean over the classes of: which share of the answers that named the class was right.

    As in scikit-learn, a class that is there but is never named has 0, and one that is neither is left out of the mean.
    """
    right, predicted, present = _counts(prediction, truth, weight)
    return _plain(_macro(right, predicted, (predicted + present) > 0))


def macro_recall(prediction: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Any:
    """Return the mean over the classes of: which share of the class's samples was named right.

    As in scikit-learn, a class that is named but is not there has 0, and one that is neither is left out of the mean.
    """
    right, predicted, present = _counts(prediction, truth, weight)
    return _plain(_macro(right, present, (predicted + present) > 0))


def angular_error(prediction: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Any:
    """Return the mean of the angles between prediction and truth, both in degrees: 350 and 10 are 20 apart."""
    p, t, w = _checked(prediction, truth, weight)
    return _plain(w @ _apart_deg(p, t) / w.sum(axis=-1))


def within_20_deg(prediction: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Any:
    """Return the share of directions that are found within 20°, as DCASE's localisation task does (Politis et al., 2020)."""
    p, t, w = _checked(prediction, truth, weight)
    return _plain(w @ (_apart_deg(p, t) <= 20.0) / w.sum(axis=-1))


def mean_score(prediction: ArrayLike, truth: ArrayLike, *, weight: ArrayLike | None = None) -> Any:
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
    weights = _resamples(groups, np.size(truth), n=n, seed=seed, level=level)
    return _interval(np.concatenate([metric(prediction, truth, weight=weight) for weight in weights]), level)


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
    weights = _resamples(groups, np.size(truth), n=n, seed=seed, level=level)
    draws = [metric(prediction_a, truth, weight=weight) - metric(prediction_b, truth, weight=weight) for weight in weights]
    return _interval(np.concatenate(draws), level)


def _checked(prediction: ArrayLike, truth: ArrayLike, weight: ArrayLike | None) -> tuple[Values, Values, Values]:
    p, t = np.asarray(prediction, dtype=float), np.asarray(truth, dtype=float)
    if p.ndim != 1 or p.shape != t.shape or len(p) == 0:
        raise RoomtrainError(f"prediction and truth must be (sample,), equally long and not empty, not {p.shape} and {t.shape}.")
    bad = int((~np.isfinite(p)).sum()), int((~np.isfinite(t)).sum())
    if any(bad):
        raise RoomtrainError(f"{bad[0]} predictions and {bad[1]} true values of {len(p)} are not finite.", exit_code=1)
    return p, t, np.ones(len(p)) if weight is None else np.asarray(weight, dtype=float)


def _apart_deg(one: Values, other: Values) -> Values:
    return np.abs((one - other + 180.0) % 360.0 - 180.0)


def _counts(prediction: ArrayLike, truth: ArrayLike, weight: ArrayLike | None) -> tuple[Values, Values, Values]:
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


def _resamples(groups: ArrayLike, n_samples: int, *, n: int, seed: int, level: float) -> list[Values]:
    """Return how often each sample counts in each resample, as a list of (some resamples, sample)."""
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if group.shape != (n_samples,) or len(names) < 2:
        raise RoomtrainError(f"a bootstrap needs the group of each of the {n_samples} samples, and two groups or more.")
    if n < 1 or seed < 0 or not 0.0 < level < 1.0:
        raise RoomtrainError(f"n = {n}, seed = {seed}, level = {level}: 1 or more, 0 or more, and between 0 and 1.")
    random = np.random.default_rng(seed)
    times = random.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=n).astype(np.float64)
    return [times[start : start + _ROWS][:, group] for start in range(0, n, _ROWS)]


def _interval(draws: Values, level: float) -> tuple[float, float]:
    known = draws[np.isfinite(draws)]
    if len(known) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(known, ((1.0 - level) / 2.0, (1.0 + level) / 2.0))
    return float(low), float(high)
