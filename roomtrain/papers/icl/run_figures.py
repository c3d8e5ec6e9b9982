"""Figures of what runs answered: differences between rows, confused scenes, and how embeddings lie."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roomtrain import figures
from roomtrain.claims import claimed, read_claim
from roomtrain.compare import compare_cells
from roomtrain.paper import Paper
from roomtrain.papers.icl import looks
from roomtrain.papers.icl.published import REAL, SIMULATED, UNSEEN
from roomtrain.predictions import CLEAN, PREDICTIONS, read_predictions
from roomtrain.seeds import Purpose, generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 1500
"""Seconds in a map of embeddings: more would hide each other."""
_HEARD = {"devices of training": (*REAL, *SIMULATED), "unseen devices": UNSEEN}
_MAPPED = (looks.BASELINE, "icl-multi")
_SCENE_COLOURS = (
    *("#332288", "#88CCEE", "#44AA99", "#117733", "#999933"),
    *("#DDCC77", "#CC6677", "#882255", "#AA4499", "#888888"),
)
"""Tol's muted colours (2021): nine and a grey that are told apart by all eyes; neighbours differ in their markers too."""
_SHADES = ("#08519c", "#3182bd", "#9ecae1"), ("#a63603", "#e6550d", "#fdae6b"), ("#252525", "#737373", "#bdbdbd")
"""A colour for each family of devices, a shade for each device."""
_POINT: dict[str, Any] = {"linestyle": "none", "markersize": 1.9, "markeredgewidth": 0, "alpha": 0.8}


@dataclass(frozen=True)
class Runs:
    """Finished runs of the paper.

    Args:
        by_cell: cell → seed → folder.
        notes: what a reader must know of them, as of results.
    """

    by_cell: Mapping[str, Mapping[int, Path]]
    notes: Sequence[str]

    @property
    def folder(self) -> Path:
        """The folder that all of them lie in."""
        return Path(os.path.commonpath([run for runs in self.by_cell.values() for run in runs.values()]))

    def scenes(self) -> list[str]:
        """Return the names of the scenes, which are those of the data."""
        return list(claimed(self._first())[1].classes)

    def _first(self) -> Path:
        return next(run for runs in self.by_cell.values() for run in runs.values())


def finished(paper: Paper, runs: Sequence[Path]) -> Runs:
    """Return those runs of the paper that have predictions.

    Raises:
        RoomtrainError: a folder is no run.
    """
    found: dict[str, dict[int, Path]] = {}
    notes: list[str] = []
    for run in runs:
        of, settings, cell = claimed(run)
        if of.name == paper.name and (run / PREDICTIONS).is_file():
            found.setdefault(cell, {})[settings.seed] = run
            described = {"preset": settings.preset, "reduced": settings.reduced, "data": read_claim(run)["data"]}
            notes += looks.result_notes([described])
    return Runs(found, looks.data_notes(notes))


def draw_differences(paper: Paper, runs: Runs, out: Path) -> Path | None:
    """Draw by how much the log-loss of each row differs from the baseline's, with paired intervals over places."""
    target, metric, none = paper.target("log_loss"), "mean", looks.BASELINE
    base = set(runs.by_cell.get(none, ()))
    rows = [cell for cell in looks.ROWS if cell != none and base & set(runs.by_cell.get(cell, ()))]
    if not rows:
        looks.left_out("differences", f"it needs finished runs of {none} and of another row with the same seed (--runs).")
        return None
    found = {cell: compare_cells(runs.folder, none, cell) for cell in rows}
    seeds = max(len(one["seeds"]) for one in found.values())
    note = "Bars: 95 % intervals, paired over places" + (", of the mean of the seeds." if seeds > 1 else ".")
    title = f"Log-loss against the baseline ({looks.ROWS[none]}):\nbelow 0 is better"
    figure, body = looks.new_figure(figures.COLUMN_IN, 3.2, title, [note, *runs.notes])
    axis = body.subplots()
    for place, pool in enumerate(looks.POOLS):
        for at, cell in zip(looks.side_by_side(place, len(rows)), rows, strict=True):
            ours = found[cell]["protocols"].get(pool, {}).get(target.name, {}).get(metric)
            if ours is not None:
                ours = {"mean": ours["difference"], "interval": ours["interval"], "seeds": ours["seeds"]}
            published = [paper.published.values.get((one, pool, target.name, metric)) for one in (cell, none)]
            theirs = None if None in published else published[0] - published[1]  # type: ignore[operator]
            looks.points(axis, at, target, metric, ours, theirs, look=looks.LOOKS[cell])
    for place in range(1, len(looks.POOLS)):
        axis.axvline(place - 0.5, color="0.6", linewidth=0.5, zorder=0)
    axis.axhline(0.0, color="black", linewidth=0.6, zorder=1)
    axis.set_xticks(range(len(looks.POOLS)), list(looks.POOLS.values()))
    axis.tick_params(axis="x", length=0)
    axis.set(xlim=(-0.5, len(looks.POOLS) - 0.5), ylabel="difference of the log-loss")
    how: dict[str, Any] = {"columnspacing": 1.0, "handletextpad": 0.2}
    body.legend(handles=looks.row_handles(rows, seeds=seeds), loc="outside lower center", ncols=3, **how)
    return figures.save(figure, out / "differences.png")


