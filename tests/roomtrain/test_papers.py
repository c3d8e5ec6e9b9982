"""Every command on every paper: those that are registered, and one that nobody knew of."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roomtrain import paper as papers
from roomtrain.config import SIZES
from roomtrain.errors import RoomtrainError
from roomtrain.paper import PAPERS, get_paper
from roomtrain.plans import plan, settings_of
from roomtrain.predictions import Answers, prediction_table
from roomtrain.results import measure
from tests.roomtrain.conftest import Said

Roomtrain = Callable[..., Said]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PAPERS, "toy", "tests.roomtrain.toy.paper")


@pytest.mark.parametrize("name", sorted(PAPERS))
def test_every_paper_is_complete(name: str) -> None:
    paper = get_paper(name)
    assert paper.name == name
    names = [cell.name for cell in paper.cells()]
    beyond = [cell.name for cell in paper.beyond()]
    assert len(names) > 0
    assert len({*names, *beyond}) == len(names) + len(beyond)
    for size in SIZES:
        for cell in (*paper.cells(), *paper.beyond()):
            settings = settings_of(paper, size, cell.overrides)
            assert paper.cell_of(settings) == cell.name
            assert bool(settings.reduced) == (size != "paper")
    targets = {target.name: target for target in paper.targets}
    for cell, protocol, target, metric in paper.published.values:
        assert cell in names
        assert protocol in paper.protocols
        assert metric in targets[target].metrics
    if paper.breakdown is not None:
        assert targets[paper.breakdown.target].kind == "number"
    for pool, members in paper.pools.items():
        assert {pool, *members} <= set(paper.protocols)
        assert not set(members) & set(paper.pools)
    for layout in paper.layouts():
        assert layout.cells <= {*names, *beyond}
        assert sum(column.best for column in layout.columns) <= 1
        for column in layout.columns:
            assert column.protocol in paper.protocols
            assert (column.metric or next(iter(targets[column.target].metrics))) in targets[column.target].metrics
    rows = paper.rows(names)
    assert sorted(cell for row in rows.values() for cell in row) == sorted(names)


@pytest.mark.usefixtures("toy")
def test_a_new_paper_needs_no_line_in_any_command(
    roomtrain: Roomtrain, goetz_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    said = roomtrain("train", "toy", "--data", goetz_made, "--out", runs, "--preset", "smoke", "--all", "--device", "cpu", "--json")
    assert said.code == 0, said.err
    everything, early, _ = results = json.loads(said.out)
    assert [(result["cell"], result["seed"]) for result in results] == [("all", 0), ("early", 0), ("all", 1)]
    found = everything["protocols"]["room"]
    assert found["c50"]["n"] == sum(everything["protocols"][half]["c50"]["n"] for half in ("even", "odd"))
    assert early["protocols"]["room"]["c50"]["n"] == found["c50"]["n"]
    assert set(found) == {"c50", "size", "azimuth", "gap"}
    assert set(found["azimuth"]["interval"]) == {"error", "within_20"}
    assert found["gap"]["mean"] <= found["c50"]["rmse"]  # the mean of absolute errors
    assert sum(row["n"] for row in found["size"]["by"]["c50"]) == found["size"]["n"]
    table = roomtrain("table", "toy", "--runs", runs).out
    assert "**Table 1: C50 in dB**" in table
    assert "± over 2 seeds" in table
    assert "| early, error of C50 in dB: mean | here | paper |" in roomtrain("table", "toy", "--runs", runs, "--cell", "early").out
    monkeypatch.setattr(type(get_paper("toy")), "layouts", lambda self: ())
    table = roomtrain("table", "toy", "--runs", runs).out
    assert "| C50 in dB: RMSE / correlation / bias | here | paper |" in table
    assert "*1.000 / — / —* |" in table
    assert "error of C50 in dB: mean" in table
    assert "azimuth in °: mean error / share within 20°" in table
    compared = json.loads(roomtrain("compare", runs / "all-seed0", runs / "early-seed0", "--json").out)
    assert set(compared["protocols"]["room"]) == set(found)
    cells = ("--cell", "all", "--cell", "early")
    assert json.loads(roomtrain("compare", "--runs", runs, *cells, "--json").out)["seeds"] == [0]  # "early" has no other
    assert "RUN and OTHER, or --runs" in roomtrain("compare", runs / "all-seed0", *cells).err
    assert "seen" in roomtrain("config", "toy").out
    again = roomtrain("evaluate", runs / "all-seed0", "--data", goetz_made, "--device", "cpu", "--json")
    assert json.loads(again.out)["protocols"] == everything["protocols"]
    for command in (("embed", runs / "all-seed0", goetz_made / "paper.json"), ("probe", runs / "all-seed0", "--data", goetz_made)):
        refused = roomtrain(*command)
        assert refused.code == 2
        assert "toy" in refused.err
        assert len(refused.err.splitlines()) == 1
    other = roomtrain("evaluate", runs / "all-seed0", "--data", goetz_made / "downstream-rirs", "--out", tmp_path / "o")
    assert "is a dataset, where a folder with all datasets of a paper is needed" in other.err


def test_papers_are_found_and_unknown_ones_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert papers._found() == {k: v for k, v in PAPERS.items() if v.startswith("roomtrain.")}
    with pytest.raises(RoomtrainError, match=r"unknown paper 'götz'.* Papers: "):
        get_paper("götz")


def test_tables_comparisons_and_figures_of_results_need_no_torch(trained: Path, tmp_path: Path) -> None:
    without = (
        "import sys; sys.modules['torch'] = None; sys.modules['lightning_fabric'] = None; from roomtrain.cli import main; main()"
    )
    for words in (
        ["table", "goetz"],
        ["table", "goetz", "--runs", str(trained), "--json"],
        ["compare", str(trained), str(trained)],
        ["config", "goetz", "--preset", "small"],
        ["evaluate", str(trained)],
        ["figures", "goetz", "--out", str(tmp_path / "figures")],
    ):
        ran = subprocess.run([sys.executable, "-c", without, *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, (words, ran.stderr[-2000:])
        assert ran.stdout


def answers(
    target: str,
    truth: list[float],
    estimate: list[float],
    *,
    condition: str = "clean",
    groups: str = "aabb",
    protocol: str = "even",
) -> Answers:
    keys = np.array([f"{protocol}{i}" for i in range(len(estimate))])
    return Answers(protocol, target, keys, np.array(list(groups[: len(estimate)])), np.array(truth), np.array(estimate), condition)


@pytest.mark.usefixtures("toy")
def test_predictions_become_results_known_by_hand() -> None:
    c50 = [0.0, 4.0, 12.0, 20.0]
    table = prediction_table(
        "all",
        [
            answers("c50", c50, [1.0, 4.0, 12.0, 17.0]),
            answers("c50", c50, [9.0] * 4, condition="constant"),
            answers("c50", c50, [2.0, 6.0, 14.0, 22.0], condition="20 dB"),
            answers("size", [0, 1, 2, 2], [0, 1, 1, 2]),
            answers("azimuth", [170.0, 0.0, np.nan, 90.0], [-170.0, 10.0, 0.0, 0.0]),
        ],
    )
    assert list(table.columns) == ["cell", "protocol", "target", "condition", "key", "group", "truth", "estimate"]
    measured = measure(get_paper("toy"), table, resamples=100)
    assert list(measured) == ["even"]  # a pool of which a member is missing is none
    found: dict[str, Any] = measured["even"]
    assert found["c50"]["rmse"] == pytest.approx((10 / 4) ** 0.5)
    assert found["c50"]["bias"] == pytest.approx(-0.5)
    assert found["c50"]["baseline"] == {"rmse": pytest.approx(((81 + 25 + 9 + 121) / 4) ** 0.5), "corr": None, "bias": 0.0}
    assert found["c50"]["conditions"]["20 dB"]["bias"] == pytest.approx(2.0)
    assert [(row["low"], row["n"]) for row in found["c50"]["by"]["c50"]] == [(-50.0, 2), (10.0, 2)]
    assert found["c50"]["by"]["c50"][1]["bias"] == pytest.approx(-1.5)
    assert (found["c50"]["n"], found["c50"]["groups"]) == (4, 2)
    # Two rooms: each resample is one of aa, ab, bb; the ends are those of the rooms.
    assert found["c50"]["interval"]["bias"] == [pytest.approx(-1.5), pytest.approx(0.5)]
    assert found["size"]["accuracy"] == 0.75
    assert found["size"]["recall"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert found["azimuth"]["n"] == 3  # what could not be measured is left out
    assert found["azimuth"]["error"] == pytest.approx((20 + 10 + 90) / 3)
    assert "gap" not in found


@pytest.mark.usefixtures("toy")
def test_a_pool_is_measured_from_all_samples_of_its_members() -> None:
    """Means of the members' metrics would be √0.5 + 2 over 2, and the interval of two groups would hold them apart."""
    table = prediction_table(
        "all",
        [
            answers("c50", [0.0, 12.0], [1.0, 12.0], groups="ab"),
            answers("c50", [0.0, 12.0, 20.0, 1.0], [2.0, 14.0, 18.0, -1.0], groups="abba", protocol="odd"),
            answers("size", [0, 1], [0, 1], groups="ab", protocol="odd"),
        ],
    )
    measured = measure(get_paper("toy"), table, resamples=200)
    assert set(measured["odd"]) == {"c50", "size"}
    assert set(measured["room"]) == {"c50"}
    room = measured["room"]["c50"]
    assert (room["n"], room["groups"]) == (6, 2)
    assert room["rmse"] == pytest.approx(np.sqrt((1 + 0 + 4 + 4 + 4 + 4) / 6))
    # A resample takes a group of both members or of none: aa, ab and bb.
    assert room["interval"]["bias"] == [pytest.approx(0.0), pytest.approx((1 + 2 - 2) / 3)]
    assert [(row["low"], row["n"]) for row in room["by"]["c50"]] == [(-50.0, 3), (10.0, 3)]


