"""What stands beside the packages in the repository and is not installed with them: the benchmarks."""

from __future__ import annotations

import sys
from pathlib import Path

from roomgen.errors import RoomgenError

_REPOSITORY = Path(__file__).resolve().parents[1]


def find_benchmarks() -> None:
    """Make the package ``bench`` of the repository importable.

    Raises:
        RoomgenError: roomgen was installed without the repository.
    """
    if not (_REPOSITORY / "bench" / "suite.py").is_file():
        raise RoomgenError(
            "the benchmarks are not part of the installed package: clone the repository, run `make bench`, or there "
            "`pip install -e .` and this command again.",
            exit_code=1,
        )
    if str(_REPOSITORY) not in sys.path:
        sys.path.insert(0, str(_REPOSITORY))
