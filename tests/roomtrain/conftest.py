"""A tiny folder of `roomgen paper goetz`, made once, and the command line in this process."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from roomgen.run.papers import Given, make_paper


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


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
