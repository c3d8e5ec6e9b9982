"""The metrics against scikit-learn and scipy; the bootstrap against a plain loop and against the coverage it promises."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from roomtrain import metrics
from roomtrain.errors import RoomtrainError
from roomtrain.targets import METRICS

ALL = {**METRICS["number"], **METRICS["class"]}


def regression_data(n: int = 200, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, truth and room, with an error that a room shares."""
    random = np.random.default_rng(seed)
    room = random.integers(0, 20, n)
    truth = random.uniform(0.2, 2.0, n)
    return truth + 0.1 * random.standard_normal(n) + 0.3 * random.standard_normal(20)[room] + 0.05, truth, room


def class_data(n: int = 200, classes: int = 2, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, n)
    return np.where(random.random(n) < 0.6, truth, random.integers(0, classes, n)), truth, random.integers(0, 20, n)


def test_regression_against_scipy_and_scikit_learn() -> None:
    p, t, _ = regression_data()
    assert metrics.rmse(p, t) == pytest.approx(sklearn_metrics.root_mean_squared_error(t, p))
    assert metrics.correlation(p, t) == pytest.approx(stats.pearsonr(p, t).statistic)
    assert metrics.bias(p, t) == pytest.approx(p.mean() - t.mean())
    assert metrics.bias([2.0, 2.0], [1.0, 2.0]) == 0.5  # positive where too much is predicted
    assert isinstance(metrics.rmse(p, t), float)


def test_correlation_survives_a_large_mean_and_knows_a_constant() -> None:
    p, t, _ = regression_data()
    assert metrics.correlation(p + 1e6, t - 1e6) == pytest.approx(metrics.correlation(p, t), abs=1e-6)
    assert metrics.correlation(2 * t - 5, t) == pytest.approx(1.0)
    assert np.isnan(metrics.correlation(np.full(200, 0.7), t))
    assert np.isnan(metrics.correlation(p, np.zeros(200)))


@pytest.mark.parametrize("classes", [2, 5])
def test_classification_against_scikit_learn(classes: int) -> None:
    p, t, _ = class_data(classes=classes)
    assert metrics.accuracy(p, t) == pytest.approx(sklearn_metrics.accuracy_score(t, p))
    assert metrics.macro_precision(p, t) == pytest.approx(sklearn_metrics.precision_score(t, p, average="macro"))
    assert metrics.macro_recall(p, t) == pytest.approx(sklearn_metrics.recall_score(t, p, average="macro"))


@pytest.mark.parametrize(("p", "t"), [([0, 0, 0, 0], [0, 0, 1, 1]), ([0, 1, 2, 2], [0, 1, 1, 0]), ([1, 1], [1, 1])])
def test_classes_that_are_never_named_or_not_there(p: list[int], t: list[int]) -> None:
    options = {"average": "macro", "zero_division": 0}
    assert metrics.macro_precision(p, t) == pytest.approx(sklearn_metrics.precision_score(t, p, **options))
    assert metrics.macro_recall(p, t) == pytest.approx(sklearn_metrics.recall_score(t, p, **options))


@pytest.mark.parametrize("name", list(ALL))
def test_a_weight_is_a_repetition(name: str) -> None:
    p, t, _ = class_data(40, 4) if name in METRICS["class"] else regression_data(40)
    weight = np.random.default_rng(1).integers(0, 4, (3, 40))
    expected = [ALL[name](np.repeat(p, row), np.repeat(t, row)) for row in weight]
    np.testing.assert_allclose(ALL[name](p, t, weight=weight), expected, rtol=1e-10)


