"""LibriSpeech: read English speech (Panayotov, Chen, Povey and Khudanpur, ICASSP 2015)."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import PurePosixPath
from typing import ClassVar

from roomgen.corpora.base import About, BrokenFile, Clip, Corpus, read_bytes
from roomgen.corpora.listing import MOST_BYTES, in_order

_UTTERANCE = re.compile(r"(\d+)-(\d+)-\d+")


class LibriSpeech(Corpus):
    """Utterances of LibriSpeech; the folder is ``LibriSpeech`` or the one that it lies in.

    The group of an utterance is its speaker. Subsets are those whose folders are there. Sex comes from ``SPEAKERS.TXT`` and text
    from ``*.trans.txt``; both are empty where these files are absent. An utterance that has a text but no audio is broken.
    """

    name = "librispeech"
    about: ClassVar[About] = About(
        title="LibriSpeech",
        kind="speech",
        url="https://www.openslr.org/12",
        licence="CC BY 4.0",
        size="about 1000 hours at 16 kHz of 2484 speakers, 60 GB; train-clean-100 alone has 100 hours, 6.3 GB",
        layout="""
        SPEAKERS.TXT
        SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac (train-clean-100/103/1240/103-1240-0000.flac)
        SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt
        """,
        papers=("revrir", "goetz", "mvsd"),
    )

    def clips(self) -> list[Clip]:
        top = "" if next(self.folder.glob("*/*/*/*.flac"), None) else "LibriSpeech/"
        texts = self._texts(top)
        found = {path.relative_to(self.folder).as_posix() for path in self.folder.glob(f"{top}*/*/*/*.flac")}
        # What has a text should have audio: a download that broke off shall not go unnoticed.
        promised = {f"{folder}/{name}.flac" for folder, lines in texts.items() for name in lines}
        sexes = self._sexes(top)
        clips = []
        for path in found | promised:
            folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).stem
            subset, speaker, chapter = folder.split("/")[-3:]
            match = _UTTERANCE.fullmatch(name)
            if match is None or match.groups() != (speaker, chapter) or subset.startswith("."):
                continue
            clips.append(
                Clip(
                    name=name,
                    path=path,
                    speaker=speaker,
                    sex=sexes.get(speaker, ""),
                    text=texts.get(folder, {}).get(name, ""),
                    subset=subset,
                    licence="CC BY 4.0",
                    group=speaker,
                )
            )
        if not clips:
            raise self.layout_error("it has no SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac")
        return in_order(clips)

    def _texts(self, top: str) -> dict[str, dict[str, str]]:
        """Return for each chapter's folder the text of each utterance."""
        texts: dict[str, dict[str, str]] = defaultdict(dict)
        for path in self.folder.glob(f"{top}*/*/*/*.trans.txt"):
            folder = path.parent.relative_to(self.folder).as_posix()
            for line in self._lines(f"{folder}/{path.name}"):
                name, _, text = line.partition(" ")
                if _UTTERANCE.fullmatch(name):
                    texts[folder][name] = text.strip()
        return texts

    def _sexes(self, top: str) -> dict[str, str]:
        """Return the sex of each speaker, F or M."""
        sexes = {}
        for line in self._lines(f"{top}SPEAKERS.TXT"):
            fields = [field.strip() for field in line.split("|")]
            if not line.startswith(";") and len(fields) >= 3 and fields[1] in ("F", "M"):
                sexes[fields[0]] = fields[1]
        return sexes

    def _lines(self, path: str) -> list[str]:
        """Return the lines of a text; none where it cannot be read."""
        try:
            return read_bytes(self.folder, path, most=MOST_BYTES).decode("utf-8", errors="replace").splitlines()
        except BrokenFile:
            return []
