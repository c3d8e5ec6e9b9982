"""What a trained cell hears in anybody's recording: its embedding, RT60, C50 and the size of the room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roomgen.audio_math import resample
from roomgen.corpora.base import BrokenFile, read_file
from roomgen.errors import suggest
from roomtrain.errors import RoomtrainError
from roomtrain.papers.goetz.data import N_SAMPLES
from roomtrain.papers.goetz.run import read_claim, trained_parts
from roomtrain.papers.goetz.settings import FS_HZ, GoetzSettings
from roomtrain.papers.goetz.spectrogram import log_spectrogram

_TOGETHER = 64


@dataclass(frozen=True)
class Heard:
    """What was heard in one recording.

    Args:
        file: its name.
        windows: how many windows of 4 s it was cut into.
        embedding: (64,) the mean of the windows' embeddings.
        estimates: by target, the mean over the windows: seconds, dB, and for "volume" the probability of more than 160 m³.
        spread: by target, the standard deviation over the windows (0 for one).
    """

    file: str
    windows: int
    embedding: NDArray[np.float32]
    estimates: dict[str, float]
    spread: dict[str, float]


class Listener:
    """The networks of a run, ready for audio.

    Args:
        run: folder of a run that is trained.
        split_by: which protocol's heads; None: "room" where it was trained, else "sample".

    Raises:
        RoomtrainError: the folder is no run, or is not trained so far.
    """

    def __init__(self, run: Path, *, split_by: str | None = None, device: torch.device | str = "cpu") -> None:
        self.settings = GoetzSettings.model_validate(read_claim(run)["settings"])
        have = self.settings.downstream.splits
        self.split_by = split_by or ("room" if "room" in have else have[0])
        if self.split_by not in have:
            raise RoomtrainError(
                f"{run} has no heads for {self.split_by!r}.{suggest(self.split_by, have)} It has {', '.join(have)}."
            )
        self.device = torch.device(device)
        self.parts = {
            target: trained_parts(run, self.settings, self.split_by, target, self.device)
            for target in self.settings.downstream.targets
        }

    @torch.no_grad()
    def outputs(self, audio: Tensor, *, levelled: bool = True) -> dict[str, tuple[Tensor, Tensor]]:
        """Return, by target, the (window, 64) embeddings and (window,) estimates of (window, time) audio of 4 s at 16 kHz.

        ``levelled``: the gain of the audio says nothing; else it has the level of training: speech through the bare responses.
        """
        results: dict[str, tuple[list[Tensor], list[Tensor]]] = {target: ([], []) for target in self.parts}
        for start in range(0, len(audio), _TOGETHER):
            alone = self.settings.standardise == "spectrogram"
            x = log_spectrogram(audio[start : start + _TOGETHER].to(self.device), standardise=alone)
            for target, (encoder, head) in self.parts.items():
                e = encoder(encoder.levelled(x) if levelled and not alone else x)
                output = head(e)
                results[target][0].append(e.cpu())
                results[target][1].append((output.softmax(dim=1)[:, 1] if output.ndim == 2 else output).cpu())
        return {target: (torch.cat(e), torch.cat(y)) for target, (e, y) in results.items()}

    def hear(self, path: Path) -> Heard:
        """Return what is heard in an audio file of any rate and length; channels are averaged.

        Raises:
            RoomtrainError: not an audio file, or silent.
        """
        heard = self.outputs(torch.as_tensor(windows_of(path)))
        embedding = next(iter(heard.values()))[0].mean(dim=0).numpy()
        return Heard(
            file=str(path),
            windows=len(next(iter(heard.values()))[1]),
            embedding=embedding.astype(np.float32),
            estimates={target: float(y.mean()) for target, (_, y) in heard.items()},
            spread={target: float(y.std(correction=0)) for target, (_, y) in heard.items()},
        )


def windows_of(path: Path) -> NDArray[np.float32]:
    """Return (window, time) of an audio file at 16 kHz: windows of 4 s one after another; a shorter recording is repeated.

    What is left over at the end is taken with the audio before it, if it is half a window or more.

    Raises:
        RoomtrainError: not an audio file, or silent.
    """
    try:
        audio, fs_hz = read_file(path.parent, path.name)
    except BrokenFile as error:
        raise RoomtrainError(f"{path}: {error.reason}.", exit_code=1) from None
    mono = resample(audio.mean(axis=0, keepdims=True), fs_in_hz=fs_hz, fs_hz=FS_HZ)[0]
    if not np.isfinite(mono).all() or not mono.any():
        raise RoomtrainError(f"{path} is silent, or holds values that are not finite.", exit_code=1)
    if len(mono) < N_SAMPLES:
        return np.resize(mono, N_SAMPLES)[None].astype(np.float32)
    whole, rest = divmod(len(mono), N_SAMPLES)
    windows = [mono[i * N_SAMPLES : (i + 1) * N_SAMPLES] for i in range(whole)]
    if 2 * rest >= N_SAMPLES:
        windows.append(mono[-N_SAMPLES:])
    return np.stack(windows).astype(np.float32)


def as_plain(heard: Heard, *, embedding: bool = True) -> dict[str, Any]:
    """Return plain values for JSON."""
    values: dict[str, Any] = {
        "file": heard.file,
        "windows": heard.windows,
        "estimates": heard.estimates,
        "spread": heard.spread,
    }
    if embedding:
        values["embedding"] = [round(float(v), 6) for v in heard.embedding]
    return values
