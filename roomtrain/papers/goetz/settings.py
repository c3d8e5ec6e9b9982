"""Settings of one cell of the paper's Table 2: how the encoder is learned, and what is read from its embeddings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from roomtrain.config import Mark, Model, RunSettings
from roomtrain.fit_settings import FitSettings

STRATEGIES = ("soft", "hard", "posind")
VOLUME_BOUNDARY_M3 = 160.0
WARM_UP_TEMPERATURE = 0.1
SEGMENT_S = 4.0
FS_HZ = 16_000

Count = Annotated[int, Field(ge=1)]


class UpstreamSettings(Model):
    """Contrastive training: ``n_classes`` responses (rooms) × ``n_augmentations`` speech signals a batch.

    ``rirs_per_room`` is how many responses of a room position-independent sampling draws from; soft and hard take the first, so
    that there are as many classes as rooms, or with ``every_rir`` all of these, each a class of its own.
    ``warm_up_epochs`` of soft sampling at a temperature of 0.1 come first: from a random start, hard sampling may stay for long
    where all embeddings are one and the same. All cells of a seed share them.
    """

    n_classes: Annotated[int, Field(ge=2)] = 24
    n_augmentations: Annotated[int, Field(ge=2)] = 3
    batches: Count = 128
    val_batches: Count = 32
    rirs_per_room: Count = 10
    every_rir: bool = False
    temperature: Annotated[float, Field(gt=0)] = 0.1
    warm_up_epochs: Annotated[int, Field(ge=0)] = 0
    fit: FitSettings = FitSettings()


class DownstreamSettings(Model):
    """What is estimated from the frozen encoder's embeddings.

    ``splits`` are the protocols: "sample" draws the response of every sample from all rooms, so that test samples have other
    speech but rooms that training has heard (the paper's text); "room" draws test samples from rooms that training never heard.
    """

    splits: tuple[Literal["sample", "room"], ...] = ("sample", "room")
    targets: tuple[Literal["rt60", "rt60_mid", "c50", "volume"], ...] = ("rt60", "rt60_mid", "c50", "volume")
    train: Count = 8192
    val: Count = 2048
    test: Count = 2048
    batch: Count = 16
    draw_seed: Annotated[int, Field(ge=0)] = 0
    fit: FitSettings = FitSettings()

    @field_validator("splits", "targets")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("give at least one, each once")
        return value


class EvaluationSettings(Model):
    """``snr_db``: the test is repeated with white noise at each of these ratios."""

    snr_db: tuple[float, ...] = (30.0, 20.0, 10.0, 0.0)


class GoetzSettings(RunSettings):
    """All that decides the result of one cell.

    ``strategy``: soft, hard or posind (contrastive), supervised (the same network end to end, once per target), or untrained (a
    frozen encoder as it was initialised). ``standardise``: log spectrograms have mean 0 and variance 1 over the training set
    ("dataset"), which leaves the level and the steepness of decays to be seen, or each by itself ("spectrogram"), so that a
    recording's gain does not matter; the paper does not say which. ``dropout`` is between convolutions and embedding; ``snr_db``
    adds white noise in that range to all training data; ``shift`` turns every training spectrogram round in time by a random number
    of frames, which the paper does not do: it stands in for more speech than a small corpus has. ``gain_db`` gives each of them a
    gain of up to that much up or down, for encoders that shall hear recordings of unknown level. ``cache_gb`` limits how much
    memory spectrograms may take: what fits is computed once (in half precision) and not in every step.
    """

    paper: Literal["goetz"] = "goetz"
    strategy: Literal["soft", "hard", "posind", "supervised", "untrained"] = "posind"
    standardise: Literal["dataset", "spectrogram"] = "dataset"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    normalise: bool = True
    snr_db: tuple[float, float] | None = None
    shift: bool = False
    gain_db: Annotated[float, Field(ge=0)] = 0.0
    cache_gb: Annotated[float, Mark.IDLE, Field(ge=0)] = 4.0
    upstream: UpstreamSettings = UpstreamSettings()
    downstream: DownstreamSettings = DownstreamSettings()
    supervised: FitSettings = FitSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _heard(self) -> GoetzSettings:
        if self.gain_db and self.standardise == "spectrogram":
            raise ValueError('gain_db changes nothing where standardise = "spectrogram" takes every level away: leave it 0')
        return self

    @property
    def contrastive(self) -> bool:
        """Whether there is an upstream training."""
        return self.strategy in STRATEGIES

    def warm_up(self) -> GoetzSettings:
        """Return the settings of the soft epochs that come first, the same for all cells of a seed."""
        fit = self.upstream.fit.model_copy(update={"max_epochs": self.upstream.warm_up_epochs, "patience": None})
        upstream = self.upstream.model_copy(update={"temperature": WARM_UP_TEMPERATURE, "fit": fit})
        return self.model_copy(update={"strategy": "soft", "upstream": upstream})
