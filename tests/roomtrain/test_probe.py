"""`roomtrain probe`: labels that embeddings hold are found, others are not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from roomtrain import probe as probing
from roomtrain.papers.goetz.paper import Goetz
from roomtrain.probe import Probed
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
    assert "95 % over groups" in text


def test_what_the_embedding_holds_is_found_and_nothing_else(
    trained: Path, goetz_made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embeddings that are made of one label and noise."""
    random = np.random.default_rng(0)
    sizes = {"train": 600, "test": 300}
    labels = {split: {name: random.standard_normal(n) for name in ("held", "other")} for split, n in sizes.items()}
    embeddings = {split: random.standard_normal((n, 64)).astype(np.float32) for split, n in sizes.items()}
    for split, e in embeddings.items():
        e[:, 5] = labels[split]["held"]
        labels[split]["held"][::7] = np.nan  # could not be measured: left out
    groups = np.array([f"room-{i % 20}" for i in range(300)])
    monkeypatch.setattr(Goetz, "probed", lambda *_, **__: Probed(embeddings, labels, groups))
    found = probing.probe(trained, goetz_made, resamples=100)["labels"]
    assert found["held"]["corr"] > 0.95
    assert found["held"]["rmse"] < 0.4 * found["held"]["std"]
    assert found["held"]["n"] == 300 - len(range(0, 300, 7))
    assert abs(found["other"]["corr"]) < 0.3


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
    claim = json.loads((trained / "settings.json").read_text(encoding="utf-8"))
    claim["settings"]["strategy"] = "supervised"
    (tmp_path / "settings.json").write_text(json.dumps(claim), encoding="utf-8")
    said = roomtrain("probe", tmp_path, "--data", goetz_made)
    assert said.code == 2
    assert "no frozen encoder" in said.err
