"""Estimating a target from an embedding: the head that its kind asks for, loss and answer, and training on frozen embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from roomtrain.errors import RoomtrainError
from roomtrain.models.heads import Head
from roomtrain.seeds import Purpose, generator, integer_seed
from roomtrain.targets import Target
from roomtrain.task import Loss, Task

_VALIDATED_TOGETHER = 256


def build_head(target: Target, n_inputs: int, *, seed: int, truth: Tensor | None = None) -> Head:
    """Return an untrained head; that of a number starts at the mean of its truths.

    Args:
        truth: (sample,) of training; None where weights are loaded into the head.

    Raises:
        RoomtrainError: a score, which nothing can be trained for.
    """
    outputs = {"number": 1, "class": len(target.classes), "angle": 2}
    if target.kind not in outputs:
        raise RoomtrainError(f"{target.name} is a {target.kind}: there is no head for it.")
    torch.manual_seed(integer_seed(seed, Purpose.MODEL, sample=1))
    head = Head(n_inputs, n_outputs=outputs[target.kind], positive=target.positive)
    if target.kind == "number" and truth is not None:
        head.start_at(float(truth.float().mean()))
    return head


def target_loss(target: Target, output: Tensor, truth: Tensor) -> Loss:
    """Return the loss of a head's output: squared error, cross entropy, or squared distance on the unit circle.

    Shape:
        output (batch,), (batch, class) or for angles (batch, 2): cosine and sine, of any length; truth (batch,), angles in degrees
    """
    output = output.float()
    if target.kind == "class":
        found = output.argmax(dim=1) == truth
        return Loss(functional.cross_entropy(output, truth), {"accuracy": found.float().mean()})
    if target.kind == "angle":
        angle = torch.deg2rad(truth.float())
        return Loss(
            (functional.normalize(output, dim=1) - torch.stack([angle.cos(), angle.sin()], dim=1)).square().sum(dim=1).mean()
        )
    return Loss(functional.mse_loss(output, truth))


def answer(target: Target, output: Tensor) -> Tensor:
    """Return (sample,) estimates of a head's output: the number, the likeliest class, the direction in degrees."""
    if target.kind == "class":
        return output.argmax(dim=1)
    if target.kind == "angle":
        return torch.rad2deg(torch.atan2(output[:, 1], output[:, 0]))
    return output


class Shuffled(Task):
    """Batches of a permutation of the training samples, drawn for each epoch; each process takes its share of every batch.

    What does not fill a batch is left out. Validation goes through all samples in their order, each process through its share.

    Args:
        seed: of the permutations.
        n_train, n_val: samples.
        batch: samples of a step, of all processes together.
    """

    def __init__(self, *, seed: int, n_train: int, n_val: int, batch: int, rank: int = 0, world: int = 1) -> None:
        if batch % world:
            raise RoomtrainError(f"a batch of {batch} cannot be shared out among {world} processes.")
        self.seed, self.batch, self.rank, self.world = seed, batch, rank, world
        self.n_train, self.n_val = n_train, n_val
        self.sizes = {"train": n_train // batch, "val": -(-n_val // (_VALIDATED_TOGETHER * world))}
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, dtype=np.int64))

    def places(self, epoch: int, step: int) -> NDArray[np.int64]:
        """Return which training samples are in a batch, of all processes."""
        order = self._order
        if order[0] != epoch:
            self._order = order = (epoch, generator(self.seed, Purpose.ORDER, epoch=epoch).permutation(self.n_train))
        return order[1][step * self.batch : (step + 1) * self.batch]

    def own_places(self, split: str, epoch: int, step: int) -> Tensor:
        """Return which samples of a batch are this process' own."""
        if split == "train":
            return torch.from_numpy(self.places(epoch, step)[self.rank :: self.world].copy())
        size = _VALIDATED_TOGETHER * self.world
        return torch.arange(step * size + self.rank, min((step + 1) * size, self.n_val), self.world)

    def host_batch(self, split: str, epoch: int, step: int) -> Any:
        return split, self.own_places(split, epoch, step)


class OnEmbeddings(Shuffled):
    """A head on embeddings that are computed once.

    Args:
        embeddings, truth: by split, (sample, number) and (sample,), on the device.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        *,
        embeddings: Mapping[str, Tensor],
        truth: Mapping[str, Tensor],
        seed: int,
        batch: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        n_train, n_val = len(embeddings["train"]), len(embeddings["val"])
        super().__init__(seed=seed, n_train=n_train, n_val=n_val, batch=batch, rank=rank, world=world)
        self.name, self.target, self.embeddings, self.truth = name, target, embeddings, truth
        self.model = build_head(target, embeddings["train"].shape[1], seed=seed, truth=truth["train"])

    def device_batch(self, batch: tuple[str, Tensor], draws: Any) -> tuple[Tensor, Tensor]:
        split, places = batch
        return self.embeddings[split][places], self.truth[split][places]

    def losses(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Iterator[Loss]:
        yield target_loss(self.target, model(batch[0]), batch[1])

    def count(self, batch: tuple[Tensor, Tensor]) -> int:
        return len(batch[1])
