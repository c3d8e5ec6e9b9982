"""What is trained for a cell of the paper's table, in order, and what the trained networks answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from roomtrain.draws import Draws
from roomtrain.estimation import OnEmbeddings, answer, build_head
from roomtrain.models.heads import Head
from roomtrain.paper import Place, Stage
from roomtrain.papers.goetz.data import SPLITS, DownstreamData, PaperData
from roomtrain.papers.goetz.network import EMBEDDING, Encoder
from roomtrain.papers.goetz.settings import GoetzSettings
from roomtrain.papers.goetz.tasks import Contrastive, Supervised, embed_all, new_encoder
from roomtrain.predictions import CLEAN, CONSTANT, Answers
from roomtrain.targets import Target
from roomtrain.task import Task
from roomtrain.weights import Weights

UPSTREAM, WARM_UP = "upstream", "warm-up"
LEVELLED = "levelled"
"""A condition of the test: each sample as loud as the training set in the mean, as where a recording's gain is unknown."""


class Cell:
    """One cell: its stages and answers, with what they have in common made once.

    Args:
        data: None where nothing is trained, and only the names of the stages are asked for.
        targets: those that the settings name.
    """

    def __init__(self, settings: GoetzSettings, data: PaperData | None, place: Place, targets: list[Target]) -> None:
        self.settings, self.place, self.targets = settings, place, targets
        self._data = data
        self._embedded: tuple[str, dict[str, Tensor]] | None = None
        self._spectrograms: tuple[str, dict[str, Tensor]] | None = None

    def stages(self) -> list[Stage]:
        """Return the stages: a soft warm-up that all cells share, the encoder, and for each protocol and target what reads it."""
        settings = self.settings
        stages = []
        if settings.contrastive and settings.upstream.warm_up_epochs:
            soft = settings.warm_up()
            stages.append(Stage(WARM_UP, partial(self._contrastive, soft, WARM_UP), soft.upstream.fit, shared=soft.hash()))
        before = (WARM_UP,) if stages else ()
        if settings.strategy != "supervised":
            fit = settings.upstream.fit if settings.contrastive else None
            stages.append(Stage(UPSTREAM, partial(self._contrastive, settings, UPSTREAM), fit, needs=before))
        for split_by in settings.downstream.splits:
            for target in self.targets:
                name = f"{split_by}/{target.name}"
                if settings.strategy == "supervised":
                    stages.append(Stage(name, partial(self._supervised, split_by, target), settings.supervised))
                else:
                    make = partial(self._head, split_by, target)
                    stages.append(Stage(name, make, settings.downstream.fit, needs=(UPSTREAM,), alone=True))
        return stages

    @property
    def data(self) -> PaperData:
        """The datasets."""
        assert self._data is not None
        return self._data

    def protocol(self, split_by: str) -> DownstreamData:
        """Return the samples of a protocol."""
        return self.data.downstream(self.settings, split_by=split_by)

    def _contrastive(self, settings: GoetzSettings, name: str, weights: Weights) -> Task:
        # Without training the strategy decides nothing: an untrained encoder is made as one of soft sampling.
        used = settings if settings.contrastive else settings.model_copy(update={"strategy": "soft"})
        task = Contrastive(used, self.data.upstream(used), rank=self.place.rank, world=self.place.world)
        task.name = name
        if name == UPSTREAM and settings.contrastive and settings.upstream.warm_up_epochs:
            task.model.load_state_dict(weights(WARM_UP))
        return task

    def _supervised(self, split_by: str, target: Target, weights: Weights) -> Task:
        if self._spectrograms is None or self._spectrograms[0] != split_by:
            self._spectrograms = (split_by, {})
        place = self.place
        task = Supervised(self.settings, target, self.protocol(split_by), self._spectrograms[1], rank=place.rank, world=place.world)
        task.name = f"supervised {target.name} ({split_by})"
        return task

    def _head(self, split_by: str, target: Target, weights: Weights) -> Task:
        data, settings = self.protocol(split_by), self.settings
        if self._embedded is None or self._embedded[0] != split_by:
            encoder = encoder_of(settings, weights).to(self.place.device)
            embed = {split: self._embed(encoder, data, split) for split in ("train", "val")}
            self._embedded = (split_by, embed)
        return OnEmbeddings(
            f"{target.name} ({split_by})",
            target,
            embeddings=self._embedded[1],
            truth={split: data.truth(target, split) for split in ("train", "val")},
            seed=settings.seed,
            batch=settings.downstream.batch,
        )

    def _embed(self, encoder: Encoder, data: DownstreamData, split: str, **how: Any) -> Tensor:
        """Return (sample, 64) embeddings of a split."""
        draws = Draws(self.settings.seed, split=SPLITS.index(split), device=self.place.device)
        return embed_all(encoder, data.spectrograms[split], data.pairs[split], draws=draws, **how)

    def answers(self, weights: Weights) -> Iterator[Answers]:
        """Yield the answers to the test samples of every protocol, as they are, with noise, and with their level taken away."""
        for split_by in self.settings.downstream.splits:
            data = self.protocol(split_by)
            keys, groups = data.keys("test"), data.rows("test", "room_id").astype(str)
            tests: dict[str, Tensor] = {}
            for target in self.targets:
                encoder, head = networks_of(self.settings, weights, split_by, target)
                if not tests or self.settings.strategy == "supervised":  # each target has an encoder of its own there
                    tests = self._tests(encoder.to(self.place.device), data)
                head = head.to(self.place.device).eval()
                truth = data.truth(target, "test").cpu().numpy()
                with torch.no_grad():
                    found = {name: answer(target, head(e)).float().cpu().numpy() for name, e in tests.items()}
                found[CONSTANT] = np.full(len(truth), target.constant(data.truth(target, "train").cpu().numpy()))
                for condition, estimate in found.items():
                    yield Answers(split_by, target.name, keys, groups, truth, estimate, condition)

    def _tests(self, encoder: Encoder, data: DownstreamData) -> dict[str, Tensor]:
        """Return the embeddings of the test samples by condition."""
        tests = {CLEAN: self._embed(encoder, data, "test")}
        if self.settings.standardise == "dataset":
            tests[LEVELLED] = self._embed(encoder, data, "test", levelled=True)
        for snr_db in self.settings.evaluation.snr_db:
            tests[f"{snr_db:g} dB"] = self._embed(encoder, data, "test", snr_db=(snr_db, snr_db))
        return tests


def encoder_of(settings: GoetzSettings, weights: Weights) -> Encoder:
    """Return the frozen encoder of a cell that is not supervised."""
    encoder = new_encoder(settings)
    encoder.load_state_dict(weights(UPSTREAM, prefix="0."))
    return encoder.eval()


def networks_of(settings: GoetzSettings, weights: Weights, split_by: str, target: Target) -> tuple[Encoder, Head]:
    """Return the trained encoder and head of a protocol and target."""
    head = build_head(target, EMBEDDING, seed=settings.seed)
    stage = f"{split_by}/{target.name}"
    if settings.strategy != "supervised":
        head.load_state_dict(weights(stage))
        return encoder_of(settings, weights), head.eval()
    encoder = new_encoder(settings)
    encoder.load_state_dict(weights(stage, prefix="0."))
    head.load_state_dict(weights(stage, prefix="1."))
    return encoder.eval(), head.eval()


Made = Callable[[Weights], Task]
