"""What is trained for a row of the paper's tables, in order, and what the trained networks answer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from roomtrain.errors import RoomtrainError
from roomtrain.paper import Place, Stage
from roomtrain.papers.icl.augmentation import DeviceResponses
from roomtrain.papers.icl.compression import Compressors
from roomtrain.papers.icl.data import IclData, Windows
from roomtrain.papers.icl.generator.conditions import draw_conditions
from roomtrain.papers.icl.generator.data import generator_data
from roomtrain.papers.icl.generator.evaluation import evaluate
from roomtrain.papers.icl.generator.generate import generate
from roomtrain.papers.icl.generator.task import Generation
from roomtrain.papers.icl.network import SceneClassifier, new_classifier
from roomtrain.papers.icl.probe import DeviceProbe, heard, new_probe
from roomtrain.papers.icl.settings import IclSettings
from roomtrain.papers.icl.tasks import Scenes
from roomtrain.predictions import CLEAN, CONSTANT, Answers
from roomtrain.seeds import Purpose, generator
from roomtrain.task import Task
from roomtrain.weights import Weights

GENERATOR, SCENES, PROBE = "generator", "scenes", "probe"


class Row:
    """One row: its stages and answers, with what they have in common made once.

    Args:
        data: None where nothing is trained, and only the names of the stages are asked for.
    """

    def __init__(self, settings: IclSettings, data: IclData | None, place: Place) -> None:
        filled = {"classes": data.scenes, "devices": data.seen} if data is not None and not settings.classes else {}
        self.settings = settings.model_copy(update=filled)
        self.place, self._data = place, data

    def stages(self) -> list[Stage]:
        """Return the stages: the generator, where responses are its, the classifier, and the probe of its embeddings."""
        settings, stages = self.settings, []
        if settings.augment.responses == "generated":
            # What it learns depends on nothing else of a row: all that hear its responses share it.
            named = hashlib.sha256(settings.generator.model_dump_json().encode()).hexdigest()[:16]
            stages.append(Stage(GENERATOR, self._generator, settings.generator.fit, shared=f"{named}-{settings.precision}"))
        needs = tuple(stage.name for stage in stages)
        stages.append(Stage(SCENES, self._scenes, settings.train.fit, needs=needs))
        stages.append(Stage(PROBE, self._probe, settings.probe.fit, needs=(SCENES,), alone=True))
        return stages

    @property
    def data(self) -> IclData:
        """The datasets."""
        assert self._data is not None
        return self._data

    def _generator(self, weights: Weights) -> Task:
        data = generator_data(self.data.response_bank("multi"))
        return Generation(self.settings.generator, data, rank=self.place.rank, world=self.place.world)

    def _scenes(self, weights: Weights) -> Task:
        return Scenes(self.settings, self.data, self._responses(weights), rank=self.place.rank, world=self.place.world)

    def _responses(self, weights: Weights) -> DeviceResponses | None:
        augment = self.settings.augment
        if augment.responses == "none":
            return None
        if augment.responses == "generated":
            return DeviceResponses.of(self._generated(weights).to(self.place.device))
        bank = self.data.response_bank(augment.responses)
        table = bank.table
        audio = bank.rows(np.arange(len(bank)))[:, 0].to(self.place.device)
        if augment.microphones is not None:
            names = table["microphone"].astype(str).to_numpy()
            chosen = sorted(set(names))[: augment.microphones]
            if len(chosen) < augment.microphones:
                raise RoomtrainError(
                    f"augment.microphones = {augment.microphones}, and {self.data.responses(augment.responses).root} has "
                    f"{len(chosen)}: give as many or fewer."
                )
            own = np.isin(names, chosen)
            audio, table = audio[torch.from_numpy(own).to(audio.device)], table[own]
        return DeviceResponses.of(audio, Compressors.of(table, self.place.device) if augment.compress else None)

    def _generated(self, weights: Weights) -> Tensor:
        """Return (response, 1024) of new microphones, each from somewhere around it."""
        settings = self.settings.generator
        conditions = draw_conditions(generator(settings.seed, Purpose.CONDITION), self.settings.augment.generated)
        return torch.from_numpy(generate(weights(GENERATOR), settings, conditions, seed=settings.seed))

    def _probe(self, weights: Weights) -> Task:
        model, settings = self.classifier(weights), self.settings.probe
        windows = {
            "train": self.data.windows("train", of_each=settings.windows),
            "val": self.data.windows("val", of_each=self.settings.train.val_windows),
        }
        embeddings = {split: heard(model, own, layer=settings.layer)[1] for split, own in windows.items()}
        devices = {split: torch.from_numpy(self._devices(split, own)).to(self.place.device) for split, own in windows.items()}
        return DeviceProbe(
            embeddings,
            devices,
            n_devices=len(self.data.seen),
            standardise=settings.standardise,
            batch=min(settings.batch, len(windows["train"])),
            seed=self.settings.seed,
        )

    def _devices(self, split: str, windows: Windows) -> NDArray[np.int64]:
        return self.data.recordings(split, scenes=self.settings.classes).device[windows.recording]

    def classifier(self, weights: Weights) -> SceneClassifier:
        """Return the trained classifier, on the device."""
        model = new_classifier(self.settings, len(self.settings.classes), weights=False)
        model.load_state_dict(weights(SCENES))
        return model.to(self.place.device).eval()

    @cached_property
    def _test(self) -> Windows:
        return self.data.windows("test")

    def answers(self, weights: Weights) -> Iterator[Answers]:
        """Yield the answers to every second of the test, device by device, and of the probe on the devices of training.

        The log-loss of a second is -ln of the probability of its scene; the constant answer to it are the shares of the scenes in
        training.
        """
        recordings = self.data.recordings("test", scenes=self.settings.classes)
        windows, model = self._test, self.classifier(weights)
        logits, embeddings = heard(model, windows)
        scene = torch.from_numpy(recordings.scene[windows.recording]).to(logits.device)
        loss = functional.cross_entropy(logits.double(), scene, reduction="none").cpu().numpy()
        found, truth = logits.argmax(dim=1).cpu().numpy(), scene.cpu().numpy()
        keys = np.char.add(np.char.add(recordings.keys[windows.recording], "@"), windows.second.astype(str))
        groups, device = recordings.groups[windows.recording], recordings.device[windows.recording]
        shares = self._shares()
        for index, name in enumerate(self.data.devices):
            own = device == index
            if not own.any():
                continue
            which = keys[own], groups[own]
            yield Answers(name, "log_loss", *which, None, loss[own])
            yield Answers(name, "log_loss", *which, None, -np.log(shares[truth[own]]), CONSTANT)
            yield Answers(name, "scene", *which, truth[own], found[own])
            yield Answers(name, "scene", *which, truth[own], np.full(own.sum(), shares.argmax()), CONSTANT)
        yield from self._probed(weights, model, embeddings, device, keys, groups)
        if self.settings.augment.responses == "generated" and self.data.has_responses("multi"):  # other data may have none
            data = generator_data(self.data.response_bank("multi"))
            for scored in evaluate(weights(GENERATOR), self.settings.generator, data):
                for one in scored.answers():
                    yield replace(one, condition=CLEAN) if one.condition == "generator" else one

    def _shares(self) -> NDArray[np.float64]:
        """Return the share of each scene in training; where the data have no training, of the same number each."""
        n = len(self.settings.classes)
        if "train" not in self.data.splits:
            return np.full(n, 1.0 / n)
        counts = np.bincount(self.data.recordings("train", scenes=self.settings.classes).scene, minlength=n)
        return np.asarray(counts / counts.sum(), dtype=np.float64).clip(min=1e-9)

    def _probed(
        self,
        weights: Weights,
        model: SceneClassifier,
        embeddings: Tensor,
        device: NDArray[np.int64],
        keys: NDArray[np.str_],
        groups: NDArray[np.str_],
    ) -> Iterator[Answers]:
        if self.settings.probe.layer:
            embeddings = heard(model, self._test, layer=self.settings.probe.layer)[1]
        state = weights(PROBE)
        probe = new_probe(embeddings.shape[1], len(state["1.1.bias"]), seed=self.settings.seed)
        probe.load_state_dict(state)
        # Other data have other devices, and in another order: a probe's are those of its own training.
        numbers = {name: number for number, name in enumerate(self.settings.devices)}
        device = np.array([numbers.get(name, -1) for name in self.data.devices])[device]
        known = device >= 0
        with torch.no_grad():
            logits = probe.to(embeddings.device).eval()(embeddings)
        found = logits.argmax(dim=1).cpu().numpy()
        yield Answers("probe", "device", keys[known], groups[known], device[known], found[known], CLEAN)
        yield Answers("probe", "device", keys[known], groups[known], device[known], np.zeros(known.sum()), CONSTANT)
