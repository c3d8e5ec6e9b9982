"""The device probe (section 5.4): what a frozen embedding still tells of the device, read by one layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from roomtrain.estimation import Shuffled
from roomtrain.models.vit import TOKENS, SceneHead
from roomtrain.papers.icl.data import Windows
from roomtrain.papers.icl.mel import scaled
from roomtrain.papers.icl.network import SceneClassifier
from roomtrain.seeds import Purpose, integer_seed
from roomtrain.task import Loss

_TOGETHER = 256


class Standardised(nn.Module):
    """Numbers of mean 0 and deviation 1 over the embeddings that it was made with: else the probe learns by their scale."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))

    def fit(self, embeddings: Tensor) -> None:
        """Take mean and deviation from (sample, dim); a number that never changes stays as it is."""
        deviation = embeddings.std(dim=0, correction=0)
        self.mean = embeddings.mean(dim=0)
        self.deviation = torch.where(deviation > 0, deviation, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation


class DeviceProbe(Shuffled):
    """LayerNorm and a layer from an embedding to its device; every device has the same weight in the loss.

    Args:
        embeddings: "train" and "val" → (sample, dim).
        devices: the same → (sample,) indices.
        n_devices: how many there are.
    """

    def __init__(
        self,
        embeddings: Mapping[str, Tensor],
        devices: Mapping[str, Tensor],
        *,
        n_devices: int,
        standardise: bool,
        batch: int,
        seed: int,
    ) -> None:
        super().__init__(seed=seed, n_train=len(embeddings["train"]), n_val=len(embeddings["val"]), batch=batch)
        self.name, self.embeddings, self.devices = "probe", embeddings, devices
        self.model = new_probe(embeddings["train"].shape[1], n_devices, seed=seed)
        if standardise:
            first = self.model[0]
            assert isinstance(first, Standardised)
            first.fit(embeddings["train"])
        counts = torch.bincount(devices["train"], minlength=n_devices).clamp(min=1)
        self.weight = (1.0 / counts).to(embeddings["train"])

    def device_batch(self, batch: tuple[str, Tensor], draws: object) -> tuple[Tensor, Tensor]:
        split, places = batch
        return self.embeddings[split][places], self.devices[split][places]

    def losses(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Iterator[Loss]:
        logits = model(batch[0]).float()
        found = logits.argmax(dim=1) == batch[1]
        yield Loss(functional.cross_entropy(logits, batch[1], weight=self.weight), {"accuracy": found.float().mean()})

    def count(self, batch: tuple[Tensor, Tensor]) -> int:
        return len(batch[1])


def new_probe(dim: int, n_devices: int, *, seed: int) -> nn.Sequential:
    """Return an untrained probe: (batch, dim) → (batch, device)."""
    torch.manual_seed(integer_seed(seed, Purpose.MODEL, sample=1))
    return nn.Sequential(Standardised(dim), SceneHead(dim, n_devices))


@torch.no_grad()
def heard(model: SceneClassifier, windows: Windows, *, layer: int = 0) -> tuple[Tensor, Tensor]:
    """Return the logits (window, scene) and the embeddings (window, dim) of windows, float32 on their device.

    Args:
        layer: the block, from 1, whose tokens' mean is the embedding; 0: the one that the scene is read from.
    """
    model.eval()
    logits, embeddings = [], []
    with _read_at(model, layer) as read:
        for part in torch.split(windows.log, _TOGETHER):
            y, z = model(scaled(part.float())[:, None])
            logits.append(y.float())
            embeddings.append(read.pop() if layer else z.float())
    return torch.cat(logits), torch.cat(embeddings)


@contextmanager
def _read_at(model: SceneClassifier, layer: int) -> Iterator[list[Tensor]]:
    read: list[Tensor] = []
    if not layer:
        yield read
        return

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        read.append(output[:, :TOKENS].mean(dim=1).float())

    handle = model.transformer.blocks[layer - 1].register_forward_hook(keep)
    try:
        yield read
    finally:
        handle.remove()
