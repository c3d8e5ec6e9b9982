"""The paper's figures 3 and 4 with our data: how responses are spread, and how embeddings of five rooms lie."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roomtrain import figures
from roomtrain.claims import claimed
from roomtrain.datasets import open_part
from roomtrain.errors import RoomtrainError
from roomtrain.labels import with_mid_rt60
from roomtrain.paper import Paper
from roomtrain.papers.goetz.settings import STRATEGIES, VOLUME_BOUNDARY_M3
from roomtrain.seeds import Purpose, generator
from roomtrain.targets import Target

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from roomtrain.papers.goetz.data import Pairs

NAMES = {"soft": "soft", "hard": "hard", "posind": "position-independent"}
"""The strategies in figures."""
ROOMS_SHOWN = 5
PER_ROOM = 120
RUNS_SHOWN = 3
_USUAL_TEMPERATURE = 0.1
_HALVES = ("upstream", "downstream")


def draw_distributions(paper: Paper, data: Path, out: Path) -> Path:
    """Draw the paper's Fig. 3: how RT60, C50, volume and distance are spread upstream and downstream."""
    tables = {half: _responses(data, half) for half in _HALVES}
    shown = {t.measured: f"{t.title} in {t.unit}" for t in paper.targets if t.measured}
    shown |= {"volume_m3": "volume in m³", "distance_m": "distance in m"}
    figure = figures.new_figure(figures.PAGE_IN, 4.0)
    axes = figure.subplots(2, 3)
    for axis, (column, title) in zip(axes.flat, shown.items(), strict=False):
        values = {half: _finite(table[column].to_numpy(dtype=float)) for half, table in tables.items()}
        edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins=24)
        for half, colour, filled, style in zip(_HALVES, figures.COLOURS, (True, False), figures.LINES, strict=False):
            numbers = values[half]
            how: dict[str, Any] = {"alpha": 0.35, "linewidth": 0} if filled else {}
            share = np.full(len(numbers), 100.0 / len(numbers))
            axis.hist(numbers, edges, weights=share, histtype="stepfilled" if filled else "step", color=colour, label=half, **how)
            axis.axvline(float(np.median(numbers)), color=colour, linestyle=style, label=f"median {half}")
        axis.set_xlabel("\n".join(textwrap.wrap(title, 30)))
        if column == "volume_m3":
            axis.axvline(VOLUME_BOUNDARY_M3, color="black", linewidth=0.6)
            above = axis.get_xaxis_transform()
            axis.text(VOLUME_BOUNDARY_M3, 1.0, f" {VOLUME_BOUNDARY_M3:g} m³", transform=above, va="bottom", ha="center", fontsize=7)
    for axis in axes[:, 0]:
        axis.set_ylabel("share of responses in %")
    _draw_both_rt60(axes.flat[-1], paper, tables["downstream"])
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figures.save(figure, out / "distributions.png")


def _draw_both_rt60(axis: Axes, paper: Paper, table: pd.DataFrame) -> None:
    """Draw how C50 goes with either RT60: one is that of the lowest octave, the other that of speech."""
    rt60, c50 = paper.target("rt60"), paper.target("c50")
    for colour, marker, target, label in (
        (figures.COLOURS[1], "o", rt60, "whole response"),
        (figures.COLOURS[2], "+", paper.target("rt60_mid"), "500 and 1000 Hz"),
    ):
        look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 2, "markeredgewidth": 0.5, "alpha": 0.7}
        axis.plot(table[target.measured], table[c50.measured], linestyle="none", label=label, **look)
    axis.set(xlabel=f"{_wrapped(rt60, 30)} (downstream)", ylabel=_wrapped(c50, 30))
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 0.98), ncols=2, markerscale=1.5, handletextpad=0.1, columnspacing=1.2)


def chosen(paper: Paper, runs: Sequence[Path]) -> list[Path]:
    """Return the runs whose rooms are drawn: those of contrastive cells whose encoder is trained.

    Where there are more than fit into one figure: one of each strategy, at the temperature that most strategies have, of several
    such 0.1, at which the paper's figure is.

    Raises:
        RoomtrainError: a folder is no run.
    """
    from roomtrain.papers.goetz.stages import UPSTREAM
    from roomtrain.run import STAGE

    found: dict[Path, tuple[str, float]] = {}
    for run in runs:
        of, settings, _ = claimed(run)
        if of.name == paper.name and settings.contrastive and (run / UPSTREAM / STAGE).is_file():
            found[run] = (settings.strategy, settings.upstream.temperature)
    fitting = sorted(found, key=lambda run: (STRATEGIES.index(found[run][0]), found[run][1]))
    if len(fitting) <= RUNS_SHOWN:
        return fitting
    cells = set(found.values())
    best = max({t for _, t in cells}, key=lambda t: (sum(one == t for _, one in cells), t == _USUAL_TEMPERATURE))
    of_strategy: dict[str, Path] = {}
    for run in fitting:
        if found[run][1] == best:
            of_strategy.setdefault(found[run][0], run)
    return list(of_strategy.values())


