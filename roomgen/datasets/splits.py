"""Dividing groups between splits: by how much each holds, and never a group itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

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


def split_name(subset: str) -> str:
    """Return a corpus' subset as the name of a split: lower-case letters, digits and _ ("train-clean-100": train_clean_100)."""
    name = re.sub(r"[^a-z0-9]+", "_", subset.lower()).strip("_") or "all"
    return name if name[0].isalpha() else f"subset_{name}"
