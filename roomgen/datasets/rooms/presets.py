"""Presets: settings of rooms by name, with overrides laid over them. A preset is a TOML file in ``roomgen/presets``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.errors import RoomgenError, suggest
from roomgen.settings import resolve


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets that come with roomgen."""
    files = resources.files("roomgen") / "presets"
    return tuple(sorted(f.name.removesuffix(".toml") for f in files.iterdir() if f.name.endswith(".toml")))


def load_settings(
    preset: str, overrides: Mapping[str, Any] | None = None, *, flags: Mapping[str, str] | None = None
) -> DatasetSettings:
    """Return the settings of a preset with overrides laid over it.

    Args:
        preset: a name of :func:`preset_names`.
        overrides: dotted key to value, such as ``{"rooms.count": 110, "signal.air": (20, 50)}``.
        flags: what errors shall call a key, such as ``{"rooms.count": "--n"}``.

    Raises:
        RoomgenError: no such preset or key, or a value that is not allowed.
    """
    if preset not in preset_names():
        raise RoomgenError(f"unknown preset {preset!r}.{suggest(preset, preset_names())} Presets: {', '.join(preset_names())}.")
    text = (resources.files("roomgen") / "presets" / f"{preset}.toml").read_text(encoding="utf-8")
    tree: dict[str, Any] = {"preset": preset, **tomllib.loads(text)}
    _give_way(tree, overrides or {})
    return resolve(tree, overrides, model=DatasetSettings, flags=flags)


def array_overrides(text: str) -> dict[str, Any]:
    """Return what the name of a geometry, or a CSV file of positions, says of ``array``: dotted key to value.

    Raises:
        RoomgenError: the file cannot be read, or is no list of microphones.
    """
    if not text.lower().endswith(".csv"):
        return {"array.geometry": text}
    from roomgen.acoustics.arrays import read_array_csv

    array = read_array_csv(Path(text))
    return {"array.geometry": array.name, "array.positions_m": array.positions_m, "array.patterns": array.patterns}


def _give_way(tree: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Take out of a preset what it says of its own walls, where others are given, or another RT60 or engine."""
    walls = tree.get("walls", {})
    if overrides.get("walls.absorption", "random") != "random":
        walls.clear()
    if "walls.model" in overrides and "walls.absorption" not in overrides:
        walls.pop("absorption", None)
    targets = [key for key in ("rt60_s", "rt60_bands_s") if overrides.get(f"signal.{key}") is not None]
    if targets:
        for key in {"rt60_s", "rt60_bands_s"} - set(targets):
            tree.get("signal", {}).pop(key, None)
    if overrides.get("engine.name") == "reference":
        walls.pop("scattering", None)
    if targets:
        walls.pop("rt60_limits_s", None)
