"""Settings of datasets: what all families have in common, how overrides are laid over them, and the hash that names them.

The command line's flags and ``--set a.b=value`` are laid over a tree of plain values, and the result is checked once, by the
family's model (``datasets/*/settings.py``). Unknown keys are errors. The resolved settings are stored with the dataset and hashed:
two datasets with the same hash have the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)

import roomgen
from roomgen.errors import RoomgenError, suggest

Settings = TypeVar("Settings", bound=BaseModel)

_LONGEST_QUOTE = 80


class StrictModel(BaseModel):
    """What settings are made of: unknown keys are errors, and nothing is changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class SplitsSettings(StrictModel):
    """How samples are divided: whole rooms (``by = "room"``), or positions of every room (``by = "position"``).

    ``seen`` makes a further split ``test_seen`` of rooms: this share of the positions of the first split's rooms, which are then
    not in the first split.
    """

    by: Literal["room", "position"] = "room"
    seen: Annotated[float, Field(ge=0, lt=1)] = 0.0
    shares: dict[str, Annotated[float, Field(ge=0, le=1)]] = {"train": 0.8, "val": 0.1, "test": 0.1}

    @field_validator("shares")
    @classmethod
    def _complete(cls, shares: dict[str, float]) -> dict[str, float]:
        if not shares or abs(sum(shares.values()) - 1.0) > 1e-6:
            raise ValueError(f"shares add up to {sum(shares.values()):g}, not 1")
        for name in shares:
            if not (name.isascii() and name.isidentifier() and name.islower()):
                raise ValueError(f"split name {name!r} must be lower-case letters, digits and _")
        return shares


class CommonSettings(StrictModel):
    """What the settings of every family of datasets have; ``note`` is a sentence for the dataset's card.

    ``shard_size`` None: as :func:`roomgen.datasets.family.shards_of` sees fit.

    What is ``later`` came after the family, and is left out where it is not used (0, none, empty): datasets without it keep their
    hash and their bytes.
    """

    later: ClassVar[tuple[str, ...]] = ()

    family: str
    preset: str = ""
    note: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    shard_size: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @model_serializer(mode="wrap")
    def _plain(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        tree: dict[str, Any] = handler(self)
        return {name: value for name, value in tree.items() if name not in self.later or getattr(self, name)}

    def hash(self) -> str:
        """Return 16 hex digits that name these settings and the version of the code that reads them."""
        text = json.dumps({"version": roomgen.__version__, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def resolve(
    tree: dict[str, Any],
    overrides: Mapping[str, Any] | None,
    *,
    model: type[Settings],
    flags: Mapping[str, str] | None = None,
    command: str = "roomgen config",
) -> Settings:
    """Return the settings of a tree of plain values with overrides (dotted key to value) laid over it; errors as above.

    ``command`` is the one that an unknown key is told prints all settings.
    """
    for key, value in (overrides or {}).items():
        _put(tree, key, value, model, command)
    return check_settings(tree, model=model, flags=flags)


def check_settings(tree: Mapping[str, Any], *, model: type[Settings], flags: Mapping[str, str] | None = None) -> Settings:
    """Return the settings that a tree of plain values describes, or raise one RoomgenError that names what is wrong."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise RoomgenError(_explain(error, flags or {})) from None


def parse_assignment(text: str) -> tuple[str, Any]:
    """Return key and value of ``key=value``; the value is read as TOML, or as text where it is not TOML."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RoomgenError(f"--set {_short(text)} is not key=value, such as --set place.wall_distance_m=0.3")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise RoomgenError(f"--set {_short(text)} has more digits than any setting.") from None


def differing_keys(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return ``key: old → new`` for every leaf in which two trees of settings differ."""
    lines = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differing_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {json.dumps(before)} → {json.dumps(after)}")
    return lines


def _put(tree: dict[str, Any], dotted: str, value: Any, root: type[BaseModel], command: str) -> None:
    *parents, leaf = dotted.split(".")
    model: type[BaseModel] | None = root
    for depth, part in enumerate([*parents, leaf]):
        if model is None:  # names within a setting: of splits, of walls
            break
        if part not in model.model_fields:
            known = _leaves(root)
            raise RoomgenError(f"unknown setting {_short(dotted)}.{suggest(dotted, known)} `{command}` prints all of them.")
        field = model.model_fields[part].annotation
        model = _model(field)
        if model is None and depth < len(parents) and dict not in {get_origin(field), *map(get_origin, get_args(field))}:
            raise _nothing_inside(dotted, depth)
    for depth, part in enumerate(parents):
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise _nothing_inside(dotted, depth)
    tree[leaf] = value


def _nothing_inside(dotted: str, depth: int) -> RoomgenError:
    whole = ".".join(dotted.split(".")[: depth + 1])
    return RoomgenError(f"unknown setting {_short(dotted)}: {whole} is a value, not a group of settings. Give {whole} itself.")


def _model(annotation: object) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _leaves(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        inner = _model(field.annotation)
        names += _leaves(inner, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return names


def _short(value: object) -> str:
    """Return how a value is quoted: in one line, and not endlessly."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        return "(a number of more than 4300 digits)"
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


def _explain(error: ValidationError, flags: Mapping[str, str]) -> str:
    problems = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        name = flags.get(where, f"setting {where}" if where else "settings")  # no place: of the settings as a whole
        text = item["msg"].removeprefix("Value error, ").removeprefix("Input ")
        given = item.get("input")
        shown = "" if isinstance(given, (dict, BaseModel)) else f" {_short(given)}"
        problem = f"{name}{shown}: {text}"
        if problem not in problems:
            problems.append(problem)
    return "; ".join(problems) + "."