@pytest.mark.parametrize("name", list(ALL))
def test_bootstrap_equals_a_plain_loop_over_rooms(name: str) -> None:
    """Drawn by another generator, so that the ends agree to the noise of the resamples only."""
    p, t, room = class_data() if name in METRICS["class"] else regression_data()
    random = np.random.default_rng(5)
    of_room = {r: np.flatnonzero(room == r) for r in np.unique(room)}
    draws = []
    for _ in range(2000):
        chosen = np.concatenate([of_room[r] for r in random.choice(list(of_room), len(of_room))])
        draws.append(ALL[name](p[chosen], t[chosen]))
    low, high = metrics.bootstrap(ALL[name], p, t, room, seed=1)
    assert low < ALL[name](p, t) < high
    np.testing.assert_allclose((low, high), np.quantile(draws, (0.025, 0.975)), atol=0.12 * (high - low))


@pytest.mark.parametrize("name", [name for metrics in METRICS.values() for name in metrics])
def test_a_weight_by_group_is_the_weight_of_each_sample(name: str) -> None:
    (kind,) = (kind for kind, own in METRICS.items() if name in own)
    p, t, room = class_data(classes=4) if kind == "class" else regression_data()
    random = np.random.default_rng(3)
    weight = metrics.ByGroup(random.integers(0, 4, (5, 20)).astype(float), room)
    expected = METRICS[kind][name](p, t, weight=np.asarray(weight))
    assert np.asarray(weight).shape == (5, 200)
    np.testing.assert_allclose(METRICS[kind][name](p, t, weight=weight), expected, rtol=1e-9, atol=1e-12)


def test_resamples_are_drawn_as_they_always_were() -> None:
    """Published intervals must come again: groups in the order of their names, drawn by one multinomial of the seed."""
    p, t, room = regression_data()
    names = np.array([f"room {index}" for index in room])  # "room 10" comes before "room 2"
    times = np.random.default_rng(0).multinomial(20, np.full(20, 0.05), size=300)
    draws = []
    for counts in times:
        weight = np.array([counts[sorted(set(names)).index(name)] for name in names])
        draws.append(metrics.bias(np.repeat(p, weight), np.repeat(t, weight)))
    np.testing.assert_allclose(metrics.bootstrap(metrics.bias, p, t, names, n=300), np.quantile(draws, (0.025, 0.975)), rtol=1e-10)


def test_bootstrap_takes_rooms_and_not_samples() -> None:
    p, t, room = regression_data()
    by_room = metrics.bootstrap(metrics.bias, p, t, room)
    by_sample = metrics.bootstrap(metrics.bias, p, t, np.arange(len(p)))
    assert by_room[1] - by_room[0] > 1.5 * (by_sample[1] - by_sample[0])


def test_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    """200 test sets of 60 rooms whose errors have the mean 0.05: the 95 % interval of the bias holds it in 95 ± 4.6 % (3 sigma)."""
    random = np.random.default_rng(0)
    room = np.repeat(np.arange(60), 4)
    inside = 0
    for seed in range(200):
        error = 0.05 + 0.3 * random.standard_normal(60)[room] + 0.1 * random.standard_normal(240)
        low, high = metrics.bootstrap(metrics.bias, error, np.zeros(240), room, n=400, seed=seed)
        inside += low <= 0.05 <= high
    assert inside / 200 == pytest.approx(0.95, abs=0.046)


def test_bootstrap_depends_on_its_seed_alone() -> None:
    p, t, room = regression_data()
    first = metrics.bootstrap(metrics.rmse, p, t, room, n=300, seed=1)
    assert metrics.bootstrap(metrics.rmse, p, t, room, n=300, seed=1) == first
    assert metrics.bootstrap(metrics.rmse, p, t, room, n=300, seed=2) != first
    names = np.array([f"room-{index}" for index in room])
    assert len(set(names)) == len(set(room))
    assert metrics.bootstrap(metrics.rmse, p, t, names, n=300, seed=1)[0] == pytest.approx(first[0], rel=0.05)


