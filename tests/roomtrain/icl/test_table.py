"""The results that come with roomtrain are of today's presets, and docs say what they say."""

import re
from pathlib import Path

import numpy as np
import pytest

from roomtrain import table
from roomtrain.paper import get_paper
from roomtrain.plans import find_cell, settings_of
from roomtrain.results import published_results

ROOT = Path(__file__).parents[3]
ICL = get_paper("icl")
PUBLISHED = published_results(ICL)


@pytest.mark.parametrize("result", PUBLISHED, ids=[f"{result['cell']}-{result['seed']}" for result in PUBLISHED])
def test_results_lead_back_to_the_settings_that_gave_them(result: dict) -> None:
    found = ICL.Settings.model_validate(result["settings"])
    assert found.hash(version=result["settings_version"]) == result["settings_hash"]
    today = settings_of(ICL, result["preset"], find_cell(ICL, result["cell"]).overrides, seed=result["seed"])
    assert today.hash(version=result["settings_version"]) == result["settings_hash"]
    assert not result["commit"].endswith("+")


def test_every_cell_of_the_paper_is_there_with_the_seeds_that_it_asks_for() -> None:
    there = {(result["cell"], result["seed"]) for result in PUBLISHED}
    for cell in ICL.cells():
        settings = settings_of(ICL, "small", cell.overrides)
        assert {(cell.name, seed) for seed in range(settings.seeds)} <= there


def test_the_tables_in_docs_are_those_of_the_results() -> None:
    text = (ROOT / "docs" / "icl.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- tables -->\n(.*?)\n<!-- /tables -->", text, flags=re.DOTALL)
    assert shown is not None
    assert shown[1].strip() == table.markdown(ICL, table.table(ICL, PUBLISHED)).strip()


def test_the_readme_has_the_means_of_the_results() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    said = re.search(r"log-loss of a second falls from\s+([\d.]+)\s+to\s+([\d.]+)", text)
    assert said is not None
    for cell, number in zip(("baseline", "icl-multi"), said.groups(), strict=True):
        values = [result["protocols"]["unseen"]["log_loss"]["mean"] for result in PUBLISHED if result["cell"] == cell]
        assert len(values) == 3
        assert f"{np.mean(values):.3f}" == number
