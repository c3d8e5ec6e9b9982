"""How a model is fitted: which optimizer, which schedule, for how long. Settings only; torch is not needed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from roomtrain.config import Mark, Model

Share = Annotated[float, Field(ge=0, lt=1)]


class OptimizerSettings(Model):
    """Which optimizer, at which rate, and what of the parameters decays.

    ``weight_decay`` is the factor of an L2 penalty, its gradient added to that of the loss, for all but "adamw", where the weights
    decay by themselves (Loshchilov and Hutter, 2019). ``decay`` "weights" spares tensors of fewer than two dimensions: biases, and
    the gains and offsets of normalisations. ``betas`` are of adam and adamw, ``eps`` of these and rmsprop, ``alpha`` of rmsprop;
    ``momentum`` of sgd and rmsprop, with ``nesterov`` (sgd) as Nesterov has it. ``fused`` takes a step in one kernel where device
    and optimizer have it; its last digits differ from those of the others.
    """

    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    decay: Literal["all", "weights"] = "all"
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Annotated[float, Field(gt=0)] = 1e-8
    momentum: Share = 0.0
    nesterov: bool = False
    alpha: Share = 0.99
    fused: bool = False

    @model_validator(mode="after")
    def _together(self) -> OptimizerSettings:
        if self.nesterov and (self.optimizer != "sgd" or not self.momentum):
            raise ValueError('nesterov is a kind of momentum of "sgd": set momentum as well, such as 0.9, or leave it false')
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise ValueError(f'{self.optimizer} has betas in the place of momentum: leave momentum 0, or take "sgd" or "rmsprop"')
        return self


class ScheduleSettings(Model):
    """How the learning rate changes: what :mod:`roomtrain.schedules` says of each, by the same names.

    ``milestones`` are epochs from 0, the first that have the lower rate. ``plateau_threshold`` is by which share a validation loss
    must be below the lowest to count as fallen.
    """

    schedule: Literal["constant", "cosine", "linear", "polynomial", "step", "plateau"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    warmup: Literal["linear", "cosine"] = "linear"
    final: Annotated[float, Field(ge=0, le=1)] = 0.0
    power: Annotated[float, Field(gt=0)] = 1.0
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = ()
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    plateau_patience: Annotated[int, Field(ge=0)] = 10
    plateau_threshold: Annotated[float, Field(ge=0, lt=1)] = 1e-4

    @model_validator(mode="after")
    def _complete(self) -> ScheduleSettings:
        if (self.schedule == "step") != bool(self.milestones):
            raise ValueError('schedule = "step" and milestones belong together, such as milestones = [30, 60]')
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {list(self.milestones)}: each once, the first one first")
        if self.schedule == "linear" and self.power != 1:
            raise ValueError(f'power = {self.power:g} is of schedule = "polynomial"; "linear" has none')
        return self


class FitSettings(OptimizerSettings, ScheduleSettings):
    """How a model is fitted, beside optimizer and schedule.

    ``patience`` is how many epochs may pass without a smaller validation loss; ``accumulate`` is how many batches make a step, so
    that a batch may be larger than memory; ``clip_norm`` limits the norm of the gradients of each optimizer; ``ema_decay``
    validates and keeps an exponential moving average of the weights. ``compile`` and ``channels_last`` are torch's: quicker on
    many GPUs, with other last digits. Every ``save_every_s`` seconds training is saved, beside the end of every epoch.
    """

    max_epochs: Annotated[int, Field(ge=1)] = 100
    patience: Annotated[int, Field(ge=1)] | None = 4
    accumulate: Annotated[int, Field(ge=1)] = 1
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    compile: bool = False
    channels_last: bool = False
    save_every_s: Annotated[float, Mark.IDLE, Field(ge=0)] = 60.0
