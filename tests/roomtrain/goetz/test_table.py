"""`roomtrain table`, `figures` and `config`: from results to what people read."""

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from roomtrain import table
from roomtrain.config import SIZES
from roomtrain.errors import RoomtrainError
from roomtrain.paper import get_paper
from roomtrain.plans import settings_of
from tests.roomtrain.conftest import Said

Roomtrain = Callable[..., Said]
ROOT = Path(__file__).parents[3]
GOETZ = get_paper("goetz")
TABLE_2 = "f1a63d583028bdacba9afd5cf192435745bd35869296593ead4c7f7e8da65b19"


@pytest.fixture
def result(trained: Path) -> dict[str, Any]:
    return dict(json.loads((trained / "results.json").read_text(encoding="utf-8")))


def test_the_papers_accuracies_are_multiples_of_a_512th() -> None:
    """As those of a test of 512 samples: a digit copied wrongly would not be."""
    accuracies = [value for (*_, metric), value in GOETZ.published.values.items() if metric == "accuracy"]
    assert len(accuracies) == 10
    for accuracy in accuracies:
        assert accuracy * 512 == pytest.approx(round(accuracy * 512), abs=0.03)


def test_every_cell_of_the_paper_is_trained() -> None:
    cells = [cell.name for cell in GOETZ.cells()]
    assert len(cells) == len(set(cells)) == 11
    assert set(cells) == {cell for cell, _, target, _ in GOETZ.published.values if target == "rt60"}
    for cell in GOETZ.cells():
        assert GOETZ.cell_of(settings_of(GOETZ, "paper", cell.overrides)) == cell.name


SETTINGS_OF: dict[str, dict[str, Any]] = {
    "goetz": {},
    "goetz-random": {"gain_db": 3.0},
    "goetz-measured": {"gain_db": 3.0},
    "goetz-measured-recorded": {},
    "goetz-measured-noise": {"snr_db": (10.0, 40.0)},
    "goetz-standardise-spectrogram": {"standardise": "spectrogram"},
}


def test_every_folder_of_results_is_looked_at() -> None:
    assert {path.name for path in (ROOT / "roomtrain" / "results").glob("goetz*")} == set(SETTINGS_OF)


@pytest.mark.parametrize("folder", SETTINGS_OF)
def test_every_published_result_leads_back_to_its_settings(folder: str) -> None:
    """The hash that a result names is that of the settings it holds, and these are those of its preset and cell today."""
    files = sorted((ROOT / "roomtrain" / "results" / folder).glob("*.json"))
    assert files
    for file in files:
        result = json.loads(file.read_text(encoding="utf-8"))
        settings = GOETZ.Settings.model_validate(result["settings"])
        assert settings.hash(version=result["settings_version"]) == result["settings_hash"]
        cell = next(cell for cell in GOETZ.cells() if cell.name == result["cell"])
        today = settings_of(GOETZ, result["preset"], {**cell.overrides, **SETTINGS_OF[folder]}, seed=result["seed"])
        assert today.hash(version=result["settings_version"]) == result["settings_hash"]
        assert len(result["commit"]) >= 12


def test_what_changes_no_result_changes_no_hash() -> None:
    before = settings_of(GOETZ, "small", {}).hash()
    idle = {"reduced": "other words", "resamples": 200, "cache_gb": 1.0, "upstream.fit.save_every_s": 5.0}
    assert settings_of(GOETZ, "small", idle).hash() == before
    for key, value in (("precision", "bf16-mixed"), ("tf32", True), ("dropout", 0.3), ("upstream.fit.fused", True)):
        assert settings_of(GOETZ, "small", {key: value}).hash() != before, key
    assert len({settings_of(GOETZ, size, {}).hash() for size in SIZES}) == len(SIZES)


