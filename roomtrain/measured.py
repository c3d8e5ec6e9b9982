"""From simulation to measurement: a trained run on speech through measured responses, whose labels are measured themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from roomgen.audio_math import resample
from roomgen.corpora.base import audio_files
from roomtrain.errors import RoomtrainError
from roomtrain.labels import measured_labels
from roomtrain.listen import Model, read_audio
from roomtrain.predictions import CLEAN, PREDICTIONS, read_predictions
from roomtrain.reverb import convolve

if TYPE_CHECKING:
    import pandas as pd

_BEFORE_S = 0.005  # of a response's peak: recorders start at any time before the direct sound


def evaluate_measured(model: Model, rirs: Path, speech: Path, *, windows: int = 64, run: Path | None = None) -> dict[str, Any]:
    """Return, for every measured response, what is true of it and what the networks hear in speech through it.

    Args:
        rirs: folder of responses, any rate; the first channel counts, high-passed and with its noise cut off before it is measured.
        speech: folder of dry speech; the first ``windows`` windows are used.
        run: the folder of the run, with its predictions: what the same heads are worth in the simulated test stands beside.

    Returns:
        ``speech_windows``; ``responses``: file, ``true`` and ``heard`` (mean and standard deviation over the windows) by target;
        ``error`` by target: mean absolute error and bias of the means over the responses. Where the run's predictions are there,
        also ``simulation``: the span of truths in the simulated test, and for responses within it, window by window,
        ``mean_absolute`` measured and simulated, and their ``ratio``. What no training has heard the like of (a hall of 7 s) is in
        ``error`` alone.

    Raises:
        RoomtrainError: a folder without audio, files that cannot be read, or a model without a target that responses are measured
            for.
    """
    targets = {target.name: target for target in model.listener.targets}
    if not any(target.measured for target in targets.values()):
        raise RoomtrainError(f"{model.paper.name} estimates nothing that can be measured in a response.")
    names = _files(rirs, "responses")
    dry = _speech(model, speech, windows)
    responses: list[dict[str, Any]] = []
    missed: dict[str, list[tuple[float, NDArray[np.float64]]]] = {name: [] for name in targets}
    for name in names:
        labels, outputs = _heard_through(model, rirs / name, dry)
        heard = {
            name: {"mean": float(y.double().mean()), "std": float(y.double().std(correction=0))} for name, y in outputs.items()
        }
        true = {name: labels[target.measured] for name, target in targets.items() if target.measured in labels}
        for target, value in true.items():
            missed[target].append((value, outputs[target].double().numpy() - value))
        responses.append({"file": name, "true": true, "heard": heard})
    error = {}
    for name, gaps in missed.items():
        if gaps:
            means = np.array([gap.mean() for _, gap in gaps])
            error[name] = {"mean_absolute": float(np.abs(means).mean()), "bias": float(means.mean()), "responses": len(gaps)}
    found = {"protocol": model.listener.protocol, "speech_windows": len(dry), "responses": responses, "error": error}
    if run is not None and (run / PREDICTIONS).is_file():
        found["simulation"] = _simulation(read_predictions(run), model.listener.protocol, missed)
    return found


def _heard_through(model: Model, path: Path, dry: torch.Tensor) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Return the labels of a measured response, and what the networks hear in speech through it: (window,) by target."""
    audio, fs_in_hz = read_audio(path)
    fs_hz = model.listener.fs_hz
    rir = resample(audio[:1], fs_in_hz=fs_in_hz, fs_hz=fs_hz)[0]
    labels = measured_labels(rir, fs_hz=fs_hz)
    rir = rir[max(int(np.abs(rir).argmax()) - round(_BEFORE_S * fs_hz), 0) :]
    bank = torch.as_tensor(rir[: model.listener.n_samples].copy())[None].expand(len(dry), -1)
    return labels, model.outputs(convolve(dry, bank))[1]


def _simulation(
    predictions: pd.DataFrame, protocol: str, missed: Mapping[str, Sequence[tuple[float, NDArray[np.float64]]]]
) -> dict[str, dict[str, Any]]:
    """Return by target how errors in measured rooms compare with those in the simulated test, see :func:`evaluate_measured`."""
    clean = predictions[(predictions["protocol"] == protocol) & (predictions["condition"] == CLEAN)]
    found: dict[str, dict[str, Any]] = {}
    for name, gaps in missed.items():
        mine = clean[clean["target"] == name]
        mine = mine[np.isfinite(mine["truth"].to_numpy())]
        if not len(mine) or not gaps:
            continue
        low, high = float(mine["truth"].min()), float(mine["truth"].max())
        within = [gap for value, gap in gaps if low <= value <= high]
        simulated = float((mine["estimate"] - mine["truth"]).abs().mean())
        measured = float(np.mean([np.abs(gap).mean() for gap in within])) if within else None
        found[name] = {
            "span": [low, high],
            "within": len(within),
            "outside": len(gaps) - len(within),
            "simulated": simulated,
            "measured": measured,
            "ratio": None if measured is None else measured / simulated,
        }
    return found


def _speech(model: Model, folder: Path, windows: int) -> torch.Tensor:
    pieces: list[np.ndarray[Any, np.dtype[np.float32]]] = []
    for name in _files(folder, "speech"):
        try:
            pieces += list(model.windows(*read_audio(folder / name)))
        except RoomtrainError as error:
            raise RoomtrainError(f"{folder / name}: {error}", exit_code=1) from None
        if len(pieces) >= windows:
            break
    return torch.as_tensor(np.stack(pieces[:windows]))


def _files(folder: Path, what: str) -> list[str]:
    if not folder.is_dir():
        raise RoomtrainError(f"{folder} is not a folder: give one with {what} as audio files.")
    names = audio_files(folder)
    if not names:
        raise RoomtrainError(f"{folder} holds no audio files: give a folder with {what}.")
    return names


def measured_text(model: Model, result: dict[str, Any]) -> str:
    """Return what was found for reading."""
    targets = {target.name: target for target in model.listener.targets}
    width = max(len(target.title) for target in targets.values())
    lines = [f"{result['speech_windows']} windows of speech through each response; heads of the protocol {result['protocol']!r}"]
    for response in result["responses"]:
        lines.append(response["file"])
        for name, heard in response["heard"].items():
            target = targets[name]
            if target.kind == "class":
                lines.append(f"  {target.title:<{width}} heard {100 * heard['mean']:.0f} % likely")
                continue
            true = response["true"].get(name)
            shown = "not measurable" if true is None else f"true {true:.2f}"
            lines.append(f"  {target.title:<{width}} {shown}, heard {heard['mean']:.2f} ± {heard['std']:.2f} {target.unit}")
    for name, error in result["error"].items():
        target = targets[name]
        lines.append(
            f"{target.title}: mean absolute error {error['mean_absolute']:.2f} {target.unit}, bias {error['bias']:+.2f}, "
            f"over {error['responses']} responses"
        )
    for name, beside in result.get("simulation", {}).items():
        target, (low, high) = targets[name], beside["span"]
        unit = target.unit
        there = f"what the test has ({low:.2f} to {high:.2f} {unit})"
        left = f"; left out: {beside['outside']} beyond {there}" if beside["outside"] else ""
        if beside["ratio"] is None:
            lines.append(f"{target.title}: no response is within {there}")
            continue
        lines.append(
            f"{target.title}, window by window: {beside['measured']:.2f} {unit} in measured rooms (responses: {beside['within']}), "
            f"{beside['simulated']:.2f} {unit} in the simulated test: {beside['ratio']:.2f} times{left}"
        )
    return "\n".join(lines)
