"""All labels in one table: what each is called, means, is measured by, and how it is shown. Who adds one adds an entry here.

From it come what :class:`roomgen.acoustics.labels.measure.Labels` holds, the columns of manifests (in this order), their
description and what `roomgen label` prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_SUFFIX = {"s": "_s", "dB": "_db", "": ""}


@dataclass(frozen=True)
class Label:
    """One entry.

    Args:
        name: without its unit.
        unit: "s", "dB" or none.
        kind: "single", or "bands": broadband and for each band.
        meaning: in words.
        function: in :mod:`roomgen.acoustics.labels.values`: takes ``Decays``, returns value and code of
            :class:`~roomgen.acoustics.labels.reasons.Why`, of kind "bands" one of each for all signals (broadband first).
        title: above its column, with its unit.
        digits, factor: how many decimals are shown, and what it is multiplied by before.
        of_bands: what the manifest says of its values in octave bands; empty: it does not hold them.
    """

    name: str
    unit: Literal["s", "dB", ""]
    kind: Literal["single", "bands"]
    meaning: str
    function: str
    title: str
    digits: int = 3
    factor: float = 1.0
    of_bands: str = ""

    @property
    def field(self) -> str:
        """Name and unit: ``c50_db``."""
        return self.name + _SUFFIX[self.unit]

    @property
    def bands_field(self) -> str:
        """Name and unit of the values in bands: ``c50_bands_db``."""
        return f"{self.name}_bands{_SUFFIX[self.unit]}"


_T30_MID = "mean T30 of the octaves of 500 and 1000 Hz (ISO 3382-1); NaN: cannot be measured"
_T30 = "T30 of the broadband response: from −5 to −35 dB, extrapolated to 60 dB"
_C50 = "energy of the first 50 ms after the direct sound's arrival over the rest"
_TS = "centre time of the energy, after the direct sound's arrival"
_STI = "speech transmission index without noise (IEC 60268-16)"
_G = "sound strength: level over that of the same source at 10 m in the open (ISO 3382-1)"
LABELS = (
    Label("rt60_mid", "s", "single", _T30_MID, "t30_mid", "T mid s"),
    Label("rt60", "s", "bands", _T30, "t30", "T30 s", of_bands="T30 of each octave band from 125 Hz"),
    Label("t20", "s", "bands", "reverberation time from −5 to −25 dB", "t20", "T20 s"),
    Label("edt", "s", "bands", "early decay time, from 0 to −10 dB", "edt", "EDT s"),
    Label("c50", "dB", "bands", _C50, "c50", "C50 dB", 1, of_bands="the same per octave band from 125 Hz"),
    Label("c80", "dB", "bands", "the same with 80 ms", "c80", "C80 dB", 1),
    Label("d50", "", "bands", "share of the energy in the first 50 ms", "d50", "D50"),
    Label("drr", "dB", "single", "energy of the direct sound over that of all the rest", "direct_to_late", "DRR dB", 1),
    Label("ts", "s", "bands", _TS, "centre_time", "Ts ms", 1, 1000.0),
    Label("sti", "", "single", _STI, "transmission_index", "STI", 2),
    Label("g", "dB", "bands", _G, "strength", "G dB", 1),
)
BANDED = tuple(label for label in LABELS if label.kind == "bands")
SINGLE = tuple(label for label in LABELS if label.kind == "single")
STORED = tuple(name for label in LABELS for name in (label.field, *([label.bands_field] if label.of_bands else [])))
"""Names of the labels that manifests of rooms hold, in their order."""
