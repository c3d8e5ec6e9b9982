"""Two trainings on the same test samples: by how much one is better, and whether chance alone could have done it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roomgen.errors import suggest
from roomtrain.claims import SETTINGS, claimed, read_claim
from roomtrain.errors import RoomtrainError
from roomtrain.metrics import Pair, bootstrap_mean_difference
from roomtrain.paper import Paper
from roomtrain.predictions import CLEAN, PREDICTIONS, read_predictions
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
    pair = _paired(run, other)
    names = [str(pair[name].iloc[0]) for name in ("cell", "cell_other")]
    return {"run": names[0], "other": names[1], "protocols": _compared(paper, [pair], resamples)}


def compare_cells(folder: Path, cell: str, other: str, *, resamples: int = 2000) -> dict[str, Any]:
    """Return what :func:`compare` does for all seeds that two cells were trained with, in any folder below ``folder``.

    Values and differences are means over the seeds, and ``seeds`` has the difference of each. Rooms are drawn once for all seeds;
    the seeds themselves are not drawn: how far trainings differ by chance is seen in ``seeds``, and not in the interval.

    Raises:
        RoomtrainError: no seed that both are trained with, or runs that do not belong together.
    """
    if cell == other:
        raise RoomtrainError(f"--cell {cell} is given twice: give two cells of the paper's table.")
    paper, runs = _runs_of(folder, (cell, other))
    seeds = sorted({*runs[cell]} & {*runs[other]})
    if not seeds:
        have = " and ".join(f"{name} with {', '.join(map(str, sorted(found)))}" for name, found in runs.items())
        raise RoomtrainError(f"there is no seed that both cells are trained with in {folder}: there is {have}.")
    protocols = _compared(paper, [_paired(runs[cell][seed], runs[other][seed]) for seed in seeds], resamples, seeds=seeds)
    return {"run": cell, "other": other, "seeds": seeds, "protocols": protocols}


def _runs_of(folder: Path, cells: Sequence[str]) -> tuple[Paper, dict[str, dict[int, Path]]]:
    """Return the finished runs of some cells, by seed, and their paper."""
    claims = {path.parent: read_claim(path.parent) for path in sorted(folder.rglob(SETTINGS))}
    there = {str(claim.get("cell")): claim for run, claim in claims.items() if (run / PREDICTIONS).is_file()}
    runs: dict[str, dict[int, Path]] = {}
    made: dict[str, dict[str, Path]] = {}
    for cell in cells:
        if cell not in there:
            named = f" Cells: {', '.join(sorted(there))}." if there else ""
            raise RoomtrainError(f"{folder} has no finished run of {cell!r}.{suggest(cell, there)}{named}")
        for run, claim in claims.items():
            if claim.get("cell") != cell or not (run / PREDICTIONS).is_file():
                continue
            _, settings, _ = claimed(run)
            for what, value in (
                ("papers or presets", f"{settings.paper} {settings.preset}"),
                ("data", repr(sorted(claim["data"].items()))),
                (f"settings of {cell}", settings.model_copy(update={"seed": 0}).hash()),
            ):
                before = made.setdefault(what, {})
                before.setdefault(value, run)
                if len(before) > 1:
                    raise RoomtrainError(
                        f"{' and '.join(map(str, before.values()))} are of different {what}: give a folder of one."
                    )
            if settings.seed in runs.setdefault(cell, {}):
                raise RoomtrainError(f"{runs[cell][settings.seed]} and {run} are the same cell and seed: give a folder of one.")
            runs[cell][settings.seed] = run
    paper, _, _ = claimed(next(iter(runs[cells[0]].values())))
    return paper, runs


def _paired(run: Path, other: Path) -> pd.DataFrame:
    """Return what both runs answered to the same samples: the columns of the other end in ``_other``."""
    tables = [_clean(path) for path in (run, other)]
    both = tables[0].merge(tables[1], on=[*_SAME, "group"], suffixes=("", "_other"), validate="one_to_one")
    counts = [table.groupby(["protocol", "target"]).size() for table in (both, *tables)]
    if both.empty or any(not (count[counts[0].index] == counts[0]).all() for count in counts[1:]):
        raise _different(run, other)
    if not np.array_equal(both["truth"], both["truth_other"], equal_nan=True):
        raise _different(run, other)
    return both


def _clean(run: Path) -> pd.DataFrame:
    table = read_predictions(run)
    table = table[table["condition"] == CLEAN].drop(columns="condition")
    return table.astype(dict.fromkeys(("cell", *_SAME, "group"), str)).reset_index(drop=True)


def _different(run: Path, other: Path) -> RoomtrainError:
    return RoomtrainError(f"{run} and {other} were not tested on the same samples: compare runs of the same data and protocols.")


def _compared(paper: Paper, pairs: Sequence[pd.DataFrame], resamples: int, *, seeds: Sequence[int] = ()) -> dict[str, Any]:
    """Return protocol → target → metric → what differs, in the mean over the pairs."""
    names = np.unique(np.concatenate([pair["group"].to_numpy(dtype=str) for pair in pairs]))
    parts = []
    for pair in pairs:
        pair = pair.assign(group=np.searchsorted(names, pair["group"].to_numpy(dtype=str)))  # far quicker than names
        parts.append(dict(iter(pair.groupby(["protocol", "target"]))))
    protocols: dict[str, Any] = {}
    for protocol in paper.protocols:
        for target in paper.targets:
            keys = [(member, target.name) for member in paper.members(protocol)]
            if all(key in part for part in parts for key in keys):
                tests = [_Test(target, [part[key] for key in keys]) for part in parts]
                if all(len(test) for test in tests):
                    protocols.setdefault(protocol, {})[target.name] = _differences(target, tests, resamples, seeds)
    return protocols


class _Test:
    """The answers of two runs to the samples whose truth is known."""

    def __init__(self, target: Target, parts: Sequence[pd.DataFrame]) -> None:
        import pandas as pd

        rows = pd.concat(parts)
        rows = rows if target.kind == "score" else rows[np.isfinite(rows["truth"])]
        self.truth, groups = rows["truth"].to_numpy(), rows["group"].to_numpy()
        estimates = [rows[name].to_numpy() for name in ("estimate", "estimate_other")]
        self.pair = Pair(estimates[1], estimates[0], self.truth, groups)
        self.values = [target.numbers(estimate, self.truth) for estimate in estimates] if len(rows) else []

    def __len__(self) -> int:
        return len(self.truth)


def _differences(target: Target, tests: Sequence[_Test], resamples: int, seeds: Sequence[int]) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for name, metric in target.metrics.items():
        values = np.array([[value[name] for value in test.values] for test in tests], dtype=float)
        if np.isnan(values).any():
            continue
        before, after = (float(value) for value in values.mean(axis=0))
        low, high = bootstrap_mean_difference(metric, [test.pair for test in tests], n=resamples)
        known = bool(np.isfinite([low, high]).all())
        found[name] = {
            "run": before,
            "other": after,
            "difference": after - before,
            "interval": [low, high] if known else [None, None],
            "differ": known and not low <= 0 <= high,
            "better": target.badness(name, after) < target.badness(name, before),
        }
        if seeds:
            found[name]["seeds"] = {str(seed): float(value[1] - value[0]) for seed, value in zip(seeds, values, strict=True)}
    return found


def compare_text(result: dict[str, Any]) -> str:
    """Return a comparison for reading."""
    seeds = result.get("seeds", [])
    over = f", mean over the seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f", seed {seeds[0]}" if seeds else ""
    lines = [
        f"{result['other']} against {result['run']}{over}: difference, with 95 % interval over groups; * where it leaves out 0"
    ]
    for protocol, targets in result["protocols"].items():
        for target, found in targets.items():
            for name, values in found.items():
                low, high = values["interval"]
                shown = "" if low is None else f" ({low:+.3f} to {high:+.3f})"
                mark = f" * {'better' if values['better'] else 'worse'}" if values["differ"] else ""
                change = f"{values['run']:.3f} → {values['other']:.3f}: {values['difference']:+.3f}"
                each = f"; by seed {', '.join(f'{value:+.3f}' for value in values['seeds'].values())}" if len(seeds) > 1 else ""
                lines.append(f"  {protocol:<7} {target:<9} {name:<9} {change}{shown}{mark}{each}")
    return "\n".join(lines)
