"""The paper's figures: what is drawn of results, of data and of trained runs, and how it is told apart."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

import roomgen
from roomtrain import figures
from roomtrain.claims import claim
from roomtrain.errors import RoomtrainError
from roomtrain.labels import mid_rt60_s
from roomtrain.paper import Cell, get_paper
from roomtrain.papers.goetz import data_figures
from roomtrain.papers.goetz import figures as drawings
from roomtrain.plans import settings_of
from roomtrain.predictions import CLEAN, CONSTANT, Answers, prediction_table
from roomtrain.results import describe, measure
from tests.roomtrain.conftest import Said

Roomtrain = Callable[..., Said]
PAPER = get_paper("goetz")
NO_RUNS: dict[str, Any] = {"data": None, "runs": []}


def made(cell: Cell, *, seed: int = 0) -> dict[str, Any]:
    """Results of estimates that are off by chance, in noise by a fixed amount on top."""
    settings = settings_of(PAPER, "smoke", {**cell.overrides, "seed": seed})
    random = np.random.default_rng([seed, *cell.name.encode()])
    rt60 = np.random.default_rng(7).uniform(0.2, 2.0, 40)
    keys, groups = np.arange(40).astype(str), np.repeat(np.arange(8), 5).astype(str)
    answers = []
    for protocol in PAPER.protocols:
        for target in PAPER.targets:
            truth = (rt60 > 1).astype(float) if target.kind == "class" else 8.0 / rt60 if target.name == "c50" else rt60
            estimate = truth if target.kind == "class" else truth + random.normal(scale=0.1, size=40)
            estimate = np.where(random.random(40) < 0.25, 1 - truth, truth) if target.kind == "class" else estimate
            shift = 0.0 if target.kind == "class" else 1.0
            found = {CLEAN: estimate, CONSTANT: np.full(40, truth.mean().round()), "levelled": estimate}
            found |= {"20 dB": estimate + shift, "0 dB": estimate + 2 * shift}
            answers += [Answers(protocol, target.name, keys, groups, truth, values, name) for name, values in found.items()]
    measured = measure(PAPER, prediction_table(cell.name, answers), resamples=20)
    return {**describe(PAPER, settings, cell.name), "data": {}, "device": "cpu", "protocols": measured}


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    return [made(cell) for cell in PAPER.cells()]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The figures that are saved, by the names of their files."""
    saved: dict[str, Any] = {}

    def keep(figure: Any, path: Path) -> Path:
        saved[path.stem] = figure
        return path

    monkeypatch.setattr(figures, "save", keep)
    return saved


def lines(axis: Any, **look: Any) -> list[Any]:
    return [line for line in axis.lines if all(getattr(line, f"get_{name}")() == value for name, value in look.items())]


def panels(figure: Any) -> list[list[Any]]:
    """The axes of a figure of subfigures, by row."""
    return [row.axes for row in figure.subfigs]


def test_results_are_drawn_without_torch(results: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results), encoding="utf-8")
    code = (
        "import json, sys, pathlib; from roomtrain.paper import get_paper\n"
        f"found = json.loads(pathlib.Path({str(path)!r}).read_text(encoding='utf-8')); out = pathlib.Path({str(tmp_path)!r})\n"
        "drawn = get_paper('goetz').figures(found, out, data=None, runs=[])\n"
        "print(*(path.stem for path in drawn)); assert 'torch' not in sys.modules"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300).stdout
    assert said.split() == ["temperature", "errors-sample", "errors-room"]
    for name in said.split():
        picture = matplotlib.image.imread(tmp_path / f"{name}.png")
        assert picture[..., :3].std() > 0.02  # not an empty page
        assert picture.shape[1] == round(figures.PAGE_IN * 300)


