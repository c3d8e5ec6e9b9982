"""The dataset card names the type of everything in a sample, so that no reader guesses it from values that may be null."""

import json
from pathlib import Path
from typing import Any

import yaml

from roomgen.store.dataset import Dataset

READ_AS = {"float32": float, "int32": int, "int64": int, "string": str}


def front_matter(root: Path) -> dict[str, Any]:
    _, text, _ = (root / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_card_types_every_member_and_every_label_as_it_is(made_once: Path) -> None:
    dataset = Dataset(made_once)
    features = {entry.pop("name"): entry for entry in front_matter(made_once)["dataset_info"]["features"]}
    assert list(features) == ["__key__", "__url__", "json", "rir.wav"]
    assert features["rir.wav"] == {"dtype": "audio"}
    labels = {entry.pop("name"): entry for entry in features["json"]["struct"]}
    for key in dataset.table(["key"])["key"]:
        found = json.loads(dataset.member(key, "json"))
        assert list(found) == list(labels)
        for name, value in found.items():
            ((kind, dtype),) = labels[name].items()
            values = value if kind == "list" else [value]
            assert all(one is None or type(one) is READ_AS[dtype] for one in values), name
    assert labels["rt60_target_s"] == {"dtype": "float32"}  # null in every sample of this dataset
