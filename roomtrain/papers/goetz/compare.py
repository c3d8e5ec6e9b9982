"""Two cells on the same test samples: by how much one is better, and whether chance alone could have done it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from roomtrain.errors import RoomtrainError
from roomtrain.metrics import bootstrap_difference
from roomtrain.papers.goetz.evaluate import PREDICTIONS, RESULTS, metrics_of, numbers, read_results
from roomtrain.papers.goetz.settings import TARGETS

if TYPE_CHECKING:
    import pandas as pd

_SAME = ("protocol", "rir_key", "speech_key")


def compare(run: Path, other: Path, *, resamples: int = 2000) -> dict[str, Any]:
    """Return protocol → target → metric → both values, their ``difference`` (other − run), and its 95 % ``interval``.

    The interval is of a paired bootstrap over rooms: rooms are drawn once for both, so that hard rooms are hard for both. Where it
    leaves out 0 the two differ at that level, in these test rooms and for these two trainings; other seeds are not in it.

    Raises:
        RoomtrainError: a run that is not finished, or runs that were not tested on the same samples.
    """
    tables = [_predictions(path) for path in (run, other)]
    if not all(table[list(_SAME)].equals(tables[0][list(_SAME)]) for table in tables):
        raise RoomtrainError(f"{run} and {other} were not tested on the same samples: compare runs of the same data and protocols.")
    protocols: dict[str, Any] = {}
    for protocol in tables[0]["protocol"].unique():
        rows = (tables[0]["protocol"] == protocol).to_numpy()
        one, two = (table[rows] for table in tables)
        for target in TARGETS:
            if not all(f"{target}_estimated" in table for table in tables) or one[f"{target}_estimated"].isna().all():
                continue
            truth = one[f"{target}_true"].to_numpy(dtype=float)
            estimates = [table[f"{target}_estimated"].to_numpy(dtype=float) for table in (one, two)]
            values = [numbers(target, estimate, truth) for estimate in estimates]
            rooms = one["room_id"].to_numpy(dtype=str)
            found = {}
            for name, metric in metrics_of(target).items():
                before, after = (value[name] for value in values)
                if before is None or after is None:
                    continue
                low, high = bootstrap_difference(metric, estimates[1], estimates[0], truth, rooms, n=resamples)
                known = bool(np.isfinite([low, high]).all())
                found[name] = {
                    "run": before,
                    "other": after,
                    "difference": after - before,
                    "interval": [low, high] if known else [None, None],
                    "differ": known and not low <= 0 <= high,
                }
            protocols.setdefault(str(protocol), {})[target] = found
    names = [read_results(path / RESULTS)["cell"] for path in (run, other)]
    return {"run": names[0], "other": names[1], "protocols": protocols}


def _predictions(run: Path) -> pd.DataFrame:
    import pandas as pd

    path = run / PREDICTIONS
    if not path.is_file():
        raise RoomtrainError(f"{run} is not a finished run: it has no {PREDICTIONS}.")
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RoomtrainError(f"{path} cannot be read ({error}).", exit_code=1) from None


def text(result: dict[str, Any]) -> str:
    """Return a comparison for reading."""
    lines = [f"{result['other']} against {result['run']}: difference, with 95 % interval over rooms; * where it leaves out 0"]
    for protocol, targets in result["protocols"].items():
        for target, found in targets.items():
            for name, values in found.items():
                low, high = values["interval"]
                shown = "" if low is None else f" ({low:+.3f} to {high:+.3f})"
                mark = " *" if values["differ"] else ""
                change = f"{values['run']:.3f} → {values['other']:.3f}: {values['difference']:+.3f}"
                lines.append(f"  {protocol:<7} {target:<9} {name:<9} {change}{shown}{mark}")
    return "\n".join(lines)
