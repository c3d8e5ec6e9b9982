"""Embedded acoustic scenes: recordings of the ten classes of TAU Urban Acoustic Scenes that are made, not recorded.

As there, a place (a location in a city) has several recordings, and only places are divided between splits. Recording i is a
function of the seed and i alone, whatever else is asked for and in whatever order.
"""

from __future__ import annotations

import hashlib

from roomgen.corpora import procedural
from roomgen.corpora.base import About, Clip, Corpus, Recording
from roomgen.corpora.scene_sounds import CITIES, SCENES, Place, place_of, scene
from roomgen.corpora.synthetic import index_of
from roomgen.streams import Stream, generator

_VERSION = "synthetic-scenes-1"  # raise it with every change that is heard
_PLACE, _SOUND = 3, 4  # streams of their own, apart from those of the events
_SECONDS = 10
_PER_PLACE = 4


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
            location = f"{CITIES[int(generator(self.seed, Stream.CORPUS, _PLACE, place).integers(len(CITIES)))]}-{1000 + place}"
            clips.append(
                Clip(name=f"scene-{i:06d}", path=f"scene-{i:06d}", class_name=name, location=location, group=f"{name}-{location}")
            )
        return clips

    def probe(self, clip: Clip) -> tuple[int, int, int]:
        index_of(clip, count=self.size)
        return procedural.FS_HZ, 1, _SECONDS * procedural.FS_HZ

    def read(self, clip: Clip) -> Recording:
        index = index_of(clip, count=self.size)
        rng = generator(self.seed, Stream.CORPUS, _SOUND, index)
        peak = 10 ** (rng.uniform(-14, -2) / 20)
        audio = scene(rng, _SECONDS * procedural.FS_HZ, SCENES[index % len(SCENES)], self._place_at(_place(index)))
        return Recording(procedural.finished(audio, peak=peak), procedural.FS_HZ)

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{_VERSION} {self.seed} {self.size}".encode()).hexdigest()[:16]

    def _place_at(self, place: int) -> Place:
        rng = generator(self.seed, Stream.CORPUS, _PLACE, place)
        rng.integers(len(CITIES))  # the city is drawn first
        return place_of(rng)


def _place(index: int) -> int:
    """Return the number of a recording's place: places differ between scenes, four rounds of all scenes share theirs."""
    return index // (len(SCENES) * _PER_PLACE) * len(SCENES) + index % len(SCENES)