def test_the_scan_has_our_points_with_intervals_and_the_papers(results: list[dict[str, Any]], drawn: dict[str, Any]) -> None:
    drawings.draw(PAPER, results, Path(), **NO_RUNS)
    sample, room = panels(drawn["temperature"])
    cells = [f"hard-{t}" for t in ("0.01", "0.1", "1")]
    values = {r["cell"]: r["protocols"]["sample"] for r in results}
    colour, marker = figures.COLOURS[1], figures.MARKERS[1]
    for axis, target, metric, scale in ((sample[0], "rt60", "rmse", 1), (sample[3], "volume", "accuracy", 100)):
        ours, theirs = lines(axis, color=colour, marker=marker)
        np.testing.assert_allclose(ours.get_ydata(), [scale * values[cell][target][metric] for cell in cells])
        paper = [scale * PAPER.published.values[(cell, "sample", target, metric)] for cell in cells]
        np.testing.assert_allclose(theirs.get_ydata(), paper)
        assert (ours.get_markerfacecolor(), theirs.get_markerfacecolor()) == (colour, "white")
        assert ours.get_linestyle() != theirs.get_linestyle()
        bars = [path.vertices[:, 1] for bars in axis.collections for path in bars.get_paths()]
        for cell in cells:
            ends = scale * np.array(values[cell][target]["interval"][metric])
            assert any(np.allclose(bar, ends) for bar in bars)
    assert [axis.get_ylabel() for axis in sample] == ["RMSE in s", "RMSE in s", "RMSE in dB", "accuracy in %"]
    assert len(lines(sample[1], color=colour, marker=marker)[1].get_ydata()) == 0  # the paper has no RT60 of two octaves
    for axis in room:
        assert not any(len(line.get_ydata()) for line in axis.lines if line.get_markerfacecolor() == "white")


def test_baselines_are_lines_at_our_and_the_papers_values(results: list[dict[str, Any]], drawn: dict[str, Any]) -> None:
    drawings.draw_temperatures(PAPER, results, Path())
    values = {r["cell"]: r["protocols"]["sample"]["rt60"]["rmse"] for r in results}
    axis = panels(drawn["temperature"])[0][0]
    for cell, (colour, marker) in drawings.REFERENCES.items():
        flat = lines(axis, color=colour, marker="None")
        paper = PAPER.published.values[(cell, "sample", "rt60", "rmse")]
        assert [set(line.get_ydata()) for line in flat] == [{values[cell]}, {paper}]
        assert len({line.get_linestyle() for line in flat}) == 2
        assert len(lines(axis, color=colour, marker=marker)) == 2


def test_panels_that_are_compared_have_one_range(results: list[dict[str, Any]], drawn: dict[str, Any]) -> None:
    drawings.draw(PAPER, results, Path(), **NO_RUNS)
    for upper, lower in zip(*panels(drawn["temperature"]), strict=True):
        assert upper.get_ylim() == lower.get_ylim()
    axes = drawn["errors-sample"].axes
    assert len(axes) == 6
    for left, right in zip(axes[::2], axes[1::2], strict=True):
        assert left.get_ylim() == right.get_ylim()
        assert left.get_ylim()[0] == 0


def test_errors_have_a_colour_for_each_strategy_and_a_style_for_each_temperature(
    results: list[dict[str, Any]], drawn: dict[str, Any]
) -> None:
    drawings.draw_errors(PAPER, results, Path())
    by_cell = {r["cell"]: r["protocols"]["sample"]["c50"] for r in results}
    axis = drawn["errors-sample"].axes[4]
    looks = {}
    for cell, values in by_cell.items():
        errors = [b["rmse"] for b in values["by"]["rt60"]]
        (line,) = [line for line in axis.lines if np.array_equal(line.get_ydata(), errors)]
        looks[cell] = (line.get_color(), line.get_marker(), line.get_linestyle(), line._unscaled_dash_pattern)
    assert len(set(looks.values())) == len(by_cell) == 11
    contrastive = {cell: look for cell, look in looks.items() if "-" in cell}
    for number, same in ((0, "soft-0.1"), (1, "soft-0.1"), (3, "posind-1")):
        part = same.split("-")[0 if number < 2 else 1]
        alike = {cell for cell, look in contrastive.items() if look[number] == looks[same][number]}
        assert alike == {cell for cell in contrastive if part in cell.split("-")}
    named = [text.get_text() for text in axis.get_xticklabels()]
    counts = [b["n"] for b in by_cell["soft-1"]["by"]["rt60"]]
    assert [int(re.sub(r".*n = ", "", name, flags=re.S)) for name in named] == counts
    assert (named[0].split("\n")[0], named[-1].split("\n")[0]) == ("< 0.3", "≥ 1.5")


