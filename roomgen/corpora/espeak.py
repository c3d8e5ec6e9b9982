"""Speech that espeak-ng speaks, with known text: an embedded stand-in for read speech.

Sentences come from :mod:`roomgen.corpora.sentences`, voices from espeak-ng's English accents and its voice variants.
"""

from __future__ import annotations

import hashlib
import itertools
from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np

from roomgen.corpora.base import About, BrokenFile, Clip, Corpus, Recording
from roomgen.corpora.espeak_library import FS_HZ, Voice, espeak_version, speak
from roomgen.corpora.listing import in_order
from roomgen.corpora.sentences import passage
from roomgen.streams import Stream, generator

_VERSION = 1  # of the texts and speakers: raise it whenever one of them changes
_USUAL_COUNT = 600
_WORDS = (21, 32)  # 4 to 13 s at the speakers' rates
_ACCENTS = ("en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-us-nyc", "en-gb-x-gbclan", "en-029", "en-gb-x-gbcwmd")
_WOMEN = ("f1", "f2", "f3", "f4", "f5", "linda", "steph", "Alicia", "Andrea", "Annie", "belinda", "anika")
_MEN = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Lee", "Hugo", "Henrique", "Andy")


class _Speaker(NamedTuple):
    name: str
    sex: str
    voice: Voice


class Espeak(Corpus):
    """Recordings of 48 speakers, 24 women and 24 men, one after another; clip i does not depend on how many there are.

    A speaker is an accent, a voice variant, a rate (150 to 190 words a minute) and a pitch. The recordings are made when they are
    read, about 10 ms each; to know a length the recording is made as well, once per process.
    """

    name = "espeak"
    embedded = True
    about: ClassVar[About] = About(
        title="synthetic speech by espeak-ng",
        kind="speech",
        url="https://github.com/espeak-ng/espeak-ng",
        licence="texts and recordings free of rights; espeak-ng itself is GPL 3.0 or later",
        size=f"{_USUAL_COUNT} recordings of 4 to 13 s at 22.05 kHz by 48 speakers unless --count says otherwise",
        layout="""
        none: made from a seed by espeak-ng (pip install roomgen[tts])
        """,
        papers=("revrir", "goetz", "mvsd"),
    )

    def clips(self) -> list[Clip]:
        count = _USUAL_COUNT if self.count is None else self.count
        people = speakers()
        order = generator(self.seed, Stream.CORPUS).permutation(len(people))
        clips = []
        for i in range(count):
            speaker = people[order[i % len(people)]]
            name = f"{speaker.name}-{i:06d}"
            text = passage(generator(self.seed, Stream.CORPUS, i), words=_WORDS)
            clips.append(Clip(name=name, path=name, speaker=speaker.name, sex=speaker.sex, text=text, group=speaker.name))
        return in_order(clips)

    def probe(self, clip: Clip) -> tuple[int, int, int]:
        return FS_HZ, 1, _length(_voice(clip), clip.text)

    def read(self, clip: Clip) -> Recording:
        return Recording(speak(clip.text, _voice(clip))[None], FS_HZ)

    def fingerprint(self) -> str:
        """Return a name of what is spoken and by which version of espeak-ng."""
        count = _USUAL_COUNT if self.count is None else self.count
        about = ("espeak", _VERSION, espeak_version(), self.seed, count, speakers())
        return hashlib.sha256(repr(about).encode()).hexdigest()[:16]


@cache
def speakers() -> tuple[_Speaker, ...]:
    """Return all speakers: every variant with two accents, at rates and pitches of their own."""
    people: list[_Speaker] = []
    for sex, variants in (("F", _WOMEN), ("M", _MEN)):
        for take, (j, variant) in itertools.product(range(2), enumerate(variants)):
            i = len(people)
            voice = Voice(
                name=f"{_ACCENTS[(j + 3 * take + (sex == 'M')) % len(_ACCENTS)]}+{variant}",
                words_per_minute=150 + 5 * (7 * i % 9),
                pitch=38 + 3 * (5 * i % 9) if take else 50,
            )
            people.append(_Speaker(f"{sex}{i % 24:02d}", sex, voice))
    return tuple(people)


def _voice(clip: Clip) -> Voice:
    for speaker in speakers():
        if speaker.name == clip.speaker:
            return speaker.voice
    raise BrokenFile(clip.name, f"no speaker is called {clip.speaker!r}")


@cache
def _length(voice: Voice, text: str) -> int:
    return int(np.size(speak(text, voice)))
