"""Training one cell of Table 2: the encoder, then what is read from it; each stage resumes where it stopped."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from roomgen.files import lock, write_text
from roomgen.settings import differing_keys
from roomtrain.checkpoint import BEST, read_weights, write_weights
from roomtrain.config import FitSettings, RunSettings
from roomtrain.errors import RoomtrainError, Stopped
from roomtrain.loop import Fitted, fit
from roomtrain.models.heads import Head
from roomtrain.papers.goetz.data import DownstreamData, PaperData, UpstreamData
from roomtrain.papers.goetz.network import Encoder
from roomtrain.papers.goetz.settings import GoetzSettings
from roomtrain.papers.goetz.tasks import (
    Contrastive,
    Downstream,
    Supervised,
    build_head,
    embed_all,
    kept_spectrograms,
    new_encoder,
)
from roomtrain.signals import StopRequest
from roomtrain.task import Task

SETTINGS = "settings.json"
ENCODER = "encoder.safetensors"
CLEAN, LEVELLED = "clean", "levelled"
"""Conditions of the test: as it is; each sample as loud as the training set in the mean, as where a recording's gain is unknown."""

Estimates = dict[str, dict[str, Tensor]]
"""Target to condition ("clean", "levelled", "20 dB") to the (sample,) estimates for the test samples."""


class Training:
    """One cell under way.

    Args:
        settings: what is trained.
        root: folder of ``roomgen paper goetz``.
        out: folder of the run; one of the same settings and data is gone on with.
        fabric: device, precision and processes; launched.
        stop: looked at between two steps.
        workers: threads that decode the datasets.
        shared: folder for what several runs have in common (the warm-up); None: inside ``out``.
    """

    def __init__(
        self,
        settings: GoetzSettings,
        root: Path,
        out: Path,
        *,
        fabric: Fabric,
        stop: StopRequest | None,
        show: bool = True,
        workers: int = 2,
        shared: Path | None = None,
    ) -> None:
        self.settings, self.out, self.fabric, self.stop, self.show = settings, out, fabric, stop, show
        self.shared = out if shared is None else shared
        self.data = PaperData(root, device=fabric.device, workers=workers)
        self.fingerprint = self.data.fingerprint()
        if settings.downstream.batch % fabric.world_size:
            raise RoomtrainError(
                f"downstream.batch = {settings.downstream.batch} cannot be shared out among {fabric.world_size} processes."
            )
        if fabric.is_global_zero:  # the others wait: they would see a folder that is being begun
            claim(out, settings, {"data": self.fingerprint, "root": str(root.resolve())})
        fabric.barrier()

    def run(self) -> Iterator[tuple[str, DownstreamData, Estimates]]:
        """Train what is not trained yet; yield each protocol with its data and the estimates for its test samples."""
        encoder = self.encoder()
        for split_by in self.settings.downstream.splits:
            data = self.data.downstream(self.settings, split_by=split_by)
            yield split_by, data, self.supervised(data, split_by) if encoder is None else self.heads(encoder, data, split_by)

    def encoder(self) -> Encoder | None:
        """Return the frozen encoder: learned by contrast, or untrained; None for the supervised baseline."""
        if self.settings.strategy == "supervised":
            return None
        path = self.out / ENCODER
        if not path.is_file():
            data = self.data.upstream(self.settings)
            made = self._contrasted(data) if self.settings.contrastive else new_encoder(self.settings, data.splits["train"])
            if self.fabric.is_global_zero:
                write_weights(path, made.state_dict())
            self.fabric.barrier()
        encoder = new_encoder(self.settings)
        encoder.load_state_dict(read_weights(path))
        return encoder.to(self.fabric.device).eval()

    def _contrasted(self, data: UpstreamData) -> Encoder:
        task = Contrastive(self.settings, data, rank=self.fabric.global_rank, world=self.fabric.world_size)
        if self.settings.upstream.warm_up_epochs:
            task.model.load_state_dict(self.warm_up())
        self._fit(task, self.out / "upstream", self.settings.upstream.fit)
        return task.encoder

    def warm_up(self) -> dict[str, Tensor]:
        """Return the weights of encoder and projection after the soft epochs that come first; they are trained once."""
        settings = self.settings.warm_up()
        folder = self.shared / f"warm-up-seed{settings.seed}"
        rank, world = self.fabric.global_rank, self.fabric.world_size
        task = Contrastive(settings, self.data.upstream(settings), rank=rank, world=world)
        task.name = "warm-up"
        with self._alone(folder):
            self._fit(task, folder, settings.upstream.fit, settings)
        return dict(task.model.state_dict())

    @contextlib.contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """Hold a folder that several runs share; while another command trains there, wait for it."""
        with contextlib.ExitStack() as stack:
            if self.fabric.is_global_zero:
                folder.mkdir(parents=True, exist_ok=True)
                while not stack.enter_context(lock(folder)):
                    stack.close()
                    if self.stop is not None and self.stop.asked:
                        raise Stopped(f"{folder.name}: another command trains it")
                    time.sleep(1.0)
            self.fabric.barrier()  # the other processes begin when the folder is held
            yield

    def heads(self, encoder: Encoder, data: DownstreamData, split_by: str) -> Estimates:
        """Train the heads of a protocol on embeddings that are computed once."""
        embeddings = {split: embed_all(encoder, data.spectrograms[split], data.pairs[split]) for split in ("train", "val")}
        tests = self._tests(encoder, data)
        outputs: Estimates = {}
        for target in self.settings.downstream.targets:
            truth = {split: data.target(target, split) for split in embeddings}
            rank, world = self.fabric.global_rank, self.fabric.world_size
            task = Downstream(self.settings, target, embeddings=embeddings, truth=truth, rank=rank, world=world)
            task.name = f"{target} ({split_by})"
            self._fit(task, self.out / split_by / target, self.settings.downstream.fit)
            head = task.model.eval()
            with torch.no_grad():
                outputs[target] = {name: answer(head(e)) for name, e in tests.items()}
        return outputs

    def supervised(self, data: DownstreamData, split_by: str) -> Estimates:
        """Train the supervised baseline of a protocol, once per target."""
        kept = kept_spectrograms(self.settings, data)
        outputs: Estimates = {}
        for target in self.settings.downstream.targets:
            rank, world = self.fabric.global_rank, self.fabric.world_size
            task = Supervised(self.settings, target, data, kept, rank=rank, world=world)
            task.name = f"supervised {target} ({split_by})"
            self._fit(task, self.out / split_by / target, self.settings.supervised)
            head = task.head.eval()
            with torch.no_grad():
                outputs[target] = {name: answer(head(e)) for name, e in self._tests(task.encoder, data).items()}
        return outputs

    def _tests(self, encoder: Encoder, data: DownstreamData) -> dict[str, Tensor]:
        """Return the embeddings of the test samples as they are, with noise, and with their level taken away, by condition."""
        spectrograms, pairs = data.spectrograms["test"], data.pairs["test"]
        tests = {CLEAN: embed_all(encoder, spectrograms, pairs)}
        if self.settings.standardise == "dataset":
            tests[LEVELLED] = embed_all(encoder, spectrograms, pairs, levelled=True)
        for snr_db in self.settings.evaluation.snr_db:
            tests[f"{snr_db:g} dB"] = embed_all(encoder, spectrograms, pairs, snr_db=(snr_db, snr_db))
        return tests

    def _fit(self, task: Task, folder: Path, settings: FitSettings, whole: GoetzSettings | None = None) -> Fitted:
        named = self.settings if whole is None else whole
        key = named.hash() + "-" + "-".join(str(part["sha256"]) for part in self.fingerprint.values())
        return fit(
            task,
            settings,
            folder=folder,
            fabric=self.fabric,
            seed=self.settings.seed,
            settings_hash=key,
            stop=self.stop,
            show=self.show,
        )


