"""Embedded sound events: recordings of the 20 classes of FSDnoisy18k that are made, not recorded.

Recording i is a function of the seed and i alone, whatever else is asked for and in whatever order.
"""

from __future__ import annotations

import hashlib

import numpy as np

from roomgen.corpora import procedural
from roomgen.corpora.base import About, BrokenFile, Clip, Corpus, Recording
from roomgen.corpora.event_sounds import EVENTS
from roomgen.streams import Stream, generator

_VERSION = "synthetic-events-1"  # raise it with every change that is heard
_NAMES = tuple(EVENTS)
_DRAW, _SOUND = 1, 2  # streams of their own, so that a length is known without a sound
_TEST_EVERY = 5


def index_of(clip: Clip, *, count: int) -> int:
    """Return the number of a recording from its path, which ends in it.

    Raises:
        BrokenFile: it is not a recording of this corpus.
    """
    digits = clip.path.rpartition("-")[2]
    if not digits.isascii() or not digits.isdigit() or int(digits) >= count:
        raise BrokenFile(clip.path, f"is none of the {count} recordings of this corpus")
    return int(digits)


class SyntheticEvents(Corpus):
    """Single sound events of 0.5 to 8 s at 44.1 kHz, mono, 20 classes in turn.

    As in FSDnoisy18k each recording stands for itself (no groups beyond it) and belongs to ``train`` or ``test``: every fifth of
    each class is for testing.
    """

    name = "synthetic"
    about = About(
        title="synthetic sound events",
        kind="events",
        url="embedded in roomgen",
        licence="that of roomgen",
        size="2000 recordings unless told otherwise, made when needed: nothing is stored or fetched",
        layout="no folder: recordings are made from --corpus-seed and --count\n"
        "20 classes named as in FSDnoisy18k, 0.5-8 s, 44.1 kHz, mono",
    )
    embedded = True

    @property
    def size(self) -> int:
        """How many recordings there are."""
        return 2000 if self.count is None else self.count

    def clips(self) -> list[Clip]:
        return [
            Clip(
                name=f"event-{i:06d}",
                path=f"event-{i:06d}",
                class_name=_NAMES[i % len(_NAMES)],
                subset="test" if i // len(_NAMES) % _TEST_EVERY == _TEST_EVERY - 1 else "train",
            )
            for i in range(self.size)
        ]

    def probe(self, clip: Clip) -> tuple[int, int, int]:
        return procedural.FS_HZ, 1, self._length(index_of(clip, count=self.size))

    def read(self, clip: Clip) -> Recording:
        index = index_of(clip, count=self.size)
        rng = generator(self.seed, Stream.CORPUS, _SOUND, index)
        peak, floor_db = 10 ** (rng.uniform(-14, -1) / 20), rng.uniform(-65, -38)
        hum = procedural.tilted(-rng.uniform(1, 5), low_hz=50)
        audio = EVENTS[_NAMES[index % len(_NAMES)]].make(rng, self._length(index))
        audio = procedural.faded(audio / max(float(np.abs(audio).max()), 1e-9))
        audio += np.float32(10 ** (floor_db / 20)) * procedural.noise(rng, len(audio), hum)
        return Recording(procedural.finished(audio, peak=peak), procedural.FS_HZ)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{_VERSION} {self.seed} {self.size}".encode()).hexdigest()[:16]

    def _length(self, index: int) -> int:
        kind = EVENTS[_NAMES[index % len(_NAMES)]]
        rng = generator(self.seed, Stream.CORPUS, _DRAW, index)
        return procedural.seconds(procedural.log_uniform(rng, kind.shortest_s, kind.longest_s))
