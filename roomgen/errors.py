"""The one error class of roomgen, and the helper that turns a typo into a suggestion."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RoomgenError(Exception):
    """Something that the user can put right: one line that says what was given, what is allowed and what to do.

    ``exit_code`` is what the command line returns: 2 for wrong usage, 1 for something that failed while it ran. The names of files
    that a message quotes cannot move the terminal's cursor, and its lines are one.
    """

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(printable(message))
        self.exit_code = exit_code


class DatasetError(RoomgenError):
    """A dataset or shard on disk is missing, damaged, or is not what its manifest says."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=1)


def printable(text: str) -> str:
    r"""Return a text with what is not printed (escape codes, line ends, marks that turn the direction) as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def suggest(given: str, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest allowed word, or an empty string."""
    close = get_close_matches(given, list(allowed), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
