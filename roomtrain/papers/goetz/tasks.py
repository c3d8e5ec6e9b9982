"""The paper's two kinds of training from spectrograms as tasks for the loop: contrastive, and supervised end to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from roomtrain.augment import roll_each
from roomtrain.draws import Draws
from roomtrain.estimation import Shuffled, build_head, target_loss
from roomtrain.losses import supcon
from roomtrain.papers.goetz.data import N_FRAMES, DownstreamData, Pairs, Spectrograms, UpstreamData, bytes_of
from roomtrain.papers.goetz.network import EMBEDDING, Encoder, EncoderConfig, ProjectionHead
from roomtrain.papers.goetz.sampling import Batch, BatchSampler
from roomtrain.papers.goetz.settings import GoetzSettings
from roomtrain.processes import gathered
from roomtrain.seeds import Purpose, integer_seed
from roomtrain.targets import Target
from roomtrain.task import SPLITS, Loss, Task


def new_encoder(settings: GoetzSettings, train: Spectrograms | None = None) -> Encoder:
    """Return an encoder as its seed initialises it; it standardises by the training set, if the settings say so."""
    torch.manual_seed(integer_seed(settings.seed, Purpose.MODEL))
    encoder = Encoder(EncoderConfig(dropout=settings.dropout, normalise=settings.normalise))
    if train is not None and settings.standardise == "dataset":
        encoder.standardise_by(train.some(settings.seed))
    return encoder


class Contrastive(Task):
    """Upstream: samples with one response (posind: of one room) shall lie together, all others apart.

    The loss is SupCon, the mean over the anchors; ``nearest`` is the share of samples whose nearest neighbour in the batch is of
    their class. With several processes each computes its share of the spectrograms and embeddings; the loss is that of the whole
    batch. Where all spectrograms of a split fit into ``cache_gb`` they are made once, unless training noise makes each a new one.
    """

    name = "upstream"

    def __init__(self, settings: GoetzSettings, data: UpstreamData, *, rank: int = 0, world: int = 1) -> None:
        self.settings, self.data = settings, data
        upstream = settings.upstream
        self.sizes = {"train": upstream.batches, "val": upstream.val_batches}
        self.encoder = new_encoder(settings, data.splits["train"])
        self.model = nn.Sequential(self.encoder, ProjectionHead())
        self.rank, self.world = rank, world
        self._samplers = {
            split: BatchSampler(
                settings.strategy,
                data.room_of_rir,
                n_speech=len(spectrograms.speech),
                seed=integer_seed(settings.seed, Purpose.BATCH, sample=number),
                n_classes=upstream.n_classes,
                n_augmentations=upstream.n_augmentations,
                all_rirs=upstream.every_rir,
            )
            for number, (split, spectrograms) in enumerate(data.splits.items())
        }
        counts = {split: len(s.rirs) * len(s.speech) for split, s in data.splits.items()}
        self.keeps = worth_keeping(settings, counts)
        self._kept: dict[str, Tensor] = {}

    def sampled(self, split: str, epoch: int, step: int) -> Batch:
        """Return which response meets which speech in a batch, of all processes."""
        return self._samplers[split].batch(epoch, step)

    def host_batch(self, split: str, epoch: int, step: int) -> Any:
        sampled = self.sampled(split, epoch if split == "train" else 0, step)
        own = sampled.part(self.rank, self.world)
        number = own.rir * len(self.data.splits[split].speech) + own.speech  # of the pair
        place = step * len(sampled.label) + self.rank * len(own.label) + np.arange(len(own.label))  # in the epoch
        return split, *map(torch.from_numpy, (own.rir, own.speech, number, place, own.label))

    def device_batch(self, batch: tuple[str, Tensor, Tensor, Tensor, Tensor, Tensor], draws: Draws) -> tuple[Tensor, Tensor]:
        split, rir, speech, number, place, label = batch
        if split in self.keeps:
            x = self._all_of(split, draws)[number].float()
        else:
            x = self.data.splits[split].make(rir, speech, number, draws=draws)
        return augmented(self.settings, x, place, draws) if split == "train" else x, label

    def _all_of(self, split: str, draws: Draws) -> Tensor:
        if split not in self._kept:
            spectrograms = self.data.splits[split]
            rirs, speech = len(spectrograms.rirs), len(spectrograms.speech)
            grid = np.stack(np.meshgrid(np.arange(rirs), np.arange(speech), indexing="ij")).reshape(2, -1)
            self._kept[split] = spectrograms.all(Pairs(grid[0], grid[1], np.arange(grid.shape[1])), draws=draws)
        return self._kept[split]

    def losses(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Iterator[Loss]:
        spectrograms, labels = batch
        z = model(spectrograms)
        if self.world > 1:
            z, labels = gathered(z), gathered(labels)
        loss = supcon(z, labels, temperature=self.settings.upstream.temperature, reduction="mean")
        with torch.no_grad():
            similarity = (z @ z.T).fill_diagonal_(-2.0)
            nearest = (labels[similarity.argmax(dim=1)] == labels).float().mean()
        yield Loss(loss, {"nearest": nearest})

    def count(self, batch: tuple[Tensor, Tensor]) -> int:
        return len(batch[1])

    def keys(self, epoch: int, step: int) -> list[str]:
        sampled = self.sampled("train", epoch, step)
        return self.data.splits["train"].keys(Pairs(sampled.rir, sampled.speech, sampled.rir))


class Supervised(Shuffled):
    """The baseline: encoder and head end to end, with dropout.

    Args:
        kept: spectrograms of the splits that are kept, filled when they are first asked for; all targets share them.
    """

    def __init__(
        self,
        settings: GoetzSettings,
        target: Target,
        data: DownstreamData,
        kept: dict[str, Tensor],
        *,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        counts = {split: len(data.pairs[split]) for split in SPLITS}
        super().__init__(
            seed=settings.seed,
            n_train=counts["train"],
            n_val=counts["val"],
            batch=settings.downstream.batch,
            rank=rank,
            world=world,
        )
        self.name, self.settings, self.target, self.data = f"supervised {target.name}", settings, target, data
        self.truth = {split: data.truth(target, split) for split in SPLITS}
        encoder = new_encoder(settings, data.spectrograms["train"])
        self.model = nn.Sequential(encoder, build_head(target, EMBEDDING, seed=settings.seed, truth=self.truth["train"]))
        self.keeps = worth_keeping(settings, counts)
        self._kept = kept

    def host_batch(self, split: str, epoch: int, step: int) -> Any:
        places = self.own_places(split, epoch, step)
        return split, places, *self.data.pairs[split].part(places.numpy()).tensors()

    def device_batch(self, batch: tuple[str, Tensor, Tensor, Tensor, Tensor], draws: Draws) -> tuple[Tensor, Tensor]:
        split, places, *pairs = batch
        if split in self.keeps:
            if split not in self._kept:
                self._kept[split] = self.data.spectrograms[split].all(self.data.pairs[split], draws=draws)
            x = self._kept[split][places].float()
        else:
            x = self.data.spectrograms[split].make(*pairs, draws=draws)
        return augmented(self.settings, x, places, draws) if split == "train" else x, self.truth[split][places]

    def losses(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Iterator[Loss]:
        yield target_loss(self.target, model(batch[0]), batch[1])

    def count(self, batch: tuple[Tensor, Tensor]) -> int:
        return len(batch[1])

    def keys(self, epoch: int, step: int) -> list[str]:
        return self.data.spectrograms["train"].keys(self.data.pairs["train"].part(self.places(epoch, step)))


def worth_keeping(settings: GoetzSettings, counts: dict[str, int]) -> set[str]:
    """Return the splits whose so many spectrograms are made once: what fits the limit, and does not change from epoch to epoch."""
    kept, left = set(), settings.cache_gb * 1e9
    for split, count in counts.items():
        anew = split == "train" and settings.snr_db is not None
        if not anew and bytes_of(count) <= left:
            kept.add(split)
            left -= bytes_of(count)
    return kept


def augmented(settings: GoetzSettings, x: Tensor, samples: Tensor, draws: Draws) -> Tensor:
    """Return spectrograms turned round in time and with other gains, if set.

    Args:
        x: (batch, 1, frequency, time)
        samples: (batch,) their numbers in the epoch.
    """
    if settings.shift:
        x = roll_each(x, draws.integers(Purpose.CROP, samples, N_FRAMES))
    if settings.gain_db:
        # To natural logarithms of power, which the spectrograms are.
        limit = settings.gain_db * float(np.log(10.0)) / 10.0
        x = x + draws.uniform(Purpose.GAIN, samples, None, -limit, limit)[:, None, None, None]
    return x


@torch.no_grad()
def embed_all(
    encoder: Encoder,
    spectrograms: Spectrograms,
    pairs: Pairs,
    *,
    draws: Draws,
    snr_db: tuple[float, float] | None = None,
    levelled: bool = False,
) -> Tensor:
    """Return the (sample, 64) embeddings of a frozen encoder (batch normalisation as it was learned, no dropout).

    ``levelled``: each spectrogram as loud as the training set in the mean, see :meth:`Encoder.levelled`.
    """
    encoder.eval()
    batches: Sequence[Tensor] | Iterator[Tensor] = spectrograms.batches(pairs, draws=draws, snr_db=snr_db)
    return torch.cat([encoder(encoder.levelled(batch) if levelled else batch) for batch in batches])
