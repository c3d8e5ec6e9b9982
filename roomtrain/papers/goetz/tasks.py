"""The paper's three kinds of training as tasks for the loop: contrastive, heads on frozen embeddings, and supervised end to end."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from roomtrain.losses import supcon
from roomtrain.models.batch_norm import globalise
from roomtrain.models.heads import Head
from roomtrain.papers.goetz.data import N_FRAMES, DownstreamData, Pairs, Spectrograms, UpstreamData, bytes_of, shifted
from roomtrain.papers.goetz.network import EMBEDDING, Encoder, EncoderConfig, ProjectionHead
from roomtrain.papers.goetz.sampling import Batch, BatchSampler
from roomtrain.papers.goetz.settings import GoetzSettings
from roomtrain.seeds import Purpose, generator, integer_seed
from roomtrain.task import Task

_EVALUATED_TOGETHER = 256


def new_encoder(settings: GoetzSettings, train: Spectrograms | None = None) -> Encoder:
    """Return an encoder as its seed initialises it; it standardises by the training set, if the settings say so."""
    torch.manual_seed(integer_seed(settings.seed, Purpose.MODEL))
    encoder = Encoder(EncoderConfig(dropout=settings.dropout, normalise=settings.normalise))
    if train is not None and settings.standardise == "dataset":
        encoder.standardise_by(train.some(settings.seed))
    return encoder


class Contrastive(Task):
    """Upstream: samples with one response (posind: of one room) shall lie together, all others apart.

    :meth:`loss` returns ``loss`` (SupCon, mean over the anchors) and ``nearest`` (share of samples whose nearest neighbour in the
    batch is of their class). With several processes each computes its share of the spectrograms and embeddings; the loss is that of
    the whole batch.
    """

    name = "upstream"

    def __init__(self, settings: GoetzSettings, data: UpstreamData, *, rank: int = 0, world: int = 1) -> None:
        self.settings, self.data = settings, data
        upstream = settings.upstream
        self.train_steps, self.val_steps = upstream.batches, upstream.val_batches
        self.encoder = new_encoder(settings, data.splits["train"])
        self.projection = ProjectionHead()
        self.model = nn.Sequential(self.encoder, self.projection)
        self.rank, self.world = rank, world
        if world > 1:
            globalise(self.model)
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
        self.kept = self._keep()

    def _keep(self) -> dict[str, Tensor]:
        """Return the spectrograms that are worth keeping: of every response with all speech, where that fits the limit."""
        kept: dict[str, Tensor] = {}
        left = self.settings.cache_gb * 1e9
        for split, spectrograms in self.data.splits.items():
            rirs, speech = len(spectrograms.rirs), len(spectrograms.speech)
            if bytes_of(rirs * speech) <= left:
                grid = np.stack(np.meshgrid(np.arange(rirs), np.arange(speech), indexing="ij")).reshape(2, -1)
                kept[split] = spectrograms.all(Pairs(grid[0], grid[1], np.arange(grid.shape[1])))
                left -= bytes_of(rirs * speech)
        return kept

    def sampled(self, split: str, epoch: int, step: int) -> Batch:
        """Return which response meets which speech in a batch."""
        return self._samplers[split].batch(epoch, step)

    def train_batch(self, epoch: int, step: int) -> Any:
        sampled = self.sampled("train", epoch, step)
        x, labels = self._batch("train", sampled)
        count = len(sampled.label)
        size = count // self.world
        own = slice(self.rank * size, (self.rank + 1) * size)
        return augmented(self.settings, x, own, epoch=epoch, step=step, count=count), labels

    def val_batch(self, step: int) -> Any:
        return self._batch("val", self.sampled("val", 0, step))

    def _batch(self, split: str, sampled: Batch) -> tuple[Tensor, Tensor]:
        spectrograms = self.data.splits[split]
        mine = sampled.part(self.rank, self.world)
        rir, speech = mine.rir, mine.speech
        number = rir * len(spectrograms.speech) + speech
        if split in self.kept:
            x = self.kept[split][torch.as_tensor(number, device=self.kept[split].device)].float()
        else:
            x = spectrograms.make(Pairs(rir, speech, number))
        return x, torch.as_tensor(mine.label, device=x.device)

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        spectrograms, labels = batch
        z = model(spectrograms)
        if self.world > 1:
            z, labels = gathered(z), gathered(labels)
        loss = supcon(z, labels, temperature=self.settings.upstream.temperature, reduction="mean")
        with torch.no_grad():
            similarity = (z @ z.T).fill_diagonal_(-2.0)
            nearest = (labels[similarity.argmax(dim=1)] == labels).float().mean()
        return {"loss": loss, "nearest": nearest}

    def keys(self, epoch: int, step: int) -> list[str]:
        sampled = self.sampled("train", epoch, step)
        return self.data.splits["train"].keys(Pairs(sampled.rir, sampled.speech, sampled.rir))


def gathered(x: Tensor) -> Tensor:
    """Return the rows of all processes, one after another; gradients go back to each."""
    if x.is_floating_point():
        from torch.distributed.nn.functional import all_gather

        parts = all_gather(x)  # type: ignore[no-untyped-call]
    else:
        parts = [torch.empty_like(x) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, x)
    return torch.cat(list(parts))


def drawn_shifts(settings: GoetzSettings, epoch: int, step: int, count: int) -> NDArray[np.int64]:
    """Return by how many frames the samples of a batch are turned round."""
    return generator(settings.seed, Purpose.CROP, epoch=epoch, sample=step).integers(N_FRAMES, size=count)


def drawn_gains(settings: GoetzSettings, epoch: int, step: int, count: int) -> NDArray[np.float32]:
    """Return what the gains of the samples of a batch add to their natural logarithms of power."""
    gains_db = generator(settings.seed, Purpose.GAIN, epoch=epoch, sample=step).uniform(-1.0, 1.0, size=count) * settings.gain_db
    return np.asarray(gains_db * np.log(10.0) / 10.0, dtype=np.float32)


def augmented(settings: GoetzSettings, x: Tensor, own: slice, *, epoch: int, step: int, count: int) -> Tensor:
    """Return a process's ``own`` spectrograms of the ``count`` in a batch, turned round in time and with other gains, if set."""
    if settings.shift:
        x = shifted(x, drawn_shifts(settings, epoch, step, count)[own])
    if settings.gain_db:
        x = x + torch.as_tensor(drawn_gains(settings, epoch, step, count)[own], device=x.device)[:, None, None, None]
    return x


