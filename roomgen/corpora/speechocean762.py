"""speechocean762: English read by native speakers of Mandarin (Zhang et al., Interspeech 2021)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import ClassVar

from roomgen.corpora.base import About, BrokenFile, Clip, Corpus, read_bytes
from roomgen.corpora.listing import MOST_BYTES, in_order, read_table

_TABLE = "utterances.tsv"
_PARTS = ("train", "test")
_LICENCE = "CC BY 4.0"


class SpeechOcean762(Corpus):
    """Utterances of speechocean762, as released or with the short ones of each speaker joined to longer ones.

    The group of an utterance is its speaker. The release has two subsets, train and test, with speakers of their own, half of
    them children; the joined form has none. An utterance that is listed but has no audio is broken. Ages are left out: the
    manifest of sources has no column for them.
    """

    name = "speechocean762"
    about: ClassVar[About] = About(
        title="speechocean762",
        kind="speech",
        url="https://www.openslr.org/101",
        licence=_LICENCE,
        size="5000 sentences at 16 kHz of 250 speakers, 6 hours, 0.5 GB",
        layout="""
        WAVE/SPEAKER0001/000010011.WAV
        train/wav.scp, text, spk2gender; test/ likewise
        or, joined: utterances.tsv (speaker, file, sex, text, with tabs between) and SPEAKER/FILE.flac
        """,
        papers=("revrir", "goetz", "mvsd"),
    )

    def clips(self) -> list[Clip]:
        clips = self._joined() if (self.folder / _TABLE).is_file() else self._released()
        if not clips:
            raise self.layout_error(f"it has neither {_TABLE} nor train/wav.scp, or they name no utterance")
        return in_order(clips)

    def _joined(self) -> list[Clip]:
        rows = read_table(self, _TABLE, columns=("speaker", "file"), delimiter="\t")
        # Bars stand where one sentence ends and the next begins; nobody says them.
        texts = (" ".join(row.get("text", "").replace("|", " ").split()) for row in rows)
        return [
            _clip(f"{row['speaker']}/{row['file']}", speaker=row["speaker"], sex=row.get("sex", ""), text=text)
            for row, text in zip(rows, texts, strict=True)
        ]

    def _released(self) -> list[Clip]:
        clips = []
        for part in _PARTS:
            sexes, texts = (self._values(f"{part}/{name}") for name in ("spk2gender", "text"))
            for name, path in self._values(f"{part}/wav.scp").items():
                speaker = PurePosixPath(path).parent.name.removeprefix("SPEAKER")
                clips.append(_clip(path, speaker=speaker, sex=sexes.get(speaker, ""), text=texts.get(name, ""), subset=part))
        return clips

    def _values(self, path: str) -> dict[str, str]:
        """Return key to value of a file that has a key, blanks or tabs, and a value in each line; nothing where there is none."""
        try:
            text = read_bytes(self.folder, path, most=MOST_BYTES).decode("utf-8", errors="replace")
        except BrokenFile:
            return {}
        lines = (line.split(maxsplit=1) for line in text.splitlines())
        return {parts[0]: parts[1].strip() for parts in lines if len(parts) == 2}


def _clip(path: str, *, speaker: str, sex: str, text: str, subset: str = "") -> Clip:
    return Clip(
        name=path.rsplit("/", 1)[-1],
        path=path,
        speaker=speaker,
        sex=sex.upper() if sex.upper() in ("F", "M") else "",
        text=text,
        subset=subset,
        licence=_LICENCE,
        group=speaker,
    )
