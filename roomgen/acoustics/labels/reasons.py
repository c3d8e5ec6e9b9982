"""Why a label is nan: a code beside each value, and the words for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.labels.table import BANDED, SINGLE


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


_SINGLE = [label.field for label in SINGLE]
_PLACES = {label.field: (p, False) for p, label in enumerate(BANDED)}
_PLACES |= {label.bands_field: (p, True) for p, label in enumerate(BANDED)}


class Reasons(Mapping[str, NDArray[np.int8]]):
    """Codes of :class:`Why` for each label, by name, in the shape of the label.

    Args:
        of_bands: (response, parameter, 1 + band) codes, broadband first. of_single: (response, parameter).
        lead: the shape of the responses.
    """

    def __init__(self, of_bands: NDArray[np.int8], of_single: NDArray[np.int8], lead: tuple[int, ...]) -> None:
        self.of_bands, self.of_single, self.lead = of_bands, of_single, lead

    def __getitem__(self, name: str) -> NDArray[np.int8]:
        if name in _SINGLE:
            return self.of_single[:, _SINGLE.index(name)].reshape(self.lead)
        parameter, banded = _PLACES[name]
        if banded:
            return self.of_bands[:, parameter, 1:].reshape(*self.lead, -1)
        return self.of_bands[:, parameter, 0].reshape(self.lead)

    def __iter__(self) -> Iterator[str]:
        return iter((*_SINGLE, *_PLACES))

    def __len__(self) -> int:
        return len(_SINGLE) + len(_PLACES)
