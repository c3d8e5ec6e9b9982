"""Training the generator: FAST-RIR's adversarial training with a squared error, or the squared error alone.

With r real responses, c their conditions, c′ those of other responses, and g = G(c):

    D    BCE(D(r, c), 1) + ½ [BCE(D(g, c), 0) + BCE(D(r, c′), 0)]
    G    a · BCE(D(g, c), 1) + w · MSE(g, r) + p · mean square of the codes

(Ratnarajah et al. 2022, eq. 1 and 5, less the term of the reverberation time, which a device has not). Validation judges by the
squared error at angles that are held out, with the codes of their microphones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from roomtrain.draws import Draws
from roomtrain.estimation import Shuffled
from roomtrain.fit_settings import FitSettings
from roomtrain.optimizers import build
from roomtrain.papers.icl.generator.conditions import N_CONDITIONS, N_KIND
from roomtrain.papers.icl.generator.data import GeneratorData
from roomtrain.papers.icl.generator.networks import Discriminator, Networks
from roomtrain.papers.icl.generator.settings import GeneratorSettings
from roomtrain.seeds import Purpose
from roomtrain.task import Loss

_GENERATORS = ("generator", "codes")


@dataclass(frozen=True)
class Batch:
    """What the losses take.

    Args:
        real: (batch, 1024) in ±1.
        conditions: (batch, 13)
        microphone: (batch,) whose code is used; below 0: none.
        noise: (batch, code) of the codes.
    """

    real: Tensor
    conditions: Tensor
    microphone: Tensor
    noise: Tensor


class Generation(Shuffled):
    """The generator, its codes and its discriminator."""

    name = "generator"
    judged_by = "mse"

    def __init__(self, settings: GeneratorSettings, data: GeneratorData, *, rank: int = 0, world: int = 1) -> None:
        n_train, n_val = len(data.parts["train"]), len(data.parts["val"])
        super().__init__(seed=settings.seed, n_train=n_train, n_val=n_val, batch=settings.batch, rank=rank, world=world)
        self.settings, self.data = settings, data
        device, scale = data.responses.device, data.scale(settings.scale)
        self.networks = Networks(settings, data.n_microphones, scale=scale)
        self.model = self.networks
        self._real = data.responses / scale
        self._microphone = torch.from_numpy(data.microphone).to(device)
        self._parts = {split: torch.from_numpy(data.parts[split]).to(device) for split in ("train", "val")}

    def device_batch(self, batch: tuple[str, Tensor], draws: Draws) -> Batch:
        split, places = batch
        own = self._parts[split][places]
        conditions, microphone, width = self.data.conditions[own], self._microphone[own], self.settings.code
        noise = torch.zeros((len(own), width), device=own.device)
        if split == "train" and self.settings.condition_noise:
            blur = self.settings.condition_noise * draws.normal(Purpose.CONDITION, own, N_KIND)
            conditions = conditions + functional.pad(blur, (0, N_CONDITIONS - N_KIND))
        if split == "train" and width:
            noise = self.settings.code_noise * draws.normal(Purpose.LATENT, own, width)
            without = draws.uniform(Purpose.MASK, own) < self.settings.code_dropout
            microphone = microphone.masked_fill(without, -1)
        return Batch(self._real[own], conditions, microphone, noise)

    def losses(self, model: nn.Module, batch: Batch) -> Iterator[Loss]:
        if not model.training:
            made, _ = model(batch.conditions, batch.microphone, batch.noise)
            yield Loss(squared_error(made, batch.real, self.networks.scale), name="mse")
            return
        if self.settings.adversarial:
            with torch.no_grad():
                made, _ = model(batch.conditions, batch.microphone, batch.noise)
            yield self._of_discriminator(cast(Networks, model).discriminator, made, batch)
        for _ in range(self.settings.generator_steps if self.settings.adversarial else 1):
            yield self._of_generator(model, batch)

    def _of_discriminator(self, judge: Discriminator | None, made: Tensor, batch: Batch) -> Loss:
        assert judge is not None
        others = shifted(batch.conditions)
        real, fake, wrong = (
            judge(batch.real, batch.conditions),
            judge(made, batch.conditions),
            judge(batch.real, others),
        )
        # Microphones may be of one kind: what stands at the same place is then no wrong condition.
        differ = (others != batch.conditions).any(dim=1).to(wrong.dtype)
        off = functional.binary_cross_entropy_with_logits(wrong, torch.zeros_like(wrong), weight=differ, reduction="sum")
        off = off / differ.sum().clamp(min=1.0)
        right = (real.detach() > 0).float().mean() / 2 + (fake.detach() < 0).float().mean() / 2
        loss = _cross_entropy(real, 1.0) + 0.5 * (_cross_entropy(fake, 0.0) + off)
        return Loss(loss, {"wrong": off, "found_out": right}, optimizer="d", name="d")

    def _of_generator(self, model: nn.Module, batch: Batch) -> Loss:
        made, code = model(batch.conditions, batch.microphone, batch.noise)
        error = squared_error(made, batch.real, self.networks.scale)
        loss = self.settings.mse_weight * error
        if self.settings.code:
            loss = loss + self.settings.code_penalty * code.square().mean()
        if not self.settings.adversarial:
            return Loss(loss, {"mse": error}, name="g")
        judge = cast(Networks, model).discriminator
        assert judge is not None
        opinion = _cross_entropy(judge(made, batch.conditions), 1.0)
        return Loss(loss + self.settings.adversarial * opinion, {"mse": error, "opinion": opinion}, optimizer="g", name="g")

    def count(self, batch: Batch) -> int:
        return len(batch.real)

    def optimizers(
        self, fit: FitSettings, device: torch.device, *, scaled_and_clipped: bool = False
    ) -> dict[str, torch.optim.Optimizer]:
        if not self.settings.adversarial:
            return super().optimizers(fit, device, scaled_and_clipped=scaled_and_clipped)
        named: dict[str, list[tuple[str, nn.Parameter]]] = {"d": [], "g": []}
        for name, parameter in self.networks.named_parameters():
            named["g" if name.split(".")[0] in _GENERATORS else "d"].append((name, parameter))
        return {
            which: build(parameters, fit, device.type, scaled_and_clipped=scaled_and_clipped) for which, parameters in named.items()
        }

    def keys(self, epoch: int, step: int) -> list[str]:
        return [str(key) for key in self.data.names("train", "key")[self.places(epoch, step)]]


def squared_error(made: Tensor, real: Tensor, scale: Tensor) -> Tensor:
    """Return the mean squared error of responses, whose largest possible sample counts as 1.

    Args:
        made, real: (batch, 1024) in ±1.
        scale: (1024,) what 1 stands for.
    """
    return ((made - real) * (scale / scale.max())).square().mean()


def shifted(conditions: Tensor) -> Tensor:
    """Return each response's neighbour's conditions, the last one's being the first's: batches are shuffled."""
    return conditions.roll(1, 0)


def _cross_entropy(logits: Tensor, truth: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))
