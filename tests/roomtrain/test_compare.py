"""Cells compared over seeds, against plain loops over resamples of the rooms."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roomtrain.claims import claim
from roomtrain.compare import compare, compare_cells, compare_text
from roomtrain.errors import RoomtrainError
from roomtrain.paper import PAPERS, get_paper
from roomtrain.plans import settings_of
from roomtrain.predictions import Answers, prediction_table, write_predictions
from tests.roomtrain.conftest import Said

N, ROOMS = 30, 5
ROOM = np.arange(N) % ROOMS


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PAPERS, "toy", "tests.roomtrain.toy.paper")


def gaps(cell: str, seed: int) -> dict[str, Any]:
    """Two protocols' scores: hard rooms are hard for both cells, and "early" is worse by 0.2 where it is odd."""
    random = np.random.default_rng([seed, cell == "early"])
    hard = np.arange(ROOMS)[ROOM] / ROOMS
    more = {"even": 0.0, "odd": 0.2 if cell == "early" else 0.0}
    return {half: hard + more[half] + 0.1 * random.standard_normal(N) for half in more}


def write_run(
    folder: Path, cell: str, seed: int, *, size: str = "small", data: str = "d", tested: str = "even odd", **more: Any
) -> Path:
    paper = get_paper("toy")
    run = folder / f"{cell}-seed{seed}"
    settings = settings_of(paper, size, {"seen": cell, **more}, seed=seed)
    claim(run, settings, cell=cell, data={"rirs": {"sha256": data}}, root=folder)
    rooms = np.array([f"room {index}" for index in ROOM])
    keys = {half: np.array([f"{half} {i}" for i in range(N)]) for half in ("even", "odd")}
    answers = [Answers(half, "gap", keys[half], rooms, None, values) for half, values in gaps(cell, seed).items() if half in tested]
    write_predictions(run / "predictions.parquet", prediction_table(cell, answers))
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeds 0, 1 and 2 of "all", 0, 2 and 3 of "early"."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PAPERS, "toy", "tests.roomtrain.toy.paper")
        for cell, seeds in (("all", (0, 1, 2)), ("early", (0, 2, 3))):
            for seed in seeds:
                write_run(folder, cell, seed)
    return folder


def resampled(differences: list[np.ndarray], rooms: list[np.ndarray], n: int) -> tuple[float, float]:
    """The interval of the mean over the seeds, by a plain loop: every room as often in each seed."""
    times = np.random.default_rng(0).multinomial(ROOMS, np.full(ROOMS, 1 / ROOMS), size=n)
    draws = []
    for counts in times:
        draws.append(np.mean([np.repeat(d, counts[room]).mean() for d, room in zip(differences, rooms, strict=True)]))
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def test_cells_are_compared_over_the_seeds_that_both_have(runs: Path) -> None:
    result = compare_cells(runs, "all", "early", resamples=300)
    assert (result["run"], result["other"], result["seeds"]) == ("all", "early", [0, 2])
    assert set(result["protocols"]) == {"even", "odd", "room"}
    by_seed = {seed: {half: gaps("early", seed)[half] - gaps("all", seed)[half] for half in ("even", "odd")} for seed in (0, 2)}
    for protocol, halves in (("even", ["even"]), ("odd", ["odd"]), ("room", ["even", "odd"])):
        own = [np.concatenate([found[half] for half in halves]) for found in by_seed.values()]
        values = result["protocols"][protocol]["gap"]["mean"]
        assert values["difference"] == pytest.approx(np.mean([d.mean() for d in own]))
        assert values["seeds"] == {"0": pytest.approx(own[0].mean()), "2": pytest.approx(own[1].mean())}
        assert values["interval"] == pytest.approx(resampled(own, [np.tile(ROOM, len(halves))] * 2, 300))
        assert values["run"] == pytest.approx(np.mean([np.mean([gaps("all", s)[h] for h in halves]) for s in (0, 2)]))
    assert result["protocols"]["odd"]["gap"]["mean"]["differ"]
    assert not result["protocols"]["even"]["gap"]["mean"]["differ"]


def test_a_pool_of_which_a_member_is_missing_in_a_seed_is_none(tmp_path: Path) -> None:
    for cell in ("all", "early"):
        write_run(tmp_path, cell, 0)
        write_run(tmp_path, cell, 1, tested="even")
    assert set(compare_cells(tmp_path, "all", "early", resamples=100)["protocols"]) == {"even"}


def test_which_cell_is_better_is_said(runs: Path) -> None:
    lines = compare_text(compare_cells(runs, "all", "early", resamples=300)).splitlines()
    assert lines[0].startswith("early against all, mean over the seeds 0, 2: difference")
    (odd,) = (line for line in lines if line.startswith("  odd"))
    assert " * worse; by seed +0." in odd
    assert " * better; by seed -0." in compare_text(compare_cells(runs, "early", "all", resamples=300))


def test_two_runs_are_what_their_cells_are_in_one_seed(runs: Path, tmp_path: Path) -> None:
    for run in ("all-seed0", "early-seed0"):
        shutil.copytree(runs / run, tmp_path / run)
    of_cells = compare_cells(tmp_path, "all", "early", resamples=200)
    of_runs = compare(get_paper("toy"), runs / "all-seed0", runs / "early-seed0", resamples=200)
    for targets in of_cells["protocols"].values():
        for values in targets["gap"].values():
            assert values.pop("seeds")["0"] == values["difference"]
    assert of_runs == {name: of_cells[name] for name in ("run", "other", "protocols")}


def test_the_command_takes_two_runs_or_two_cells(runs: Path, roomtrain: Callable[..., Said]) -> None:
    said = json.loads(roomtrain("compare", "--runs", runs, "--cell", "all", "--cell", "early", "--json").out)
    assert said["seeds"] == [0, 2]
    for words in ([], [runs / "all-seed0"], ["--runs", runs], ["--runs", runs, "--cell", "all"]):
        refused = roomtrain("compare", *words)
        assert refused.code == 2
        assert "give RUN and OTHER, or --runs DIR --cell NAME --cell OTHER" in refused.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"seed": 0, "size": "smoke"}, "different papers or presets: give a folder of one"),
        ({"seed": 0, "data": "other"}, "different data: give a folder of one"),
        ({"seed": 2, "fit.learning_rate": 0.5}, "different settings of early: give a folder of one"),
        ({"seed": 0, "resamples": 150, "seeds": 3}, ""),  # what decides nothing
    ],
)
def test_runs_that_do_not_belong_together_are_refused(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    write_run(tmp_path, "all", 0)
    write_run(tmp_path, "early", 3)
    write_run(tmp_path, "early", **more)
    if not message:
        assert compare_cells(tmp_path, "all", "early", resamples=100)["seeds"] == [0]
        return
    with pytest.raises(RoomtrainError, match=message):
        compare_cells(tmp_path, "all", "early")


def test_cells_that_cannot_be_compared_are_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(RoomtrainError, match=r"no finished run of 'erly'. Did you mean 'early'\? Cells: all, early"):
        compare_cells(runs, "all", "erly")
    with pytest.raises(RoomtrainError, match="given twice"):
        compare_cells(runs, "all", "all")
    write_run(tmp_path, "all", 0)
    write_run(tmp_path, "early", 1)
    with pytest.raises(
        RoomtrainError, match=r"no seed that both cells are trained with in .*: there is all with 0 and early with 1"
    ):
        compare_cells(tmp_path, "all", "early")
    write_run(tmp_path / "again", "early", 1)
    with pytest.raises(RoomtrainError, match=r"are the same cell and seed: give a folder of one"):
        compare_cells(tmp_path, "all", "early")