def build_head(target: str, train_targets: Tensor, *, seed: int) -> Head:
    """Return an untrained head; a regression starts at the mean of its targets."""
    torch.manual_seed(integer_seed(seed, Purpose.MODEL, sample=1))
    if target == "volume":
        return Head(EMBEDDING, n_outputs=2)
    head = Head(EMBEDDING, positive=target.startswith("rt60"))
    head.start_at(float(train_targets.float().mean()))
    return head


def target_loss(target: str, output: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Return ``loss``, and ``accuracy`` of a classification."""
    if target != "volume":
        return {"loss": functional.mse_loss(output.float(), truth)}
    return {
        "loss": functional.cross_entropy(output.float(), truth),
        "accuracy": (output.argmax(dim=1) == truth).float().mean(),
    }


class _Shuffled(Task):
    """Batches of a permutation of the training samples, drawn for each epoch; each process takes its share of every batch."""

    def __init__(self, settings: GoetzSettings, *, n_train: int, n_val: int, rank: int, world: int) -> None:
        self.settings, self.rank, self.world = settings, rank, world
        self.n_train, self.n_val = n_train, n_val
        self.train_steps = n_train // settings.downstream.batch
        self.val_steps = -(-n_val // _EVALUATED_TOGETHER)
        self._order: tuple[int, np.ndarray[Any, np.dtype[np.int64]]] = (-1, np.zeros(0, dtype=np.int64))

    def places(self, epoch: int, step: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return which training samples are in a batch."""
        if self._order[0] != epoch:
            self._order = (epoch, generator(self.settings.seed, Purpose.ORDER, epoch=epoch).permutation(self.n_train))
        size = self.settings.downstream.batch
        return self._order[1][step * size : (step + 1) * size]

    def val_places(self, step: int) -> slice:
        """Return which validation samples are in a batch: the same in every process."""
        return slice(step * _EVALUATED_TOGETHER, min((step + 1) * _EVALUATED_TOGETHER, self.n_val))


class Downstream(_Shuffled):
    """A head on embeddings that are computed once; :meth:`loss` returns ``loss`` (MSE or cross entropy) and ``accuracy``."""

    def __init__(
        self,
        settings: GoetzSettings,
        target: str,
        *,
        embeddings: dict[str, Tensor],
        truth: dict[str, Tensor],
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__(settings, n_train=len(embeddings["train"]), n_val=len(embeddings["val"]), rank=rank, world=world)
        self.name, self.target = target, target
        self.embeddings, self.truth = embeddings, truth
        self.model = build_head(target, truth["train"], seed=settings.seed)

    def train_batch(self, epoch: int, step: int) -> Any:
        places = torch.as_tensor(self.places(epoch, step)[self.rank :: self.world], device=self.embeddings["train"].device)
        return self.embeddings["train"][places], self.truth["train"][places]

    def val_batch(self, step: int) -> Any:
        return self.embeddings["val"][self.val_places(step)], self.truth["val"][self.val_places(step)]

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return target_loss(self.target, model(batch[0]), batch[1])


class Supervised(_Shuffled):
    """The baseline: encoder and head end to end, with dropout; :meth:`loss` as that of :class:`Downstream`."""

    def __init__(
        self, settings: GoetzSettings, target: str, data: DownstreamData, kept: dict[str, Tensor], *, rank: int = 0, world: int = 1
    ) -> None:
        super().__init__(settings, n_train=len(data.pairs["train"]), n_val=len(data.pairs["val"]), rank=rank, world=world)
        self.name, self.target, self.data = f"supervised {target}", target, data
        self.truth = {split: data.target(target, split) for split in ("train", "val")}
        self.encoder = new_encoder(settings, data.spectrograms["train"])
        self.head = build_head(target, self.truth["train"], seed=settings.seed)
        self.model = nn.Sequential(self.encoder, self.head)
        if world > 1:
            globalise(self.model)
        self._kept = kept

    def train_batch(self, epoch: int, step: int) -> Any:
        places = self.places(epoch, step)
        x, truth = self._batch("train", places[self.rank :: self.world])
        own = slice(self.rank, None, self.world)
        return augmented(self.settings, x, own, epoch=epoch, step=step, count=len(places)), truth

    def val_batch(self, step: int) -> Any:
        return self._batch("val", np.arange(self.n_val)[self.val_places(step)])

    def _batch(self, split: str, places: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Tensor, Tensor]:
        truth = self.truth[split]
        index = torch.as_tensor(places, device=truth.device)
        if split in self._kept:
            x = self._kept[split][index].float()
        else:
            x = self._spectrograms(split).make(self.data.pairs[split].part(places))
        return x, truth[index]

    def _spectrograms(self, split: str) -> Spectrograms:
        return self.data.spectrograms[split]

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return target_loss(self.target, model(batch[0]), batch[1])

    def keys(self, epoch: int, step: int) -> list[str]:
        return self._spectrograms("train").keys(self.data.pairs["train"].part(self.places(epoch, step)))


def kept_spectrograms(settings: GoetzSettings, data: DownstreamData) -> dict[str, Tensor]:
    """Return the spectrograms of train and val that fit the limit of the settings; all supervised targets share them."""
    kept: dict[str, Tensor] = {}
    left = settings.cache_gb * 1e9
    for split in ("train", "val"):
        if bytes_of(len(data.pairs[split])) <= left:
            kept[split] = data.spectrograms[split].all(data.pairs[split])
            left -= bytes_of(len(data.pairs[split]))
    return kept


@torch.no_grad()
def embed_all(
    encoder: Encoder,
    spectrograms: Spectrograms,
    pairs: Pairs,
    *,
    snr_db: tuple[float, float] | None = None,
    levelled: bool = False,
) -> Tensor:
    """Return the (sample, 64) embeddings of a frozen encoder (batch normalisation as it was learned, no dropout).

    ``levelled``: each spectrogram as loud as the training set in the mean, see :meth:`Encoder.levelled`.
    """
    encoder.eval()
    batches = spectrograms.batches(pairs, snr_db=snr_db)
    return torch.cat([encoder(encoder.levelled(batch) if levelled else batch) for batch in batches])
