"""Tiny data of the paper: a few scenes by nine devices."""

from pathlib import Path

import pytest

from roomgen.run.paper_parts import Given
from roomgen.run.papers import make_paper


@pytest.fixture(scope="session")
def icl_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded scenes through recorders, and responses of a few microphones. Read only."""
    root = tmp_path_factory.mktemp("icl") / "data"
    make_paper("icl", root, Given(scale=0.02), workers=0, progress=False)
    return root
