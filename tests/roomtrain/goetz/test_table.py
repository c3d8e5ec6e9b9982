"""`roomtrain table`, `figures` and `config`: from results to what people read."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from roomtrain.errors import RoomtrainError
from roomtrain.papers.goetz import figures, table
from tests.roomtrain.conftest import Said

Roomtrain = Callable[..., Said]


@pytest.fixture
def result(trained: Path) -> dict[str, Any]:
    return dict(json.loads((trained / "results.json").read_text(encoding="utf-8")))


def test_the_papers_accuracies_are_multiples_of_a_512th() -> None:
    """As those of a test of 512 samples: a digit copied wrongly would not be."""
    for accuracy, _, _ in table.PAPER["volume"].values():
        assert accuracy * 512 == pytest.approx(round(accuracy * 512), abs=0.03)


def test_every_cell_of_the_paper_is_trained() -> None:
    from roomtrain.papers.goetz.cells import table_cells

    cells = [
        f"{c['strategy']}-{c['upstream.temperature']:g}" if "upstream.temperature" in c else c["strategy"] for c in table_cells()
    ]
    assert len(cells) == len(set(cells)) == 11
    assert set(cells) == set(table.PAPER["rt60"])


def test_mean_and_deviation_are_over_the_seeds(result: dict[str, Any]) -> None:
    results = []
    for seed, rmse in enumerate((1.0, 2.0, 4.0)):
        other = copy.deepcopy(result)
        other["seed"] = seed
        other["protocols"]["sample"]["c50"]["rmse"] = rmse
        results.append(other)
    values = table.table(results)
    cell = values["cells"]["sample"]["c50"]["soft-0.1"]["rmse"]
    assert cell["mean"] == pytest.approx(7 / 3)
    assert cell["std"] == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert cell["paper"] == 1.8903
    assert values["seeds"] == [0, 1, 2]
    text = table.markdown(values)
    assert "2.333 ± 1.528" in text
    assert "*1.890 / 0.922 / 0.430*" in text
    assert "Reduced: a smoke test" in text


def test_one_seed_has_no_deviation(result: dict[str, Any]) -> None:
    assert table.table([result])["cells"]["room"]["volume"]["soft-0.1"]["accuracy"]["std"] is None


def test_results_that_do_not_belong_together_are_refused(result: dict[str, Any]) -> None:
    other = {**result, "preset": "paper"}
    with pytest.raises(RoomtrainError, match="different presets"):
        table.table([result, other])
    other = {**result, "data": {}}
    with pytest.raises(RoomtrainError, match="different data"):
        table.table([result, other])
    with pytest.raises(RoomtrainError, match="no results"):
        table.table([])


def test_publishing_and_reading_back(roomtrain: Roomtrain, trained: Path, result: dict[str, Any], tmp_path: Path) -> None:
    said = roomtrain("table", "goetz", "--runs", trained.parent, "--publish", tmp_path / "published", "--json")
    assert said.code == 0, said.err
    assert json.loads((tmp_path / "published" / "soft-0.1-seed0.json").read_text(encoding="utf-8")) == result
    again = roomtrain("table", "goetz", "--runs", tmp_path / "published", "--json")
    assert json.loads(again.out) == json.loads(said.out)


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
        assert (fit["learning_rate"], fit["patience"], fit["schedule"]) == (1e-3, 4, "constant")
    assert not values["shift"]
    assert values["snr_db"] is None


def test_figures_are_drawn(
    roomtrain: Roomtrain, trained: Path, goetz_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib.image

    monkeypatch.setattr(figures, "ROOMS_SHOWN", 2)  # the tiny test set has no more
    monkeypatch.setattr(figures, "_PER_ROOM", 12)
    said = roomtrain("figures", "goetz", "--runs", trained.parent, "--data", goetz_made, "--rooms", trained, "--out", tmp_path)
    assert said.code == 0, said.err
    for name in ("distributions", "rooms-umap", "temperature", "errors"):
        picture = matplotlib.image.imread(tmp_path / f"{name}.png")
        assert picture[..., :3].std() > 0.02  # not an empty page


def test_five_rooms_need_five_rooms(trained: Path, goetz_made: Path, tmp_path: Path) -> None:
    with pytest.raises(RoomtrainError, match="the picture shows 5"):
        figures.draw_rooms([trained], goetz_made, tmp_path)


def test_comparing_a_run_with_a_shifted_copy_of_itself(roomtrain: Roomtrain, trained: Path, tmp_path: Path) -> None:
    """A bias of half a decibel is the same in every resample; nothing else of RT60 differs."""
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    predictions = pd.read_parquet(other / "predictions.parquet")
    predictions["c50_estimated"] += 0.5
    predictions.to_parquet(other / "predictions.parquet")
    result = json.loads(roomtrain("compare", trained, other, "--json").out)
    bias = result["protocols"]["sample"]["c50"]["bias"]
    assert bias["difference"] == pytest.approx(0.5, abs=1e-5)
    np.testing.assert_allclose(bias["interval"], [0.5, 0.5], atol=1e-5)
    assert bias["differ"]
    assert result["protocols"]["sample"]["rt60"]["rmse"]["interval"] == [0.0, 0.0]
    assert not result["protocols"]["sample"]["rt60"]["rmse"]["differ"]
    assert "c50" in roomtrain("compare", trained, other).out
    predictions.iloc[::-1].to_parquet(other / "predictions.parquet")
    refused = roomtrain("compare", trained, other)
    assert refused.code == 2
    assert "not tested on the same samples" in refused.err
