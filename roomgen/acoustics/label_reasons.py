"""Why a label is nan: a code beside each value, and the words for it."""

from __future__ import annotations

from enum import IntEnum


class Why(IntEnum):
    """Why a label cannot be measured; MEASURED where it can."""

    MEASURED = 0
    SILENT = 1
    NO_DECAY = 2
    NOISE = 3
    CUT = 4
    STEPS = 5
    RINGING = 6
    NOTHING_LATER = 7
    NO_BAND = 8
    NO_LEVEL = 9

    @property
    def words(self) -> str:
        """What to tell people."""
        return _WORDS[self]


_WORDS = {
    Why.MEASURED: "measured",
    Why.SILENT: "all samples are the same",
    Why.NO_DECAY: "there is no decay to be seen",
    Why.NOISE: "the decay sinks into noise too early",
    Why.CUT: "the response ends too early",
    Why.STEPS: "single steps, the direct sound or echoes, take most of the range",
    Why.RINGING: "shorter than the band filter itself rings",
    Why.NOTHING_LATER: "next to nothing arrives later",
    Why.NO_BAND: "an octave that it needs is not measured",
    Why.NO_LEVEL: "the level of the source is not known",
}
