"""The paper's networks for anybody's speech, and their embeddings for probing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from roomgen.acoustics.bands import octave_centers
from roomtrain.draws import Draws
from roomtrain.errors import RoomtrainError
from roomtrain.estimation import build_head
from roomtrain.listen import Listener
from roomtrain.models.heads import Head
from roomtrain.paper import Place
from roomtrain.papers.goetz.data import SPLITS, DownstreamData, PaperData
from roomtrain.papers.goetz.network import EMBEDDING, Encoder
from roomtrain.papers.goetz.settings import FS_HZ, SEGMENT_S, GoetzSettings
from roomtrain.papers.goetz.spectrogram import log_spectrogram
from roomtrain.papers.goetz.stages import encoder_of, networks_of
from roomtrain.papers.goetz.tasks import embed_all, new_encoder
from roomtrain.probe import Probed
from roomtrain.targets import Target
from roomtrain.weights import Weights

_LABELS = ("rt60_s", "t20_s", "edt_s", "c50_db", "c80_db", "ts_s", "drr_db", "distance_m", "volume_m3", "surface_m2")
_BY_BAND = ("rt60_bands_s", "c50_bands_db")


class GoetzListener(Listener):
    """Encoder and heads of one protocol; a supervised cell has an encoder for every target, and the first one's embedding."""

    fs_hz = FS_HZ
    segment_s = SEGMENT_S

    def __init__(self, settings: GoetzSettings, weights: Weights | None, targets: Sequence[Target], protocol: str) -> None:
        self.targets, self.protocol = tuple(targets), protocol
        self._alone = settings.standardise == "spectrogram"
        self.modules = nn.ModuleDict()
        for target in targets:
            encoder, head = _untrained(settings, target) if weights is None else networks_of(settings, weights, protocol, target)
            if settings.strategy == "supervised" or "encoder" not in self.modules:
                self.modules["encoder" if settings.strategy != "supervised" else f"encoder_{target.name}"] = encoder
            self.modules[f"head_{target.name}"] = head

    def heard(self, windows: Tensor, *, levelled: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
        x = log_spectrogram(windows, standardise=self._alone)
        embeddings: dict[str, Tensor] = {}
        outputs = {}
        for target in self.targets:
            name = f"encoder_{target.name}" if f"encoder_{target.name}" in self.modules else "encoder"
            if name not in embeddings:
                encoder = self.modules[name]
                assert isinstance(encoder, Encoder)
                embeddings[name] = encoder(encoder.levelled(x) if levelled and not self._alone else x)
            outputs[target.name] = self.modules[f"head_{target.name}"](embeddings[name])
        return next(iter(embeddings.values())), outputs


def _untrained(settings: GoetzSettings, target: Target) -> tuple[Encoder, Head]:
    """Return the networks as they were made, for weights that come from elsewhere."""
    return new_encoder(settings), build_head(target, EMBEDDING, seed=settings.seed)


def probed(settings: GoetzSettings, data: PaperData, weights: Weights, place: Place, *, split_by: str) -> Probed:
    """Return embeddings and every label of the responses, of training and test samples.

    Raises:
        RoomtrainError: a supervised cell, which has no frozen encoder.
    """
    if settings.strategy == "supervised":
        raise RoomtrainError("a supervised cell has no frozen encoder: give a run of soft, hard, posind or untrained.")
    encoder = encoder_of(settings, weights).to(place.device)
    samples = data.downstream(settings, split_by=split_by)
    embeddings = {}
    for split in ("train", "test"):
        draws = Draws(settings.seed, split=SPLITS.index(split), device=place.device)
        embeddings[split] = embed_all(encoder, samples.spectrograms[split], samples.pairs[split], draws=draws).cpu().numpy()
    labels = {split: labels_of(samples, split) for split in embeddings}
    return Probed(embeddings, labels, samples.rows("test", "room_id").astype(str))


def labels_of(data: DownstreamData, split: str) -> dict[str, NDArray[np.float64]]:
    """Return every label of the samples of a split by name, (sample,) each; those of octaves as ``rt60_bands_s[500]``."""
    labels = {name: data.rows(split, name).astype(np.float64) for name in _LABELS}
    for name in _BY_BAND:
        bands = np.array(data.rows(split, name).tolist(), dtype=np.float64)
        centers_hz = octave_centers(data.spectrograms[split].rirs.fs_hz)[: bands.shape[1]]
        labels |= {f"{name}[{center:g}]": bands[:, band] for band, center in enumerate(centers_hz)}
    return labels
