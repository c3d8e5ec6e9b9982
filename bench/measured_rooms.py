"""Measured rooms to hold simulated ones against: a folder of responses, or the T30 of nine that anybody may have.

The nine are in :data:`PUBLISHED` as numbers alone, T30 per octave of one response each; ratios that need a response stay open.

- Sports centre and domestic living room: measured values that stand beside the responses in the Open AIR Library (D. Murphy, S.
  Shelley et al., University of York; CC BY-SA 3.0, public domain).
- Arthur Sykes auditorium, York council chamber, Jack Lyons concert hall, Elveden smoking room, Genesis studio: responses of the
  Open AIR Library (CC BY 4.0 and variants), labelled by another program than this one.
- A room of DecayFitNet's examples (G. Götz, R. Falcón Pérez, S. J. Schlecht, V. Pulkki, JASA 152, 2022; MIT licence) and the
  example room of the BinauralSDM toolbox (S. V. Amengual Garí et al., CC BY 4.0), likewise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from roomgen.errors import RoomgenError
from roomgen.run.label import label_file

PUBLISHED: dict[str, tuple[float | None, ...]] = {
    "sports centre": (7.388, 8.472, 6.795, 6.518, 4.797, 4.089, None),
    "living room": (0.365, 0.303, 0.259, 0.227, 0.211, 0.204, 0.181),
    "auditorium": (0.57, 0.43, 0.43, 0.40, 0.36, 0.32, 0.29),
    "council chamber": (0.72, 0.86, 0.93, 0.96, 0.88, 0.79, 0.64),
    "concert hall": (2.10, 2.23, 1.78, 1.82, 1.69, 1.27, 0.88),
    "smoking room": (0.73, 0.81, 0.75, 0.79, 0.75, 0.72, 0.58),
    "recording studio": (0.32, 0.28, 0.23, 0.22, 0.20, 0.22, 0.21),
    "lecture room": (1.02, 1.57, 1.26, 1.12, 1.13, 0.97, 0.73),
    "example room": (0.61, 0.77, 0.59, 0.54, 0.53, 0.51, 0.41),
}
"""T30 in s at 125…8000 Hz of nine measured rooms."""

_AUDIO = frozenset((".wav", ".flac", ".aif", ".aiff", ".ogg", ".caf", ".w64", ".rf64"))


def published_rows() -> list[dict[str, Any]]:
    """Return the rooms of :data:`PUBLISHED` as rows of labels."""
    return [{"room_id": name, "rt60_bands_s": t30_s} for name, t30_s in PUBLISHED.items()]


def measured_rows(root: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the labels of the first channel of every audio file in a folder and below, and why others have none.

    Each file counts as a room of its own.

    Raises:
        RoomgenError: no folder, or none of its files is a response that can be labelled.
    """
    if not root.is_dir():
        raise RoomgenError(f"--root {root} is not a folder: name the one that holds measured impulse responses.")
    rows, failed = [], []
    for path in _audio_files(root):
        try:
            rows.append(label_file(path))
        except RoomgenError as error:
            failed.append(str(error))
    if not rows:
        why = f" The first: {failed[0]}" if failed else f" Audio ends in {', '.join(sorted(_AUDIO))}."
        raise RoomgenError(f"--root {root}: none of {len(failed)} audio files in it is a response that can be labelled.{why}")
    return rows, failed


def _audio_files(root: Path) -> Iterator[Path]:
    yield from sorted(path for path in root.rglob("*") if path.suffix.lower() in _AUDIO and path.is_file())
