"""From simulation to measurement: a trained run on speech through measured responses, whose labels are measured themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from roomgen.audio_math import resample
from roomgen.corpora.base import audio_files
from roomtrain.errors import RoomtrainError
from roomtrain.labels import measured_labels
from roomtrain.listen import Model, read_audio
from roomtrain.reverb import convolve

_BEFORE_S = 0.005  # of a response's peak: recorders start at any time before the direct sound


def evaluate_measured(model: Model, rirs: Path, speech: Path, *, windows: int = 64) -> dict[str, Any]:
    """Return, for every measured response, what is true of it and what the networks hear in speech through it.

    Args:
        rirs: folder of responses, any rate; the first channel counts, high-passed and with its noise cut off before it is measured.
        speech: folder of dry speech; the first ``windows`` windows are used.

    Returns:
        ``speech_windows``; ``responses``: file, ``true`` and ``heard`` (mean and standard deviation over the windows) by target;
        ``error``: by target, mean absolute error and bias over the responses.

    Raises:
        RoomtrainError: a folder without audio, files that cannot be read, or a model without a target that responses are measured
            for.
    """
    targets = {target.name: target for target in model.listener.targets}
    if not any(target.measured for target in targets.values()):
        raise RoomtrainError(f"{model.paper.name} estimates nothing that can be measured in a response.")
    names = _files(rirs, "responses")
    dry = _speech(model, speech, windows)
    fs_hz = model.listener.fs_hz
    responses: list[dict[str, Any]] = []
    for name in names:
        audio, fs_in_hz = read_audio(rirs / name)
        rir = resample(audio[:1], fs_in_hz=fs_in_hz, fs_hz=fs_hz)[0]
        labels = measured_labels(rir, fs_hz=fs_hz)
        rir = rir[max(int(np.abs(rir).argmax()) - round(_BEFORE_S * fs_hz), 0) :]
        bank = torch.as_tensor(rir[: model.listener.n_samples].copy())[None].expand(len(dry), -1)
        _, outputs = model.outputs(convolve(dry, bank))
        heard = {name: {"mean": float(y.mean()), "std": float(y.std(correction=0))} for name, y in outputs.items()}
        true = {name: labels[target.measured] for name, target in targets.items() if target.measured in labels}
        responses.append({"file": name, "true": true, "heard": heard})
    errors = {}
    for name in targets:
        gaps = [r["heard"][name]["mean"] - r["true"][name] for r in responses if name in r["true"]]
        if gaps:
            errors[name] = {"mean_absolute": float(np.mean(np.abs(gaps))), "bias": float(np.mean(gaps)), "responses": len(gaps)}
    return {"protocol": model.listener.protocol, "speech_windows": len(dry), "responses": responses, "error": errors}


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
    return "\n".join(lines)