def test_answers_that_are_not_one_a_sample_are_refused() -> None:
    with pytest.raises(RoomtrainError, match=r"c50 \(even, clean\): 3 estimates and 2 truths for 3 samples"):
        prediction_table("all", [answers("c50", [0.0, 1.0], [0.0, 1.0, 2.0])])
    with pytest.raises(RoomtrainError, match="all has no predictions"):
        prediction_table("all", [])


@pytest.mark.usefixtures("toy")
def test_sweeps_name_what_tells_their_cells_apart(tmp_path: Path) -> None:
    toy = get_paper("toy")
    swept = plan(toy, "smoke", {}, tmp_path, sweep=["fit.learning_rate=0.1,0.2", "seen=all,early"], seed=3, seeds=2)
    assert len(swept) == 8
    assert swept[1].cell == "early fit.learning_rate=0.1, seen=early"
    assert swept[1].folder == tmp_path / "early_fit.learning_rate=0.1,seen=early-seed3"
    assert [one.cell for one in plan(toy, "smoke", {}, tmp_path, sweep=["seen=early,all"])] == ["early", "all"]
    (one,) = plan(toy, "smoke", {}, tmp_path, cell="2")
    assert (one.cell, one.folder) == ("early", tmp_path)


@pytest.mark.usefixtures("toy")
def test_seeds_are_those_of_the_command_the_cell_or_the_preset(tmp_path: Path) -> None:
    """The preset has two, of the cell "early" one."""
    toy = get_paper("toy")

    def planned(size: str = "smoke", overrides: dict[str, Any] | None = None, **how: Any) -> list[tuple[str, int, str]]:
        return [(p.cell, p.settings.seed, p.folder.name) for p in plan(toy, size, overrides or {}, tmp_path, **how)]

    first = [("all", 0, "all-seed0"), ("early", 0, "early-seed0")]
    assert planned(every=True) == [*first, ("all", 1, "all-seed1")]
    assert planned(every=True, seed=7) == [("all", 7, "all-seed7"), ("early", 7, "early-seed7"), ("all", 8, "all-seed8")]
    assert planned(every=True, seeds=2) == [*first, ("all", 1, "all-seed1"), ("early", 1, "early-seed1")]
    assert planned(every=True, seeds=1) == planned("small", every=True) == first
    assert [name for *_, name in planned("small", {"seeds": 3}, every=True)][2:] == ["all-seed1", "all-seed2"]
    assert planned(sweep=["seen=all,early"]) == first
    assert [seed for _, seed, _ in planned(cell="all", seed=4, seeds=1)] == [4]
    with pytest.raises(RoomtrainError, match="for one cell give --seed"):
        planned(cell="all", seeds=2)