def answer(output: Tensor) -> Tensor:
    """Return (sample,) estimates of a head's output: the number, or the likelier class."""
    return output.argmax(dim=1) if output.ndim == 2 else output


def claim(out: Path, settings: RunSettings, more: dict[str, Any]) -> None:
    """Write what a run is into its folder, or check that the folder is of the same run.

    Raises:
        RoomtrainError: it is of another one; the message names what differs.
    """
    path = out / SETTINGS
    values = {"settings": settings.model_dump(mode="json"), "settings_hash": settings.hash(), **more}
    if path.is_file():
        before = read_claim(out)
        differ = differing_keys(before["settings"], values["settings"]) + differing_keys(before["data"], values["data"])
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
    except ValueError as error:
        raise RoomtrainError(f"{path} is not readable as JSON ({error}).", exit_code=1) from None
    if not isinstance(values.get("settings"), dict) or not isinstance(values.get("data"), dict):
        raise RoomtrainError(f"{path} holds no settings: it is damaged.", exit_code=1)
    return values


def trained_parts(run: Path, settings: GoetzSettings, split_by: str, target: str, device: torch.device) -> tuple[Encoder, Head]:
    """Return the trained encoder and head of a run, ready to evaluate.

    Raises:
        RoomtrainError: that part of the run is not trained.
    """
    encoder = new_encoder(settings)
    head = build_head(target, torch.zeros(1), seed=settings.seed)
    weights = read_weights(run / split_by / target / BEST)
    if settings.strategy == "supervised":
        encoder.load_state_dict({name[2:]: value for name, value in weights.items() if name.startswith("0.")})
        head.load_state_dict({name[2:]: value for name, value in weights.items() if name.startswith("1.")})
    else:
        encoder.load_state_dict(read_weights(run / ENCODER))
        head.load_state_dict(weights)
    return encoder.to(device).eval(), head.to(device).eval()
