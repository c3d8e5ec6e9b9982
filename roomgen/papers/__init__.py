"""The datasets of papers, each by one command. A paper is a module here that holds a ``PAPER``; there is no list to add it to."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roomgen.papers.parts import Paper


@lru_cache(maxsize=1)
def papers() -> dict[str, Paper]:
    """Return all papers by their names on the command line."""
    modules = (import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__))
    return {module.PAPER.name: module.PAPER for module in modules if hasattr(module, "PAPER")}
