"""What embeddings know beyond what they were tested for: every label of the samples, read from them by one regression.

The regression is scikit-learn's gradient boosting with histograms, at one setting for all labels, so that what it finds can be
compared between labels and between runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.text import table
from roomtrain.claims import claimed
from roomtrain.metrics import bootstrap, correlation, rmse
from roomtrain.targets import finite


@dataclass(frozen=True)
class Probed:
    """Embeddings and labels.

    Args:
        embeddings: "train" and "test" → (sample, number).
        labels: the same → label → (sample,), NaN where it could not be measured.
        groups: (sample,) of the test: what is not independent, such as the room.
    """

    embeddings: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, Mapping[str, NDArray[np.float64]]]
    groups: NDArray[np.str_]


def probe(run: Path, root: Path, *, protocol: str | None = None, device: str = "cpu", resamples: int = 1000) -> dict[str, Any]:
    """Return ``labels``: by name, correlation with its 95 % ``interval`` over groups, and RMSE, on ``n`` test samples.

    ``std`` is the label's own standard deviation over these: the RMSE of who always says the mean. Samples whose label could not be
    measured are left out; a correlation with what is constant is None.

    Args:
        run: a trained run of a paper that has embeddings.
        root: folder of ``roomgen paper``.
        protocol: None: the first of the run.

    Raises:
        RoomtrainError: a run without a frozen encoder, or an unknown protocol.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    from roomtrain.fabric import start_fabric
    from roomtrain.paper import Place
    from roomtrain.run import trained_weights

    paper, settings, cell = claimed(run)
    place = Place(start_fabric(device).device)
    chosen = paper.protocol(protocol or next(iter(paper.protocols)), list(paper.protocols))
    data = paper.open(root, place, training=False)
    found = paper.probed(settings, data, trained_weights(paper, settings, run, data), place, protocol=chosen)
    labels = {}
    for name, train in found.labels["train"].items():
        test = found.labels["test"][name]
        known, asked = np.isfinite(train), np.isfinite(test)
        if min(known.sum(), asked.sum()) < 2:
            continue
        regression = HistGradientBoostingRegressor(max_iter=150, max_leaf_nodes=8, early_stopping=False, random_state=0)
        fitted = regression.fit(found.embeddings["train"][known], train[known])
        estimate, truth = fitted.predict(found.embeddings["test"][asked]), test[asked]
        labels[name] = {
            "corr": finite(correlation(estimate, truth)),
            "interval": [finite(end) for end in bootstrap(correlation, estimate, truth, found.groups[asked], n=resamples)],
            "rmse": float(rmse(estimate, truth)),
            "std": float(truth.std()),
            "n": int(asked.sum()),
        }
    return {"run": str(run), "cell": cell, "protocol": chosen, "labels": labels}


def probe_text(result: dict[str, Any]) -> str:
    """Return what was found for reading."""
    rows = []
    for name, values in result["labels"].items():
        corr, low, high = ("—" if value is None else f"{value:.2f}" for value in (values["corr"], *values["interval"]))
        rows.append([name, corr, f"{low} to {high}", f"{values['rmse']:.3g}", f"{values['std']:.3g}"])
    title = f"{result['cell']}, protocol {result['protocol']!r}: labels read from embeddings by gradient boosting"
    return f"{title}\n{table(['label', 'correlation', '95 % over groups', 'RMSE', 'std of label'], rows)}"