def test_table_2_from_the_published_results_is_what_it_was(roomtrain: Roomtrain) -> None:
    """Numbers of the table as it was first published, down to the last digit."""
    said = roomtrain("table", "goetz").out
    for line in (
        "| τ = 0.1 | 0.453 (0.412–0.492) / 0.569 / 0.014 | 0.460 (0.413–0.506) / 0.553 / -0.036 "
        "| 0.458 (0.414–0.502) / 0.556 / -0.026 |",
        "| *paper* | *0.234 / 0.888 / 0.003* | *0.243 / 0.879 / 0.007* | *0.222 / 0.905 / 0.003* |",
        "| supervised | 2.697 (2.512–2.881) / 0.775 / 0.292 | *paper:* *1.976 / 0.924 / 1.028* | |",
        "| untrained | 62.3 (41.5–82.1) / 31.1 / 50.0 | | |",
    ):
        assert line in said.splitlines()
    assert hashlib.sha256(said.encode()).hexdigest() == TABLE_2


def test_the_table_of_rooms_in_the_docs_is_what_the_command_prints(roomtrain: Roomtrain) -> None:
    text = (ROOT / "docs" / "goetz.md").read_text(encoding="utf-8")
    results = ROOT / "roomtrain" / "results"
    names = ("goetz", "goetz-random", "goetz-measured-recorded", "goetz-measured-noise", "goetz-measured")
    said = roomtrain("table", "goetz", *(word for name in names for word in ("--runs", results / name)), "--cell", "soft-0.1")
    assert text.split("<!-- rooms -->")[1].split("<!-- /rooms -->")[0].strip() == said.out.strip()
    said = roomtrain("table", "goetz", "--runs", results / "goetz-measured")
    assert text.split("<!-- realistic -->")[1].split("<!-- /realistic -->")[0].strip() == said.out.strip()


def test_mean_and_deviation_are_over_the_seeds(result: dict[str, Any]) -> None:
    results = []
    for seed, rmse in enumerate((1.0, 2.0, 4.0)):
        other = copy.deepcopy(result)
        other["seed"] = seed
        other["protocols"]["sample"]["c50"]["rmse"] = rmse
        results.append(other)
    values = table.table(GOETZ, results)
    cell = values["cells"]["sample"]["c50"]["soft-0.1"]["rmse"]
    assert cell["mean"] == pytest.approx(7 / 3)
    assert cell["std"] == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert cell["paper"] == 1.8903
    assert values["seeds"] == [0, 1, 2]
    text = table.markdown(GOETZ, values)
    assert "2.333 ± 1.528" in text
    assert "*1.890 / 0.922 / 0.430*" in text
    assert "Reduced: a smoke test" in text


def test_one_seed_has_no_deviation(result: dict[str, Any]) -> None:
    assert table.table(GOETZ, [result])["cells"]["room"]["volume"]["soft-0.1"]["accuracy"]["std"] is None


def test_results_that_do_not_belong_together_are_refused(result: dict[str, Any]) -> None:
    other = {**result, "preset": "paper"}
    with pytest.raises(RoomtrainError, match="different presets"):
        table.table(GOETZ, [result, other])
    other = {**result, "data": {}}
    with pytest.raises(RoomtrainError, match="different data"):
        table.table(GOETZ, [result, other])
    with pytest.raises(RoomtrainError, match="no results"):
        table.table(GOETZ, [])


def test_publishing_and_reading_back(roomtrain: Roomtrain, trained: Path, result: dict[str, Any], tmp_path: Path) -> None:
    said = roomtrain("table", "goetz", "--runs", trained.parent, "--publish", tmp_path / "published", "--json")
    assert said.code == 0, said.err
    assert json.loads((tmp_path / "published" / "soft-0.1-seed0.json").read_text(encoding="utf-8")) == result
    again = roomtrain("table", "goetz", "--runs", tmp_path / "published", "--json")
    assert json.loads(again.out) == json.loads(said.out)


