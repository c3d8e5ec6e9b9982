"""A paper's networks as ONNX: audio in, embedding and estimates out; checked against torch before anybody uses them.

What a :class:`roomtrain.listen.Listener` makes of audio becomes one graph, from the samples on: nobody has to compute a spectrogram
as we do. Any listener will do whose ``heard`` torch can trace for a batch of any size; where it takes a quicker way that a graph
cannot go, it asks ``torch.compiler.is_exporting()``.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from roomgen.store.folder import atomic
from roomtrain.errors import RoomtrainError
from roomtrain.estimation import answer
from roomtrain.listen import Listener

OPSET = 18
"""What torch's exporter writes without converting; read by onnxruntime from 1.14 (2023) on."""
TOLERANCE = 1e-3
"""How far an output may be from torch's: so much of its value, or of 1 (s, dB, °) where that is more."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")

_INPUT = "audio"
_SEED = 2023
_QUIET, _LOUD = 1e-4, 30.0


class CannotExport(RoomtrainError):
    """The networks do not become a graph."""


def missing_packages() -> list[str]:
    """Return the packages that ONNX needs and that are not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


class Graph(nn.Module):
    """A listener as a module whose parameters are those of its networks.

    Shape:
        (batch, time) → (batch, number) the embedding, then for each target (batch,), of a class the probabilities (batch, class)
    """

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self.networks = listener.modules
        self.listener = listener

    @property
    def names(self) -> list[str]:
        """What the outputs are called."""
        return ["embedding", *(target.name for target in self.listener.targets)]

    def forward(self, audio: Tensor) -> tuple[Tensor, ...]:
        embedding, outputs = self.listener.heard(audio)
        given = []
        for target in self.listener.targets:
            y = outputs[target.name]
            given.append(y.softmax(dim=1) if target.kind == "class" else answer(target, y))
        return embedding, *given


def write_onnx(listener: Listener, path: Path, *, metadata: Mapping[str, str] | None = None) -> dict[str, float]:
    """Write a listener, on the CPU and in evaluation mode, as an ONNX file, and check the file against torch.

    Args:
        metadata: kept in the file beside the graph.

    Returns:
        by output, how far onnxruntime is from torch at most, see :func:`differences`.

    Raises:
        CannotExport: torch makes no graph of it.
        RoomtrainError: the file gives something else than torch; it is removed.
    """
    graph = Graph(listener).eval()
    example = torch.from_numpy(_noise(2, listener.n_samples))
    with torch.no_grad(), _quietly():
        graph(example)  # what is kept when it is first asked for shall be numbers, and not the exporter's stand-ins for them
        try:
            program = torch.onnx.export(
                graph,
                (example,),
                input_names=[_INPUT],
                output_names=graph.names,
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:  # tracing stumbles over whatever a network does
            raise CannotExport(f"torch makes no ONNX graph of these networks ({_first_line(error)}).", exit_code=1) from None
        assert program is not None
        program.model.metadata_props.update(metadata or {})
        with atomic(path) as temporary:
            program.save(temporary, external_data=False)
    found = differences(graph, path)
    name = max(found, key=lambda one: found[one])
    if not found[name] <= TOLERANCE:
        path.unlink()
        raise RoomtrainError(
            f"the ONNX graph gives another {name} than torch: {found[name]:.2g} apart, where {TOLERANCE:g} is allowed. "
            "The file is removed; --no-onnx exports without it.",
            exit_code=1,
        )
    return found


def differences(graph: Graph, path: Path) -> dict[str, float]:
    """Return by output, how far a file run by onnxruntime is from torch at most: over the value, or over 1 where that is more.

    Compared on noise drawn from a seed in batches of 1, 2 and 6: quiet, loud, both in one batch, of a steep spectrum, half silent
    and silent. What is not finite on either side is infinitely far.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = dict.fromkeys(graph.names, 0.0)
    for audio in _signals(graph.listener.n_samples):
        with torch.no_grad():
            expected = graph(torch.from_numpy(audio))
        for name, theirs, ours in zip(found, session.run(graph.names, {_INPUT: audio}), expected, strict=True):
            target = next((target for target in graph.listener.targets if target.name == name), None)
            apart = _apart(theirs, ours.numpy(), angle=target is not None and target.kind == "angle")
            found[name] = max(found[name], apart)
    return found


def _apart(theirs: NDArray[np.float32], ours: NDArray[np.float32], *, angle: bool) -> float:
    if theirs.shape != ours.shape or not (np.isfinite(theirs).all() and np.isfinite(ours).all()):
        return float("inf")
    gap = theirs.astype(np.float64) - ours
    if angle:
        gap = (gap + 180.0) % 360.0 - 180.0
    return float((np.abs(gap) / np.maximum(1.0, np.abs(ours))).max())


def _signals(n_samples: int) -> Iterator[NDArray[np.float32]]:
    """Yield batches (batch, time) on which graph and torch are compared."""
    noise = _noise(6, n_samples)
    yield noise[:1]
    yield _QUIET * noise[:2]
    yield _LOUD * noise[:2]
    steep = np.cumsum(noise[2] - noise[2].mean(), dtype=np.float64) / 100.0
    half = noise[3] * (np.arange(n_samples) < n_samples // 2)
    yield np.stack([noise[0], _QUIET * noise[1], _LOUD * noise[4], steep, half, np.zeros(n_samples)]).astype(np.float32)


def _noise(batch: int, n_samples: int) -> NDArray[np.float32]:
    return np.random.default_rng(_SEED).standard_normal((batch, n_samples), dtype=np.float32) * np.float32(0.1)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's notes on packages that it could use too away from the command's own lines."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
