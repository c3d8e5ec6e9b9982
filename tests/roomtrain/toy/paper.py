"""How loud, how large and from where: read from the energies of a response by one layer. Every kind of target is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from roomtrain.config import RunSettings
from roomtrain.fit_settings import FitSettings
from roomtrain.paper import Breakdown, Cell, Column, Data, Layout, Paper, Place, Published, Stage
from roomtrain.predictions import CONSTANT, Answers
from roomtrain.targets import Target

if TYPE_CHECKING:
    import torch

    from roomtrain.banks import Bank
    from roomtrain.weights import Weights

SLICES = 8
SPLITS = ("train", "val", "test")


class ToySettings(RunSettings):
    """How much of the response is seen, and how it is learned."""

    paper: Literal["toy"] = "toy"
    seen: Literal["all", "early"] = "all"
    fit: FitSettings = FitSettings(max_epochs=2, learning_rate=0.01)


class ToyData(Data):
    """The responses of one dataset."""

    def __init__(self, root: Path, place: Place) -> None:
        from roomtrain.datasets import open_part

        self.place = place
        self.dataset = open_part(root, "downstream-rirs", family="rooms")

    def fingerprint(self) -> dict[str, Any]:
        from roomtrain.datasets import fingerprint

        return {"downstream-rirs": fingerprint(self.dataset)}

    def bank(self, split: str) -> Bank:
        """Return the responses of a split."""
        from roomtrain.banks import load_bank

        return load_bank(self.dataset, split=split, device=self.place.device)


class Toy(Paper):
    """Two cells: all of the response, or its beginning."""

    name = "toy"
    title = "Nobody: A toy (nowhere)"
    Settings = ToySettings
    presets = "tests.roomtrain.toy"
    parts: ClassVar[Mapping[str, str]] = {"downstream-rirs": "rooms"}
    targets = (
        Target("c50", title="C50", unit="dB", measured="c50_db"),
        Target("size", "class", title="size", classes=("small", "middle", "large")),
        Target("azimuth", "angle", title="azimuth"),
        Target("gap", "score", title="error of C50", unit="dB", lower_is_better=True),
    )
    protocols: ClassVar[Mapping[str, str]] = {"even": "Every other response", "odd": "The others", "room": "Rooms apart"}
    pools: ClassVar[Mapping[str, tuple[str, ...]]] = {"room": ("even", "odd")}
    published = Published("Table 1", {("all", "room", "c50", "rmse"): 1.0})
    breakdown = Breakdown("c50", (-50.0, 10.0, 50.0))
    owned = ("seen",)

    def cells(self) -> list[Cell]:
        return [Cell("all", {"seen": "all"}), Cell("early", {"seen": "early", "seeds": 1})]

    def cell_of(self, settings: ToySettings) -> str:
        return settings.seen

    def layouts(self) -> Sequence[Layout]:
        columns = (
            Column("even", "even", "c50"),
            Column("all", "room", "c50", interval=True, best=True),
            Column("gap", "room", "gap"),
        )
        return (Layout("Table 1: C50 in dB", columns, {"everything": "all", "the beginning": "early"}, ("A note.",)),)

    def open(self, root: Path, place: Place, *, training: bool = True) -> ToyData:
        return ToyData(root, place)

    def stages(self, settings: ToySettings, data: Any, place: Place) -> list[Stage]:
        from roomtrain.estimation import OnEmbeddings

        def stage(target: Target) -> Stage:
            def make(weights: Weights) -> OnEmbeddings:
                banks = {split: data.bank(split) for split in ("train", "val")}
                seen = {split: energies(bank, settings) for split, bank in banks.items()}
                truth = {split: truth_of(target, bank) for split, bank in banks.items()}
                return OnEmbeddings(target.name, target, embeddings=seen, truth=truth, seed=settings.seed, batch=8)

            return Stage(target.name, make, settings.fit, alone=True)

        return [stage(target) for target in self.targets if target.kind != "score"]

    def predict(self, settings: ToySettings, data: Any, weights: Weights, place: Place) -> Iterator[Answers]:
        import torch

        from roomtrain.estimation import answer, build_head

        bank, train = data.bank("test"), data.bank("train")
        keys, rooms = bank.table["key"].to_numpy(), bank.table["room_id"].astype(str).to_numpy()
        gap = np.zeros(len(keys))

        def answers(target: Target, truth: Any, estimate: Any, *condition: str) -> Iterator[Answers]:
            for protocol, own in (("even", slice(0, None, 2)), ("odd", slice(1, None, 2))):
                known = None if truth is None else truth[own]
                yield Answers(protocol, target.name, keys[own], rooms[own], known, estimate[own], *condition)

        for target in self.targets:
            if target.kind == "score":
                yield from answers(target, None, gap)
                continue
            head = build_head(target, SLICES, seed=settings.seed)
            head.load_state_dict(weights(target.name))
            with torch.no_grad():
                estimate = answer(target, head(energies(bank, settings))).double().numpy()
            truth = truth_of(target, bank).double().numpy()
            if target.name == "c50":
                gap = np.abs(estimate - truth)
            yield from answers(target, truth, estimate)
            constant = target.constant(truth_of(target, train).numpy())
            yield from answers(target, truth, np.full(len(keys), constant), CONSTANT)


def energies(bank: Bank, settings: ToySettings) -> torch.Tensor:
    """Return (sample, SLICES) logarithms of energy."""
    import torch

    rirs = bank.audio[:, 0, : 4000 if settings.seen == "all" else 1000]
    return torch.log10(rirs.unflatten(1, (SLICES, -1)).square().sum(dim=2) + 1e-9) / 5


def truth_of(target: Target, bank: Bank) -> torch.Tensor:
    """Return (sample,) truths."""
    if target.kind == "class":
        return (bank.column("volume_m3") > 100).long() + (bank.column("volume_m3") > 200).long()
    return bank.column({"c50": "c50_db", "azimuth": "azimuth_deg"}[target.name])


PAPER = Toy()