def test_trainings_on_other_data_stand_beside_each_other(
    roomtrain: Roomtrain, trained: Path, result: dict[str, Any], tmp_path: Path
) -> None:
    """Sets that no single table may hold, as their data differ, are columns of one cell."""
    other = copy.deepcopy(result)
    other["data"] = {}
    other["protocols"]["room"]["c50"]["rmse"] = 1.234
    for name, one in (("flat", result), ("measured", other)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "soft-0.1-seed0.json").write_text(json.dumps(one), encoding="utf-8")
    both = ("table", "goetz", "--runs", tmp_path / "flat", "--runs", tmp_path / "measured")
    said = roomtrain(*both, "--cell", "soft-0.1").out.splitlines()
    assert said.count("| soft-0.1 | flat | measured | paper |") == 2
    rows = [line.split("|")[1:-1] for line in said if line.startswith("| C50")]
    assert rows[0][-1].strip() == "*1.890 / 0.922 / 0.430*"  # the paper's protocol comes first
    assert rows[1][2].strip().startswith("1.234 ")
    assert rows[1][1].strip().startswith(f"{result['protocols']['room']['c50']['rmse']:.3f} ")
    assert "name the cell" in roomtrain(*both).err
    assert "flat has no results of 'soft-1'" in roomtrain(*both, "--cell", "soft-1").err
    twice = roomtrain("table", "goetz", "--runs", tmp_path / "flat", "--runs", tmp_path / "flat", "--cell", "soft-0.1")
    assert twice.code == 2
    assert "same name" in twice.err


@pytest.mark.parametrize(
    ("written", "said"), [("{", "not readable as JSON"), ('{"paper": "icl"}', "no results of goetz"), (None, "has no results")]
)
def test_damaged_results_are_one_clear_line(roomtrain: Roomtrain, tmp_path: Path, written: str | None, said: str) -> None:
    if written is not None:
        (tmp_path / "results.json").write_text(written)
    answer = roomtrain("table", "goetz", "--runs", tmp_path)
    assert answer.code in (1, 2)
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1


def test_config_prints_every_setting_and_takes_overrides(roomtrain: Roomtrain) -> None:
    assert "upstream.temperature = 0.1" in roomtrain("config", "goetz").out
    said = roomtrain("config", "goetz", "--preset", "small", "--set", "upstream.temperature=0.5", "--json")
    assert json.loads(said.out)["upstream"]["temperature"] == 0.5
    typo = roomtrain("config", "goetz", "--set", "upstream.temprature=0.5")
    assert typo.code == 2
    assert "upstream.temperature" in typo.err
    assert "`roomtrain config goetz` prints all of them" in typo.err


def test_the_paper_preset_is_the_paper(roomtrain: Roomtrain) -> None:
    values = json.loads(roomtrain("config", "goetz", "--preset", "paper", "--json").out)
    assert values["reduced"] == ""
    upstream, downstream = values["upstream"], values["downstream"]
    assert [upstream[k] for k in ("n_classes", "n_augmentations", "batches", "val_batches", "warm_up_epochs")] == [
        24,
        3,
        128,
        32,
        0,
    ]
    assert [downstream[k] for k in ("train", "val", "test", "batch")] == [8192, 2048, 2048, 16]
    for fit in (upstream["fit"], downstream["fit"], values["supervised"]):
        assert (fit["optimizer"], fit["weight_decay"], fit["accumulate"]) == ("adam", 0.0, 1)
        assert (fit["learning_rate"], fit["patience"], fit["schedule"]) == (1e-3, 4, "constant")
    assert not values["shift"]
    assert values["snr_db"] is None


def test_comparing_a_run_with_a_shifted_copy_of_itself(roomtrain: Roomtrain, trained: Path, tmp_path: Path) -> None:
    """A bias of half a decibel is the same in every resample; nothing else of RT60 differs."""
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    predictions = pd.read_parquet(other / "predictions.parquet")
    predictions.loc[predictions["target"] == "c50", "estimate"] += 0.5
    predictions.to_parquet(other / "predictions.parquet")
    result = json.loads(roomtrain("compare", trained, other, "--json").out)
    bias = result["protocols"]["sample"]["c50"]["bias"]
    assert bias["difference"] == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_allclose(bias["interval"], [0.5, 0.5], atol=1e-5)
    assert bias["differ"]
    assert result["protocols"]["sample"]["rt60"]["rmse"]["interval"] == [0.0, 0.0]
    assert not result["protocols"]["sample"]["rt60"]["rmse"]["differ"]
    assert "c50" in roomtrain("compare", trained, other).out
    predictions.iloc[::-1].to_parquet(other / "predictions.parquet")  # another order of the same samples is no difference
    assert json.loads(roomtrain("compare", trained, other, "--json").out) == result
    predictions.iloc[20:].to_parquet(other / "predictions.parquet")
    refused = roomtrain("compare", trained, other)
    assert refused.code == 2
    assert "not tested on the same samples" in refused.err
