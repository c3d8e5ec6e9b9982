"""Where the time of a training step goes, and the fast paths against plain torch in the same run."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from roomgen.text import pairs
from roomtrain.losses import supcon
from roomtrain.papers.goetz.network import Encoder, ProjectionHead

_BATCH, _AUGMENTATIONS = 72, 3
_TIMES = 7


def run(data: Path | None, *, device: str, precision: str, steps: int) -> dict[str, Any]:
    """Return medians in milliseconds; with ``data`` those of the real upstream, else of a small dataset made for it.

    Returns:
        ``machine``; ``step``: hard (spectrograms kept) and posind (made in every step), each with ``data``, ``forward``,
        ``backward``, ``optimizer`` in ms and ``data_share``; ``against_torch``: ms of ours and of plain torch, and their ratio.
    """
    from roomtrain.commands.common import start_fabric

    fabric = start_fabric(device, precision)
    result: dict[str, Any] = {
        "machine": {"device": _describe(fabric.device), "torch": torch.__version__, "cores": os.cpu_count(), "precision": precision}
    }
    with tempfile.TemporaryDirectory() as folder:
        root = data if data is not None else _small_data(Path(folder))
        result["step"] = {strategy: _step(root, strategy, fabric, steps) for strategy in ("hard", "posind")}
    result["against_torch"] = _against_torch(fabric.device)
    return result


def text(result: dict[str, Any]) -> str:
    """Return the results as tables."""
    parts = [pairs(result["machine"])]
    for strategy, split in result["step"].items():
        rows = {name: f"{split[name]:8.1f} ms" for name in ("data", "forward", "backward", "optimizer", "whole")}
        rows["data's share"] = f"{100 * split['data_share']:8.1f} %"
        rows["an epoch of 128"] = f"{split['whole'] * 0.128:8.1f} s"
        how = "kept" if split["kept"] else "made in every step"
        parts.append(f"a step of {strategy} ({_BATCH} samples, spectrograms {how})\n{pairs(rows)}")
    rows = {
        name: f"{ours['ours_ms']:8.1f} ms, torch {ours['torch_ms']:8.1f} ms: {ours['ratio']:.2f} times as fast"
        for name, ours in result["against_torch"].items()
    }
    parts.append(f"against plain torch\n{pairs(rows)}")
    return "\n\n".join(parts)


def _step(root: Path, strategy: str, fabric: Any, steps: int) -> dict[str, Any]:
    from roomtrain.config import load_settings
    from roomtrain.papers.goetz.data import PaperData
    from roomtrain.papers.goetz.settings import GoetzSettings
    from roomtrain.papers.goetz.tasks import Contrastive

    upstream = PaperData(root, device=fabric.device)
    overrides: dict[str, Any] = {"strategy": strategy}
    settings = load_settings("goetz", "paper", overrides, model=GoetzSettings)
    task = Contrastive(settings, upstream.upstream(settings))
    optimizer = torch.optim.Adam(task.model.parameters(), lr=1e-3)
    model, optimizer = fabric.setup(task.model, optimizer)
    model.train()
    spent: dict[str, list[float]] = {"data": [], "forward": [], "backward": [], "optimizer": []}
    for step in range(steps + 2):
        marks = [_now(fabric.device)]
        batch = task.train_batch(0, step)
        marks.append(_now(fabric.device))
        loss = task.loss(model, batch)["loss"]
        marks.append(_now(fabric.device))
        optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        marks.append(_now(fabric.device))
        optimizer.step()
        marks.append(_now(fabric.device))
        if step >= 2:  # the first ones take memory and choose kernels
            for name, before, after in zip(spent, marks[:-1], marks[1:], strict=True):
                spent[name].append(1e3 * (after - before))
    middle: dict[str, Any] = {name: median(values) for name, values in spent.items()}
    whole = sum(middle.values())
    return {**middle, "whole": whole, "data_share": middle["data"] / whole, "kept": "train" in task.kept}


def _against_torch(device: torch.device) -> dict[str, dict[str, float]]:
    from roomtrain.papers.goetz.spectrogram import log_spectrogram

    torch.manual_seed(0)
    audio = torch.randn(_BATCH, 64_000, device=device)
    spectrograms = log_spectrogram(audio, standardise=True)
    encoder, projection = Encoder().to(device), ProjectionHead().to(device)
    labels = torch.arange(_BATCH // _AUGMENTATIONS, device=device).repeat_interleave(_AUGMENTATIONS)

    def trained(maps: Callable[[Tensor], Tensor]) -> None:
        e = encoder.project(encoder.dropout(maps(spectrograms).flatten(1)))
        supcon(projection(nn.functional.normalize(e, dim=1)), labels, temperature=0.1).backward()  # type: ignore[no-untyped-call]

    return {
        "spectrograms": _compared(device, lambda: log_spectrogram(audio, standardise=True), lambda: _torch_spectrogram(audio)),
        "forward and backward": _compared(device, lambda: trained(encoder.maps), lambda: trained(encoder.blocks)),
    }


def _compared(device: torch.device, ours: Callable[[], Any], plain: Callable[[], Any]) -> dict[str, float]:
    """Return medians of both, taken in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(_TIMES + 1):
        for kept, function in zip(times, (ours, plain), strict=True):
            begun = _now(device)
            function()
            if number:
                kept.append(1e3 * (_now(device) - begun))
    mine, theirs = median(times[0]), median(times[1])
    return {"ours_ms": mine, "torch_ms": theirs, "ratio": theirs / mine}


def _torch_spectrogram(audio: Tensor) -> Tensor:
    """The same spectrograms with torch.stft."""
    window = torch.hann_window(32, device=audio.device)
    magnitude = torch.stft(audio, 32, 16, window=window, center=False, return_complex=True).abs()
    log = magnitude.clamp(min=1e-10).log()
    return (log - log.mean(dim=(1, 2), keepdim=True)) / log.std(dim=(1, 2), keepdim=True)


def _small_data(folder: Path) -> Path:
    """Make a small version of the paper's data: the time of a step does not depend on how much there is."""
    from roomgen.run.local import available_cores
    from roomgen.run.paper_parts import Given
    from roomgen.run.papers import make_paper

    make_paper("goetz", folder, Given(scale=0.4), workers=available_cores(), progress=False)
    return folder


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _describe(device: torch.device) -> str:
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
