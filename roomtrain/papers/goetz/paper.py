"""Götz, Tuna, Walther, Habets: Contrastive representation learning for acoustic parameter estimation (ICASSP 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from roomtrain.paper import Breakdown, Cell, Paper, Place, Stage
from roomtrain.papers.goetz.published import PUBLISHED
from roomtrain.papers.goetz.settings import STRATEGIES, GoetzSettings
from roomtrain.predictions import Answers
from roomtrain.targets import Target

if TYPE_CHECKING:
    from roomtrain.listen import Listener
    from roomtrain.papers.goetz.data import PaperData
    from roomtrain.probe import Probed
    from roomtrain.weights import Weights

_TEMPERATURES = (0.1, 0.01, 1.0)
_TEMPERATURE = "upstream.temperature"


class Goetz(Paper):
    """Table 2: three samplings of contrastive batches at three temperatures, a supervised baseline, and an untrained encoder."""

    name = "goetz"
    title = "Götz, Tuna, Walther, Habets: Contrastive representation learning for acoustic parameter estimation (ICASSP 2023)"
    Settings = GoetzSettings
    parts: ClassVar[Mapping[str, str]] = {
        "upstream-rirs": "rooms",
        "downstream-rirs": "rooms",
        "upstream-speech": "sources",
        "downstream-speech": "sources",
    }
    targets = (
        Target("rt60", title="RT60", unit="s", positive=True, measured="rt60_s"),
        Target("rt60_mid", title="RT60 of the 500 and 1000 Hz octaves", unit="s", positive=True, measured="rt60_mid_s"),
        Target("c50", title="C50", unit="dB", measured="c50_db"),
        Target("volume", "class", title="volume above 160 m³", classes=("up to 160 m³", "above 160 m³")),
    )
    protocols: ClassVar[Mapping[str, str]] = {
        "sample": "Responses drawn from all rooms for every sample, as the paper describes it: "
        "test speech is new, test rooms are not",
        "room": "Rooms apart: no room of the test is heard in training",
    }
    published = PUBLISHED
    breakdown = Breakdown("rt60", (0.0, 0.3, 0.5, 0.7, 1.0, 1.5, 10.0))
    owned = ("strategy", _TEMPERATURE)

    def cells(self) -> list[Cell]:
        cells = []
        for temperature in _TEMPERATURES:
            cells += [Cell(f"{s}-{temperature:g}", {"strategy": s, _TEMPERATURE: temperature}) for s in STRATEGIES]
            if temperature == _TEMPERATURES[0]:
                cells += [Cell(name, {"strategy": name}) for name in ("untrained", "supervised")]
        return cells

    def cell_of(self, settings: GoetzSettings) -> str:
        return f"{settings.strategy}-{settings.upstream.temperature:g}" if settings.contrastive else settings.strategy

    def rows(self, cells: Sequence[str]) -> dict[str, tuple[str, ...]]:
        temperatures = sorted({cell.split("-")[1] for cell in cells if "-" in cell}, key=float)
        rows: dict[str, tuple[str, ...]] = {f"τ = {t}": tuple(f"{strategy}-{t}" for strategy in STRATEGIES) for t in temperatures}
        return rows | {cell: (cell,) for cell in ("supervised", "untrained") if cell in cells}

    def open(self, root: Path, place: Place, *, training: bool = True) -> PaperData:
        from roomtrain.papers.goetz.data import PaperData

        return PaperData(root, place, training=training)

    def stages(self, settings: GoetzSettings, data: Any, place: Place) -> list[Stage]:
        from roomtrain.papers.goetz.stages import Cell as Trained

        return Trained(settings, data, place, self._asked(settings)).stages()

    def predict(self, settings: GoetzSettings, data: Any, weights: Weights, place: Place) -> Iterator[Answers]:
        from roomtrain.papers.goetz.stages import Cell as Trained

        yield from Trained(settings, data, place, self._asked(settings)).answers(weights)

    def listener(self, settings: GoetzSettings, weights: Weights | None, *, protocol: str | None = None) -> Listener:
        from roomtrain.papers.goetz.listen import GoetzListener

        return GoetzListener(settings, weights, self._asked(settings), self.protocol(protocol, settings.downstream.splits))

    def probed(self, settings: GoetzSettings, data: Any, weights: Weights, place: Place, *, protocol: str) -> Probed:
        from roomtrain.papers.goetz.listen import probed

        return probed(settings, data, weights, place, split_by=protocol)

    def figures(self, results: Sequence[dict[str, Any]], out: Path, *, data: Path | None, runs: Sequence[Path]) -> list[Path]:
        from roomtrain.papers.goetz.figures import draw

        return draw(self, results, out, data=data, runs=runs)

    def _asked(self, settings: GoetzSettings) -> list[Target]:
        return [self.target(name) for name in settings.downstream.targets]


PAPER = Goetz()
