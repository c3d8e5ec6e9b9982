"""Trained generators of device responses: what roomgen asks of one, and how it finds those of installed packages.

Whoever trains generators names a function under the entry point ``roomgen.generators``; roomtrain does.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roomgen.errors import RoomgenError

if TYPE_CHECKING:
    import pandas as pd

_GROUP = "roomgen.generators"


class ResponseGenerator(Protocol):
    """A trained generator."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name its weights."""
        ...

    def respond(self, table: pd.DataFrame, microphone: ArrayLike, *, seed: int) -> NDArray[np.float32]:
        """Return (response, 1024) at 32 kHz, a row of the table each, of microphones by their numbers."""
        ...


def load_generator(run: Path) -> ResponseGenerator:
    """Return the generator in a folder.

    Raises:
        RoomgenError: nothing that reads generators is installed, or there is none in the folder.
    """
    found = sorted(entry_points(group=_GROUP), key=lambda entry: entry.name)
    if not found:
        raise RoomgenError("devices generated needs roomtrain, which is not installed: pip install 'roomgen[train]'.", exit_code=1)
    try:
        load = found[0].load()
    except ModuleNotFoundError as error:
        raise RoomgenError(
            f"devices generated needs {error.name}, which is not installed: pip install 'roomgen[train]'.", exit_code=1
        ) from None
    generator: ResponseGenerator = load(run)
    return generator
