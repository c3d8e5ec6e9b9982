"""Training one cell of a paper: its stages in order, each resumed where it stopped; then what its predictions are worth."""

from __future__ import annotations

import contextlib
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric

from roomgen.store.folder import write_text, writing
from roomgen.store.lock import lock
from roomgen.store.seal import is_json_intact, sealed_json
from roomtrain.checkpoint import BEST, write_weights
from roomtrain.claims import claim, claimed, read_claim
from roomtrain.config import RunSettings
from roomtrain.errors import RoomtrainError, Stopped
from roomtrain.fabric import alone, describe_device
from roomtrain.journal import Sink
from roomtrain.loop import fit
from roomtrain.models.heads import count_parameters
from roomtrain.paper import Data, Paper, Place, Stage
from roomtrain.predictions import PREDICTIONS, prediction_table, write_predictions
from roomtrain.processes import any_of
from roomtrain.progress import Progress
from roomtrain.results import RESULTS, describe, measure, read_results, write_results
from roomtrain.signals import StopRequest
from roomtrain.weights import Weights

STAGE = "stage.json"
"""Written when a stage is done: how it went."""
_HISTORY = ("settings_hash", "parameters", "seconds", "epochs", "best_epoch", "best_val_loss", "steps")
EVALUATIONS = "evaluations"
_ASK_AGAIN_S = 1.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Command:
    """What a command trains with: device and processes, how it can be stopped, where its log goes, what it shows."""

    fabric: Fabric
    stop: StopRequest | None = None
    progress: Progress | None = None
    sinks: Sequence[Sink] = ()
    workers: int = 2
    shared: Path | None = None
    """Folder for what several runs have in common; None: each run keeps its own."""
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        place = Place(self.fabric.device, self.fabric.global_rank, self.fabric.world_size, self.workers)
        object.__setattr__(self, "place", place)


def train(paper: Paper, settings: RunSettings, *, cell: str, root: Path, out: Path, command: Command) -> dict[str, Any]:
    """Train a cell, write ``predictions.parquet`` and ``results.json`` into its folder, and return the results.

    What is trained already is left as it is; a finished run only returns its results.

    Args:
        root: folder of ``roomgen paper``.
        out: folder of the run; one of the same settings and data is gone on with.

    Raises:
        RoomtrainError: whatever is wrong with data, folder or training; :class:`DatasetError` where a dataset is damaged.
        Stopped: asked to stop; everything is saved.
    """
    fabric = command.fabric
    data = paper.open(root, command.place)
    settings = paper.settled(settings, data)
    fingerprint = data.fingerprint()
    # The others wait: they would see a folder that is being begun.
    together(fabric, lambda: claim(out, settings, cell=cell, data=fingerprint, root=root))
    if (out / RESULTS).is_file():
        return read_results(out / RESULTS, paper)
    stages = paper.stages(settings, data, command.place)
    folders = folders_of(stages, out, command.shared)
    weights = Weights(folders)
    if command.progress is not None:
        command.progress.cell(out.name, [stage.name for stage in stages])
    for stage in stages:
        _train_stage(stage, settings, weights, folders[stage.name], fingerprint, command)
    began = time.monotonic()

    def finish() -> dict[str, Any]:
        table = prediction_table(cell, paper.predict(settings, data, weights, command.place))
        history = {stage.name: _history(folders[stage.name]) for stage in stages}
        seconds = sum(stage["seconds"] for stage in history.values()) + time.monotonic() - began
        results = {
            **describe(paper, settings, cell),
            "data": fingerprint,
            "parameters": {name: stage["parameters"] for name, stage in history.items()},
            "protocols": measure(paper, table, resamples=settings.resamples),
            "stages": history,
            "seconds": round(seconds, 1),
            "processes": fabric.world_size,
            "device": describe_device(fabric.device),
            "versions": {"torch": str(torch.__version__), "python": platform.python_version()},
        }
        write_predictions(out / PREDICTIONS, table)
        write_results(out / RESULTS, results)
        return results

    return together(fabric, finish)


def evaluate(run: Path, root: Path, *, out: Path | None, command: Command) -> tuple[Path, dict[str, Any]]:
    """Measure a finished run on the test of other data, into a folder of its own; nothing is trained and no result is overwritten.

    Args:
        root: folder of ``roomgen paper``.
        out: None: ``evaluations/NAME-HASH`` in the run, after the data's folder and what it holds.

    Returns:
        the folder, and what is in its ``results.json``.

    Raises:
        RoomtrainError: a run that is not trained to its end, or an ``out`` that holds something else.
    """
    paper, settings, cell = claimed(run)
    if not (run / RESULTS).is_file():
        raise RoomtrainError(f"{run} is not finished: run the `roomtrain train` that began it again, and it goes on.", exit_code=1)
    data = paper.open(root, command.place, training=False)
    fingerprint = data.fingerprint()
    named = "-".join(str(part["sha256"])[:6] for part in fingerprint.values())
    folder = out if out is not None else run / EVALUATIONS / f"{root.resolve().name}-{named}"
    if (folder / RESULTS).is_file():
        found = read_results(folder / RESULTS, paper)
        if found.get("run") == str(run.resolve()) and found["data"] == fingerprint:
            return folder, found
        raise RoomtrainError(f"{folder} holds an evaluation of another run or other data: give another --out.")
    if folder.exists() and any(folder.iterdir()):
        raise RoomtrainError(f"{folder} is not empty: give another --out.")
    weights = trained_weights(paper, settings, run, data)
    table = prediction_table(cell, paper.predict(settings, data, weights, command.place))
    results = {
        **describe(paper, settings, cell),
        "run": str(run.resolve()),
        "trained_on": read_claim(run)["data"],
        "data": fingerprint,
        "protocols": measure(paper, table, resamples=settings.resamples),
        "device": describe_device(command.fabric.device),
        "versions": {"torch": str(torch.__version__), "python": platform.python_version()},
    }
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / PREDICTIONS, table)
    write_results(folder / RESULTS, results)
    return folder, results


