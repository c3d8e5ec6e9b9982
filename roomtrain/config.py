"""Settings of a training: a TOML preset per paper and size, overrides from the command line, one error for what is wrong."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from enum import Enum
from importlib import resources
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from roomgen.errors import suggest
from roomgen.settings import resolve
from roomtrain.errors import RoomtrainError

VERSION = 3
"""Of what settings mean: raised when the same settings would train something else."""
SIZES = ("paper", "small", "smoke")
"""Presets that every paper has: exactly the paper; what two cores can do; seconds, for tests."""


class Model(BaseModel):
    """A group of settings: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Mark(Enum):
    """What a setting has to do with the result; the hash of the settings goes by it."""

    IDLE = "changes no result: never in the hash"
    LATER = "came after results were published: in the hash where it is not the default, so that older hashes stay"


class RunSettings(Model):
    """What the settings of every paper have.

    ``reduced`` says in words what is less than the paper's; empty: nothing. ``precision`` is that of Lightning Fabric; ``tf32``
    lets a GPU multiply float32 numbers with ten bits of mantissa, several times faster. ``resamples`` are of the bootstrap that
    gives the intervals of the results. ``seeds`` is how many seeds of a cell ``roomtrain train --all`` trains, from ``seed`` on.
    """

    paper: str
    preset: str
    reduced: Annotated[str, Mark.IDLE] = ""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    tf32: bool = False
    resamples: Annotated[int, Mark.IDLE, Field(ge=100)] = 1000
    seeds: Annotated[int, Mark.IDLE, Field(ge=1, le=100)] = 1

    def deciding(self) -> dict[str, Any]:
        """Return the settings that decide the result, as plain values."""
        return _deciding(self)

    def hash(self, *, version: int = VERSION) -> str:
        """Return 16 hex digits that name the settings that decide the result, and the version of what they mean."""
        text = json.dumps({"version": version, **self.deciding()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _deciding(settings: BaseModel) -> dict[str, Any]:
    plain = settings.model_dump(mode="json")
    kept: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if Mark.IDLE in field.metadata or (Mark.LATER in field.metadata and value == field.default):
            continue
        kept[name] = _deciding(value) if isinstance(value, BaseModel) else plain[name]
    return kept


Settings = TypeVar("Settings", bound=RunSettings)


def load_settings(
    paper: str, preset: str, overrides: Mapping[str, Any], *, model: type[Settings], package: str = "roomtrain"
) -> Settings:
    """Return the settings of a paper's preset with overrides (dotted key to value) laid over it.

    Args:
        package: whose ``presets/PAPER-PRESET.toml`` is read.

    Raises:
        RoomtrainError: no such preset.
        RoomgenError: no such key, or a value that is not allowed.
    """
    if preset not in SIZES:
        raise RoomtrainError(f"unknown preset {preset!r}.{suggest(preset, SIZES)} Presets: {', '.join(SIZES)}.")
    text = (resources.files(package) / "presets" / f"{paper}-{preset}.toml").read_text(encoding="utf-8")
    return resolve(
        {"paper": paper, "preset": preset, **tomllib.loads(text)}, overrides, model=model, command=f"roomtrain config {paper}"
    )
