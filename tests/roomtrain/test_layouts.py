"""Tables as a paper lays them out, character for character, from results made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from roomtrain.errors import RoomtrainError
from roomtrain.paper import Cell, Column, Layout, Published
from roomtrain.table import cell_markdown, markdown, table
from roomtrain.targets import Target
from tests.roomtrain.toy.paper import Toy


class Laid(Toy):
    """A loss, an accuracy, and a class that nobody shall be able to tell, by two protocols."""

    name = "laid"
    targets = (
        Target("loss", "score", title="log loss", lower_is_better=True),
        Target("scene", "class", title="scene", classes=("park", "bus")),
        Target("device", "class", title="device", classes=("a", "b"), lower_is_better=True),
    )
    protocols: ClassVar[Mapping[str, str]] = {"S4": "One device", "all": "All of them"}
    pools: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    published = Published("Table 1", {("one", "all", "loss", "mean"): 1.012, ("two", "S4", "loss", "mean"): 1.5})
    breakdown = None
    columns = (
        Column("S4", "S4", "loss"),
        Column("overall", "all", "loss", interval=True, best=True),
        Column("scene", "all", "scene", "recall"),
        Column("device", "all", "device"),
    )

    def cells(self) -> list[Cell]:
        return [Cell("one"), Cell("two"), Cell("three")]

    def layouts(self) -> Sequence[Layout]:
        rows = {"PaSST": "one", "+ ICL": "two", "+ DIRs": "three"}
        return (
            Layout("Table 1: by device", self.columns, rows, ("What is bold is best.",)),
            Layout("Table 2: of nothing", (Column("S4", "S4", "scene"),), rows),
        )


def result(
    cell: str, seed: int, *, overall: float, s4: float | None = None, scene: float = 0.5, device: float = 0.5
) -> dict[str, Any]:
    def share(value: float) -> dict[str, Any]:
        ends = [value - 0.05, value + 0.05]
        return {"accuracy": value, "precision": value, "recall": value, "interval": dict.fromkeys(METRICS, ends)}

    def loss(value: float) -> dict[str, Any]:
        return {"loss": {"mean": value, "interval": {"mean": [value - 0.1, value + 0.1]}}}

    protocols = {"all": {**loss(overall), "scene": share(scene), "device": share(device)}}
    if s4 is not None:
        protocols["S4"] = loss(s4)
    about = {"preset": "small", "reduced": "", "data": {}, "device": "cpu", "settings_hash": cell}
    return {"cell": cell, "seed": seed, "protocols": protocols, **about}


METRICS = ("accuracy", "precision", "recall")
RESULTS = [
    result("two", 0, overall=1.3, s4=1.4, scene=0.62, device=0.3),
    result("one", 10, overall=1.0, s4=1.0, scene=0.6, device=0.8),
    result("one", 9, overall=1.4, s4=2.0, scene=0.6, device=0.9),
]


def shown(results: Sequence[dict[str, Any]]) -> str:
    return markdown(Laid(), table(Laid(), results))


def test_a_layout_character_for_character() -> None:
    assert shown(RESULTS).splitlines() == [
        "Preset `small`, 3 seeds, on cpu.",
        "",
        "**Table 1: by device**",
        "",
        "|                  |   S4    |  overall  | scene  | device |",
        "|------------------|:-------:|:---------:|:------:|:------:|",
        "| PaSST            |  1.500  | **1.200** |  60.0  |  85.0  |",
        "|   ± over 2 seeds |± 0.707  | ± 0.283   |± 0.0   |± 7.1   |",
        "|   95 % of seed 9 |         |1.300–1.500|        |        |",
        "|   best: seed 10  |  1.000  |   1.000   |  60.0  |  80.0  |",
        "|   *paper*        |         |  *1.012*  |        |        |",
        "| + ICL            |**1.400**|   1.300   |**62.0**|**30.0**|",
        "|   95 %           |         |1.200–1.400|        |        |",
        "|   *paper*        | *1.500* |           |        |        |",
        "",
        "What is bold is best.",
    ]


def test_what_reads_alike_is_bold_alike_and_a_single_row_is_not_bold() -> None:
    text = shown([result("one", 0, overall=1.0001), result("two", 0, overall=1.0002), result("three", 0, overall=1.1, s4=1.0)])
    assert text.count("**1.000**") == 2
    assert "|  1.000  |   1.100   |" in text
    assert "|    —    | **1.000** |" in text  # no answer by S4 stands as such beside others
    assert "**" not in shown([result("one", 0, overall=1.0)]).replace("**Table 1: by device**", "")


def test_cells_of_no_layout_are_named_and_without_a_layout_there_are_blocks() -> None:
    text = shown([*RESULTS, result("one α=3", 0, overall=9.0)])
    assert text.splitlines()[-1] == "In none of these tables: one α=3; `roomtrain table laid --cell NAME` shows one."
    assert "9.000" not in text
    alone = shown([result("one α=3", 0, overall=9.0)])
    assert "Table 1" not in alone
    assert "| log loss: mean | here | paper |\n|---|---|---|\n| one α=3 | 9.000 (8.900–9.100) | |" in alone


def test_one_cell_is_a_row_per_protocol() -> None:
    values = table(Laid(), RESULTS)
    assert cell_markdown(Laid(), values, "one").startswith(
        "| one, log loss: mean | here | paper |\n|---|---|---|\n"
        "| `S4` | 1.500 ± 0.707 (1.900–2.100) |  |\n| `all` | 1.200 ± 0.283 (1.300–1.500) | *1.012* |\n\n| one, scene in %"
    )
    with pytest.raises(RoomtrainError, match=r"no results of 'tow'. Did you mean 'two'\? Cells: one, two"):
        cell_markdown(Laid(), values, "tow")


def test_values_have_every_seed_and_the_best_of_them() -> None:
    cells = table(Laid(), [*RESULTS, RESULTS[1]])["cells"]["all"]  # the same run twice is one seed
    assert cells["loss"]["one"]["mean"]["seeds"] == {"9": 1.4, "10": 1.0}
    assert cells["loss"]["one"]["mean"]["best"] == {"seed": 10, "value": 1.0}
    assert cells["device"]["one"]["accuracy"]["best"] == {"seed": 10, "value": 0.8}
    assert cells["loss"]["two"]["mean"]["best"] is None


@pytest.mark.parametrize(
    ("target", "metric", "better", "worse"),
    [
        (Target("t"), "rmse", 0.1, 0.2),
        (Target("t"), "corr", 0.9, -0.95),
        (Target("t"), "bias", -0.1, 0.2),
        (Target("t", "angle"), "error", 5.0, 9.0),
        (Target("t", "angle"), "within_20", 0.9, 0.8),
        (Target("t", "class", classes=("a",)), "recall", 0.9, 0.8),
        (Target("t", "class", classes=("a",), lower_is_better=True), "accuracy", 0.1, 0.2),
        (Target("t", "score"), "mean", 4.5, 1.0),
        (Target("t", "score", lower_is_better=True), "mean", 1.0, 4.5),
    ],
)
def test_which_value_is_better(target: Target, metric: str, better: float, worse: float) -> None:
    assert target.badness(metric, better) < target.badness(metric, worse)


def test_of_numbers_and_angles_the_metrics_say_what_is_better() -> None:
    with pytest.raises(ValueError, match="lower_is_better belongs to scores and classes"):
        Target("t", lower_is_better=True)
