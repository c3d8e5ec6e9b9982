"""Embedded sound events: recordings of the 20 classes of FSDnoisy18k that are made, not recorded.

Recording i is a function of the seed and i alone, whatever else is asked for and in whatever order.
"""

from __future__ import annotations

import hashlib

from roomgen.corpora.base import About, BrokenFile, Clip, Corpus, Recording
from roomgen.corpora.procedural import BARS, FS_HZ, Layer, finished, log_uniform, mixed
from roomgen.streams import Stream, generator

_VERSION = "synthetic-events-2"  # raise it with every change that is heard
_DRAW, _SOUND = 1, 2  # streams of their own, so that a length is known without a sound
_TEST_EVERY = 5
_STRING = tuple(range(1, 9))
_RAIN = Layer((1200, 4500), rate_hz=(60, 600), decay_s=(0.002, 0.004))
_SPARKS = Layer((2000, 8000), rate_hz=(5, 60), decay_s=(0.002, 0.004), level_db=-12)
_WHISTLE = Layer((400, 700), (250, 600), (1.0,), 0.5, glide=0.4, swing=1.0, level_db=-12)

EVENTS: dict[str, tuple[float, float, float, tuple[Layer, ...]]] = {
    "Acoustic_guitar": (1.0, 7.0, 0.1, (Layer((1000, 5000), (98, 220), _STRING, 0.95, (1.5, 5), (0.2, 0.5), even=True),)),
    "Bass_guitar": (1.0, 6.0, 0.0, (Layer((40, 400), (38, 65), _STRING, 0.97, (1, 4), (0.4, 1.0), even=True),)),
    "Clapping": (1.0, 7.0, 0.4, (Layer((700, 2500), rate_hz=(3, 30), decay_s=(0.004, 0.014)),)),
    "Coin_(dropping)": (0.6, 3.0, 0.0, (Layer((2000, 9000), (3200, 6500), BARS, 0.9, (4, 9), (0.02, 0.12), dies=True),)),
    "Crash_cymbal": (1.2, 5.0, 0.0, (Layer((1500, 15_000), rate_hz=(0.25, 0.8), decay_s=(0.4, 1.6)),)),
    "Dishes_and_pots_and_pans": (0.8, 8.0, 0.3, (Layer((900, 5000), (500, 2000), BARS, 0.7, (2, 7), (0.03, 0.2)),)),
    "Engine": (1.5, 8.0, 0.0, (Layer((150, 2000), (14, 55), tuple(range(1, 60)), 0.8, glide=0.15),)),
    "Fart": (0.5, 2.5, 0.0, (Layer((300, 1500), (70, 190), tuple(range(1, 20)), 0.9, glide=0.5, swing=0.8),)),
    "Fire": (2.0, 8.0, 0.0, (Layer((60, 500), level_db=-6), Layer((1500, 6000), rate_hz=(8, 40), decay_s=(0.0006, 0.003)))),
    "Fireworks": (1.5, 8.0, 1.2, (Layer((50, 300), rate_hz=(0.4, 1), decay_s=(0.12, 0.4)), _SPARKS)),
    "Glass": (0.6, 3.0, 0.0, (Layer((2500, 12_000), (2400, 7000), BARS[:3], 0.6, (20, 60), (0.01, 0.07), dies=True),)),
    "Hi-hat": (0.5, 4.0, 0.0, (Layer((7500, 17_000), rate_hz=(2, 9), decay_s=(0.012, 0.1), even=True),)),
    "Piano": (1.0, 7.0, 0.5, (Layer((120, 900), (260, 700), _STRING[:5], 0.98, (1, 4), (0.4, 0.9), even=True),)),
    "Rain": (2.0, 8.0, 0.0, (Layer((800, 9000)), _RAIN)),
    "Slam": (0.7, 3.0, 0.7, (Layer((60, 700), (55, 130), BARS, 0.5, (0.1, 0.5), (0.03, 0.12)),)),
    "Squeak": (0.5, 4.0, 0.0, (Layer((500, 4000), (600, 2000), _STRING, 0.97, (1, 3), (0.1, 0.3), glide=0.8),)),
    "Tearing": (0.5, 5.0, 0.0, (Layer((1500, 9000), rate_hz=(60, 200), decay_s=(0.002, 0.005), even=True),)),
    "Walk_or_footsteps": (1.5, 8.0, 0.3, (Layer((200, 1500), (90, 260), BARS, 0.5, (1.5, 2.4), (0.01, 0.04), even=True),)),
    "Wind": (2.0, 8.0, 0.0, (Layer((40, 350), swing=0.9), _WHISTLE)),
    "Writing": (1.0, 8.0, 0.0, (Layer((1800, 7000), rate_hz=(3, 7), decay_s=(0.03, 0.08), even=True),)),
}
"""The classes of FSDnoisy18k (Fonseca et al., 2019) by their names there: shortest, longest and reverberation in s, layers."""
_NAMES = tuple(EVENTS)


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
        return FS_HZ, 1, self._length(index_of(clip, count=self.size))

    def read(self, clip: Clip) -> Recording:
        index = index_of(clip, count=self.size)
        rng = generator(self.seed, Stream.CORPUS, _SOUND, index)
        *_, rt60_s, layers = EVENTS[_NAMES[index % len(_NAMES)]]
        hum = Layer((50, 1000), level_db=rng.uniform(-55, -32))
        audio = mixed(rng, self._length(index), (*layers, hum), rt60_s=rt60_s)
        return Recording(finished(audio, peak=10 ** (rng.uniform(-14, -1) / 20)), FS_HZ)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{_VERSION} {self.seed} {self.size}".encode()).hexdigest()[:16]

    def _length(self, index: int) -> int:
        shortest_s, longest_s, *_ = EVENTS[_NAMES[index % len(_NAMES)]]
        return round(log_uniform(generator(self.seed, Stream.CORPUS, _DRAW, index), shortest_s, longest_s) * FS_HZ)