def test_a_difference_is_surer_than_its_two_sides() -> None:
    p, t, room = regression_data()
    better = t + 0.8 * (p - t)  # the same rooms are hard for both
    low, high = metrics.bootstrap_difference(metrics.rmse, better, p, t, room)
    assert high < 0.0
    a, b = metrics.bootstrap(metrics.rmse, better, t, room), metrics.bootstrap(metrics.rmse, p, t, room)
    assert a[1] > b[0]  # their own intervals overlap
    assert low < metrics.rmse(better, t) - metrics.rmse(p, t) < high
    assert metrics.bootstrap_difference(metrics.rmse, p, p, t, room) == (0.0, 0.0)


def test_a_mean_difference_draws_the_same_rooms_for_all() -> None:
    """Against a plain loop: test sets of different sizes over the same rooms, of which one has none of the first room."""
    random = np.random.default_rng(2)
    pairs = []
    for size in (60, 80):
        groups = np.array([f"r{index}" for index in random.integers(1 if size == 60 else 0, 6, size)])
        truth = random.standard_normal(size)
        a, b = truth + random.standard_normal(size), truth + 1.5 * random.standard_normal(size)
        pairs.append(metrics.Pair(a, b, truth, groups))
    times = np.random.default_rng(4).multinomial(6, np.full(6, 1 / 6), size=200)
    draws = []
    for counts in times:
        differences = []
        for pair in pairs:
            taken = np.concatenate([np.flatnonzero(np.asarray(pair.groups) == f"r{i}").repeat(n) for i, n in enumerate(counts)])
            a, b, truth = (np.asarray(values)[taken] for values in (pair.a, pair.b, pair.truth))
            differences.append(
                sklearn_metrics.root_mean_squared_error(truth, a) - sklearn_metrics.root_mean_squared_error(truth, b)
            )
        draws.append(np.mean(differences))
    found = metrics.bootstrap_mean_difference(metrics.rmse, pairs, n=200, seed=4)
    np.testing.assert_allclose(found, np.quantile(draws, (0.025, 0.975)), rtol=1e-10)


def test_undefined_resamples_are_not_counted() -> None:
    """Two rooms, each constant: only the resamples that hold both have a correlation, which is 1."""
    p, t, room = np.array([1.0, 1.0, 2.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1])
    assert metrics.bootstrap(metrics.correlation, p, t, room, n=100) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("p", "t", "message"),
    [
        ([1.0], [1.0, 2.0], "equally long"),
        ([], [], "not empty"),
        ([1.0, np.nan], [1.0, 2.0], "1 predictions and 0 true values of 2"),
    ],
)
@pytest.mark.parametrize("name", list(ALL))
def test_bad_data_is_refused(name: str, p: list[float], t: list[float], message: str) -> None:
    with pytest.raises(RoomtrainError, match=message):
        ALL[name](p, t)


def test_bad_bootstraps_are_refused() -> None:
    p, t, room = regression_data()
    for options, groups, message in (
        ({}, room[:-1], "group of each"),
        ({}, np.zeros(200), "two groups"),
        ({"n": 0}, room, "n = 0"),
        ({"level": 1.0}, room, "level"),
    ):
        with pytest.raises(RoomtrainError, match=message):
            metrics.bootstrap(metrics.rmse, p, t, groups, **options)  # type: ignore[arg-type]


def test_directions_are_apart_by_the_shorter_way_round() -> None:
    found, truth = [350.0, -170.0, 90.0, 0.0], [10.0, 170.0, 90.0, 181.0]
    assert metrics.angular_error(found, truth) == pytest.approx((20 + 20 + 0 + 179) / 4)
    assert metrics.within_20_deg(found, truth) == 0.75
    weight = np.array([[1, 0, 0, 1], [0, 0, 4, 0]])
    np.testing.assert_allclose(metrics.angular_error(found, truth, weight=weight), [99.5, 0.0])


def test_scores_need_no_truth() -> None:
    assert metrics.mean_score([1.0, 2.0, 6.0], [np.nan] * 3) == 3.0
    np.testing.assert_allclose(metrics.mean_score([1.0, 2.0, 6.0], [np.nan] * 3, weight=[[0, 0, 2], [1, 1, 0]]), [6.0, 1.5])
