"""A trained run as a folder for others, such as the Hub takes it: weights, what they are, a card, and ONNX; and reading it again.

    model.safetensors   all networks of the paper's listener
    config.json         what they are: paper, cell, protocol, settings, targets, data, versions, and the weights' sha256
    README.md           the model card
    model.onnx          the same networks from the samples on, where torch can write them

Nothing else is needed to use it: no data, and not the run that it came from. Nothing in it is executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from roomgen.errors import RoomgenError
from roomgen.settings import check_settings
from roomgen.store.folder import CARD_FILE, TEMPORARY_PREFIX, sha256_of, write_text, writing
from roomtrain.checkpoint import read_weights, write_weights
from roomtrain.claims import SETTINGS, claimed
from roomtrain.config import RunSettings
from roomtrain.errors import RoomtrainError
from roomtrain.export.card import card
from roomtrain.export.onnx import OPSET, TOLERANCE, CannotExport, missing_packages, write_onnx
from roomtrain.listen import Model, load_model, seeds_kept
from roomtrain.paper import Paper, get_paper
from roomtrain.predictions import CLEAN, PREDICTIONS, read_predictions
from roomtrain.results import RESULTS, read_results
from roomtrain.targets import Target

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
ONNX = "model.onnx"
LIBRARY = "roomtrain"
FORMAT = 1
"""Of :data:`CONFIG`: raised when an older version could not read it."""

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: where.
        files: name → bytes.
        protocol: which training the heads are from.
        onnx: by output, how far the ONNX graph is from torch; None: there is none.
        without_onnx: why there is none.
    """

    folder: Path
    files: dict[str, int]
    protocol: str
    onnx: dict[str, float] | None
    without_onnx: str


def export(
    run: Path,
    *,
    out: Path | None = None,
    protocol: str | None = None,
    onnx: bool | None = None,
    overwrite: bool = False,
    license_id: str = "mit",
) -> Exported:
    """Write a finished run as a folder for others.

    Args:
        out: None: ``RUN-export`` beside the run.
        protocol: which training the heads are from; None: the one that asks the most.
        onnx: None: where the packages are installed and torch can; True: it is an error where not.
        overwrite: write over an export that is there.
        license_id: of the weights, as the Hub calls it: "mit", "cc-by-4.0".

    Raises:
        RoomtrainError: a run that is not finished or does not listen, a folder that holds something else, or an ONNX graph that is
            asked for and cannot be had, or gives something else than torch.
    """
    if not _LICENSE.fullmatch(license_id):
        raise RoomtrainError(f"license {license_id!r}: give an identifier of the Hub's list, such as mit or cc-by-4.0.")
    absent = missing_packages() if onnx is not False else []
    if onnx and absent:
        raise RoomtrainError(f"--onnx needs {', '.join(absent)}: pip install 'roomgen[export]'.", exit_code=1)
    paper, settings, cell = claimed(run)
    if not (run / RESULTS).is_file():
        raise RoomtrainError(f"{run} is not finished: run the `roomtrain train` that began it again, and it goes on.", exit_code=1)
    results = read_results(run / RESULTS, paper)
    folder = out if out is not None else run.resolve().with_name(f"{run.resolve().name}-export")
    _check_free(folder, overwrite=overwrite)
    model = load_model(run, protocol=protocol)
    begun = not folder.exists()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with writing(folder), TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as temporary:
            work = Path(temporary)
            write_weights(work / WEIGHTS, {name: t.clone() for name, t in model.listener.modules.state_dict().items()})
            config = _config(paper, settings, cell, model, results, run) | {"sha256": {WEIGHTS: sha256_of(work / WEIGHTS)}}
            found, reason = _onnx(model, work / ONNX, config, asked=onnx, absent=absent)
            write_text(work / CONFIG, json.dumps(config, indent=1, ensure_ascii=False) + "\n")
            write_text(work / CARD_FILE, card(paper, results, config, license_id=license_id, onnx=found))
            files = _put(work, folder)
    finally:
        if begun:
            with suppress(OSError):  # not empty: it is written
                folder.rmdir()
    return Exported(folder, files, model.listener.protocol, found, reason)


def is_export(folder: Path) -> bool:
    """Tell whether a folder is meant as an export, be it whole or not: a run has other files."""
    return not (folder / SETTINGS).exists() and any((folder / name).exists() for name in (CONFIG, WEIGHTS))


def load_export(folder: Path, *, protocol: str | None = None, device: torch.device | str = "cpu") -> Model:
    """Return the model in a folder that :func:`export` wrote.

    Args:
        protocol: the one it must have; None: whichever it has.

    Raises:
        RoomtrainError: another kind of folder, one of another version, a damaged one, or one with the heads of another protocol.
    """
    config = read_config(folder)
    have = str(config["protocol"])
    if protocol not in (None, have):
        raise RoomtrainError(f"{folder} has the heads of the protocol {have!r}, not {protocol!r}: export the run with --protocol.")
    path = folder / WEIGHTS
    if not path.is_file() or sha256_of(path) != config["sha256"][WEIGHTS]:
        what = "is not the one that config.json names" if path.is_file() else "is missing"
        raise RoomtrainError(f"{path} {what}: the export is not whole. Fetch it or export the run again.", exit_code=1)
    weights = read_weights(path)
    try:
        paper = get_paper(str(config["paper"]))
        settings = check_settings(config["settings"], model=paper.Settings)
        with seeds_kept():
            listener = paper.listener(settings, None, protocol=have)
        theirs, ours = (config.get("n_samples"), config.get("fs_hz")), (listener.n_samples, listener.fs_hz)
        if theirs != ours:
            raise RoomtrainError(f"it hears {theirs[0]} samples at {theirs[1]} Hz, not {ours[0]} at {ours[1]} Hz")
        listener.modules.load_state_dict(weights)
    except (RoomgenError, RuntimeError) as error:
        raise RoomtrainError(
            f"{folder} was made by roomtrain {config.get('version')}, and this version cannot use it "
            f"({' '.join(str(error).split())[:200]}).",
            exit_code=1,
        ) from None
    return Model(paper, listener, cell=str(config["cell"]), device=device)


