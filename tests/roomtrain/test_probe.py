"""`roomtrain probe`: labels that embeddings hold are found, others are not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from roomtrain.papers.goetz import probe as probing
from roomtrain.papers.goetz.data import PaperData
from tests.roomtrain.conftest import Said

Roomtrain = Callable[..., Said]


def test_every_label_has_a_line(roomtrain: Roomtrain, trained: Path, goetz_made: Path) -> None:
    said = roomtrain("probe", trained, "--data", goetz_made, "--json")
    labels = json.loads(said.out)["labels"]
    assert {"rt60_s", "edt_s", "c50_db", "distance_m", "volume_m3", "rt60_bands_s[500]", "c50_bands_db[4000]"} <= set(labels)
    for values in labels.values():
        assert values["n"] <= 32
        assert values["corr"] is None or -1 <= values["corr"] <= 1  # None: so few samples make a constant
        assert values["rmse"] > 0
    text = roomtrain("probe", trained, "--data", goetz_made).out
    assert "rt60_bands_s[500]" in text
    assert "95 % over rooms" in text


def test_what_the_embedding_holds_is_found_and_nothing_else(
    trained: Path, goetz_made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embeddings that are made of C50 and noise."""
    random = np.random.default_rng(0)

    def made(encoder: object, spectrograms: object, pairs: object) -> torch.Tensor:
        split = "train" if spectrograms is data.spectrograms["train"] else "test"
        e = random.standard_normal((len(data.pairs[split].rir), 64))
        e[:, 5] = probing.labels_of(data, split)["c50_db"]
        return torch.from_numpy(e)

    settings = probing.GoetzSettings.model_validate(probing.read_claim(trained)["settings"])
    more = settings.downstream.model_copy(update={"train": 600, "test": 300})
    data = PaperData(goetz_made).downstream(settings.model_copy(update={"downstream": more}), split_by="sample")
    monkeypatch.setattr(probing, "embed_all", made)
    monkeypatch.setattr(probing.PaperData, "downstream", lambda self, settings, split_by: data)
    labels = probing.probe(trained, goetz_made, resamples=100)["labels"]
    assert labels["c50_db"]["corr"] > 0.95
    assert labels["c50_db"]["rmse"] < 0.4 * labels["c50_db"]["std"]
    assert abs(labels["distance_m"]["corr"]) < 0.9


def test_runs_without_a_frozen_encoder_are_one_clear_line(
    roomtrain: Roomtrain, trained: Path, goetz_made: Path, tmp_path: Path
) -> None:
    for arguments, names in (
        ((trained, "--data", goetz_made, "--protocol", "rooms"), "Did you mean 'room'"),
        ((tmp_path, "--data", goetz_made), "is not a run"),
    ):
        said = roomtrain("probe", *arguments)
        assert (said.code, len(said.err.splitlines())) == (2, 1), said.err
        assert names in said.err
    (tmp_path / "settings.json").write_bytes((trained / "settings.json").read_bytes())
    said = roomtrain("probe", tmp_path, "--data", goetz_made)
    assert said.code == 2
    assert "no frozen encoder" in said.err
