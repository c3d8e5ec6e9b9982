"""Readers of corpora, one module each, known by name; there is no list to add them to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from pkgutil import iter_modules
from textwrap import indent

from roomgen.corpora.base import Corpus
from roomgen.corpora.union import JOIN, Union, check_apart, labels, sorted_union
from roomgen.errors import RoomgenError, suggest


@lru_cache(maxsize=1)
def corpora() -> dict[str, type[Corpus]]:
    """Return the reader of every corpus by its name: what the modules here define, in the order of names."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    found = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Corpus)}
    return {kind.name: kind for kind in sorted(found - {Corpus, Union}, key=lambda kind: kind.name)}


def corpus_class(name: str) -> type[Corpus]:
    """Return the reader of a corpus.

    Raises:
        RoomgenError: no such corpus.
    """
    known = corpora()
    if name not in known:
        raise RoomgenError(f"unknown corpus {name!r}.{suggest(name, known)} Corpora: {', '.join(known)}.")
    return known[name]


def corpus_classes(name: str) -> tuple[type[Corpus], ...]:
    """Return the readers of the members of a union (``librispeech+folder``), or of one corpus alone.

    Raises:
        RoomgenError: no such corpus.
    """
    return tuple(corpus_class(member) for member in name.split(JOIN))


def open_corpus(name: str, root: Path | None, *, seed: int = 0, count: int | None = None) -> Corpus:
    """Return a corpus in its folder.

    Raises:
        RoomgenError: no such corpus, or its folder is missing, or one was given that it does not need.
    """
    kind = corpus_class(name)
    if kind.embedded and root is not None:
        raise RoomgenError(f"the corpus {name} is embedded in roomgen: leave --root away.")
    if not kind.embedded:
        if count is not None:
            raise RoomgenError(f"--count is for embedded corpora; {name} has the recordings that its folder holds.")
        if root is None:
            raise RoomgenError(f"the corpus {name} needs --root DIR: its folder, which looks like this: {kind.about.origin}")
        if not root.is_dir():
            raise RoomgenError(f"{root} is not a folder; {kind.about.title} looks like this: {kind.about.origin}")
    return kind(root, seed=seed, count=count)


def open_corpora(name: str, roots: Sequence[Path], *, seed: int = 0, count: int | None = None) -> Corpus:
    """Return a corpus in its folder (of an embedded one: without), or a union with a folder for each member.

    Raises:
        RoomgenError: as in :func:`open_corpus`; not a folder for each member, folders within each other, or members that cannot
            be one corpus.
    """
    name, roots = sorted_union(name, roots)
    kinds = corpus_classes(name)
    if len(kinds) == 1:
        return open_corpus(name, roots[0] if roots else None, seed=seed, count=count)
    for kind in kinds:
        if kind.embedded:
            raise RoomgenError(f"the corpus {kind.name} is embedded in roomgen and has no folder: leave it out of {name}.")
    if len({kind.extra_members for kind in kinds}) > 1:
        raise RoomgenError(
            f"{name} cannot be one dataset: some of these corpora have pictures and others have none. Make a dataset of each."
        )
    check_apart(roots, "--root")
    members = (open_corpus(kind.name, root, count=count) for kind, root in zip(kinds, roots, strict=True))
    return Union(dict(zip(labels(name), members, strict=True)))


def catalog() -> list[dict[str, object]]:
    """Return what is to be known of every corpus, as plain values."""
    return [
        {"name": name, "embedded": kind.embedded, **asdict(kind.about), "layout": cleandoc(kind.about.layout)}
        for name, kind in corpora().items()
    ]


def catalog_text() -> str:
    """Return the catalog for reading: a paragraph per corpus."""
    paragraphs = []
    for name, kind in corpora().items():
        about = kind.about
        papers = f"; for {', '.join(about.papers)}" if about.papers else ""
        where = "embedded in roomgen" if kind.embedded else about.url
        layout = indent(cleandoc(about.layout), "    ")
        paragraphs.append(
            f"{name}: {about.title} ({about.kind}{papers})\n  from     {where}\n  licence  {about.licence}\n"
            f"  size     {about.size}\n{layout}"
        )
    return "\n\n".join(paragraphs)