def draw_confusions(paper: Paper, runs: Runs, out: Path) -> Path | None:
    """Draw which scenes are taken for which, by the baseline and by the best row: on devices of training, and on unseen ones."""
    cells = [cell for cell in looks.ROWS if cell in runs.by_cell]
    if not cells:
        looks.left_out("confusions", "it needs finished runs of rows of Table 3 (--runs).")
        return None
    answers = {cell: [read_predictions(run) for run in runs.by_cell[cell].values()] for cell in cells}
    losses = {cell: np.mean([_mean_loss(one) for one in tables]) for cell, tables in answers.items()}
    best = min((cell for cell in cells if cell != looks.BASELINE), key=lambda cell: losses[cell], default=None)
    shown = [cell for cell in (looks.BASELINE, best) if cell in cells]
    scenes = [scene.replace("_", " ") for scene in runs.scenes()]
    picked = [f"{looks.ROWS[best]} is the row of least log-loss on all devices here."] if best else []
    seeds = max(len(answers[cell]) for cell in shown)
    notes = [
        *([f"Seconds of all {seeds} seeds together."] if seeds > 1 else []),
        *picked,
        "Shares below 1 % are not written.",
        *runs.notes,
    ]
    title = "Scenes and what they are taken for, in % of a scene's seconds"
    figure, body = looks.new_figure(figures.PAGE_IN, 0.9 + 2.85 * len(shown), title, notes)
    axes = body.subplots(len(shown), len(_HEARD), squeeze=False, sharex=True, sharey=True)
    for row, cell in zip(axes, shown, strict=True):
        for axis, (heard, devices) in zip(row, _HEARD.items(), strict=True):
            counts = confusion(answers[cell], devices, len(scenes))
            _draw_confusion(axis, counts, scenes)
            right = 100.0 * np.trace(counts) / max(counts.sum(), 1.0)
            axis.set_title(f"{looks.ROWS[cell]}, {heard}: {right:.1f} % right", fontsize=7.5)
        row[0].set_ylabel("scene")
    for axis in axes[-1]:
        axis.set_xlabel("taken for")
    return figures.save(figure, out / "confusions.png")


def confusion(answers: Sequence[Any], devices: Sequence[str], n_scenes: int) -> NDArray[np.float64]:
    """Return (scene, taken for) how many seconds of a scene on some devices were taken for which, over all tables."""
    counts = np.zeros((n_scenes, n_scenes))
    for table in answers:
        rows = table[(table["target"] == "scene") & (table["condition"] == CLEAN) & table["protocol"].isin(devices)]
        np.add.at(counts, (rows["truth"].to_numpy(dtype=np.int64), rows["estimate"].to_numpy(dtype=np.int64)), 1.0)
    return counts


def _draw_confusion(axis: Axes, counts: NDArray[np.float64], scenes: Sequence[str]) -> None:
    """Draw the share of each scene's seconds; the row of a scene that is not heard stays empty."""
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    axis.imshow(100.0 * shares, cmap="Blues", vmin=0.0, vmax=100.0, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.01:
            colour = "white" if share > 0.55 else "black"
            axis.text(column, row, f"{100.0 * share:.0f}", ha="center", va="center", fontsize=5.5, color=colour)
    axis.set_xticks(range(len(scenes)), scenes, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(scenes)), scenes)
    axis.tick_params(length=0)
    axis.spines[["top", "right"]].set_visible(True)


def _mean_loss(table: Any) -> float:
    rows = table[(table["target"] == "log_loss") & (table["condition"] == CLEAN)]
    return float(rows["estimate"].mean())


def mapped(runs: Runs) -> dict[str, Path]:
    """Return the two runs whose embeddings are drawn, of those with weights: the baseline and ICL + multi DIRs, else others."""
    from roomtrain.papers.icl.stages import SCENES
    from roomtrain.run import STAGE

    kept = {
        cell: [run for _, run in sorted(by_seed.items()) if (run / SCENES / STAGE).is_file()]
        for cell, by_seed in runs.by_cell.items()
    }
    order = dict.fromkeys([*_MAPPED, *looks.ROWS, *kept])
    return {cell: kept[cell][0] for cell in [cell for cell in order if kept.get(cell)][: len(_MAPPED)]}


