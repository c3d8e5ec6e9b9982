"""The networks of Götz, Tuna, Walther and Habets, "Contrastive representation learning for acoustic parameter estimation" (2023).

    spectrogram ─Encoder─▶ e (64) ─ProjectionHead─▶ z (16)      upstream: z meets the contrastive loss; 157,082 parameters
                             └────Head──▶ RT60, C50 or volume   downstream: e of the frozen encoder; 237,163 parameters

Table 1 of the paper gives kernels and strides, figure 2 and section 3.4 the rest. Where it is silent or at odds with itself:

- Five channels in each convolution, and 32 hidden units in the projection (the text says 128). Of all pairs only this one has the
  157 k parameters of which 2,600 are the projection that the same section counts.
- Dropout of 0.2; no rate is given.
- e is normalised before it goes on to either head ("embeddings and their latent representations are l2-normalized").
- A :class:`Head` that classifies returns logits; the softmax is part of the cross entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from roomtrain.errors import RoomtrainError
from roomtrain.papers.goetz import folded

KERNELS = ((1, 4), (1, 4), (1, 4), (1, 4), (2, 4), (2, 4))
"""(frequency, time) of the six convolutions, table 1."""
STRIDES = ((1, 2), (1, 2), (1, 2), (1, 2), (1, 2), (2, 2))
"""Their steps in (frequency, time); nothing is padded."""
EMBEDDING = 64
"""Numbers in e."""
LATENT = 16
"""Numbers in z."""


@dataclass(frozen=True)
class EncoderConfig:
    """What of the encoder is a choice. The defaults are the paper's network.

    Args:
        n_bins: frequencies of a spectrogram.
        n_frames: its frames. The last layer is fully connected: an encoder takes spectrograms of one length.
        channels: of each convolution.
        dropout: share of the numbers that the fully connected layer does not see in training, in [0, 1).
        normalise: divide e by its length.

    Raises:
        RoomtrainError: a spectrogram too small for six convolutions, or a number out of range.
    """

    n_bins: int = 17
    n_frames: int = 3999
    channels: int = 5
    dropout: float = 0.2
    normalise: bool = True

    def __post_init__(self) -> None:
        if self.channels < 1 or not 0.0 <= self.dropout < 1.0:
            raise RoomtrainError(f"channels = {self.channels}, dropout = {self.dropout}: 1 or more, and in [0, 1).")
        if min(self.map_size) < 1:
            raise RoomtrainError(
                f"a spectrogram of {self.n_bins} bins × {self.n_frames} frames is too small for the encoder's six convolutions: "
                "take 3 bins and 190 frames (0.2 s at 16 kHz) or more."
            )

    @property
    def map_size(self) -> tuple[int, int]:
        """(frequency, time) after the convolutions: (8, 60) in the paper."""
        size = (self.n_bins, self.n_frames)
        for kernel, stride in zip(KERNELS, STRIDES, strict=True):
            size = ((size[0] - kernel[0]) // stride[0] + 1, (size[1] - kernel[1]) // stride[1] + 1)
        return size


class Encoder(nn.Module):
    """Six blocks of convolution, ReLU and batch normalisation; dropout; one fully connected layer. 154,474 parameters.

    What comes in is standardised by ``mean`` and ``deviation``, two buffers, 0 and 1 until :meth:`standardise_by` sets them.
    On a CPU the blocks go through :mod:`roomtrain.papers.goetz.folded`: the same function in 60 % of the time or less.

    Shape:
        (batch, 1, n_bins, n_frames) → (batch, 64), of length 1
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: EncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config if config is not None else EncoderConfig()
        channels = self.config.channels
        blocks: list[nn.Module] = []
        for index, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
            blocks += [nn.Conv2d(1 if index == 0 else channels, channels, kernel, stride), nn.ReLU(), nn.BatchNorm2d(channels)]
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(self.config.dropout)
        height, width = self.config.map_size
        self.project = nn.Linear(channels * height * width, EMBEDDING)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))

    def standardise_by(self, spectrograms: Tensor) -> None:
        """Subtract the mean of some spectrograms (of a training set, of any shape) from all to come, and divide by their deviation.

        Raises:
            RoomtrainError: they are alike everywhere, as of silence.
        """
        deviation, mean = torch.std_mean(spectrograms.float(), correction=0)
        if not float(deviation) > 1e-3:
            raise RoomtrainError(f"the spectrograms have a standard deviation of {float(deviation):g}: are the signals silent?")
        self.mean, self.deviation = mean.to(self.mean.device), deviation.to(self.deviation.device)

    def levelled(self, spectrogram: Tensor) -> Tensor:
        """Return spectrograms that are each as loud as the training set in the mean: for recordings whose gain nobody knows."""
        return spectrogram - (spectrogram.mean(dim=(1, 2, 3), keepdim=True) - self.mean)

    def forward(self, spectrogram: Tensor) -> Tensor:
        expected = (1, self.config.n_bins, self.config.n_frames)
        if tuple(spectrogram.shape[1:]) != expected:
            raise RoomtrainError(f"the encoder takes (batch, {', '.join(map(str, expected))}), not {tuple(spectrogram.shape)}.")
        e = self.project(self.dropout(self.maps(spectrogram).flatten(1)))
        return _unit(e) if self.config.normalise else e

    def maps(self, spectrogram: Tensor) -> Tensor:
        """Return the feature maps (batch, channel, frequency, time) of the six blocks."""
        pairs = self._pairs()
        if folded.applies(spectrogram, pairs):
            return folded.forward(spectrogram, pairs, scale=1.0 / self.deviation[None], shift=-(self.mean / self.deviation)[None])
        maps: Tensor = self.blocks((spectrogram - self.mean) / self.deviation)
        return maps

    def _pairs(self) -> list[folded.Block]:
        """The blocks as pairs of convolution and normalisation, for the quicker way through them on a CPU."""
        modules = list(self.blocks)
        return [
            (cast(nn.Conv2d, conv), cast(nn.BatchNorm2d, norm)) for conv, norm in zip(modules[0::3], modules[2::3], strict=True)
        ]


class ProjectionHead(nn.Module):
    """From e to z, on which the contrastive loss works; dropped after the upstream training. 2,608 parameters.

    Shape:
        (batch, 64) → (batch, 16), of length 1
    """

    def __init__(self, *, hidden: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(EMBEDDING, hidden), nn.ReLU(), nn.Linear(hidden, LATENT))

    def forward(self, e: Tensor) -> Tensor:
        return _unit(self.layers(e))


def _unit(x: Tensor) -> Tensor:
    """Divide the rows by their length, in float32: in half precision they would be off by up to 0.4 %."""
    return functional.normalize(x.float(), dim=1)
