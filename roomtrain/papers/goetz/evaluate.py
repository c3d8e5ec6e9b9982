"""What a trained cell is worth: the paper's metrics with intervals over rooms, and where the errors lie."""

from __future__ import annotations

import json
import platform
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import roomgen
from roomgen.files import write_text
from roomtrain.errors import RoomtrainError
from roomtrain.metrics import Metric, accuracy, bias, bootstrap, correlation, macro_precision, macro_recall, rmse
from roomtrain.models.heads import count_parameters
from roomtrain.papers.goetz.data import DownstreamData
from roomtrain.papers.goetz.run import CLEAN, LEVELLED, Training, trained_parts

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "results.json"
PREDICTIONS = "predictions.parquet"
RT60_EDGES_S = (0.0, 0.3, 0.5, 0.7, 1.0, 1.5, 10.0)

REGRESSION: dict[str, Metric] = {"rmse": rmse, "corr": correlation, "bias": bias}
CLASSIFICATION: dict[str, Metric] = {"accuracy": accuracy, "precision": macro_precision, "recall": macro_recall}


def metrics_of(target: str) -> dict[str, Metric]:
    """Return the metrics of a target by name, as Table 2 has them."""
    return CLASSIFICATION if target == "volume" else REGRESSION


def numbers(target: str, predicted: NDArray[Any], truth: NDArray[Any]) -> dict[str, float | None]:
    """Return a target's metrics; None for what cannot be computed (the correlation with a constant)."""
    return {name: finite(metric(predicted, truth)) for name, metric in metrics_of(target).items()}


def finite(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None


def train_and_measure(training: Training) -> dict[str, Any]:
    """Train a cell, write ``results.json`` and ``predictions.parquet`` into its folder, and return the results.

    What is trained already is only measured. ``seconds`` in the results is what this command took.
    """
    began = time.monotonic()
    settings = training.settings
    protocols: dict[str, Any] = {}
    tables = []
    for split_by, data, by_target in training.run():
        protocols[split_by] = {
            target: measure(data, target, conditions, resamples=settings.evaluation.resamples)
            for target, conditions in by_target.items()
        }
        tables.append(prediction_table(data, split_by, by_target))
    encoder, head = trained_parts(
        training.out, settings, settings.downstream.splits[0], settings.downstream.targets[0], torch.device("cpu")
    )
    results = {
        "paper": settings.paper,
        "cell": settings.cell,
        "strategy": settings.strategy,
        "temperature": settings.upstream.temperature if settings.contrastive else None,
        "preset": settings.preset,
        "reduced": settings.reduced,
        "seed": settings.seed,
        "settings_hash": settings.hash(),
        "data": training.fingerprint,
        "parameters": {"encoder": count_parameters(encoder), "head": count_parameters(head)},
        "protocols": protocols,
        "stages": stage_history(training.out),
        "seconds": round(time.monotonic() - began, 1),
        "device": describe_device(training.fabric.device),
        "versions": {"roomgen": roomgen.__version__, "torch": str(torch.__version__), "python": platform.python_version()},
    }
    if training.fabric.is_global_zero:
        save_predictions(training.out / PREDICTIONS, tables)
        write_text(training.out / RESULTS, json.dumps(results, indent=1) + "\n")
    return results


def read_results(path: Path) -> dict[str, Any]:
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
    if not isinstance(values, dict) or values.get("paper") != "goetz" or not isinstance(values.get("protocols"), dict):
        raise RoomtrainError(f"{path} holds no results of goetz.", exit_code=1)
    return values


def measure(data: DownstreamData, target: str, conditions: dict[str, Tensor], *, resamples: int) -> dict[str, Any]:
    """Return a target's metrics on the test samples.

    Returns:
        the metric's numbers; ``interval``: 95 % by bootstrap over rooms; ``n`` samples, ``rooms``; ``by_rt60_s``: the metric per
        bin of RT60; ``by_snr_db``: with white noise added; ``levelled``: with the level of each sample taken away (None where
        training knew none); ``baseline``: of a constant, the mean or the commonest class.
    """
    truth = data.target(target, "test").cpu().numpy()
    predicted = conditions[CLEAN].float().cpu().numpy()
    rooms = data.rows("test", "room_id").astype(str)
    train = data.target(target, "train").cpu().numpy()
    constant = np.full(len(truth), np.bincount(train).argmax() if target == "volume" else train.mean())
    return {
        **numbers(target, predicted, truth),
        "interval": {
            name: [finite(end) for end in bootstrap(metric, predicted, truth, rooms, n=resamples)]
            for name, metric in metrics_of(target).items()
        },
        "n": len(truth),
        "rooms": len(np.unique(rooms)),
        "baseline": numbers(target, constant, truth),
        "by_rt60_s": by_rt60(target, predicted, truth, data.rows("test", "rt60_s").astype(float)),
        "by_snr_db": {
            name.removesuffix(" dB"): numbers(target, values.float().cpu().numpy(), truth)
            for name, values in conditions.items()
            if name not in (CLEAN, LEVELLED)
        },
        "levelled": numbers(target, conditions[LEVELLED].float().cpu().numpy(), truth) if LEVELLED in conditions else None,
    }


def by_rt60(target: str, predicted: NDArray[Any], truth: NDArray[Any], rt60_s: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return the metrics of the samples in each bin of RT60 that has any: ``low`` ≤ RT60 < ``high``, ``n`` samples."""
    rows = []
    for low, high in pairwise(RT60_EDGES_S):
        inside = (rt60_s >= low) & (rt60_s < high)
        if inside.any():
            row = {"low": low, "high": high, "n": int(inside.sum())}
            rows.append({**row, **numbers(target, predicted[inside], truth[inside])})
    return rows


def prediction_table(data: DownstreamData, split_by: str, outputs: dict[str, dict[str, Tensor]]) -> pd.DataFrame:
    """Return a row per test sample: keys, room, truths and estimates."""
    import pandas as pd

    pairs, spectrograms = data.pairs["test"], data.spectrograms["test"]
    columns: dict[str, Any] = {
        "protocol": split_by,
        "rir_key": data.rows("test", "key"),
        "speech_key": spectrograms.speech.table["key"].to_numpy()[pairs.speech],
        "room_id": data.rows("test", "room_id").astype(str),
    }
    for target, conditions in outputs.items():
        columns[f"{target}_true"] = data.target(target, "test").cpu().numpy().astype(np.float32)
        columns[f"{target}_estimated"] = conditions[CLEAN].float().cpu().numpy()
    return pd.DataFrame(columns)


def save_predictions(path: Path, tables: list[pd.DataFrame]) -> None:
    """Write the tables one below another as Parquet."""
    import pandas as pd

    from roomgen.files import atomic

    with atomic(path) as temporary:
        pd.concat(tables, ignore_index=True).to_parquet(temporary, index=False)


def stage_history(run: Path) -> dict[str, Any]:
    """Return of each stage how many epochs it ran and its best validation loss, from its log: also after a resume."""
    from roomtrain.journal import LOG, read_log

    stages = {}
    for path in sorted(run.rglob(LOG)):
        losses = [line["loss"] for line in read_log(path.parent) if line["kind"] == "val"]
        if losses:
            best = int(np.argmin(losses))
            name = path.parent.relative_to(run).as_posix()
            stages[name] = {"epochs": len(losses), "best_epoch": best + 1, "best_val_loss": losses[best]}
    return stages


def describe_device(device: torch.device) -> str:
    """Return what a device is called."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"