def draw_embeddings(paper: Paper, runs: Runs, data: Path | None, out: Path) -> Path | None:
    """Draw embeddings of seconds of the test by UMAP, a column per run: coloured by scene above, by device below."""
    shown = {} if data is None else mapped(runs)
    if data is None or not shown:
        looks.left_out("embeddings", "it needs finished runs with their weights (--runs) and their data (--data).")
        return None
    import torch
    import umap

    from roomtrain.paper import Place
    from roomtrain.papers.icl.data import IclData, Windows
    from roomtrain.papers.icl.probe import heard
    from roomtrain.papers.icl.stages import Row
    from roomtrain.run import trained_weights

    place = Place(torch.device("cpu"))
    opened = IclData(data, place, training=False)
    n_recordings = len(opened.recordings("test"))
    windows = opened.windows("test", of_each=-(-SHOWN // n_recordings))
    chosen = _some(len(windows), SHOWN)
    windows = Windows(windows.log[torch.from_numpy(chosen)], windows.recording[chosen], windows.second[chosen])
    title = f"Embeddings of {len(windows):,} seconds of the test (UMAP): by scene above, by device below"
    seeds = sorted({claimed(run)[1].seed for run in shown.values()})
    figure, body = looks.new_figure(figures.PAGE_IN, 5.6, title, [f"Of seed {' and '.join(map(str, seeds))}.", *runs.notes])
    axes = body.subplots(2, len(shown), squeeze=False)
    for column, (cell, run) in zip(axes.T, shown.items(), strict=True):
        _, settings, _ = claimed(run)
        recordings = opened.recordings("test", scenes=settings.classes)
        model = Row(settings, opened, place).classifier(trained_weights(paper, settings, run, opened))
        embeddings = heard(model, windows)[1].numpy()
        threads = torch.get_num_threads()
        # random_state makes UMAP run on one thread, and the same picture every time.
        flat = umap.UMAP(n_neighbors=15, min_dist=0.1, metric="cosine", random_state=0, n_jobs=1).fit_transform(embeddings)
        torch.set_num_threads(threads)  # numba sets those of OpenMP, which torch shares: sums would round otherwise from here on
        scene, device = recordings.scene[windows.recording], recordings.device[windows.recording]
        for axis, of, names, what in (
            (column[0], scene, settings.classes, "scenes"),
            (column[1], device, opened.devices, "devices"),
        ):
            for look, index in zip(_looks(names, what), range(len(names)), strict=True):
                axis.plot(*flat[of == index].T, **look)
            axis.set(xticks=[], yticks=[], xlabel=f"silhouette of {what} {_silhouette(embeddings, of)}")
            axis.spines[["top", "right"]].set_visible(True)
        column[0].set_title(looks.ROWS.get(cell, cell), fontweight="bold")
    for axis, title in zip(axes[:, -1], ("scene", "device"), strict=True):
        axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title=title, markerscale=2.2, handletextpad=0.2)
    return figures.save(figure, out / "embeddings.png")


def _looks(names: Sequence[str], what: str) -> list[dict[str, Any]]:
    """Return a look for each scene or device."""
    if what == "scenes":
        n = len(_SCENE_COLOURS)
        colours = [_SCENE_COLOURS[i % n] for i in range(len(names))]
        markers = [figures.MARKERS[i % 3] for i in range(len(names))]
    else:
        families = [devices for _, devices in looks.FAMILIES.values()]
        found = [next(((f, d.index(name)) for f, d in enumerate(families) if name in d), (2, 2)) for name in names]
        colours = [_SHADES[family][number] for family, number in found]
        markers = [figures.MARKERS[family] for family, _ in found]
    labels = [name.replace("_", " ") for name in names]
    return [{**_POINT, "color": c, "marker": m, "label": label} for c, m, label in zip(colours, markers, labels, strict=True)]


def _some(n: int, count: int) -> NDArray[np.int64]:
    """Return so many of n numbers in their order, drawn by chance; all where there are no more."""
    if n <= count:
        return np.arange(n)
    return np.sort(generator(0, Purpose.SUBSET, sample=99).choice(n, count, replace=False))


def _silhouette(embeddings: NDArray[Any], of: NDArray[np.int64]) -> str:
    """Return how far apart the groups lie in the space of the embeddings, -1 to 1, as it is written; one group has none."""
    from sklearn.metrics import silhouette_score

    if len(np.unique(of)) < 2:
        return "—"
    return f"{silhouette_score(embeddings, of, metric='cosine'):.2f}".replace("-", "−")