def test_no_noise_is_no_number_of_the_axis(results: list[dict[str, Any]], drawn: dict[str, Any]) -> None:
    drawings.draw_errors(PAPER, results, Path())
    values = {r["cell"]: r["protocols"]["room"]["rt60"] for r in results}
    axis = drawn["errors-room"].axes[1]
    assert [text.get_text() for text in drawn["errors-room"].axes[5].get_xticklabels()] == ["0", "20", "no noise"]
    end = axis.spines["bottom"].get_bounds()[1]
    colour, marker = drawings.REFERENCES["supervised"]
    noisy, clean = lines(axis, color=colour, marker=marker)
    noise = values["supervised"]["conditions"]
    np.testing.assert_allclose(noisy.get_xydata(), [(0, noise["0 dB"]["rmse"]), (20, noise["20 dB"]["rmse"])])
    assert clean.get_ydata() == values["supervised"]["rmse"]
    assert clean.get_xdata()[0] > end > 20
    apart = [line.get_xdata()[0] for line in axis.lines if len(line.get_xdata()) == 1]
    assert len(set(apart)) == len(results)  # side by side
    assert min(apart) > end


def test_several_seeds_are_averaged(results: list[dict[str, Any]], drawn: dict[str, Any]) -> None:
    both = [*results, *(made(cell, seed=1) for cell in PAPER.cells())]
    drawings.draw(PAPER, both, Path(), **NO_RUNS)
    found = [r["protocols"]["sample"]["rt60"] for r in both if r["cell"] == "supervised"]
    colour, marker = drawings.REFERENCES["supervised"]
    mean = np.mean([values["rmse"] for values in found])
    assert lines(panels(drawn["temperature"])[0][0], color=colour, marker=marker)[0].get_ydata() == pytest.approx(mean)
    noisy, clean = lines(drawn["errors-sample"].axes[1], color=colour, marker=marker)
    assert clean.get_ydata() == pytest.approx(mean)
    assert noisy.get_ydata()[0] == pytest.approx(np.mean([values["conditions"]["0 dB"]["rmse"] for values in found]))
    assert "mean of 2 seeds" in drawn["temperature"].legends[0].get_title().get_text()


def test_a_finer_scan_has_all_points_and_no_two_temperatures_of_one_style(drawn: dict[str, Any]) -> None:
    temperatures = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    cells = [Cell(f"soft-{t:g}", {"strategy": "soft", "upstream.temperature": t}) for t in temperatures]
    drawings.draw(PAPER, [made(cell) for cell in cells], Path(), **NO_RUNS)
    ours = lines(panels(drawn["temperature"])[0][0], color=figures.COLOURS[0])[0]
    assert len(ours.get_xdata()) == len(temperatures)
    assert (np.diff(ours.get_xdata()) > 0).all()
    shown = [handle for handle in drawn["errors-room"].legends[0].get_lines() if handle.get_label().startswith("τ")]
    assert {shown[0].get_label(), shown[-1].get_label()} == {"τ = 0.01", "τ = 1"}
    assert len({str(handle._unscaled_dash_pattern) for handle in shown}) == len(shown) == len(figures.LINES)


def test_what_could_not_be_measured_is_left_out(results: list[dict[str, Any]], drawn: dict[str, Any]) -> None:
    """One protocol, one group without an interval, no noise, no constant answer, a target missing."""
    text = json.dumps(
        [{**r, "protocols": {"room": r["protocols"]["room"]}} for r in results if r["cell"] in ("soft-1", "untrained")]
    )
    bare = json.loads(text)
    for result in bare:
        values = result["protocols"]["room"]
        del values["rt60"]
        for one in values.values():
            one |= {"conditions": {}, "baseline": None, "interval": {name: [None, None] for name in one["interval"]}}
    drawings.draw(PAPER, bare, Path(), **NO_RUNS)
    assert list(drawn) == ["temperature", "errors-room"]
    assert [axis.get_title() for axis in panels(drawn["temperature"])[0]][1] == "C50"
    assert [text.get_text() for text in drawn["errors-room"].axes[-1].get_xticklabels()] == ["no noise"]


