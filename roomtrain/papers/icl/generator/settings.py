"""Settings of the generator; the defaults are the paper's, and FAST-RIR's where it is silent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from roomtrain.config import Model
from roomtrain.fit_settings import FitSettings

FS_HZ = 32_000
N_SAMPLES = 1024
_EPOCHS, _LOWER_EVERY = 2000, 40

Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]

PAPER_FIT = FitSettings(
    optimizer="rmsprop",
    learning_rate=8e-5,
    schedule="step",
    factor=0.7,
    milestones=tuple(range(_LOWER_EVERY, _EPOCHS, _LOWER_EVERY)),
    max_epochs=_EPOCHS,
    patience=None,
)
"""Of FAST-RIR (Ratnarajah et al. 2022): RMSprop, whose rate falls to 0.7 of itself every 40 epochs."""


class GeneratorSettings(Model):
    """How the generator is built and trained.

    ``width`` is of the generator's channels at a length of 16, half as many at 64, and so on; ``discriminator_width`` of those at
    256, twice as many at 64, and so on. ``mse_weight`` is the factor of the squared error of samples in ±1 (FAST-RIR: 5 for each
    sample of a response), ``adversarial`` that of the discriminator's opinion: without (0) there is no discriminator.
    ``generator_steps`` are taken for each of the discriminator's.

    ``code`` numbers say of each training microphone what the conditions leave open (0: none). They are learned with the network,
    with noise of ``code_noise`` added, so that neighbouring codes mean similar microphones; ``code_penalty`` is the factor of
    their mean square, and a share of ``code_dropout`` of the samples is made without: the answer without a code is then the best
    one for a microphone of which only the conditions are known.
    """

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    width: Count = 1024
    hidden: Annotated[int, Field(ge=0)] = 0
    norm: Literal["batch", "none"] = "batch"
    scale: Literal["one", "envelope"] = "one"
    discriminator_width: Count = 96
    adversarial: Weight = 1.0
    mse_weight: Annotated[float, Field(gt=0)] = 5.0 * N_SAMPLES
    generator_steps: Count = 3
    batch: Annotated[int, Field(ge=2)] = 128
    condition_noise: Weight = 0.0
    code: Annotated[int, Field(ge=0)] = 8
    code_noise: Weight = 0.1
    code_dropout: Annotated[float, Field(ge=0, le=1)] = 0.25
    code_penalty: Weight = 1e-3
    fit: FitSettings = PAPER_FIT

    @field_validator("width")
    @classmethod
    def _halves(cls, value: int) -> int:
        if value % 8:
            raise ValueError("a multiple of 8: it is halved three times")
        return value
