"""From simulation to measurement: a trained cell on speech through measured responses, whose parameters are measured themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from roomgen.acoustics.labels import measure
from roomgen.audio_math import resample
from roomgen.corpora.base import BrokenFile, audio_files, read_file
from roomtrain.errors import RoomtrainError
from roomtrain.papers.goetz.data import N_SAMPLES
from roomtrain.papers.goetz.listen import Listener, windows_of
from roomtrain.papers.goetz.settings import FS_HZ
from roomtrain.reverb import convolve


def evaluate_measured(listener: Listener, rirs: Path, speech: Path, *, windows: int = 64) -> dict[str, Any]:
    """Return, for every measured response, what is true of it and what the networks hear in speech through it.

    Args:
        rirs: folder of responses, any rate; the first channel counts, high-passed and with its noise cut off before it is measured.
        speech: folder of dry speech; the first ``windows`` windows of 4 s are used.

    Returns:
        ``speech_windows``; ``responses``: file, ``true`` and ``heard`` (mean and standard deviation over the windows) by target;
        ``error``: by target, mean absolute error and bias over the responses.

    Raises:
        RoomtrainError: a folder without audio, or files that cannot be read.
    """
    names = _files(rirs, "responses")
    dry = _speech(speech, windows)
    responses: list[dict[str, Any]] = []
    for name in names:
        try:
            audio, fs_hz = read_file(rirs, name)
        except BrokenFile as error:
            raise RoomtrainError(f"{rirs / name}: {error.reason}.", exit_code=1) from None
        rir = resample(audio[:1], fs_in_hz=fs_hz, fs_hz=FS_HZ)[0]
        true = true_values(rir)
        rir = rir[max(int(np.abs(rir).argmax()) - 80, 0) :]  # recorders start at any time before the direct sound
        bank = torch.as_tensor(rir[:N_SAMPLES].copy())[None].expand(len(dry), -1)
        heard = listener.outputs(convolve(dry, bank))
        estimates = {target: {"mean": float(y.mean()), "std": float(y.std(correction=0))} for target, (_, y) in heard.items()}
        responses.append({"file": name, "true": true, "heard": estimates})
    errors = {}
    for target in listener.parts:
        gaps = [r["heard"][target]["mean"] - r["true"][target] for r in responses if target in r["true"]]
        gaps = [gap for gap in gaps if np.isfinite(gap)]
        if gaps:
            errors[target] = {"mean_absolute": float(np.mean(np.abs(gaps))), "bias": float(np.mean(gaps)), "responses": len(gaps)}
    return {"protocol": listener.split_by, "speech_windows": len(dry), "responses": responses, "error": errors}


def true_values(rir: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, float]:
    """Return RT60, RT60 of the middle octaves and C50 of a measured response at 16 kHz; what cannot be measured is left out."""
    labels: dict[str, Any] = measure(rir, fs_hz=FS_HZ).as_dict()
    bands = np.asarray(labels["rt60_bands_s"], dtype=np.float64)
    values: dict[str, float] = {
        "rt60": float(labels["rt60_s"]),
        "rt60_mid": float(bands[2:4].mean()),
        "c50": float(labels["c50_db"]),
    }
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _speech(folder: Path, windows: int) -> torch.Tensor:
    pieces: list[np.ndarray[Any, np.dtype[np.float32]]] = []
    for name in _files(folder, "speech"):
        pieces += list(windows_of(folder / name))
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
