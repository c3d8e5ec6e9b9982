"""What a run is worth: the metrics of its predictions with intervals over groups, and what made it. No torch is needed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import roomgen
from roomgen.store.folder import write_text
from roomtrain.config import VERSION, RunSettings
from roomtrain.errors import RoomtrainError
from roomtrain.metrics import bootstrap
from roomtrain.paper import Breakdown, Paper
from roomtrain.predictions import CLEAN, CONSTANT
from roomtrain.targets import Target, finite

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "results.json"


def measure(paper: Paper, table: pd.DataFrame, *, resamples: int = 1000) -> dict[str, Any]:
    """Return protocol → target → what one cell's predictions are worth.

    Args:
        table: the long table of :mod:`roomtrain.predictions`, of one cell. A pool is of the rows of all its members together.
        resamples: of the bootstrap over groups.

    Returns:
        by protocol and target: the metrics of the clean test; ``interval``: 95 % of each, by bootstrap over groups; ``n`` samples
        in ``groups``; ``baseline``: metrics of the best constant answer; ``conditions``: name → metrics; ``by``: target of the
        paper's breakdown → metrics per bin of its truth. Samples whose truth could not be measured are left out.

    Raises:
        RoomtrainError: estimates that are not finite.
    """
    protocols: dict[str, Any] = {}
    table = table.assign(group=np.unique(table["group"].to_numpy(dtype=str), return_inverse=True)[1])  # far quicker than names
    there = set(table[["protocol", "target"]].drop_duplicates().itertuples(index=False, name=None))
    for protocol in paper.protocols:
        members = paper.members(protocol)
        rows = table[table["protocol"].isin(members)]
        bins = _bins(paper.breakdown, rows)
        for target in paper.targets:
            if all((member, target.name) in there for member in members):
                mine = rows[rows["target"] == target.name]
                protocols.setdefault(protocol, {})[target.name] = _measured(target, mine, bins, resamples=resamples)
    return protocols


def _measured(target: Target, rows: pd.DataFrame, bins: pd.Series | None, *, resamples: int) -> dict[str, Any]:
    by_condition = {str(name): _known(target, part) for name, part in rows.groupby("condition", observed=True)}
    clean = by_condition.pop(CLEAN)
    constant = by_condition.pop(CONSTANT, None)
    estimate, truth, groups = _arrays(clean)
    enough = len(np.unique(groups)) > 1
    interval = {}
    for name, metric in target.metrics.items():
        ends = bootstrap(metric, estimate, truth, groups, n=resamples) if enough else (np.nan, np.nan)
        interval[name] = [finite(end) for end in ends]
    return {
        **target.numbers(estimate, truth),
        "interval": interval,
        "n": len(estimate),
        "groups": len(np.unique(groups)),
        "baseline": None if constant is None else target.numbers(*_arrays(constant)[:2]),
        "conditions": {name: target.numbers(*_arrays(part)[:2]) for name, part in by_condition.items()},
        "by": {} if bins is None else {str(bins.name): _by_bin(target, clean, bins)},
    }


def _known(target: Target, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the samples that have a truth, where the kind of target needs one."""
    return rows if target.kind == "score" else rows[np.isfinite(rows["truth"].to_numpy())]


