"""What a dataset of device responses is made by: the model that checks it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from roomgen.acoustics.microphones.recorders import RECORDERS
from roomgen.settings import CommonSettings, SplitsSettings

KINDS = ("microphones", "generated", "recorders", "folder", "multi-angle")
DRAWN = ("microphones", "generated")
"""Kinds that draw ``count`` microphones and hear each from all ``angles_deg`` and ``distances_m``."""
MAX_RESPONSES = 5_000_000
_SEEN, _UNSEEN = ("A", "B", "C", "S1", "S2", "S3"), ("S4", "S5", "S6")
_GENERATED_FS_HZ, _GENERATED_SAMPLES, _GENERATED_DISTANCES_M = 32_000, 1024, (0.5, 1.25, 5.0)


class DevicesSettings(CommonSettings):
    """All that decides the bytes of a dataset of device responses.

    ``kind``: "microphones" (``count`` parametric ones, from each of ``angles_deg`` and ``distances_m``), "generated" (the same by a
    trained network), "recorders" (which devices are in which split: ``recorders``), "folder" (a file is a microphone) or
    "multi-angle" (files by microphone, angle and distance: ``pattern``, or a list). ``fingerprint`` names the files, or the
    network's weights. A network gives 1024 samples at 32 kHz, at 0.5, 1.25 and 5 m: other distances it has not heard, and between
    them it would guess. ``level``: "keep"; "energy" brings every response to the energy of a unit pulse; "axis" a microphone's at
    one distance by the gain that its response nearest to the axis needs, so that differences between directions stay; "band" every
    response to a mean power gain of 1 between 0.5 and 10 kHz, so that neither a null nor a transducer's loss outside that band
    decides the level. ``compress``: share of microphones that have a dynamic range compression too, each one of its own. Files get
    their peak to ``lead_samples`` from the beginning, if it comes later; ``window_beta``: Kaiser window from the peak to the end
    (None: none).
    """

    later: ClassVar[tuple[str, ...]] = ("compress",)

    family: Literal["devices"] = "devices"
    kind: Literal["microphones", "generated", "recorders", "folder", "multi-angle"] = "microphones"
    fingerprint: str = ""
    fs_hz: Annotated[int, Field(ge=8000, le=192_000)] = 32000
    n_samples: Annotated[int, Field(ge=64, le=65_536)] = 1024
    count: Annotated[int, Field(ge=1, le=100_000)] = 25
    angles_deg: tuple[Annotated[float, Field(ge=-360, le=360)], ...] = tuple(float(angle) for angle in range(0, 360, 5))
    distances_m: tuple[Annotated[float, Field(ge=0.01, le=100)], ...] = (0.5, 1.25, 5.0)
    recorders: dict[str, tuple[str, ...]] = Field(default_factory=lambda: {"train": _SEEN, "test": (*_SEEN, *_UNSEEN)})
    pattern: str | None = None
    level: Literal["keep", "energy", "axis", "band"] = "keep"
    compress: Annotated[float, Field(ge=0, le=1)] = 0.0
    lead_samples: Annotated[int, Field(ge=0, le=1024)] = 32
    window_beta: Annotated[float, Field(ge=0, le=100)] | None = None
    splits: SplitsSettings = SplitsSettings()

    @field_validator("angles_deg")
    @classmethod
    def _different_angles(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or len({angle % 360.0 for angle in value}) < len(value):
            raise ValueError("give at least one angle, and none twice (0 and 360 are the same)")
        return value

    @field_validator("distances_m")
    @classmethod
    def _different_distances(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or len({in_key(distance) for distance in value}) < len(value):
            raise ValueError("give at least one distance, and none twice")
        return value

    @field_validator("recorders")
    @classmethod
    def _known_recorders(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        SplitsSettings(shares={name: 1.0 / len(value) for name in value})
        for split, names in value.items():
            unknown = [name for name in names if name not in RECORDERS]
            if unknown:
                raise ValueError(f"unknown device {unknown[0]!r}; there are {', '.join(RECORDERS)}")
            if not names or len(set(names)) < len(names):
                raise ValueError(f"the split {split!r} needs at least one device, and none twice")
        return value

    @model_validator(mode="after")
    def _fits(self) -> DevicesSettings:
        responses = self.count * len(self.angles_deg) * len(self.distances_m)
        if self.kind in DRAWN and responses > MAX_RESPONSES:
            raise ValueError(
                f"count {self.count} (--n) from {len(self.angles_deg)} angles and {len(self.distances_m)} distances makes "
                f"{responses} responses, and a dataset has at most {MAX_RESPONSES:,}: ask for fewer"
            )
        if self.lead_samples >= self.n_samples // 2:
            raise ValueError(f"lead_samples {self.lead_samples} leaves less than half of {self.n_samples} samples for the response")
        if self.kind == "generated":
            if (self.fs_hz, self.n_samples) != (_GENERATED_FS_HZ, _GENERATED_SAMPLES):
                raise ValueError(
                    f"fs_hz {self.fs_hz} and n_samples {self.n_samples} cannot be generated: the network gives "
                    f"{_GENERATED_SAMPLES} samples at {_GENERATED_FS_HZ} Hz, so leave both away"
                )
            unheard = [distance for distance in self.distances_m if distance not in _GENERATED_DISTANCES_M]
            if unheard:
                raise ValueError(
                    f"distances_m {unheard[0]:g} cannot be generated: the network has heard "
                    f"{', '.join(f'{distance:g}' for distance in _GENERATED_DISTANCES_M)} m and nothing between; give some of these"
                )
        return self


def in_key(value: float) -> str:
    """Return a number for a key, which has no dots: 1.25 as 1p25."""
    return f"{value:.6f}".rstrip("0").rstrip(".").replace(".", "p")