def read_config(folder: Path) -> dict[str, Any]:
    """Return what an export says of itself.

    Raises:
        RoomtrainError: it does not say it, or in a later version's words.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RoomtrainError(f"{folder} is no whole export: there is no {CONFIG}. `roomtrain export` makes one.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RoomtrainError(f"{path} is not readable as JSON ({error}): fetch it or export the run again.", exit_code=1) from None
    if not isinstance(config, dict) or config.get("library_name") != LIBRARY:
        raise RoomtrainError(f"{folder} holds a model of another kind: `roomtrain export` did not make it.")
    if config.get("format") != FORMAT:
        raise RoomtrainError(
            f"{path} has the format {config.get('format')!r}; this version of roomtrain reads {FORMAT}.", exit_code=1
        )
    kinds = {"paper": str, "cell": str, "protocol": str, "settings": dict, "sha256": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(config.get(name), kind)]
    if wrong or WEIGHTS not in config["sha256"]:
        raise RoomtrainError(
            f"{path} does not say {(wrong or ['sha256'])[0]!r}: it is damaged. Fetch it or export the run again.", exit_code=1
        )
    return config


def _config(paper: Paper, settings: RunSettings, cell: str, model: Model, results: Mapping[str, Any], run: Path) -> dict[str, Any]:
    listener = model.listener
    tested = _tested(run, paper.members(listener.protocol), listener.targets)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((1, listener.n_samples), dtype=np.float32))
    return {
        "library_name": LIBRARY,
        "format": FORMAT,
        "paper": paper.name,
        "title": paper.title,
        "cell": cell,
        "protocol": listener.protocol,
        "fs_hz": listener.fs_hz,
        "segment_s": listener.segment_s,
        "n_samples": listener.n_samples,
        "any_level": listener.any_level,
        "embedding": int(model.outputs(noise)[0].shape[1]),
        "targets": [
            {name: value for name, value in asdict(target).items() if name != "measured"} | {"tested": tested.get(target.name)}
            for target in listener.targets
        ],
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash(),
        **{name: results.get(name) for name in ("data", "commit", "version", "versions", "device")},
    }


def _tested(run: Path, protocols: Sequence[str], targets: Sequence[Target]) -> dict[str, Any]:
    """Return by target, what truths the test had: the least and the largest, or of a class how many samples of each."""
    if not (run / PREDICTIONS).is_file():
        return {}
    table = read_predictions(run)
    rows = table[table["protocol"].isin(protocols) & (table["condition"] == CLEAN)]
    tested: dict[str, Any] = {}
    for target in targets:
        truth = rows["truth"].to_numpy()[(rows["target"] == target.name).to_numpy()]
        truth = truth[np.isfinite(truth)]
        if not len(truth):
            continue
        if target.kind == "class":
            tested[target.name] = np.bincount(truth.astype(np.int64), minlength=len(target.classes)).tolist()
        else:
            tested[target.name] = [float(truth.min()), float(truth.max())]
    return tested


def _onnx(
    model: Model, path: Path, config: dict[str, Any], *, asked: bool | None, absent: list[str]
) -> tuple[dict[str, float] | None, str]:
    """Write the ONNX graph if it is asked for or can be had; return how far it is from torch, or why there is none."""
    if asked is False:
        return None, "not asked for"
    if absent:
        return None, f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed: pip install 'roomgen[export]'"
    kept = {name: config[name] for name in ("library_name", "paper", "cell", "protocol", "fs_hz", "settings_hash")}
    metadata = {name: str(value) for name, value in kept.items()} | {"targets": json.dumps(config["targets"], ensure_ascii=False)}
    try:
        found = write_onnx(model.listener, path, metadata=metadata)
    except CannotExport as error:
        if asked:
            raise
        return None, str(error)
    config["onnx"] = {"opset": OPSET, "tolerance": TOLERANCE, "difference": found}
    config["sha256"][ONNX] = sha256_of(path)
    return found, ""


def _check_free(folder: Path, *, overwrite: bool) -> None:
    """Raise unless a folder may be written: new, empty but for hidden entries, or an export to write over."""
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise RoomtrainError(f"{folder} is not a folder: give another --out.")
    if all(entry.name.startswith(".") for entry in folder.iterdir()):
        return
    try:
        read_config(folder)
    except RoomtrainError:
        raise RoomtrainError(f"{folder} is not empty and no export: give another --out.") from None
    if not overwrite:
        raise RoomtrainError(f"{folder} holds an export: give another --out, or --overwrite.")


def _put(work: Path, folder: Path) -> dict[str, int]:
    """Move what was written to where it belongs, the configuration last: a kill before it leaves what its sums do not fit."""
    if not (work / ONNX).exists():
        (folder / ONNX).unlink(missing_ok=True)
    names = sorted((path.name for path in work.iterdir()), key=lambda name: (name == CONFIG, name))
    mode = (work / CONFIG).stat().st_mode
    for name in names:
        (work / name).chmod(mode)  # safetensors lets nobody but the owner read what it writes
        (work / name).replace(folder / name)
    return {name: (folder / name).stat().st_size for name in names}
