"""Which split each recording of a corpus goes to: by groups and shares, or as the corpus' own subsets or folds say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from roomgen.corpora.base import Clip
from roomgen.datasets.splits import divide, divide_within, ranked, split_name, take
from roomgen.errors import RoomgenError
from roomgen.streams import Stream, generator

if TYPE_CHECKING:
    from roomgen.datasets.sources.settings import SourcesSettings

_TRAIN, _VAL = "train", "val"


def divided_clips(settings: SourcesSettings, counted: Sequence[tuple[Clip, int]]) -> dict[str, list[tuple[Clip, int]]]:
    """Return the recordings of each split, given all that can be used and how many segments each has.

    Raises:
        RoomgenError: groups cannot be divided as asked, or the corpus has no such subsets or folds.
    """
    sizes: dict[str, int] = {}
    for clip, count in counted:
        sizes[group_of(clip)] = sizes.get(group_of(clip), 0) + count
    order = ranked(sorted(sizes), generator(settings.seed, Stream.SPLIT))
    chosen = take(order, sizes, *settings.take)
    used = set(chosen)
    kept = [(clip, count) for clip, count in counted if group_of(clip) in used]
    if settings.split_by == "group":
        names = list(settings.splits.shares)
        split_of = _shared_out(settings, chosen, kept, settings.splits.shares)
        splits = [split_of[group_of(clip)] for clip, _ in kept]
    else:
        names, splits = _of_corpus(settings, counted, kept)
        if settings.val_share:
            names.append(_VAL)
            splits = _with_val(settings, chosen, kept, splits)
    divided: dict[str, list[tuple[Clip, int]]] = {name: [] for name in names}
    for member, split in zip(kept, splits, strict=True):
        if split:
            divided[split].append(member)
    return divided


def group_of(clip: Clip) -> str:
    """Return what may not be divided between splits."""
    return clip.group or clip.name


def _shared_out(
    settings: SourcesSettings, order: Sequence[str], members: Sequence[tuple[Clip, int]], shares: Mapping[str, float]
) -> dict[str, str]:
    """Return the split of each group of the members, by shares; within each class where the settings say so."""
    what = f"groups of the corpus {settings.corpus}"
    held: dict[str, Counter[str]] = {}
    for clip, count in members:
        held.setdefault(group_of(clip), Counter())[clip.class_name] += count
    present = [group for group in order if group in held]
    if settings.split_within is None:
        return divide(present, {group: held[group].total() for group in present}, shares, what=what)
    # A group of several classes counts as one of that which it holds most of.
    class_of = {group: min(counts, key=lambda name: (-counts[name], name)) for group, counts in held.items()}
    return divide_within(present, class_of, shares, what=what)


def _of_corpus(
    settings: SourcesSettings, counted: Sequence[tuple[Clip, int]], kept: Sequence[tuple[Clip, int]]
) -> tuple[list[str], list[str]]:
    """Return the names of the splits that the corpus' own subsets or folds make, and the split of each one kept ("": none)."""
    if settings.split_by == "subset":
        return sorted({split_name(clip.subset) for clip, _ in counted}), [split_name(clip.subset) for clip, _ in kept]
    split_of = {fold: name for name, folds in settings.folds.items() for fold in folds}
    there = sorted({clip.fold for clip, _ in counted} - {-1})
    missing = sorted(set(split_of) - set(there))
    if missing:
        has = f"the folds {', '.join(map(str, there))}" if there else "no folds at all"
        raise RoomgenError(f"folds names the fold {missing[0]}, and the corpus {settings.corpus} has {has}: give those it has.")
    where: dict[str, str] = {}
    for clip, _ in kept:
        split = split_of.get(clip.fold, "")
        if where.setdefault(group_of(clip), split) != split:
            raise RoomgenError(
                f"the group {group_of(clip)!r} of the corpus {settings.corpus} is in folds of two splits, and none may be: put its "
                "folds into one split, or split by group."
            )
    return list(settings.folds), [split_of.get(clip.fold, "") for clip, _ in kept]


def _with_val(
    settings: SourcesSettings, order: Sequence[str], kept: Sequence[tuple[Clip, int]], splits: Sequence[str]
) -> list[str]:
    """Return the splits with those of some groups of ``train`` turned into ``val``."""
    if _VAL in splits or _TRAIN not in splits:
        found = ", ".join(sorted({split for split in splits if split}))
        raise RoomgenError(
            f"val_share takes {_VAL} from {_TRAIN}, and the corpus {settings.corpus} has the splits {found}: leave it out."
        )
    training = [member for member, split in zip(kept, splits, strict=True) if split == _TRAIN]
    shares = {_TRAIN: 1.0 - settings.val_share, _VAL: settings.val_share}
    split_of = _shared_out(settings, order, training, shares)
    return [split_of[group_of(clip)] if split == _TRAIN else split for (clip, _), split in zip(kept, splits, strict=True)]
