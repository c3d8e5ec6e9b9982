"""Whether the responses of a set of rooms decay as those of real rooms do: ratios of their labels, as pure functions.

What real rooms have in common shows in no single decay time, but in ratios: how far the octaves lie apart, how the first 10 dB of
a decay compare with what follows, how clear the bass is beside the middle, how much a decay time varies over a room. Here they
are functions of :class:`Decays`, which any manifest of rooms, any measurement and any simulation can fill.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BANDS_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
APART = 3.0
"""Longest over shortest T30 of the octaves 125…4000 Hz: rooms beyond it are rare among measured ones."""
RATIOS = ("t30_125_over_mid", "t30_8k_over_mid", "apart", "edt_over_t30_1k", "edt_over_t30", "c50_tilt_db")
QUANTILES = (0.1, 0.5, 0.9)

_MIDDLE = slice(2, 4)  # 500 and 1000 Hz
_1K, _4K, _8K = 3, 5, 6
_FEWEST_POSITIONS = 3  # that a spread is taken over


@dataclass(frozen=True)
class Decays:
    """Labels of responses, in octave bands of :data:`BANDS_HZ`; nan: not known.

    Args:
        room: (response,) what tells rooms apart.
        t30_bands_s, edt_bands_s, c50_bands_db: (response, band).
        t30_s, edt_s: (response,) broadband.
    """

    room: NDArray[Any]
    t30_bands_s: Floats
    edt_bands_s: Floats
    c50_bands_db: Floats
    t30_s: Floats
    edt_s: Floats

    def __len__(self) -> int:
        return len(self.room)

    @property
    def t_mid_s(self) -> Floats:
        """(response,) mean of T30 at 500 and 1000 Hz, nan where one is not known."""
        return np.asarray(self.t30_bands_s[:, _MIDDLE].mean(axis=1))


def decays_of(rows: Sequence[Mapping[str, Any]]) -> Decays:
    """Return the decays of responses whose labels are rows of a manifest, or records of :func:`roomgen.run.label.label_file`.

    Args:
        rows: each with ``room_id`` (or ``file``), ``rt60_bands_s``, ``rt60_s`` and, where known, ``edt_bands_s``,
            ``c50_bands_db`` and ``edt_s``. Bands are those of ``band_hz``, or from 125 Hz up.
    """
    return Decays(
        room=np.array([str(row.get("room_id", row.get("file"))) for row in rows]),
        t30_bands_s=_banded(rows, "rt60_bands_s"),
        edt_bands_s=_banded(rows, "edt_bands_s"),
        c50_bands_db=_banded(rows, "c50_bands_db"),
        t30_s=np.array([_number(row.get("rt60_s")) for row in rows]),
        edt_s=np.array([_number(row.get("edt_s")) for row in rows]),
    )


def _banded(rows: Sequence[Mapping[str, Any]], name: str) -> Floats:
    table = np.full((len(rows), len(BANDS_HZ)), np.nan)
    for line, row in zip(table, rows, strict=True):
        values = row.get(name)
        given = [] if values is None else list(values)
        for hz, value in zip(row.get("band_hz", BANDS_HZ), given, strict=False):  # bands above 8 kHz are not looked at
            if hz in BANDS_HZ:
                line[BANDS_HZ.index(hz)] = _number(value)
    return table


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def ratios(decays: Decays) -> dict[str, Floats]:
    """Return the :data:`RATIOS` of every response: each (response,), nan where it cannot be told.

    T30 at 125 Hz and at 8 kHz over T_mid; the longest over the shortest T30 of the octaves 125…4000 Hz; EDT over T30 at 1 kHz and
    broadband, which is 1 for an even decay; C50 at 125 Hz less that at 1 kHz.
    """
    low_to_high = decays.t30_bands_s[:, : _4K + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (
            decays.t30_bands_s[:, 0] / decays.t_mid_s,
            decays.t30_bands_s[:, _8K] / decays.t_mid_s,
            low_to_high.max(axis=1) / low_to_high.min(axis=1),
            decays.edt_bands_s[:, _1K] / decays.t30_bands_s[:, _1K],
            decays.edt_s / decays.t30_s,
            decays.c50_bands_db[:, 0] - decays.c50_bands_db[:, _1K],
        )
    return dict(zip(RATIOS, (np.asarray(values) for values in found), strict=True))


def share_apart(decays: Decays) -> float:
    """Return the share of responses whose octaves lie further apart than :data:`APART`; nan where none can be told."""
    known = ratios(decays)["apart"]
    known = known[np.isfinite(known)]
    return float(np.mean(known > APART)) if len(known) else np.nan


def position_spread(decays: Decays) -> tuple[Floats, Floats]:
    """Return how much T30 at 1 kHz varies over the positions of each room, and how much it would in a diffuse field.

    Both are standard deviations over the mean, (room,), of rooms with at least three positions. The second follows annex A of ISO
    3382-2 (2008), with n = 10 for an integrated impulse response and the bandwidth of an octave, 0.71 f:
    σ / T = 0.55 √((1 + 1.52 / n) / (B T)) for a single position.
    """
    found, expected = [], []
    for values in _by_room(decays, decays.t30_bands_s[:, _1K]):
        known = values[np.isfinite(values)]
        if len(known) >= _FEWEST_POSITIONS:
            mean = known.mean()
            found.append(known.std(ddof=1) / mean)
            expected.append(diffuse_spread(mean, BANDS_HZ[_1K]))
    return np.array(found), np.array(expected)


def diffuse_spread(t30_s: float, center_hz: float) -> float:
    """Return ISO 3382-2's standard deviation of T30 over its mean, of one position in an octave; see :func:`position_spread`."""
    return float(0.55 * np.sqrt((1.0 + 1.52 / 10.0) / (0.71 * center_hz * t30_s)))


def relative_spectra(decays: Decays) -> Floats:
    """Return T30 over T_mid: (response, band)."""
    return np.asarray(decays.t30_bands_s / decays.t_mid_s[:, None])


def quantiles(values: ArrayLike) -> list[float] | None:
    """Return the :data:`QUANTILES` of what is known, or None where nothing is."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return [float(v) for v in np.quantile(known, QUANTILES)] if len(known) else None


def judge(decays: Decays) -> dict[str, Any]:
    """Return all figures of a set of responses, ready for JSON: quantiles of the ratios and spreads (None: not known)."""
    spread, diffuse = position_spread(decays)
    apart = share_apart(decays)
    return {
        "responses": len(decays),
        "rooms": len(set(decays.room.tolist())),
        "t_mid": quantiles(decays.t_mid_s),
        **{name: quantiles(values) for name, values in ratios(decays).items()},
        "share_apart": apart if np.isfinite(apart) else None,
        "position_spread": quantiles(spread),
        "diffuse_spread": quantiles(diffuse),
        "spectrum": [quantiles(band) for band in relative_spectra(decays).T],
    }


def _by_room(decays: Decays, values: Floats) -> Iterator[Floats]:
    order = np.argsort(decays.room, kind="stable")
    starts = np.flatnonzero(decays.room[order][1:] != decays.room[order][:-1]) + 1
    yield from np.split(values[order], starts)
