"""Settings of one training: network, augmentation by device responses, inverse contrastive loss, and what is asked after it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from roomtrain.config import Mark, Model, RunSettings
from roomtrain.fit_settings import FitSettings
from roomtrain.papers.icl.generator.settings import GeneratorSettings

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Responses = Literal["none", "vintage", "multi", "many", "generated"]


class NetworkSettings(Model):
    """The transformer: ``dim`` wide, ``depth`` blocks of ``heads`` heads, patches of 16 × 16 every ``stride`` bands and frames.

    ``patchout`` is how many rows of patches (along frequency) and columns (along time) each training step leaves out. ``weights``
    is a file of released weights (PaSST or DeiT) to start from; empty: from scratch. ``time_patches`` is how many columns the time
    embedding has: 99 as PaSST released it, 9 for one second at stride 10.
    """

    dim: Count = 768
    depth: Count = 12
    heads: Count = 12
    stride: Count = 10
    time_patches: Count = 99
    patchout: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = (6, 0)
    weights: str = ""

    @model_validator(mode="after")
    def _divided(self) -> NetworkSettings:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} cannot be divided among {self.heads} heads: give a multiple")
        return self


class AugmentSettings(Model):
    """What is done to a training window, in this order: a device's response, the edge of the bands, masks.

    ``responses`` names the dataset that device responses are drawn from ("generated": by the generator, which is trained first);
    each window goes through one with probability ``share``, those of all ``devices`` or of device A alone; ``microphones`` takes
    the responses of the first so many microphones, and ``generated`` is how many the generator gives. ``upper_hz`` is the range of
    the upper edge of the mel bands; ``mask_bands`` and ``mask_frames`` are the widest masks. ``compress`` gives windows the dynamic
    range compression of the microphone they go through, where it has one.
    """

    responses: Responses = "none"
    share: Share = 0.6
    devices: Literal["all", "A"] = "all"
    microphones: Count | None = None
    generated: Count = 8192
    compress: bool = False
    upper_hz: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(le=16_000)]] = (15_000.0, 16_000.0)
    mask_bands: Annotated[int, Field(ge=0, le=128)] = 48
    mask_frames: Annotated[int, Field(ge=0, le=100)] = 24

    @model_validator(mode="after")
    def _rises(self) -> AugmentSettings:
        if self.upper_hz[0] > self.upper_hz[1]:
            raise ValueError(f"upper_hz {list(self.upper_hz)} must rise")
        return self


class ContrastSettings(Model):
    """The inverse contrastive loss: ``weight`` λ (0: none), threshold ``alpha`` and barrier ``beta``, equations 1 to 4.

    ``normalise`` brings embeddings to length 1 before distances are taken. The paper does not say; its thresholds of 0 to 1.5 are
    of that order, while raw embeddings lie √768 apart, where the squared distances alone decide. ``classes``: what must not be told
    apart: devices, or every pair of device and response. ``pairs`` "all" is the mean over pairs; "balanced" gives every class, and
    pairs of one class and of two, the same weight, as Akash et al. (2021) do. The loss grows to its weight over ``warmup_steps``.
    """

    weight: Annotated[float, Field(ge=0)] = 0.0
    alpha: Annotated[float, Field(ge=0)] = 0.2
    beta: Annotated[float, Field(gt=0)] = 1.0
    normalise: bool = True
    classes: Literal["device", "device+response"] = "device"
    pairs: Literal["all", "balanced"] = "all"
    warmup_steps: Annotated[int, Field(ge=0)] = 0


class TrainSettings(Model):
    """Batches: ``batch`` windows of one second, each from another recording.

    ``epoch`` is every recording once ("recordings"), as often as it has seconds ("seconds"; the paper's epoch may be either), or
    ``steps`` batches. ``balance`` draws each window's device first, all as often, and then a recording of it. ``bank`` is where
    audio lies: "spectra" keeps the short-time power of whole recordings in memory and multiplies it with that of a response, which
    stands for the convolution within a fraction of a dB; the others convolve audio in memory or in a mapped file.
    """

    batch: Annotated[int, Field(ge=2)] = 64
    epoch: Literal["recordings", "seconds", "steps"] = "recordings"
    steps: Count = 100
    balance: Literal["none", "device"] = "none"
    bank: Literal["spectra", "memory", "mapped-16", "mapped-32"] = "mapped-16"
    val_windows: Annotated[int, Field(ge=1)] = 10
    fit: FitSettings = FitSettings()


class ProbeSettings(Model):
    """The device probe: LayerNorm and a linear layer on frozen embeddings, each device with the same weight in the loss.

    ``windows`` of each training recording; ``standardise`` brings every number of the embedding to mean 0 and deviation 1 over
    them. ``layer`` is the block whose output is read, from 1; 0: the embedding that the scene is read from.
    """

    windows: Count = 10
    standardise: bool = True
    layer: Annotated[int, Field(ge=0)] = 0
    batch: Count = 256
    fit: FitSettings = FitSettings()


class IclSettings(RunSettings):
    """All that decides the result of one training.

    ``classes`` are the scenes of the data, ``devices`` those of training, filled in from them.
    """

    paper: Literal["icl"] = "icl"
    classes: Annotated[tuple[str, ...], Mark.IDLE] = ()
    devices: Annotated[tuple[str, ...], Mark.IDLE] = ()
    network: NetworkSettings = NetworkSettings()
    augment: AugmentSettings = AugmentSettings()
    contrast: ContrastSettings = ContrastSettings()
    train: TrainSettings = TrainSettings()
    probe: ProbeSettings = ProbeSettings()
    generator: GeneratorSettings = GeneratorSettings()

    @model_validator(mode="after")
    def _has_layer(self) -> IclSettings:
        if self.probe.layer > self.network.depth:
            raise ValueError(f"probe.layer {self.probe.layer}: the network has {self.network.depth} blocks; 0 is its embedding")
        return self

    def deciding(self) -> dict[str, Any]:
        kept = super().deciding()
        if self.augment.responses != "generated":  # how a generator would be trained decides nothing where there is none
            del kept["generator"], kept["augment"]["generated"]
        return kept
