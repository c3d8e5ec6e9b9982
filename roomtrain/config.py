"""Settings of a training: a TOML preset per paper and size, overrides from the command line, one error for what is wrong."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from roomgen.errors import suggest
from roomgen.settings import resolve
from roomtrain.errors import RoomtrainError

VERSION = 2
"""Of what settings mean: raised when the same settings would train something else."""
SIZES = ("paper", "small", "smoke")
"""Presets that every paper has: exactly the paper; what two cores can do; seconds, for tests."""


class Model(BaseModel):
    """A group of settings: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FitSettings(Model):
    """How a model is fitted.

    ``patience`` is how many epochs may pass without a smaller validation loss; ``schedule`` "cosine" brings the learning rate to
    0 over ``max_epochs``; ``warmup_steps`` lets it rise first; ``clip_norm`` limits the norm of all gradients together;
    ``ema_decay`` validates and keeps an exponential moving average of the weights.
    """

    max_epochs: Annotated[int, Field(ge=1)] = 100
    patience: Annotated[int, Field(ge=1)] | None = 4
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None


class RunSettings(Model):
    """What the settings of every paper have. ``reduced`` says in words what is less than the paper's; empty: nothing."""

    paper: str
    preset: str
    reduced: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    def hash(self) -> str:
        """Return 16 hex digits that name these settings and the version of the code that reads them."""
        text = json.dumps({"version": VERSION, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


Settings = TypeVar("Settings", bound=RunSettings)


def load_settings(paper: str, preset: str, overrides: Mapping[str, Any], *, model: type[Settings]) -> Settings:
    """Return the settings of a paper's preset with overrides (dotted key to value) laid over it.

    Raises:
        RoomtrainError: no such preset.
        RoomgenError: no such key, or a value that is not allowed.
    """
    if preset not in SIZES:
        raise RoomtrainError(f"unknown preset {preset!r}.{suggest(preset, SIZES)} Presets: {', '.join(SIZES)}.")
    text = (resources.files("roomtrain") / "presets" / f"{paper}-{preset}.toml").read_text(encoding="utf-8")
    return resolve({"paper": paper, "preset": preset, **tomllib.loads(text)}, overrides, model=model)
