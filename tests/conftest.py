"""What many tests share: a tiny dataset, made once, and the folder of real recordings where there is one."""

import os
import shutil
from pathlib import Path

import pytest

from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.run.generate import generate

SHARED_DATA = Path(os.environ.get("ROOMGEN_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))

TINY = {
    "rooms.count": 6,
    "place.rirs_per_room": 3,
    "signal.duration": "auto",
    "walls.absorption": 0.7,
    "shard_size": 5,
    "splits.shares": {"train": 0.5, "val": 0.25, "test": 0.25},
}


def tiny_settings(**overrides: object) -> DatasetSettings:
    """Settings of a dataset of 18 samples in 5 shards; ``a__b=value`` sets ``a.b``."""
    return load_settings("mixed", {**TINY, **{key.replace("__", "."): value for key, value in overrides.items()}})


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings; a test that needs it is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real recordings at {SHARED_DATA} (set ROOMGEN_SHARED_DATA to their folder)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny dataset. Read only: take ``tiny`` to damage it."""
    root = tmp_path_factory.mktemp("made") / "shards"
    generate(tiny_settings(), root, workers=0, progress=False)
    return root


@pytest.fixture
def tiny(made_once: Path, tmp_path: Path) -> Path:
    """A copy of the tiny dataset, to do with as the test likes."""
    return Path(shutil.copytree(made_once, tmp_path / "shards"))
