"""The one error class of roomtrain; its text and exit codes follow the rules of roomgen's."""

from __future__ import annotations

from roomgen.errors import RoomgenError


class RoomtrainError(RoomgenError):
    """Something that the user can put right: one line that says what was given, what is allowed and what to do.

    ``exit_code`` is what the command line returns: 2 for wrong usage, 1 for something that failed while it ran.
    """


class Stopped(Exception):
    """Training was asked to stop (SIGTERM, SIGINT) and has saved where it stands."""
