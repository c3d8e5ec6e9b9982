"""Schmidt and Peters: Device generalization with inverse contrastive loss and impulse response augmentation (2023)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from roomtrain.paper import Cell, Layout, Paper, Place, Stage
from roomtrain.papers.icl.published import BALANCED, DEVICES, LAYOUTS, MICROPHONES, PUBLISHED, REAL, SIMULATED, UNSEEN
from roomtrain.papers.icl.settings import IclSettings
from roomtrain.predictions import Answers
from roomtrain.targets import Target

if TYPE_CHECKING:
    from roomtrain.listen import Listener
    from roomtrain.papers.icl.data import IclData
    from roomtrain.probe import Probed
    from roomtrain.weights import Weights

SCENES = (
    "airport",
    "bus",
    "metro",
    "metro_station",
    "park",
    "public_square",
    "shopping_mall",
    "street_pedestrian",
    "street_traffic",
    "tram",
)
"""Of TAU Urban Acoustic Scenes, and of the embedded stand-in."""

_WEIGHT, _ALPHA, _RESPONSES, _BALANCE = "contrast.weight", "contrast.alpha", "augment.responses", "train.balance"
_CHOSEN_WEIGHT, _CHOSEN_ALPHA, _SEARCH_WEIGHT = 0.5, 0.2, 10.0


class Icl(Paper):
    """Tables 1 to 3: scenes heard by nine devices, with device responses and the inverse contrastive loss, each and both."""

    name = "icl"
    title = "Schmidt, Peters: Device generalization with inverse contrastive loss and impulse response augmentation (2023)"
    Settings = IclSettings
    parts: ClassVar[Mapping[str, str]] = {
        "scenes-by-device": "renders",
        "vintage-dirs": "devices",
        "multi-dirs": "devices",
        "many-dirs": "devices",
    }
    targets = (
        Target("log_loss", "score", title="log-loss of a second", lower_is_better=True),
        Target("scene", "class", title="scene", classes=SCENES),
        Target("nmse", "score", title="NMSE of a response", unit="dB", lower_is_better=True),
        Target("lsd", "score", title="log-spectral distance of a response", unit="dB", lower_is_better=True),
        Target("device", "class", title="device that a probe finds", classes=(*REAL, *SIMULATED), lower_is_better=True),
    )
    protocols: ClassVar[Mapping[str, str]] = {
        **{name: f"Seconds recorded by device {name}, which training has heard" for name in (*REAL, *SIMULATED)},
        **{name: f"Seconds recorded by device {name}, which training has not heard" for name in UNSEEN},
        "real": "Devices A, B and C: a recorder and two telephones",
        "simulated": "Devices S1, S2 and S3: simulated, in training",
        "unseen": "Devices S4, S5 and S6: simulated, not in training",
        "overall": "All nine devices",
        "search": "All nine devices, as in the search for α and λ",
        "probe": "The devices of training, told from the embedding by a probe",
        "unseen angles": "The generator on sectors of 20° that it has not heard of its microphones, at all distances",
        "unseen microphones": "The generator on microphones that it has not heard, from everywhere",
    }
    pools: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "real": REAL,
        "simulated": SIMULATED,
        "unseen": UNSEEN,
        "overall": DEVICES,
        "search": DEVICES,
    }
    published = PUBLISHED
    owned = (_WEIGHT, _ALPHA, _RESPONSES)

    def cells(self) -> list[Cell]:
        def cell(name: str, responses: str = "none", *, weight: float = 0.0, **more: Any) -> Cell:
            return Cell(name, {_RESPONSES: responses, _WEIGHT: weight, **more})

        # The search of Table 1 takes one seed, its row of λ = 0.5 is the "icl" of Table 3.
        alphas = {"0": 0.0, "0.2": 0.2, "0.4": 0.4, "0.8": 0.8, "1.5": 1.5}
        weights = {"0.1": 0.1, "1": 1.0, "3": 3.0, "6": 6.0}
        return [
            cell("baseline"),
            cell("vintage", "vintage"),
            cell("multi", "multi"),
            cell("icl", weight=_CHOSEN_WEIGHT),
            cell("icl-multi", "multi", weight=_CHOSEN_WEIGHT),
            cell("generated", "generated"),
            *(
                Cell(f"alpha-{name}", {_RESPONSES: "none", _WEIGHT: _SEARCH_WEIGHT, _ALPHA: value, "seeds": 1})
                for name, value in alphas.items()
            ),
            *(cell(f"lambda-{name}", weight=value, seeds=1) for name, value in weights.items()),
        ]

    def beyond(self) -> list[Cell]:
        balanced = [
            Cell(f"{cell.name}-balanced", {**cell.overrides, _BALANCE: "device"}) for cell in self.cells() if cell.name in BALANCED
        ]
        counts = [(count, compress) for compress in (False, True) for count in MICROPHONES]
        many = [
            Cell(
                f"many-{count}{'-compressed' if compress else ''}",
                {_RESPONSES: "many", _WEIGHT: 0.0, "augment.microphones": count, "augment.compress": compress},
            )
            for count, compress in counts
        ]
        return [*balanced, *many]

    def cell_of(self, settings: IclSettings) -> str:
        augment, contrast = settings.augment, settings.contrast
        words = []
        if contrast.weight == _SEARCH_WEIGHT:
            words.append(f"alpha-{contrast.alpha:g}")
        elif contrast.weight == _CHOSEN_WEIGHT and contrast.alpha == _CHOSEN_ALPHA:
            words.append("icl")
        elif contrast.weight:
            words.append(f"lambda-{contrast.weight:g}" + ("" if contrast.alpha == _CHOSEN_ALPHA else f"-alpha-{contrast.alpha:g}"))
        if augment.responses != "none":
            words.append(augment.responses)
            if augment.microphones is not None:
                words.append(f"{augment.microphones}")
            if augment.compress:
                words.append("compressed")
        words = words or ["baseline"]
        return "-".join([*words, "balanced"] if settings.train.balance == "device" else words)

    def layouts(self) -> Sequence[Layout]:
        return LAYOUTS

    def open(self, root: Path, place: Place, *, training: bool = True) -> IclData:
        from roomtrain.papers.icl.data import IclData

        return IclData(root, place, training=training)

    def settled(self, settings: IclSettings, data: Any) -> IclSettings:
        responses = {"none": None, "generated": "multi"}.get(settings.augment.responses, settings.augment.responses)
        if responses is not None:
            data.responses(responses)  # raises where there are none
        return settings.model_copy(update={"classes": data.scenes, "devices": data.seen})

    def stages(self, settings: IclSettings, data: Any, place: Place) -> list[Stage]:
        from roomtrain.papers.icl.stages import Row

        return Row(settings, data, place).stages()

    def predict(self, settings: IclSettings, data: Any, weights: Weights, place: Place) -> Iterator[Answers]:
        from roomtrain.papers.icl.stages import Row

        yield from Row(settings, data, place).answers(weights)

    def listener(self, settings: IclSettings, weights: Weights | None, *, protocol: str | None = None) -> Listener:
        from roomtrain.papers.icl.listen import IclListener

        return IclListener(settings, weights, self.protocol(protocol, ["overall"]))

    def probed(self, settings: IclSettings, data: Any, weights: Weights, place: Place, *, protocol: str) -> Probed:
        from roomtrain.papers.icl.listen import probed

        return probed(settings, data, weights, place)

    def figures(self, results: Sequence[dict[str, Any]], out: Path, *, data: Path | None, runs: Sequence[Path]) -> list[Path]:
        from roomtrain.papers.icl.figures import draw

        return draw(self, results, out, data=data, runs=runs)


PAPER = Icl()
