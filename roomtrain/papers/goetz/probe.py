"""What embeddings know of a room beyond what they were tested for: every label of the responses, read from them by one regression.

The regression is scikit-learn's gradient boosting with histograms, at one setting for all labels, so that what it finds can be
compared between labels and between runs. It is no better than what the paper's heads find, but takes a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import octave_centers
from roomgen.errors import suggest
from roomgen.text import table
from roomtrain.checkpoint import read_weights
from roomtrain.errors import RoomtrainError
from roomtrain.metrics import bootstrap, correlation, rmse
from roomtrain.papers.goetz.data import DownstreamData, PaperData
from roomtrain.papers.goetz.evaluate import finite
from roomtrain.papers.goetz.run import ENCODER, read_claim
from roomtrain.papers.goetz.settings import GoetzSettings
from roomtrain.papers.goetz.tasks import embed_all, new_encoder

_LABELS = ("rt60_s", "t20_s", "edt_s", "c50_db", "c80_db", "ts_s", "drr_db", "distance_m", "volume_m3", "surface_m2")
_BY_BAND = ("rt60_bands_s", "c50_bands_db")


def probe(run: Path, root: Path, *, split_by: str = "sample", resamples: int = 1000) -> dict[str, Any]:
    """Return ``labels``: by name, correlation with its 95 % ``interval`` over rooms, and RMSE, on ``n`` test samples.

    ``std`` is the label's own standard deviation over these: the RMSE of who always says the mean. Samples whose label could not be
    measured are left out; a correlation with what is constant is None.

    Args:
        run: a trained contrastive cell, or the untrained one.
        root: folder of ``roomgen paper goetz``.
        split_by: the protocol.

    Raises:
        RoomtrainError: a run without a frozen encoder, or an unknown protocol.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    settings = GoetzSettings.model_validate(read_claim(run)["settings"])
    if split_by not in ("sample", "room"):
        raise RoomtrainError(f"unknown protocol {split_by!r}.{suggest(split_by, ('sample', 'room'))} Protocols: sample, room.")
    if not (run / ENCODER).is_file():
        raise RoomtrainError(f"{run} has no frozen encoder: give a finished run of soft, hard, posind or untrained.")
    encoder = new_encoder(settings)
    encoder.load_state_dict(read_weights(run / ENCODER))
    data = PaperData(root).downstream(settings, split_by=split_by)
    e = {split: embed_all(encoder, data.spectrograms[split], data.pairs[split]).numpy() for split in ("train", "test")}
    rooms = data.rows("test", "room_id").astype(str)
    train, test = labels_of(data, "train"), labels_of(data, "test")
    found = {}
    for name in train:
        known, asked = np.isfinite(train[name]), np.isfinite(test[name])
        if min(known.sum(), asked.sum()) < 2:
            continue
        regression = HistGradientBoostingRegressor(max_iter=150, max_leaf_nodes=8, early_stopping=False, random_state=0)
        estimate = regression.fit(e["train"][known], train[name][known]).predict(e["test"][asked])
        truth = test[name][asked]
        found[name] = {
            "corr": finite(correlation(estimate, truth)),
            "interval": [finite(end) for end in bootstrap(correlation, estimate, truth, rooms[asked], n=resamples)],
            "rmse": float(rmse(estimate, truth)),
            "std": float(truth.std()),
            "n": int(asked.sum()),
        }
    return {"run": str(run), "cell": settings.cell, "protocol": split_by, "labels": found}


def labels_of(data: DownstreamData, split: str) -> dict[str, NDArray[np.float64]]:
    """Return every label of the samples of a split by name, (sample,) each; those of octaves as ``rt60_bands_s[500]``."""
    labels = {name: data.rows(split, name).astype(np.float64) for name in _LABELS}
    for name in _BY_BAND:
        bands = np.array(data.rows(split, name).tolist(), dtype=np.float64)
        centers_hz = octave_centers(data.spectrograms[split].rirs.fs_hz)[: bands.shape[1]]
        labels |= {f"{name}[{center:g}]": bands[:, band] for band, center in enumerate(centers_hz)}
    return labels


def text(result: dict[str, Any]) -> str:
    """Return what was found for reading."""
    rows = []
    for name, values in result["labels"].items():
        corr, low, high = ("—" if value is None else f"{value:.2f}" for value in (values["corr"], *values["interval"]))
        rows.append([name, corr, f"{low} to {high}", f"{values['rmse']:.3g}", f"{values['std']:.3g}"])
    title = f"{result['cell']}, protocol {result['protocol']!r}: labels read from embeddings by gradient boosting"
    return f"{title}\n{table(['label', 'correlation', '95 % over rooms', 'RMSE', 'std of label'], rows)}"
