"""Dividing groups between splits: by how much each holds, and never a group itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from roomgen.datasets.family import apportion
from roomgen.errors import RoomgenError


def ranked(groups: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return the groups in an order drawn at random."""
    return [groups[i] for i in rng.permutation(len(groups))]


def take(order: Sequence[str], sizes: Mapping[str, int], start: float, stop: float) -> list[str]:
    """Return the groups whose middle lies within [start, stop) of all that the groups hold, in their order.

    Two stretches that do not overlap share no group.
    """
    total, before, chosen = sum(sizes[group] for group in order), 0, []
    for group in order:
        middle = (before + 0.5 * sizes[group]) / max(total, 1)
        if start <= middle < stop or (stop == 1.0 and middle >= start):
            chosen.append(group)
        before += sizes[group]
    return chosen


def divide(order: Sequence[str], sizes: Mapping[str, int], shares: Mapping[str, float], *, what: str) -> dict[str, str]:
    """Return the split of each group: each goes where most is still missing of the split's share.

    Raises:
        RoomgenError: fewer groups than splits.
    """
    wanted = [name for name, share in shares.items() if share > 0]
    if len(order) < len(wanted):
        raise RoomgenError(
            f"{len(order)} {what} cannot be divided between the splits {', '.join(wanted)}: none may be in two. "
            "Ask for fewer splits (--splits), or give more recordings."
        )
    total = sum(sizes[group] for group in order)
    missing = {name: shares[name] * total for name in wanted}
    empty, result = set(wanted), {}
    for i, group in enumerate(order):
        # As many groups left as splits without any: each gets one.
        candidates = [name for name in wanted if name in empty] if len(order) - i <= len(empty) else wanted
        name = max(candidates, key=lambda n: missing[n])
        result[group] = name
        missing[name] -= sizes[group]
        empty.discard(name)
    return result


def divide_within(order: Sequence[str], class_of: Mapping[str, str], shares: Mapping[str, float], *, what: str) -> dict[str, str]:
    """Return the split of each group, the groups of each class divided on their own: every split has its share of every class.

    Groups are counted, by largest remainder; each split gets at least one group of each class.

    Args:
        order: groups; who comes first goes to the split that is named first.
        class_of: the class of each group.
        shares: of each split.
        what: the groups, in words.

    Raises:
        RoomgenError: a class with fewer groups than splits.
    """
    wanted = [name for name, share in shares.items() if share > 0]
    result: dict[str, str] = {}
    for class_name in sorted(set(class_of.values())):
        members = [group for group in order if class_of[group] == class_name]
        if 0 < len(members) < len(wanted):
            raise RoomgenError(
                f"class {class_name!r}: {len(members)} {what} cannot be divided between the splits {', '.join(wanted)}, none of "
                "which may lack a class: give more recordings of it, or leave it out."
            )
        counts = apportion([shares[name] for name in wanted], len(members))
        while members and 0 in counts:
            counts[counts.index(max(counts))] -= 1
            counts[counts.index(0)] += 1
        names = [name for name, count in zip(wanted, counts, strict=True) for _ in range(count)]
        result |= dict(zip(members, names, strict=True))
    return result


def split_name(subset: str) -> str:
    """Return a corpus' subset as the name of a split: lower-case letters, digits and _ ("train-clean-100": train_clean_100)."""
    name = re.sub(r"[^a-z0-9]+", "_", subset.lower()).strip("_") or "all"
    return name if name[0].isalpha() else f"subset_{name}"
