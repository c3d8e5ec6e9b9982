"""The scene classifier: a spectrogram transformer and one layer; what it hears of a scene is the embedding between them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from roomtrain.models.patchout import Patchout
from roomtrain.models.pretrained import load_pretrained
from roomtrain.models.vit import SceneHead, SpectrogramTransformer, ViTConfig
from roomtrain.papers.icl.mel import N_MELS
from roomtrain.papers.icl.settings import IclSettings, NetworkSettings
from roomtrain.seeds import Purpose, integer_seed

_PATCH = 16


class SceneClassifier(nn.Module):
    """Embeddings of seconds, and the logits of their scenes.

    Shape:
        x (batch, 1, 128, 100) → logits (batch, scene), embeddings (batch, dim)
    """

    def __init__(self, config: ViTConfig, n_scenes: int) -> None:
        super().__init__()
        self.transformer = SpectrogramTransformer(config)
        self.head = SceneHead(config.dim, n_scenes)

    def forward(self, x: Tensor, keep: Patchout | None = None, offset: Tensor | None = None) -> tuple[Tensor, Tensor]:
        embeddings = self.transformer(x, keep=keep, offset=offset)
        return self.head(embeddings), embeddings


def transformer_config(settings: NetworkSettings) -> ViTConfig:
    """Return the transformer's sizes: 128 bands, and positions for ``time_patches`` columns."""
    return ViTConfig(
        n_mels=N_MELS,
        n_frames=(settings.time_patches - 1) * settings.stride + _PATCH,
        dim=settings.dim,
        depth=settings.depth,
        heads=settings.heads,
        patch=(_PATCH, _PATCH),
        stride=(settings.stride, settings.stride),
    )


def new_classifier(settings: IclSettings, n_scenes: int, *, weights: bool = True) -> SceneClassifier:
    """Return a classifier as its seed initialises it, then with the weights of a file, if the settings name one.

    Args:
        weights: False: the file is not read, as where trained weights follow.

    Raises:
        RoomtrainError: a file that is missing, damaged, or of another network.
    """
    torch.manual_seed(integer_seed(settings.seed, Purpose.MODEL))
    model = SceneClassifier(transformer_config(settings.network), n_scenes)
    if weights and settings.network.weights:
        load_pretrained(model.transformer, Path(settings.network.weights))
    return model
