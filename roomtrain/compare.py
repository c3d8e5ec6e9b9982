"""Two runs on the same test samples: by how much one is better, and whether chance alone could have done it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roomtrain.errors import RoomtrainError
from roomtrain.metrics import bootstrap_difference
from roomtrain.paper import Paper
from roomtrain.predictions import CLEAN, read_predictions
from roomtrain.targets import Target

if TYPE_CHECKING:
    import pandas as pd

_SAME = ["protocol", "target", "key"]


def compare(paper: Paper, run: Path, other: Path, *, resamples: int = 2000) -> dict[str, Any]:
    """Return protocol → target → metric → both values, their ``difference`` (other − run), and its 95 % ``interval``.

    The interval is of a paired bootstrap over groups (rooms): they are drawn once for both, so that hard rooms are hard for both.
    Where it leaves out 0 the two differ at that level, in these test rooms and for these two trainings; other seeds are not in it.
    Compared is what both were tested for, without noise or other changed conditions.

    Raises:
        RoomtrainError: a run that is not finished, or runs that were not tested on the same samples.
    """
    tables = [_clean(path) for path in (run, other)]
    both = tables[0].merge(tables[1], on=[*_SAME, "group"], suffixes=("", "_other"), validate="one_to_one")
    for protocol, target in both[["protocol", "target"]].drop_duplicates().itertuples(index=False):
        sizes = [((t["protocol"] == protocol) & (t["target"] == target)).sum() for t in (*tables, both)]
        if len(set(sizes)) > 1:
            raise _different(run, other)
    truths = both[["truth", "truth_other"]].to_numpy()
    if both.empty or not np.array_equal(truths[:, 0], truths[:, 1], equal_nan=True):
        raise _different(run, other)
    protocols: dict[str, Any] = {}
    for protocol in paper.protocols:
        for target in paper.targets:
            rows = both[(both["protocol"] == protocol) & (both["target"] == target.name)]
            rows = rows if target.kind == "score" else rows[np.isfinite(rows["truth"])]
            if len(rows):
                protocols.setdefault(protocol, {})[target.name] = _differences(target, rows, resamples)
    names = [str(table["cell"].iloc[0]) for table in tables]
    return {"run": names[0], "other": names[1], "protocols": protocols}


def _clean(run: Path) -> pd.DataFrame:
    table = read_predictions(run)
    table = table[table["condition"] == CLEAN].drop(columns="condition")
    return table.astype(dict.fromkeys(("cell", *_SAME, "group"), str)).reset_index(drop=True)


def _different(run: Path, other: Path) -> RoomtrainError:
    return RoomtrainError(f"{run} and {other} were not tested on the same samples: compare runs of the same data and protocols.")


def _differences(target: Target, rows: pd.DataFrame, resamples: int) -> dict[str, Any]:
    truth, groups = rows["truth"].to_numpy(), rows["group"].to_numpy(dtype=str)
    estimates = [rows[name].to_numpy() for name in ("estimate", "estimate_other")]
    values = [target.numbers(estimate, truth) for estimate in estimates]
    found = {}
    for name, metric in target.metrics.items():
        before, after = (value[name] for value in values)
        if before is None or after is None:
            continue
        low, high = bootstrap_difference(metric, estimates[1], estimates[0], truth, groups, n=resamples)
        known = bool(np.isfinite([low, high]).all())
        found[name] = {
            "run": before,
            "other": after,
            "difference": after - before,
            "interval": [low, high] if known else [None, None],
            "differ": known and not low <= 0 <= high,
        }
    return found


def compare_text(result: dict[str, Any]) -> str:
    """Return a comparison for reading."""
    lines = [f"{result['other']} against {result['run']}: difference, with 95 % interval over groups; * where it leaves out 0"]
    for protocol, targets in result["protocols"].items():
        for target, found in targets.items():
            for name, values in found.items():
                low, high = values["interval"]
                shown = "" if low is None else f" ({low:+.3f} to {high:+.3f})"
                mark = " *" if values["differ"] else ""
                change = f"{values['run']:.3f} → {values['other']:.3f}: {values['difference']:+.3f}"
                lines.append(f"  {protocol:<7} {target:<9} {name:<9} {change}{shown}{mark}")
    return "\n".join(lines)
