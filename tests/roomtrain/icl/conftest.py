"""Tiny data of the paper: a few scenes by nine devices."""

from pathlib import Path

import pytest

from roomgen.papers.make import make_paper
from roomgen.papers.parts import Given


@pytest.fixture(scope="session")
def icl_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded scenes through recorders, and responses of a few microphones. Read only."""
    root = tmp_path_factory.mktemp("icl") / "data"
    make_paper("icl", root, Given(scale=0.02), workers=0, progress=False)
    return root
