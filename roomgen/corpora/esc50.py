"""ESC-50 and ESC-10: environmental sounds of 5 s in 50 or ten classes (Piczak, ACM Multimedia 2015)."""

from __future__ import annotations

import re
from typing import ClassVar

from roomgen.corpora.base import About, Clip, Corpus, audio_files
from roomgen.corpora.listing import in_order, read_table

_CLASS_FOLDER = re.compile(r"\d{3} - (.+)")
_FILE = re.compile(r"(\d)-(\d+)-([A-Z])")
_COLUMNS = ("filename", "fold", "category", "esc10", "src_file")

# The ten folders of ESC-10 by the names that ESC-50 gave the same classes later.
_NAMES = {
    "Dog bark": "dog",
    "Rain": "rain",
    "Sea waves": "sea_waves",
    "Baby cry": "crying_baby",
    "Clock tick": "clock_tick",
    "Person sneeze": "sneezing",
    "Helicopter": "helicopter",
    "Chainsaw": "chainsaw",
    "Rooster": "rooster",
    "Fire crackling": "crackling_fire",
}


class ESC50(Corpus):
    """Clips of ESC-50. The group of a clip is the Freesound recording that it was cut from, which lies in one fold."""

    name = "esc50"
    about: ClassVar[About] = About(
        title="ESC-50",
        kind="events",
        url="https://github.com/karolpiczak/ESC-50",
        licence="CC BY-NC 3.0; the clips of ESC-10 CC BY 3.0",
        size="2000 clips of 5 s in 50 classes and 5 folds, 2.8 hours at 44.1 kHz, 600 MB",
        layout="""
        audio/FOLD-RECORDING-TAKE-CLASS.wav (1-100032-A-0.wav)
        meta/esc50.csv (filename,fold,target,category,esc10,src_file,take)
        """,
    )

    def clips(self) -> list[Clip]:
        return in_order(_of_esc50(self))


class ESC10(Corpus):
    """Clips of ESC-10: ten class folders of ogg files, or the ten classes in a folder of ESC-50. Classes are named as in ESC-50."""

    name = "esc10"
    about: ClassVar[About] = About(
        title="ESC-10",
        kind="events",
        url="https://github.com/karolpiczak/ESC-10",
        licence="CC BY 3.0 as a whole; every clip CC0, CC BY or CC Sampling+",
        size="400 clips of 5 s in ten classes and 5 folds, 33 minutes at 44.1 kHz, 40 MB",
        layout="""
        NUMBER - CLASS/FOLD-RECORDING-TAKE.ogg (001 - Dog bark/1-100032-A.ogg), ten such folders
        metadata.csv (file,category,fold,freesound_id,license), not needed
        or the folder of ESC-50: audio/ and meta/esc50.csv
        """,
    )

    def clips(self) -> list[Clip]:
        if (self.folder / "meta" / "esc50.csv").is_file():
            return in_order(clip for clip in _of_esc50(self) if clip.licence == "CC BY 3.0")
        listed = {}
        if (self.folder / "metadata.csv").is_file():
            rows = read_table(self, "metadata.csv", columns=("file", "category", "fold"))
            listed = {row["file"]: row.get("license", "") for row in rows}
        clips = []
        for path in {*listed, *audio_files(self.folder, endings=(".ogg", ".wav"))}:
            folder, _, file = path.partition("/")
            of_class, of_file = _CLASS_FOLDER.fullmatch(folder), _FILE.fullmatch(file.rsplit(".", 1)[0])
            if of_class and of_file:
                fold, recording, _ = of_file.groups()
                title = of_class.group(1)
                clips.append(
                    Clip(
                        name=file,
                        path=path,
                        class_name=_NAMES.get(title, title),
                        fold=int(fold),
                        licence=listed.get(path, ""),
                        group=recording,
                    )
                )
        if not clips:
            raise self.layout_error("it has neither class folders like '001 - Dog bark' with audio nor meta/esc50.csv")
        return in_order(clips)


def _of_esc50(corpus: Corpus) -> list[Clip]:
    rows = read_table(corpus, "meta/esc50.csv", columns=_COLUMNS)
    if not (corpus.folder / "audio").is_dir():
        raise corpus.layout_error("it has no audio/")
    for number, row in enumerate(rows, start=2):
        if not row["fold"].isdecimal():
            raise corpus.layout_error(f"line {number} of meta/esc50.csv has the fold {row['fold']!r}")
    return [
        Clip(
            name=row["filename"],
            path=f"audio/{row['filename']}",
            class_name=row["category"],
            fold=int(row["fold"]),
            licence="CC BY 3.0" if row["esc10"] == "True" else "CC BY-NC 3.0",
            group=row["src_file"],
        )
        for row in rows
    ]