def _arrays(rows: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    return rows["estimate"].to_numpy(), rows["truth"].to_numpy(), rows["group"].to_numpy()


def _bins(breakdown: Breakdown | None, rows: pd.DataFrame) -> pd.Series | None:
    """Return the bin (its lower and upper edge) of each sample of a protocol, by key."""
    import pandas as pd

    if breakdown is None:
        return None
    mine = rows[(rows["target"] == breakdown.target) & (rows["condition"] == CLEAN)]
    if mine.empty:
        return None
    truth = mine.set_index("key")["truth"]
    bins = pd.cut(truth, list(breakdown.edges), right=False)
    return pd.Series(bins, index=truth.index, name=breakdown.target)


def _by_bin(target: Target, clean: pd.DataFrame, bins: pd.Series) -> list[dict[str, Any]]:
    """Return the metrics in each bin that has any samples: ``low`` ≤ truth < ``high``, ``n`` samples."""
    found = bins.reindex(clean["key"].to_numpy()).to_numpy()
    rows = []
    for low, high in pairwise(sorted({edge for interval in bins.cat.categories for edge in (interval.left, interval.right)})):
        inside = np.array([hasattr(one, "left") and one.left == low for one in found])
        if inside.any():
            estimate, truth, _ = _arrays(clean[inside])
            rows.append({"low": float(low), "high": float(high), "n": int(inside.sum()), **target.numbers(estimate, truth)})
    return rows


def describe(paper: Paper, settings: RunSettings, cell: str) -> dict[str, Any]:
    """Return what results say of the settings that made them, in words that lead back to them."""
    return {
        "paper": paper.name,
        "cell": cell,
        "preset": settings.preset,
        "reduced": settings.reduced,
        "seed": settings.seed,
        "precision": settings.precision,
        "settings_hash": settings.hash(),
        "settings_version": VERSION,
        "settings": settings.model_dump(mode="json"),
        **source_version(),
    }


def source_version() -> dict[str, Any]:
    """Return ``commit`` of the code that runs, with + behind it where files differ from it (None: no checkout), and the version."""
    folder = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True).stdout.strip()

    commit: str | None
    try:
        inside = git("ls-files", "--error-unmatch", "__init__.py")  # else the package merely lies in somebody's checkout
        commit = git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", ".", "../roomgen") else "")
        commit = commit if inside else None
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {"commit": commit, "version": roomgen.__version__}


def read_results(path: Path, paper: Paper | None = None) -> dict[str, Any]:
    """Return the results in a file.

    Raises:
        RoomtrainError: it is damaged, or holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RoomtrainError(
            f"{path} is not readable as JSON ({error}): remove it; `roomtrain train` makes it anew.", exit_code=1
        ) from None
    sound = isinstance(values, dict) and isinstance(values.get("protocols"), dict) and isinstance(values.get("settings"), dict)
    if not sound or (paper is not None and values.get("paper") != paper.name):
        raise RoomtrainError(f"{path} holds no results{'' if paper is None else f' of {paper.name}'}.", exit_code=1)
    return dict(values)


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write results as JSON."""
    write_text(path, json.dumps(results, indent=1) + "\n")


def results_in(folders: Iterable[Path], paper: Paper) -> list[dict[str, Any]]:
    """Return the results in some folders: of runs (``results.json``, searched below them) or published (any JSON).

    Raises:
        RoomtrainError: a folder without results, or a file that is none.
    """
    results: list[dict[str, Any]] = []
    for folder in folders:
        runs = {path for path in folder.rglob(RESULTS) if "evaluations" not in path.relative_to(folder).parts}
        paths = sorted({*runs, *folder.glob("*.json")} - {*folder.glob("settings.json")})
        if not paths:
            raise RoomtrainError(
                f"{folder} has no results: there is no {RESULTS} in it. `roomtrain train {paper.name}` writes them."
            )
        results += [read_results(path, paper) for path in paths]
    return results


def published_results(paper: Paper) -> list[dict[str, Any]]:
    """Return the results that come with roomtrain."""
    folder = resources.files("roomtrain") / "results" / paper.name
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name) if folder.is_dir() else []
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def publish(results: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write each run's results into a folder, as ``CELL-seedN.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for result in results:
        path = folder / f"{result['cell']}-seed{result['seed']}.json"
        write_results(path, result)
        paths.append(path)
    return paths


def results_text(paper: Paper, result: Mapping[str, Any]) -> str:
    """Return a run's results for reading."""
    lines = [f"{result['cell']}, seed {result['seed']}, preset {result['preset']}"]
    if result["reduced"]:
        lines[0] += f" (reduced: {result['reduced']})"
    width = max(len(target.name) for target in paper.targets)
    wide = max(8, max(map(len, result["protocols"]), default=0))
    for protocol, targets in result["protocols"].items():
        for name, values in targets.items():
            target = paper.target(name)
            shown = []
            for metric, (low, high) in values["interval"].items():
                ends = "" if low is None else f" ({target.text(metric, low)} to {target.text(metric, high)})"
                shown.append(f"{metric} {target.text(metric, values[metric])}{ends}")
            lines.append(f"  {protocol:<{wide}} {name:<{width}}  {', '.join(shown)}")
    return "\n".join(lines)