def test_results_of_different_presets_are_not_drawn_together(results: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(RoomtrainError, match="different presets"):
        drawings.draw(PAPER, [results[0], {**results[1], "preset": "paper"}], tmp_path, **NO_RUNS)
    assert not list(tmp_path.iterdir())


def test_distributions_are_those_of_the_manifests(goetz_made: Path, drawn: dict[str, Any]) -> None:
    data_figures.draw_distributions(PAPER, goetz_made, Path())
    axes = drawn["distributions"].axes
    for half, colour in zip(("upstream", "downstream"), figures.COLOURS, strict=False):
        table = roomgen.open(goetz_made / f"{half}-rirs").table()
        expected = [table["rt60_s"], mid_rt60_s(table["rt60_bands_s"].tolist()), table["c50_db"], table["volume_m3"]]
        for axis, values in zip(axes, [*expected, table["distance_m"]], strict=False):
            assert lines(axis, color=colour)[0].get_xdata()[0] == pytest.approx(np.nanmedian(values))
    titles = [axis.get_xlabel().replace("\n", " ") for axis in axes]
    assert titles[:3] == ["RT60 in s", "RT60 of the 500 and 1000 Hz octaves in s", "C50 in dB"]
    for axis in axes[:5]:
        upstream, downstream = axis.patches
        assert (upstream.get_fill(), downstream.get_fill()) == (True, False)  # told apart without colours too


def begun(folder: Path, strategy: str, temperature: float, *, trained: bool = True) -> Path:
    """A folder of a run whose encoder is trained, or not yet."""
    settings = settings_of(PAPER, "smoke", {"strategy": strategy, "upstream.temperature": temperature})
    out = folder / f"{strategy}-{temperature:g}"
    claim(out, settings, cell=PAPER.cell_of(settings), data={}, root=folder)
    if trained:
        (out / "upstream").mkdir()
        (out / "upstream" / "stage.json").write_text("{}")
    return out


def test_rooms_are_drawn_of_contrastive_runs_with_a_trained_encoder(tmp_path: Path) -> None:
    hard, soft = begun(tmp_path, "hard", 0.5), begun(tmp_path, "soft", 1.0)
    others = [begun(tmp_path, "posind", 0.1, trained=False), begun(tmp_path, "untrained", 0.1), begun(tmp_path, "supervised", 0.1)]
    assert data_figures.chosen(PAPER, [*others, hard, soft]) == [soft, hard]
    assert data_figures.chosen(PAPER, others) == []
    with pytest.raises(RoomtrainError, match="is not a run"):
        data_figures.chosen(PAPER, [tmp_path / "nothing"])


def test_of_many_runs_one_of_each_strategy_is_drawn(tmp_path: Path) -> None:
    runs = {(s, t): begun(tmp_path, s, t) for s, t in (("soft", 0.01), ("soft", 0.1), ("soft", 1.0), ("hard", 0.1), ("hard", 1.0))}
    assert data_figures.chosen(PAPER, list(runs.values())) == [runs["soft", 0.1], runs["hard", 0.1]]
    more = [*runs.values(), begun(tmp_path, "posind", 1.0)]
    assert data_figures.chosen(PAPER, more) == [runs["soft", 1.0], runs["hard", 1.0], more[-1]]


def test_everything_is_drawn_by_the_command(
    roomtrain: Roomtrain, trained: Path, goetz_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_figures, "ROOMS_SHOWN", 2)  # the tiny test set has no more
    monkeypatch.setattr(data_figures, "PER_ROOM", 12)
    said = roomtrain("figures", "goetz", "--runs", trained, "--data", goetz_made, "--rooms", trained, "--out", tmp_path)
    assert said.code == 0, said.err
    for name in ("distributions", "rooms-umap", "temperature", "errors-sample", "errors-room"):
        assert str(tmp_path / f"{name}.png") in said.out
        assert matplotlib.image.imread(tmp_path / f"{name}.png")[..., :3].std() > 0.02


def test_five_rooms_need_five_rooms(trained: Path, goetz_made: Path, tmp_path: Path) -> None:
    with pytest.raises(RoomtrainError, match="the picture shows 5"):
        data_figures.draw_rooms(PAPER, [trained], goetz_made, tmp_path)
