"""What a dataset of renders is made by: the model that checks it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from roomgen.settings import CommonSettings


class RendersSettings(CommonSettings):
    """All that decides the bytes of a dataset of renders.

    ``sources``, ``rirs`` and ``devices`` are fingerprints of the datasets that it is made of; ``per_source`` is how often each
    source is heard; ``device_share`` the share that goes through a device, ``device_weights`` how much oftener than others a
    microphone is drawn, split by split; ``device_probabilities`` lets every source of a split be heard by each of its devices once
    at most, with that device's probability (not named: 1), in place of ``per_source`` drawn ones; ``snr_db`` a range that the SNR
    of white (or pink) noise is drawn from; ``align`` takes the travel time of the direct sound away, ``tail`` keeps what sounds on
    after the source; ``level`` brings every file to ``level_db`` (less where it would clip), "keep" leaves source × response as it
    is.
    """

    later: ClassVar[tuple[str, ...]] = ("device_probabilities",)

    family: Literal["renders"] = "renders"
    sources: str
    rirs: str | None = None
    devices: str | None = None
    per_source: Annotated[int, Field(ge=1, le=10_000)] = 1
    max_samples: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    device_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    device_weights: dict[str, dict[str, Annotated[float, Field(gt=0)]]] = Field(default_factory=dict)
    device_probabilities: dict[str, dict[str, Annotated[float, Field(ge=0, le=1)]]] = Field(default_factory=dict)
    match_splits: bool = True
    snr_db: tuple[float, float] | None = None
    noise: Literal["white", "pink"] = "white"
    align: bool = True
    tail: Literal["cut", "keep"] = "cut"
    level: Literal["rms", "peak", "keep"] = "rms"
    level_db: Annotated[float, Field(le=0, ge=-100)] = -26.0
    clean: bool = False
    bits: Literal[16, 24] = 16

    @model_validator(mode="after")
    def _heard(self) -> RendersSettings:
        if self.rirs is None and self.devices is None and self.snr_db is None:
            raise ValueError("nothing to render with: give rooms (--rirs), devices (--devices) or noise (--snr)")
        if self.snr_db is not None and not (np.isfinite(self.snr_db).all() and self.snr_db[0] <= self.snr_db[1]):
            raise ValueError(f"snr_db {list(self.snr_db)} must be finite and rise")
        return self

    @model_validator(mode="after")
    def _heard_one_way(self) -> RendersSettings:
        if self.device_probabilities:
            beside = {
                "per_source": self.per_source > 1,
                "device_weights": bool(self.device_weights),
                "device_share": self.device_share < 1,
            }
            for name, given in beside.items():
                if given:
                    raise ValueError(
                        f"device_probabilities say how often each source is heard, and so does {name}: give one of them"
                    )
            if self.devices is None:
                raise ValueError("device_probabilities need devices to be heard by: give them (--devices)")
        return self
