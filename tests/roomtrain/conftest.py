"""A tiny folder of `roomgen paper goetz`, made once, and the command line in this process."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from roomgen.papers.make import make_paper
from roomgen.papers.parts import Given


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Mapped banks of all tests lie in a folder that goes with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROOMTRAIN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def goetz_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 rooms upstream, 10 downstream, a few segments of synthetic speech. Read only: take ``goetz_copy`` to damage it."""
    root = tmp_path_factory.mktemp("goetz") / "data"
    make_paper("goetz", root, Given(scale=0.02), workers=0, progress=False)
    return root


@pytest.fixture
def goetz_copy(goetz_made: Path, tmp_path: Path) -> Path:
    """A copy of the tiny data, to do with as the test likes."""
    return Path(shutil.copytree(goetz_made, tmp_path / "data"))


@pytest.fixture
def roomtrain(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run `roomtrain …` in this process."""
    from roomtrain.cli import main

    def run(*arguments: object) -> Said:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["roomtrain", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def trained(goetz_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one cell, trained for a few steps. Read only."""
    from roomtrain.fabric import start_fabric
    from roomtrain.paper import get_paper
    from roomtrain.plans import settings_of
    from roomtrain.run import Command, train

    overrides = {
        "strategy": "soft",
        "upstream.n_classes": 4,
        "upstream.batches": 2,
        "upstream.val_batches": 1,
        "downstream.train": 32,
        "downstream.val": 16,
        "downstream.test": 32,
        "cache_gb": 0,
    }
    paper = get_paper("goetz")
    settings = settings_of(paper, "smoke", overrides)
    out = tmp_path_factory.mktemp("runs") / "soft"
    train(paper, settings, cell=paper.cell_of(settings), root=goetz_made, out=out, command=Command(start_fabric("cpu")))
    return out