def trained_weights(paper: Paper, settings: Any, run: Path, data: Data | None = None) -> Weights:
    """Return the weights of a run's stages; what cells share lies in the run, or in the folder of runs beside it."""
    stages = paper.stages(settings, data, Place(torch.device("cpu")))
    own, common = folders_of(stages, run, None), folders_of(stages, run, run.parent)
    return Weights({name: folder if (folder / BEST).is_file() else common[name] for name, folder in own.items()})


def folders_of(stages: Sequence[Stage], out: Path, shared: Path | None) -> dict[str, Path]:
    """Return the folder of each stage: in the run, or for one that several runs share beside them, under a name of its settings."""
    common = out if shared is None else shared
    return {stage.name: out / stage.name if stage.shared is None else common / f"{stage.name}-{stage.shared}" for stage in stages}


def _train_stage(
    stage: Stage, settings: RunSettings, weights: Weights, folder: Path, fingerprint: Mapping[str, Any], command: Command
) -> None:
    """Train a stage, unless it is done."""
    progress = command.progress
    if progress is not None:
        progress.stage()
    key = "-".join([stage.shared or settings.hash(), *(str(part["sha256"]) for part in fingerprint.values())])
    trained = False
    with _held(folder, command) if stage.shared is not None else contextlib.nullcontext():
        if not _is_done(folder, key):
            trained = True
            fabric = alone(command.fabric) if stage.alone else command.fabric
            work = _Work(stage, weights, folder, key, settings.seed, command, fabric)
            if stage.alone and command.fabric.world_size > 1:
                together(command.fabric, work)
            else:
                work()
    if progress is not None:
        progress.ended(trained=trained)


@dataclass(frozen=True)
class _Work:
    """The training of a stage, to be called in every process or in one."""

    stage: Stage
    weights: Weights
    folder: Path
    key: str
    seed: int
    command: Command
    fabric: Fabric

    def __call__(self) -> None:
        stage, folder, fabric = self.stage, self.folder, self.fabric
        task = stage.make(self.weights)
        how: dict[str, Any] = {"settings_hash": self.key, "parameters": count_parameters(task.model), "seconds": 0.0}
        if stage.fit is None:
            if fabric.is_global_zero:
                with writing(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                write_weights(folder / BEST, task.model.state_dict())
        else:
            fitted = fit(
                task,
                stage.fit,
                folder=folder,
                fabric=fabric,
                seed=self.seed,
                settings_hash=self.key,
                stop=self.command.stop,
                progress=self.command.progress if fabric.is_global_zero else None,
                sinks=self.command.sinks,
            )
            how |= {
                "epochs": fitted.epochs,
                "best_epoch": fitted.best_epoch + 1,
                "best_val_loss": fitted.best_loss,
                "steps": fitted.steps,
                "seconds": round(fitted.seconds, 1),
            }
        if fabric.is_global_zero:
            write_text(folder / STAGE, sealed_json(how))
        fabric.barrier()


def _is_done(folder: Path, key: str) -> bool:
    """Tell whether a stage of this key is done; one of another key is left for the loop to refuse, by name.

    Where its file is damaged it is not: its checkpoint then tells the same again.
    """
    return (folder / BEST).is_file() and _history(folder).get("settings_hash") == key


def _history(folder: Path) -> dict[str, Any]:
    """Return how the training of a stage went, or nothing where that is not known."""
    try:
        data = (folder / STAGE).read_bytes()
        values = json.loads(data)
    except (OSError, ValueError):
        return {}
    known = isinstance(values, dict) and {"settings_hash", "parameters", "seconds"} <= values.keys()
    if not known or ("sha256" in values and not is_json_intact(data)):
        return {}
    return {name: values[name] for name in _HISTORY if name in values}


@contextlib.contextmanager
def _held(folder: Path, command: Command) -> Iterator[None]:
    """Hold a folder that several runs share; while another command trains there, wait for it, all processes together."""
    fabric, stop = command.fabric, command.stop
    with contextlib.ExitStack() as stack:
        if fabric.is_global_zero:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        while True:
            mine = fabric.is_global_zero and stack.enter_context(lock(folder))
            asked, held = any_of([stop is not None and bool(stop.asked), mine], fabric)
            if asked and not held:
                raise Stopped(f"{folder.name}: another command trains it")
            if held:
                break
            stack.close()
            time.sleep(_ASK_AGAIN_S)
        yield


def together(fabric: Fabric, work: Callable[[], Result]) -> Result:
    """Return what the first process makes of it, in all of them; what ends it there, ends all in the same way."""
    if fabric.world_size == 1:
        return work()
    result: Any = None
    problem: tuple[str, str, int] | None = None
    error: BaseException | None = None
    if fabric.is_global_zero:
        try:
            result = work()
        except Stopped as stopped:
            problem, error = ("stopped", str(stopped), 0), stopped
        except RoomtrainError as wrong:
            problem, error = ("wrong", str(wrong), wrong.exit_code), wrong
        except Exception as other:  # the others would wait for it for ever
            problem, error = ("wrong", f"the first process failed: {other}", 1), other
    result, problem = fabric.broadcast((result, problem))
    if error is not None:
        raise error
    if problem is not None:
        kind, text, code = problem
        raise Stopped(text) if kind == "stopped" else RoomtrainError(text, exit_code=code)
    return result  # type: ignore[no-any-return]
