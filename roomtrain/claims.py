"""What a run says of itself: ``settings.json`` in its folder, written when it begins and checked whenever it goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roomgen.settings import check_settings, differing_keys
from roomgen.store.folder import write_text
from roomtrain.config import RunSettings
from roomtrain.errors import RoomtrainError
from roomtrain.paper import Paper, get_paper

SETTINGS = "settings.json"


def claim(out: Path, settings: RunSettings, *, cell: str, data: Mapping[str, Any], root: Path) -> None:
    """Write what a run is into its folder, or check that the folder is of the same run.

    Raises:
        RoomtrainError: it is of another one; the message names what differs.
    """
    path = out / SETTINGS
    values: dict[str, Any] = {
        "cell": cell,
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash(),
        "data": dict(data),
        "root": str(root.resolve()),
    }
    if path.is_file():
        before = read_claim(out)
        differ = _that_matter(settings, before["settings"]) + differing_keys(before["data"], values["data"])
        if differ:
            shown = "; ".join(differ[:6]) + (f" and {len(differ) - 6} more" if len(differ) > 6 else "")
            raise RoomtrainError(f"{out} is a run with other settings or data ({shown}): use another --out, or remove the folder.")
        return
    if out.exists() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise RoomtrainError(f"{out} is not empty and not a run of roomtrain: use another --out.")
    out.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({**values, "begun": time.strftime("%Y-%m-%d")}, indent=1) + "\n")


def read_claim(run: Path) -> dict[str, Any]:
    """Return what a run says of itself.

    Raises:
        RoomtrainError: the folder is no run.
    """
    path = run / SETTINGS
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RoomtrainError(f"{run} is not a run: there is no {SETTINGS}. `roomtrain train` makes one.") from None
    except (OSError, ValueError) as error:
        raise RoomtrainError(
            f"{path} is not readable as JSON ({error}): restore it, or remove {run} to begin it anew.", exit_code=1
        ) from None
    known = isinstance(values, dict) and all(isinstance(values.get(key), dict) for key in ("settings", "data"))
    if not known:
        raise RoomtrainError(f"{path} holds no settings: restore it, or remove {run} to begin it anew.", exit_code=1)
    return values


def claimed(run: Path) -> tuple[Paper, Any, str]:
    """Return the paper, the settings and the cell of a run.

    Raises:
        RoomtrainError: the folder is no run, or of a paper or with settings that this version does not know.
    """
    values = read_claim(run)
    paper = get_paper(str(values["settings"].get("paper")))
    settings = check_settings(values["settings"], model=paper.Settings)
    return paper, settings, str(values.get("cell") or paper.cell_of(settings))


def _that_matter(settings: RunSettings, before: Mapping[str, Any]) -> list[str]:
    """Return the settings that differ from those before, leaving out those that change no result."""
    return differing_keys(_kept(before, settings.deciding()), settings.deciding())


def _kept(tree: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a tree that another has; what the tree has not is None."""
    kept: dict[str, Any] = {}
    for key, value in like.items():
        inner = tree.get(key)
        kept[key] = _kept(inner, value) if isinstance(value, Mapping) and isinstance(inner, Mapping) else inner
    return kept
