"""Embedded acoustic scenes: recordings of the ten classes of TAU Urban Acoustic Scenes that are made, not recorded.

As there, a place (a location in a city) has several recordings, and only places are divided between splits. Recording i is a
function of the seed and i alone, whatever else is asked for and in whatever order.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from roomgen.corpora.base import About, Clip, Corpus, Recording
from roomgen.corpora.procedural import BARS, FS_HZ, Layer, Place, finished, log_uniform, mixed
from roomgen.corpora.synthetic import index_of
from roomgen.streams import Stream, generator

_VERSION = "synthetic-scenes-2"  # raise it with every change that is heard
_PLACE, _SOUND = 3, 4  # streams of their own, apart from those of the events
_SECONDS = 10
_PER_PLACE = 4
_CITIES = ("barcelona", "helsinki", "lisbon", "london", "lyon", "milan", "paris", "prague", "stockholm", "vienna")

_VOICES = Layer((300, 4000), (95, 260), rate_hz=(3, 8), decay_s=(0.05, 0.12), glide=0.3)
_STEPS = Layer((400, 3500), (120, 300), BARS, 0.4, (1, 4), (0.01, 0.03))
_CARS = Layer((100, 1500), (35, 95), tuple(range(1, 20)), 0.4, (0.1, 0.4), (0.6, 1.5))
_BIRDS = Layer((3000, 8000), (2200, 5000), (1.0, 2.0), 0.97, (1, 4), (0.03, 0.1), glide=0.5)
_RAILS = Layer((150, 1800), (70, 110), BARS, 0.6, (0.8, 1.6), (0.03, 0.06), even=True)
_SQUEAL = Layer((900, 4000), (1000, 2600), (1, 2, 3), 0.95, (0.1, 0.3), (0.3, 0.8), glide=0.2)
_MUSIC = Layer((200, 2000), (196, 330), (1, 2, 3, 4), 0.97, (1.6, 2.4), (0.2, 0.35), even=True)
_RATTLE = Layer((1500, 6000), rate_hz=(4, 12), decay_s=(0.003, 0.006))


def _bed(high_hz: float, *, low_hz: float = 40.0, swing: float = 0.1) -> Layer:
    return Layer((low_hz, high_hz), swing=swing)


def _motor(low_hz: float, high_hz: float, glide: float = 0.05) -> Layer:
    return Layer((100, 1200), (low_hz, high_hz), tuple(range(1, 30)), 0.8, glide=glide)


_SCENES: dict[str, tuple[float, tuple[tuple[float, Layer], ...]]] = {
    "airport": (1.4, ((0, _bed(700)), (-4, _VOICES), (-9, _STEPS), (-9, _motor(110, 130, 0.0)))),
    "bus": (0.25, ((0, _bed(150, swing=0.3)), (2, _motor(24, 34, 0.2)), (-12, _RATTLE), (-12, _VOICES))),
    "metro": (0.3, ((0, _bed(350, swing=0.4)), (-4, _RAILS), (-4, _motor(90, 130, 0.3)), (-10, _SQUEAL))),
    "metro_station": (1.5, ((0, _bed(250, swing=1.0)), (-7, _STEPS), (-8, _VOICES), (-10, _SQUEAL))),
    "park": (0.15, ((0, _bed(300, swing=0.4)), (-6, _bed(5000, low_hz=1500, swing=0.6)), (-5, _BIRDS), (-18, _STEPS))),
    "public_square": (0.5, ((0, _bed(600)), (-4, _bed(7000, low_hz=700)), (-4, _VOICES), (-8, _CARS), (-16, _BIRDS))),
    "shopping_mall": (1.3, ((0, _bed(900)), (-2, _MUSIC), (-1, _VOICES), (-10, _STEPS), (-15, _RATTLE))),
    "street_pedestrian": (0.6, ((0, _bed(450)), (-1, _STEPS), (-4, _VOICES), (-12, _CARS))),
    "street_traffic": (0.3, ((0, _bed(300)), (6, _CARS), (-8, _motor(24, 40)))),
    "tram": (0.25, ((0, _bed(200, swing=0.2)), (-1, _motor(380, 460, 0.15)), (-6, _RAILS), (-6, _SQUEAL), (-14, _RATTLE))),
}
SCENES = tuple(_SCENES)
"""The classes of TAU Urban Acoustic Scenes (Heittola et al., 2020) by their names there: reverberation time, levels and layers."""


class SyntheticScenes(Corpus):
    """Ten seconds at 44.1 kHz, mono, ten scenes in turn, four recordings per place.

    ``location`` is named as in TAU, such as ``lisbon-1000``, and is the group; the number tells places of all scenes apart.
    """

    name = "synthetic-scenes"
    about = About(
        title="synthetic acoustic scenes",
        kind="scenes",
        url="embedded in roomgen",
        licence="that of roomgen",
        size="400 recordings at 100 places unless told otherwise, made when needed: nothing is stored or fetched",
        layout="no folder: recordings are made from --corpus-seed and --count\n"
        "10 scenes named as in TAU Urban Acoustic Scenes, 4 recordings per place, 10 s, 44.1 kHz, mono",
    )
    embedded = True

    @property
    def size(self) -> int:
        """How many recordings there are."""
        return 400 if self.count is None else self.count

    def clips(self) -> list[Clip]:
        clips = []
        for i in range(self.size):
            name, place = SCENES[i % len(SCENES)], _place(i)
            location = f"{_CITIES[int(generator(self.seed, Stream.CORPUS, _PLACE, place).integers(len(_CITIES)))]}-{1000 + place}"
            clips.append(
                Clip(name=f"scene-{i:06d}", path=f"scene-{i:06d}", class_name=name, location=location, group=f"{name}-{location}")
            )
        return clips

    def probe(self, clip: Clip) -> tuple[int, int, int]:
        index_of(clip, count=self.size)
        return FS_HZ, 1, _SECONDS * FS_HZ

    def read(self, clip: Clip) -> Recording:
        index = index_of(clip, count=self.size)
        rng = generator(self.seed, Stream.CORPUS, _SOUND, index)
        rt60_s, layers = _SCENES[SCENES[index % len(SCENES)]]
        levelled = tuple(replace(layer, level_db=level_db) for level_db, layer in layers)
        audio = mixed(rng, _SECONDS * FS_HZ, levelled, rt60_s=rt60_s, place=self._place_at(_place(index)))
        return Recording(finished(audio, peak=10 ** (rng.uniform(-14, -2) / 20)), FS_HZ)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{_VERSION} {self.seed} {self.size}".encode()).hexdigest()[:16]

    def _place_at(self, place: int) -> Place:
        rng = generator(self.seed, Stream.CORPUS, _PLACE, place)
        rng.integers(len(_CITIES))  # the city is drawn first
        busy, pitch, bright, reverberant = (log_uniform(rng, 1 / most, most) for most in (1.7, 1.2, 1.8, 1.4))
        return Place(busy, pitch, bright, reverberant)


def _place(index: int) -> int:
    """Return the number of a recording's place: places differ between scenes, four rounds of all scenes share theirs."""
    return index // (len(SCENES) * _PER_PLACE) * len(SCENES) + index % len(SCENES)