def draw_rooms(paper: Paper, runs: Sequence[Path], data: Path, out: Path) -> Path:
    """Draw the paper's Fig. 4: embeddings of speech in five rooms by UMAP, a panel per run, beside what the rooms are like.

    Rooms and speech are those of the test with rooms apart: no encoder has been trained on them.

    Raises:
        RoomtrainError: the test has fewer rooms.
    """
    import torch
    import umap

    from roomtrain.draws import Draws
    from roomtrain.paper import Place
    from roomtrain.papers.goetz.data import SPLITS, PaperData
    from roomtrain.papers.goetz.stages import encoder_of
    from roomtrain.papers.goetz.tasks import embed_all
    from roomtrain.run import trained_weights

    place = Place(torch.device("cpu"))
    opened = PaperData(data, place, training=False)
    figure = figures.new_figure(figures.PAGE_IN, 0.8 + min(figures.PAGE_IN / (1 + len(runs)), 2.4))
    axes = figure.subplots(1, 1 + len(runs))
    for axis, run in zip(axes[1:], runs, strict=True):
        _, settings, _ = claimed(run)
        spectrograms = opened.downstream(settings, split_by="room").spectrograms["test"]
        rooms, pairs = _rooms(spectrograms.rirs.codes("room_id"), len(spectrograms.speech))
        if axis is axes[1]:
            _draw_parameters(axes[0], paper, spectrograms.rirs.table, rooms, pairs)
        encoder = encoder_of(settings, trained_weights(paper, settings, run))
        draws = Draws(settings.seed, split=SPLITS.index("test"), device=place.device)
        with torch.no_grad():
            embeddings = embed_all(encoder, spectrograms, pairs, draws=draws).numpy()
        threads = torch.get_num_threads()
        # random_state makes UMAP run on one thread, and the same picture every time.
        flat = umap.UMAP(n_neighbors=15, min_dist=0.1, metric="cosine", random_state=0, n_jobs=1).fit_transform(embeddings)
        torch.set_num_threads(threads)  # numba sets those of OpenMP, which torch shares: sums would round otherwise from here on
        for look, room in zip(_looks(), np.unique(rooms), strict=False):
            axis.plot(*flat[rooms == room].T, linestyle="none", **look)
        title = f"{NAMES[settings.strategy]}, τ = {settings.upstream.temperature:g}"
        apart = f"{_silhouette(embeddings, rooms):.2f}".replace("-", "−")
        axis.set(xticks=[], yticks=[], title=title, xlabel=f"UMAP (silhouette of rooms {apart})")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=ROOMS_SHOWN, title="volume of the room", markerscale=1.3)
    return figures.save(figure, out / "rooms-umap.png")


def _draw_parameters(axis: Axes, paper: Paper, table: pd.DataFrame, rooms: NDArray[np.int64], pairs: Pairs) -> None:
    """Draw RT60 and C50 of the responses of the rooms that are shown."""
    rt60, c50 = paper.target("rt60_mid"), paper.target("c50")
    for look, room in zip(_looks(), np.unique(rooms), strict=False):
        rows = table.iloc[np.unique(pairs.rir[rooms == room])]
        look |= {"markersize": 3.5, "label": f"{rows['volume_m3'].iloc[0]:.0f} m³"}
        axis.plot(rows[rt60.measured], rows[c50.measured], linestyle="none", **look)
    axis.set(xlabel=_wrapped(rt60, 26), ylabel=_wrapped(c50, 26), title="responses")


def _rooms(room_of_rir: NDArray[np.int64], n_speech: int) -> tuple[NDArray[np.int64], Pairs]:
    """Return the room of each of some samples, and the samples: speech of the test set through responses of five rooms."""
    from roomtrain.papers.goetz.data import Pairs

    known = np.unique(room_of_rir)
    if len(known) < ROOMS_SHOWN:
        raise RoomtrainError(f"the test set has {len(known)} rooms; the picture shows {ROOMS_SHOWN}: make more data.")
    random = generator(0, Purpose.SUBSET, sample=99)
    shown = random.choice(known, ROOMS_SHOWN, replace=False)
    rir = np.concatenate([random.choice(np.flatnonzero(room_of_rir == room), PER_ROOM) for room in shown])
    speech = random.integers(n_speech, size=len(rir))
    return np.repeat(shown, PER_ROOM), Pairs(rir, speech, np.arange(len(rir)))


def _silhouette(embeddings: NDArray[Any], rooms: NDArray[np.int64]) -> float:
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(embeddings, rooms, metric="cosine"))


def _looks() -> list[dict[str, Any]]:
    """Return a look for each room: its points are told apart by colour and by marker."""
    pairs = zip(figures.COLOURS, figures.MARKERS, strict=True)
    return [{"color": colour, "marker": marker, "markersize": 2.2, "markeredgewidth": 0, "alpha": 0.8} for colour, marker in pairs]


def _responses(data: Path, half: str) -> pd.DataFrame:
    """Return the manifest of a half's responses, with the labels of the targets."""
    table = open_part(data, f"{half}-rirs", family="rooms").table()
    return with_mid_rt60(table)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


def _wrapped(target: Target, width: int) -> str:
    return "\n".join(textwrap.wrap(f"{target.title} in {target.unit}", width))
