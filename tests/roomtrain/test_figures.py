"""What all papers draw with: labels and units of metrics, intervals, a place apart from an axis's numbers, files."""

import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from roomtrain import figures
from roomtrain.targets import Target

RT60 = Target("rt60", title="RT60", unit="s")
VOLUME = Target("volume", "class", title="volume", classes=("small", "large"))
AZIMUTH = Target("azimuth", "angle", title="azimuth")


@pytest.mark.parametrize(
    ("target", "metric", "label", "shown"),
    [
        (RT60, "rmse", "RMSE in s", 0.5),
        (RT60, "corr", "correlation", 0.5),
        (VOLUME, "accuracy", "accuracy in %", 50.0),
        (AZIMUTH, "error", "mean error in °", 0.5),
        (AZIMUTH, "within_20", "share within 20° in %", 50.0),
    ],
)
def test_axes_have_the_units_of_the_target(target: Target, metric: str, label: str, shown: float) -> None:
    assert figures.metric_label(target, metric) == label
    np.testing.assert_array_equal(figures.metric_values(target, metric, [0.5, None]), [shown, np.nan])


@pytest.mark.parametrize("bars", [False, True])
def test_intervals_lie_where_they_are(bars: bool) -> None:
    axis = figures.new_figure(2, 2).subplots()
    ends = [(0.5, 3.0), (np.nan, np.nan), (2.5, 2.7)]  # the last does not hold its point
    figures.line_with_intervals(axis, [1, 2, 3], [1.0, 2.0, 3.0], ends, colour="black", bars=bars)
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), [1.0, 2.0, 3.0])
    drawn = np.concatenate([path.vertices for path in axis.collections[0].get_paths()])
    for x, (low, high) in zip((1, 2, 3), ends, strict=True):
        found = drawn[(drawn[:, 0] == x) & np.isfinite(drawn[:, 1]), 1]
        assert {found.min(), found.max()} == {low, high} if np.isfinite(low) else not len(found)


def test_what_is_no_number_stands_behind_a_break() -> None:
    axis = figures.new_figure(3, 2).subplots()
    place = figures.set_apart(axis, [0.0, 10.0, 20.0], "no noise")
    assert [text.get_text() for text in axis.get_xticklabels()] == ["0", "10", "20", "no noise"]
    assert axis.get_xticks()[-1] == place
    ends_at = axis.spines["bottom"].get_bounds()[1]
    goes_on = min(axis.lines[0].get_xdata())
    assert 20.0 < ends_at < goes_on < place < axis.get_xlim()[1]


@pytest.mark.parametrize("numbers", [[], [20.0]])
def test_a_place_apart_from_few_numbers(numbers: list[float]) -> None:
    axis = figures.new_figure(3, 2).subplots()
    place = figures.set_apart(axis, numbers, "no noise")
    assert axis.get_xlim()[0] < place < axis.get_xlim()[1]
    assert [text.get_text() for text in axis.get_xticklabels()] == [*(f"{n:g}" for n in numbers), "no noise"]


@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_the_same_figure_is_the_same_file(tmp_path: Path, ending: str) -> None:
    written = []
    for name in ("one", "two"):
        with figures.style():
            figure = figures.new_figure(figures.COLUMN_IN, 2)
            figure.subplots().plot([1, 2, 3])
            written.append(figures.save(figure, tmp_path / "new" / f"{name}.{ending}").read_bytes())
    assert written[0] == written[1]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [f"one.{ending}", f"two.{ending}"]
    if ending == "png":
        picture = matplotlib.image.imread(tmp_path / "new" / "one.png")
        assert picture.shape[1] == round(figures.COLUMN_IN * 300)


def test_drawing_leaves_the_callers_matplotlib_alone() -> None:
    code = (
        "import sys, matplotlib as mpl; from roomtrain import figures\n"
        "before = [mpl.rcParams[name] for name in figures.STYLE]\n"
        "with figures.style(): figures.new_figure(2, 2).subplots()\n"
        "assert [mpl.rcParams[name] for name in figures.STYLE] == before\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
