"""What a trained run hears in anybody's recording: ``roomtrain.load(RUN)``, and what a paper's networks give for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from roomgen.audio_math import resample
from roomgen.corpora.base import BrokenFile, read_file
from roomgen.text import pairs
from roomtrain.errors import RoomtrainError
from roomtrain.paper import Paper
from roomtrain.targets import Target

_TOGETHER = 64


class Listener(ABC):
    """A paper's networks for windows of audio of one rate and length."""

    fs_hz: int
    segment_s: float
    targets: tuple[Target, ...]
    protocol: str
    """Which training the heads are from."""
    any_level: bool = True
    """Whether audio that is made louder or quieter gives the same."""
    modules: nn.ModuleDict
    """All networks, under names of their own: what an export holds."""

    @abstractmethod
    def heard(self, windows: Tensor, *, levelled: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
        """Return embeddings and, by target, what its head gives.

        Args:
            windows: on the device of :attr:`modules`.
            levelled: the gain of the audio says nothing; else it has the level of the training's.

        Shape:
            windows (window, time) → (window, number), and (window,) or (window, class)
        """

    @property
    def n_samples(self) -> int:
        """Length of a window."""
        return round(self.segment_s * self.fs_hz)


@dataclass(frozen=True)
class Heard:
    """What was heard in one recording.

    Args:
        windows: how many windows it was cut into.
        embedding: (number,) the mean of the windows' embeddings.
        estimates: by target, the mean over the windows: in its unit, or of a class the probability of the last one (of two), or
            the index of the likeliest; a direction is the mean direction.
        spread: by target, the standard deviation over the windows (0 for one).
    """

    windows: int
    embedding: NDArray[np.float32]
    estimates: dict[str, float]
    spread: dict[str, float]


class Model:
    """A trained run, ready for audio of any rate and length; ``roomtrain.load`` makes one.

    Args:
        paper, listener: the paper, and its networks with their weights.
        cell: which cell of the paper's table they are of.
    """

    def __init__(self, paper: Paper, listener: Listener, *, cell: str, device: torch.device | str = "cpu") -> None:
        self.paper, self.listener, self.cell = paper, listener, cell
        self.targets = {target.name: target for target in listener.targets}  # with the classes of its data
        self.device = torch.device(device)
        listener.modules.to(self.device).eval()

    def embed(self, audio: ArrayLike, fs_hz: int) -> NDArray[np.float32]:
        """Return the (number,) embedding of a recording: the mean over its windows.

        Args:
            audio: (time,) or (channel, time); channels are averaged.
            fs_hz: its sampling rate.

        Raises:
            RoomtrainError: audio that is silent, not finite, or of another shape.
        """
        return self.hear(audio, fs_hz).embedding

    def estimate(self, audio: ArrayLike, fs_hz: int) -> dict[str, float]:
        """Return the estimates of a recording by target, see :class:`Heard`; arguments and errors as those of :meth:`embed`."""
        return self.hear(audio, fs_hz).estimates

    def hear(self, audio: ArrayLike, fs_hz: int) -> Heard:
        """Return all that is heard in a recording; arguments and errors as those of :meth:`embed`."""
        embeddings, outputs = self.outputs(torch.from_numpy(self.windows(audio, fs_hz)))
        return Heard(
            windows=len(embeddings),
            embedding=embeddings.mean(dim=0).numpy().astype(np.float32),
            estimates={name: _middle(self.targets[name], y) for name, y in outputs.items()},
            spread={name: _spread(self.targets[name], y) for name, y in outputs.items()},
        )

    @torch.no_grad()
    def outputs(self, windows: Tensor, *, levelled: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the embeddings and, by target, the estimates of (window, time) audio at the rate of the networks.

        Estimates are (window,): numbers, degrees, of two classes the probability of the second, of more the likeliest.
        """
        embeddings, found = [], []
        for start in range(0, len(windows), _TOGETHER):
            e, outputs = self.listener.heard(windows[start : start + _TOGETHER].to(self.device), levelled=levelled)
            embeddings.append(e.cpu())
            found.append({name: _estimate(self.targets[name], y).float().cpu() for name, y in outputs.items()})
        return torch.cat(embeddings), {name: torch.cat([part[name] for part in found]) for name in found[0]}

    def windows(self, audio: ArrayLike, fs_hz: int) -> NDArray[np.float32]:
        """Return (window, time) of a recording: windows one after another; one that is shorter than a window is repeated.

        What is left over at the end is taken with the audio before it, if it is half a window or more.
        """
        samples = np.atleast_2d(np.asarray(audio, dtype=np.float32))
        if samples.ndim != 2 or not samples.size or fs_hz < 1:
            raise RoomtrainError(f"audio is (time,) or (channel, time) at a rate above 0, not {samples.shape} at {fs_hz} Hz.")
        if not np.isfinite(samples).all() or not samples.any():
            raise RoomtrainError("the audio is silent, or holds values that are not finite.", exit_code=1)
        length = self.listener.n_samples
        mean = samples.mean(axis=0, keepdims=True)
        if not mean.any():
            raise RoomtrainError("the channels of the audio cancel each other: give one of them.", exit_code=1)
        mono = resample(mean, fs_in_hz=fs_hz, fs_hz=self.listener.fs_hz)[0]
        if len(mono) < length:
            return np.resize(mono, length)[None].astype(np.float32)
        whole, rest = divmod(len(mono), length)
        windows = [mono[i * length : (i + 1) * length] for i in range(whole)]
        if 2 * rest >= length:
            windows.append(mono[-length:])
        return np.stack(windows).astype(np.float32)

    def hear_file(self, path: Path) -> Heard:
        """Return what is heard in an audio file.

        Raises:
            RoomtrainError: not an audio file, or silent.
        """
        audio, fs_hz = read_audio(path)
        try:
            return self.hear(audio, fs_hz)
        except RoomtrainError as error:
            raise RoomtrainError(f"{path}: {error}", exit_code=1) from None


def load_model(path: Path | str, *, protocol: str | None = None, device: torch.device | str = "cpu") -> Model:
    """Return a trained run, or a folder that ``roomtrain export`` made, ready for audio.

    Args:
        path: the folder.
        protocol: which training the heads are from; None: the one that asks the most. An export has the heads of one.

    Raises:
        RoomtrainError: the folder is neither, not trained so far or damaged, or has no such protocol; or the paper does not listen.
    """
    from roomtrain.claims import claimed
    from roomtrain.export.folder import is_export, load_export

    folder = Path(path)
    if is_export(folder):
        return load_export(folder, protocol=protocol, device=device)
    from roomtrain.run import trained_weights

    paper, settings, cell = claimed(folder)
    with seeds_kept():
        listener = paper.listener(settings, trained_weights(paper, settings, folder), protocol=protocol)
    return Model(paper, listener, cell=cell, device=device)


@contextmanager
def seeds_kept() -> Iterator[None]:
    """Leave torch's random numbers as they were: networks are made from a seed, whoever loads them has one of their own."""
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if on_gpu else ()):
        yield


def read_audio(path: Path) -> tuple[NDArray[np.float32], int]:
    """Return (channel, time) and the sampling rate of an audio file.

    Raises:
        RoomtrainError: not an audio file.
    """
    try:
        return read_file(path.parent, path.name)
    except BrokenFile as error:
        raise RoomtrainError(f"{path}: {error.reason}.", exit_code=1) from None


def _estimate(target: Target, output: Tensor) -> Tensor:
    from roomtrain.estimation import answer

    if target.kind == "class" and len(target.classes) == 2:
        return output.softmax(dim=1)[:, 1]
    return answer(target, output)


def _middle(target: Target, y: Tensor) -> float:
    if target.kind == "angle":
        return target.constant(y.numpy())
    if target.kind == "class" and len(target.classes) > 2:
        return target.constant(y.numpy())
    return float(y.mean())


def _spread(target: Target, y: Tensor) -> float:
    if target.kind == "angle":
        return float(((y - _middle(target, y) + 180) % 360 - 180).square().mean().sqrt())
    return float(y.std(correction=0))


def heard_text(model: Model, heard: Heard) -> dict[str, str]:
    """Return a line for every target, for reading."""
    lines = {}
    seconds = model.listener.segment_s
    for target in model.listener.targets:
        value, spread = heard.estimates[target.name], heard.spread[target.name]
        if target.kind == "class":
            shown = target.classes[int(value)]
            if len(target.classes) == 2:  # the value is the probability of the second
                shown = f"{target.classes[value >= 0.5]}, {100 * max(value, 1 - value):.0f} % likely"
        else:
            around = f" ± {spread:.2f} over {heard.windows} windows of {seconds:g} s" if heard.windows > 1 else ""
            shown = f"{value:.2f} {target.unit or '°'}{around or f' (one window of {seconds:g} s)'}"
        lines[f"  {target.title or target.name}"] = shown
    return lines


def as_plain(file: Path, heard: Heard) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {
        "file": str(file),
        "windows": heard.windows,
        "estimates": heard.estimates,
        "spread": heard.spread,
        "embedding": [round(float(v), 6) for v in heard.embedding],
    }


def files_text(model: Model, files: list[Path], heard: list[Heard]) -> str:
    """Return what was heard in some files, for reading."""
    return "\n".join(pairs({path.name: ""} | heard_text(model, one)) for path, one in zip(files, heard, strict=True))
