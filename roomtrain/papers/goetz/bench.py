"""What is measured of a training step: spectrograms that are kept and that are made in every step, and ours against plain torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from roomtrain.bench import Bench, Case, compared
from roomtrain.losses import supcon
from roomtrain.papers.goetz.network import Encoder, ProjectionHead
from roomtrain.papers.goetz.settings import FS_HZ, SEGMENT_S
from roomtrain.papers.goetz.spectrogram import HOP, WINDOW, log_spectrogram

_BATCH, _AUGMENTATIONS = 72, 3


def against_torch(device: torch.device) -> dict[str, dict[str, float]]:
    """Return the times of ours and of plain torch: spectrograms of a batch, and a step's forward and backward pass."""
    torch.manual_seed(0)
    audio = torch.randn(_BATCH, int(SEGMENT_S * FS_HZ), device=device)
    spectrograms = log_spectrogram(audio, standardise=True)
    encoder, projection = Encoder().to(device), ProjectionHead().to(device)
    labels = torch.arange(_BATCH // _AUGMENTATIONS, device=device).repeat_interleave(_AUGMENTATIONS)

    def trained(maps: Callable[[Tensor], Tensor]) -> None:
        e = encoder.project(encoder.dropout(maps(spectrograms).flatten(1)))
        supcon(projection(nn.functional.normalize(e, dim=1)), labels, temperature=0.1).backward()  # type: ignore[no-untyped-call]

    return {
        "spectrograms": compared(device, lambda: log_spectrogram(audio, standardise=True), lambda: torch_spectrogram(audio)),
        "forward and backward": compared(device, lambda: trained(encoder.maps), lambda: trained(encoder.blocks)),
    }


def torch_spectrogram(audio: Tensor) -> Tensor:
    """Return what :func:`log_spectrogram` does, each standardised by itself, with ``torch.stft``."""
    window = torch.hann_window(WINDOW, device=audio.device)
    magnitude = torch.stft(audio, WINDOW, HOP, window=window, center=False, return_complex=True).abs()
    log = magnitude.clamp(min=1e-10).log()
    return (log - log.mean(dim=(1, 2), keepdim=True)) / log.std(dim=(1, 2), keepdim=True)


BENCH = Bench(
    {
        "hard": Case({"strategy": "hard"}, "spectrograms kept"),
        # As at the paper's size, where they would take 11 GB.
        "posind": Case({"strategy": "posind", "cache_gb": 0.0}, "spectrograms made in every step"),
    },
    scale=0.375,  # 24 rooms upstream, as many as a batch has
    # Mean and variance of a training set, and all spectrograms of several positions, would take longer than all steps.
    rehearsed={"strategy": "hard", "standardise": "spectrogram", "upstream.n_classes": 3},
    against_torch=against_torch,
)
