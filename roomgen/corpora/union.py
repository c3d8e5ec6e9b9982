"""Several corpora as one: their recordings side by side, named after the corpus that each is from.

A union is called by the names of its members with + between them, sorted (``folder+librispeech``): whoever gives the same folders
in another order gets the same datasets. A recording's name and path begin with its member's label, which is the corpus' name,
with a number where several members are of one corpus (``folder``, ``folder-2``). Speakers and groups begin with the corpus' name
alone: speaker 19 of LibriSpeech is nobody of another corpus, but one and the same in two folders of LibriSpeech.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, TypeVar

from roomgen.corpora.base import About, BrokenFile, Clip, Corpus, Recording, unique_names
from roomgen.corpora.listing import in_order
from roomgen.errors import RoomgenError

JOIN = "+"
Found = TypeVar("Found")


class Union(Corpus):
    """Corpora that have folders, as one; see the module's text.

    Args:
        members: label to corpus.
    """

    name = "union"
    about: ClassVar[About] = About(
        title="several corpora",
        kind="any",
        url="where each of them is from",
        licence="that of each of them",
        size="that of all together",
        layout="a folder for each of them",
    )

    def __init__(self, members: Mapping[str, Corpus]) -> None:
        super().__init__(None)
        self.members = dict(members)

    def clips(self) -> list[Clip]:
        return in_order(_as_member(label, corpus, clip) for label, corpus in self.members.items() for clip in corpus.clips())

    def probe(self, clip: Clip) -> tuple[int, int, int]:
        return self._ask(clip, lambda corpus, own: corpus.probe(own))

    def read(self, clip: Clip) -> Recording:
        return self._ask(clip, lambda corpus, own: corpus.read(own))

    def fingerprint(self) -> str:
        """Return the members' fingerprints with + between them."""
        return JOIN.join(corpus.fingerprint() for corpus in self.members.values())

    def _ask(self, clip: Clip, what: Callable[[Corpus, Clip], Found]) -> Found:
        """Return what the member says of its own recording; what is broken is named as in the union."""
        label, _, path = clip.path.partition("/")
        own = replace(clip, path=path, paths=tuple(piece.partition("/")[2] for piece in clip.paths))
        try:
            return what(self.members[label], own)
        except BrokenFile as error:
            raise BrokenFile(f"{label}/{error.name}", error.reason) from None


def labels(name: str) -> list[str]:
    """Return what the members of a union (or a corpus that is none, alone) are called, in their order."""
    return unique_names(name.split(JOIN))


def label_of(name: str, clip: Clip) -> str:
    """Return which member of a union a recording is from; for a corpus that is none, its name."""
    return clip.path.partition("/")[0] if JOIN in name else name


def sorted_union(name: str, roots: Sequence[Path]) -> tuple[str, tuple[Path, ...]]:
    """Return the name of a union with its members sorted, and their folders in that order; the same name keeps its order.

    Raises:
        RoomgenError: not a folder for each.
    """
    names = name.split(JOIN)
    if len(names) == 1 and len(roots) < 2:
        return name, tuple(roots)
    if len(names) != len(roots):
        raise RoomgenError(
            f"{name} takes {len(names)} folder{'s' if len(names) > 1 else ''}, and --root gives {len(roots)}: name a corpus for "
            "each folder, in their order and with + between them, such as librispeech+folder."
        )
    order = sorted(range(len(names)), key=names.__getitem__)
    return JOIN.join(names[i] for i in order), tuple(roots[i] for i in order)


def check_apart(folders: Sequence[Path], flag: str) -> None:
    """Raise a RoomgenError where folders are the same or one lies in another: a recording would be heard twice, here and there."""
    seen: list[tuple[Path, Path]] = []
    for folder in folders:
        real = folder.resolve()
        for other, before in seen:
            if real == before:
                raise RoomgenError(f"{flag} {folder} is the same folder as {flag} {other}: give each corpus once.")
            inner, outer = (folder, other) if real.is_relative_to(before) else (other, folder)
            if real.is_relative_to(before) or before.is_relative_to(real):
                raise RoomgenError(
                    f"{flag} {inner} lies in {flag} {outer}: its recordings would be read twice. Give folders side by side."
                )
        seen.append((folder, real))


def _as_member(label: str, corpus: Corpus, clip: Clip) -> Clip:
    return replace(
        clip,
        name=f"{label}-{clip.name}",
        path=f"{label}/{clip.path}",
        paths=tuple(f"{label}/{path}" for path in clip.paths),
        speaker=clip.speaker and f"{corpus.name}/{clip.speaker}",
        group=clip.group and f"{corpus.name}/{clip.group}",
    )
