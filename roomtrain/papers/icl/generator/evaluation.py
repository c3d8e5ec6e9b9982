"""The generator's test: unseen angles and unseen microphones, beside what needs no training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roomtrain.papers.icl.generator.baselines import by_nearest, interpolated, nearest
from roomtrain.papers.icl.generator.data import GeneratorData
from roomtrain.papers.icl.generator.generate import fitted_code, networks_of, respond
from roomtrain.papers.icl.generator.networks import Networks
from roomtrain.papers.icl.generator.responses import levelled
from roomtrain.papers.icl.generator.scores import log_spectral_distance_db, nmse_db
from roomtrain.papers.icl.generator.settings import GeneratorSettings
from roomtrain.predictions import Answers

PROTOCOLS = {
    "unseen angles": "sectors of 20° that are held out of the training microphones, at all distances",
    "unseen microphones": "all angles and distances of microphones that training has not heard",
}
CONDITIONS = {
    "generator": "the generator; an unseen microphone is known by its conditions alone",
    "generator, 3 heard": "the generator with the code that three responses of the unseen microphone give",
    "nearest": "the training response whose conditions are nearest, for unseen angles of the same microphone",
    "mean-nearest": "the mean of all that are equally near",
    "interpolated": "unseen angles: linear between the nearest angles on both sides",
}
TARGETS = {"nmse": "dB", "lsd": "dB"}
"""Scores of a response and their units: see :mod:`roomtrain.papers.icl.generator.scores`."""
_PARTS = {"unseen angles": "angle", "unseen microphones": "microphone"}


@dataclass(frozen=True)
class Scored:
    """The scores of one kind of answer.

    Args:
        keys, groups: (response,) names of responses and microphones.
        scores: name of :data:`TARGETS` → (response,)
    """

    protocol: str
    condition: str
    keys: NDArray[np.str_]
    groups: NDArray[np.str_]
    scores: dict[str, NDArray[np.float64]]

    def answers(self) -> Iterator[Answers]:
        """Yield the scores as answers, one for each target."""
        for target, values in self.scores.items():
            yield Answers(self.protocol, target, self.keys, self.groups, None, values, condition=self.condition)


def evaluate(weights: Mapping[str, Tensor], settings: GeneratorSettings, data: GeneratorData) -> Iterator[Scored]:
    """Yield the scores of the trained generator and of its baselines, by both protocols.

    Every answer is brought to the level at which it would be used, a mean of responses too: its parts cancel where they differ.
    """
    networks = networks_of(weights, settings, device=data.responses.device)
    for protocol, part in _PARTS.items():
        yield from scored(networks, data, part, protocol)


def scored(networks: Networks, data: GeneratorData, part: str, protocol: str) -> Iterator[Scored]:
    """Yield the scores of all answers to the responses of one part."""
    truth = data.responses[torch.from_numpy(data.parts[part])].cpu().numpy()
    for condition, estimate in answered(networks, data, part):
        scores = {"nmse": nmse_db(estimate, truth), "lsd": log_spectral_distance_db(estimate, truth)}
        yield Scored(protocol, condition, data.names(part, "key"), data.names(part, "microphone"), scores)


def answered(networks: Networks, data: GeneratorData, part: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield what is said of the responses of a part: name of :data:`CONDITIONS`, and (response, 1024)."""
    own, train = (torch.from_numpy(data.parts[name]) for name in (part, "train"))
    conditions, number = data.conditions[own], torch.from_numpy(data.microphone)[own]
    seen = bool((number >= 0).all())
    if seen:
        yield "generator", respond(networks, conditions, networks.codes_of(number.to(conditions.device))).cpu().numpy()
    else:
        yield "generator", respond(networks, conditions).cpu().numpy()
        yield "generator, 3 heard", respond(networks, conditions, _fitted_codes(networks, data, part)).cpu().numpy()
    responses = data.responses[train].cpu().numpy()
    known, asked = data.conditions[train].cpu().numpy(), conditions.cpu().numpy()
    groups = {"asked_group": number.numpy(), "known_group": data.microphone[data.parts["train"]]} if seen else {}
    first, mean = by_nearest(responses, nearest(asked, known, **groups))
    yield "nearest", first
    yield "mean-nearest", levelled(torch.from_numpy(mean)).numpy()
    if seen:
        yield "interpolated", levelled(torch.from_numpy(_interpolated(data, part, responses))).numpy()


def _interpolated(data: GeneratorData, part: str, responses: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (response, 1024) interpolated from the training responses of the same microphone and distance."""
    angle_deg, distance_m = (data.table[name].to_numpy(dtype=np.float64) for name in ("angle_deg", "distance_m"))
    distances = np.unique(distance_m)
    group = data.microphone * len(distances) + np.searchsorted(distances, distance_m)
    own, train = data.parts[part], data.parts["train"]
    return interpolated(
        responses, asked_deg=angle_deg[own], known_deg=angle_deg[train], asked_group=group[own], known_group=group[train]
    )


def _fitted_codes(networks: Networks, data: GeneratorData, part: str) -> Tensor:
    """Return (response, code), found for each microphone from its references."""
    names, heard = data.names(part, "microphone"), data.names("reference", "microphone")
    codes = torch.zeros((len(names), networks.n_code), device=data.conditions.device)
    for name in np.unique(names):
        own = torch.from_numpy(data.parts["reference"][heard == name])
        codes[torch.from_numpy(names == name)] = fitted_code(networks, data.conditions[own], data.responses[own])
    return codes
