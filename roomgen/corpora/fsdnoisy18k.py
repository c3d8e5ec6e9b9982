"""FSDnoisy18k: sound events with clean and noisy labels (Fonseca, Plakal, Ellis, Font, Favory and Serra, ICASSP 2019)."""

from __future__ import annotations

from typing import ClassVar, Literal

from roomgen.corpora.base import About, Clip, Corpus
from roomgen.corpora.listing import in_order, read_table


class FSDnoisy18k(Corpus):
    """Clips of FSDnoisy18k in three subsets: noisy and clean (the two parts of its train set) and test.

    Clean are those whose label was verified by listeners. Every clip is a recording of its own.
    """

    name = "fsdnoisy18k"
    default_split: ClassVar[Literal["group", "subset"]] = "subset"
    about: ClassVar[About] = About(
        title="FSDnoisy18k",
        kind="events",
        url="https://zenodo.org/records/2529934",
        licence="CC BY 4.0 as a whole; every clip CC0 or CC BY, see LICENSE-INDIVIDUAL-CLIPS in its documents",
        size="18,532 clips of 0.3 to 30 s in 20 classes, 42.5 hours at 44.1 kHz, of which 947 clips (1.4 hours) are for testing",
        layout="""
        FSDnoisy18k.audio_train/NUMBER.wav
        FSDnoisy18k.audio_test/NUMBER.wav
        FSDnoisy18k.meta/train.csv (fname,label,aso_id,manually_verified,noisy_small)
        FSDnoisy18k.meta/test.csv (fname,label,aso_id)
        """,
        papers=("mc-simclr",),
    )

    def clips(self) -> list[Clip]:
        clips = []
        for part, columns in (("train", ("fname", "label", "manually_verified")), ("test", ("fname", "label"))):
            for row in read_table(self, f"FSDnoisy18k.meta/{part}.csv", columns=columns):
                clean = row.get("manually_verified") == "1"
                clips.append(
                    Clip(
                        name=row["fname"],
                        path=f"FSDnoisy18k.audio_{part}/{row['fname']}",
                        class_name=row["label"],
                        subset="test" if part == "test" else "clean" if clean else "noisy",
                    )
                )
        if not any((self.folder / f"FSDnoisy18k.audio_{part}").is_dir() for part in ("train", "test")):
            raise self.layout_error("it has neither FSDnoisy18k.audio_train nor FSDnoisy18k.audio_test")
        return in_order(clips)
