"""TAU Urban Acoustic Scenes 2022 Mobile: ten scenes by nine devices (Heittola, Mesaros and Virtanen, DCASE workshop 2020)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

from roomgen.corpora.base import About, Clip, Corpus
from roomgen.corpora.listing import in_order, read_table

_PIECE = re.compile(r"(audio/[a-z_]+-[a-z]+-\d+-\d+)-(\d)-([a-z]\d*)\.wav")
_META, _FOLD = "meta.csv", "evaluation_setup/fold1_{}.csv"
_COLUMNS = ("filename", "scene_label", "identifier", "source_label")


class _Recording(NamedTuple):
    """What the names of the pieces of a recording share: all before and after the number of the piece."""

    head: str
    device: str

    def piece(self, index: int) -> str:
        return f"{self.head}-{index}-{self.device}.wav"


class TAU2022Mobile(Corpus):
    """Recordings of 10 s of the development set, put together again from its pieces of 1 s.

    ``subset`` is ``train`` or ``test`` of the official fold (its evaluate list and its test list are the same recordings), or
    ``rest`` for recordings that the fold leaves out. ``location`` is city and number of the place (``lisbon-1000``), which is the
    group too: the same place is heard at the same time by several devices. ``device`` is A, B, C or S1 to S6.
    """

    name = "tau2022"
    default_split: ClassVar[Literal["group", "subset"]] = "subset"
    about: ClassVar[About] = About(
        title="TAU Urban Acoustic Scenes 2022 Mobile, development dataset",
        kind="scenes",
        url="https://zenodo.org/records/6337421",
        licence="of Tampere University: experimental and non-commercial use, naming the source",
        size="230,350 pieces of 1 s, 64 hours at 44.1 kHz, of ten scenes in ten cities by nine devices",
        layout="""
        audio/SCENE-CITY-PLACE-SEGMENT-PIECE-DEVICE.wav (airport-lisbon-1000-40000-0-a.wav), ten pieces of 1 s each
        meta.csv (filename, scene_label, identifier, source_label; divided by tabs)
        evaluation_setup/fold1_train.csv (filename, scene_label)
        evaluation_setup/fold1_evaluate.csv or fold1_test.csv (filename)
        """,
        papers=("icl",),
    )

    def clips(self) -> list[Clip]:
        pieces: dict[_Recording, list[int]] = defaultdict(list)
        rows = {}
        for row in read_table(self, _META, columns=_COLUMNS, delimiter="\t"):
            recording, index = self._parsed(row["filename"], _META)
            pieces[recording].append(index)
            rows[recording] = row
        if not pieces:
            raise self.layout_error(f"{_META} lists no file")
        if not (self.folder / "audio").is_dir():
            raise self.layout_error("it has no audio/")
        subsets = self._subsets()
        return in_order(_clip(recording, pieces[recording], row, subsets.get(recording, "rest")) for recording, row in rows.items())

    def _subsets(self) -> dict[_Recording, str]:
        """Return the official subset of each recording."""
        # fold1_test.csv lists the files of fold1_evaluate.csv without their scenes.
        evaluate = next((name for name in ("evaluate", "test") if (self.folder / _FOLD.format(name)).is_file()), "evaluate")
        subsets: dict[_Recording, str] = {}
        for subset, name in (("train", "train"), ("test", evaluate)):
            table = _FOLD.format(name)
            for row in read_table(self, table, columns=("filename",), delimiter="\t"):
                recording, _ = self._parsed(row["filename"], table)
                if subsets.setdefault(recording, subset) != subset:
                    raise self.layout_error(f"{row['filename']} is of a recording in both the train and the test part of the fold")
        return subsets

    def _parsed(self, path: str, table: str) -> tuple[_Recording, int]:
        match = _PIECE.fullmatch(path)
        if match is None:
            raise self.layout_error(
                f"{table} names the file {path!r}, which is not audio/SCENE-CITY-PLACE-SEGMENT-PIECE-DEVICE.wav"
            )
        head, index, device = match.groups()
        return _Recording(head, device), int(index)


def _clip(recording: _Recording, found: list[int], row: Mapping[str, str], subset: str) -> Clip:
    # A piece missing between two others is named as well: reading it fails, where joining its neighbours would click.
    paths = tuple(recording.piece(index) for index in range(min(found), max(found) + 1))
    return Clip(
        name=f"{recording.head.removeprefix('audio/')}-{recording.device}",
        path=paths[0],
        paths=paths,
        class_name=row["scene_label"],
        subset=subset,
        device=row["source_label"].upper(),
        location=row["identifier"],
        group=row["identifier"],
    )
