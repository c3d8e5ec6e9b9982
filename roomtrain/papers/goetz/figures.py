"""The paper's figures 3 and 4 with our data, and those that it asks for: temperature scan, error by RT60 and by SNR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from roomtrain.checkpoint import read_weights
from roomtrain.datasets import open_part
from roomtrain.errors import RoomtrainError
from roomtrain.papers.goetz.data import Pairs, PaperData
from roomtrain.papers.goetz.run import ENCODER, read_claim
from roomtrain.papers.goetz.settings import VOLUME_BOUNDARY_M3, GoetzSettings
from roomtrain.papers.goetz.tasks import embed_all, new_encoder
from roomtrain.seeds import Purpose, generator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's: told apart also by those who see red and green alike."""
ROOMS_SHOWN = 5
_PER_ROOM = 120


def draw_distributions(data: Path, out: Path) -> Path:
    """Draw the paper's Fig. 3: how RT60, C50, volume and distance are spread upstream and downstream."""
    plt = _pyplot()
    shown = (
        ("rt60_s", "RT60 in s"),
        ("rt60_mid_s", "RT60 of 500 and 1000 Hz in s"),
        ("c50_db", "C50 in dB"),
        ("volume_m3", "volume in m³"),
        ("distance_m", "distance in m"),
    )
    tables = {}
    for part in ("upstream", "downstream"):
        table = open_part(data, f"{part}-rirs", family="rooms").table()
        bands = np.array(table["rt60_bands_s"].tolist(), dtype=np.float64)
        tables[part] = table.assign(rt60_mid_s=bands[:, 2:4].mean(axis=1))
    figure, axes = plt.subplots(2, 3, figsize=(11, 6), constrained_layout=True)
    for axis, (column, title) in zip(axes.flat, shown, strict=False):
        values = {part: _finite(table[column].to_numpy(dtype=float)) for part, table in tables.items()}
        edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins=28)
        for colour, (part, numbers) in zip(COLOURS, values.items(), strict=False):
            axis.hist(numbers, edges, density=True, histtype="stepfilled", alpha=0.35, color=colour, label=part)
            axis.axvline(float(np.median(numbers)), color=colour, linewidth=1.2, linestyle="--")
        axis.set_xlabel(title)
        axis.set_yticks([])
        if column == "volume_m3":
            axis.axvline(VOLUME_BOUNDARY_M3, color="black", linewidth=1)
            axis.text(VOLUME_BOUNDARY_M3, axis.get_ylim()[1] * 0.97, " boundary of the classes", va="top", fontsize=8)
    table = tables["downstream"]
    axis = axes.flat[-1]
    axis.scatter(table["rt60_s"], table["c50_db"], s=4, color=COLOURS[1], alpha=0.6, label="whole response")
    axis.scatter(table["rt60_mid_s"], table["c50_db"], s=4, color=COLOURS[2], alpha=0.6, label="500 and 1000 Hz")
    axis.set_xlabel("RT60 in s")
    axis.set_ylabel("C50 in dB")
    axis.legend(fontsize=8, frameon=False, markerscale=3)
    axes.flat[0].legend(fontsize=9, frameon=False)
    figure.suptitle("Parameters of the simulated responses (dashed: median)")
    return _save(figure, out / "distributions.png")


def draw_rooms(runs: Sequence[Path], data: Path, out: Path) -> Path:
    """Draw the paper's Fig. 4: embeddings of speech in five rooms by UMAP, one panel per run, beside what the rooms are like.

    Rooms and speech are those of the downstream test: no encoder has been trained on them.
    """
    import umap

    plt = _pyplot()
    first = _settings(runs[0])
    downstream = PaperData(data).downstream(first, split_by="room")
    spectrograms = downstream.spectrograms["test"]
    rooms, pairs = _five_rooms(spectrograms.rirs.codes("room_id"), len(spectrograms.speech))
    figure, axes = plt.subplots(1, 1 + len(runs), figsize=(4.1 * (1 + len(runs)), 4.2), constrained_layout=True)
    table = spectrograms.rirs.table
    for colour, room in zip(COLOURS, np.unique(rooms), strict=False):
        mine = np.unique(pairs.rir[rooms == room])
        rows = table.iloc[mine]
        axes[0].scatter(rows["rt60_mid_s"], rows["c50_db"], s=18, color=colour, label=f"{rows['volume_m3'].iloc[0]:.0f} m³")
    axes[0].set(xlabel="RT60 of 500 and 1000 Hz in s", ylabel="C50 in dB", title="five rooms")
    axes[0].legend(fontsize=8, frameon=False)
    for axis, run in zip(axes[1:], runs, strict=True):
        settings = _settings(run)
        encoder = new_encoder(settings)
        encoder.load_state_dict(read_weights(run / ENCODER))
        embeddings = embed_all(encoder, spectrograms, pairs).numpy()
        # random_state makes UMAP run on one thread, and the same picture every time.
        flat = umap.UMAP(n_neighbors=15, min_dist=0.1, metric="cosine", random_state=0, n_jobs=1).fit_transform(embeddings)
        for colour, room in zip(COLOURS, np.unique(rooms), strict=False):
            axis.scatter(*flat[rooms == room].T, s=6, color=colour)
        axis.set(xticks=[], yticks=[], title=f"{settings.strategy}, τ = {settings.upstream.temperature:g}")
        axis.set_xlabel(f"silhouette of rooms {_silhouette(embeddings, rooms):.2f}", fontsize=9)
    return _save(figure, out / "rooms-umap.png")


def draw_temperatures(results: Sequence[dict[str, Any]], out: Path) -> Path:
    """Draw the downstream errors over the temperature, a line per strategy, with the bootstrap's intervals."""
    plt = _pyplot()
    panels = (
        ("rt60_mid", "rmse", "RMSE of RT60 (500, 1000 Hz) in s"),
        ("c50", "rmse", "RMSE of C50 in dB"),
        ("volume", "accuracy", "accuracy of volume"),
    )
    protocol = "sample" if any("sample" in result["protocols"] for result in results) else "room"
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), constrained_layout=True)
    for axis, (target, metric, title) in zip(axes, panels, strict=True):
        for colour, strategy in zip(COLOURS, ("soft", "hard", "posind"), strict=False):
            found = sorted(
                (r for r in results if r["strategy"] == strategy and target in r["protocols"].get(protocol, {})),
                key=lambda r: r["temperature"],
            )
            if found:
                values = [r["protocols"][protocol][target] for r in found]
                _line(
                    axis,
                    [r["temperature"] for r in found],
                    [v[metric] for v in values],
                    [v["interval"][metric] for v in values],
                    colour,
                    strategy,
                )
        for cell, style in (("supervised", "--"), ("untrained", ":")):
            flat = [
                r["protocols"][protocol][target][metric]
                for r in results
                if r["cell"] == cell and target in r["protocols"].get(protocol, {})
            ]
            if flat:
                axis.axhline(float(np.mean(flat)), color="black", linestyle=style, linewidth=1, label=cell)
        axis.set(xscale="log", xlabel="temperature τ", title=title)
    axes[0].legend(fontsize=8, frameon=False)
    return _save(figure, out / "temperature.png")


def draw_errors(results: Sequence[dict[str, Any]], out: Path) -> Path:
    """Draw where errors lie: RMSE by RT60 of the room, and by the ratio of added white noise."""
    plt = _pyplot()
    protocol = "sample" if any("sample" in result["protocols"] for result in results) else "room"
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), constrained_layout=True)
    for row, (target, unit) in enumerate((("rt60_mid", "s"), ("c50", "dB"))):
        shown = [result for result in results if target in result["protocols"].get(protocol, {})]
        for number, result in enumerate(shown):
            colour, style = COLOURS[number % len(COLOURS)], ("-", "--")[number // len(COLOURS) % 2]
            values = result["protocols"][protocol][target]
            bins = values["by_rt60_s"]
            axes[row, 0].plot(
                [b["low"] for b in bins],
                [b["rmse"] for b in bins],
                style,
                marker="o",
                markersize=3,
                color=colour,
                label=result["cell"],
            )
            noise = sorted((float(snr), numbers["rmse"]) for snr, numbers in values["by_snr_db"].items())
            ratios = [*(snr for snr, _ in noise), (noise[-1][0] if noise else 0.0) + 10.0]
            axes[row, 1].plot(ratios, [*(rmse for _, rmse in noise), values["rmse"]], style, marker="o", markersize=3, color=colour)
        axes[row, 0].set(
            xlabel="RT60 of the response from … s on", ylabel=f"RMSE of {'RT60 (500, 1000 Hz)' if row == 0 else 'C50'} in {unit}"
        )
        axes[row, 1].set(xlabel="signal-to-noise ratio in dB (last: no noise)", ylabel=f"RMSE in {unit}")
    axes[0, 0].legend(fontsize=7, frameon=False, ncols=2)
    return _save(figure, out / "errors.png")


def _five_rooms(room_of_rir: NDArray[np.int64], n_speech: int) -> tuple[NDArray[np.int64], Pairs]:
    """Return the room of each of some samples, and the samples: speech of the test set, responses of five rooms."""
    known = np.unique(room_of_rir)
    if len(known) < ROOMS_SHOWN:
        raise RoomtrainError(f"the test set has {len(known)} rooms; the picture shows {ROOMS_SHOWN}: make more data.")
    random = generator(0, Purpose.SUBSET, sample=99)
    chosen = random.choice(known, ROOMS_SHOWN, replace=False)
    rir = np.concatenate([random.choice(np.flatnonzero(room_of_rir == room), _PER_ROOM) for room in chosen])
    speech = random.integers(n_speech, size=len(rir))
    return np.repeat(chosen, _PER_ROOM), Pairs(rir, speech, np.arange(len(rir)))


def _silhouette(embeddings: NDArray[Any], rooms: NDArray[np.int64]) -> float:
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(embeddings, rooms, metric="cosine"))


def _line(
    axis: Axes, x: Sequence[float], y: Sequence[float], intervals: Sequence[Sequence[float]], colour: str, label: str
) -> None:
    axis.plot(x, y, color=colour, marker="o", markersize=4, label=label)
    axis.fill_between(x, [low for low, _ in intervals], [high for _, high in intervals], color=colour, alpha=0.12, linewidth=0)


def _settings(run: Path) -> GoetzSettings:
    settings = GoetzSettings.model_validate(read_claim(run)["settings"])
    if not (run / ENCODER).is_file():
        raise RoomtrainError(f"{run} has no trained encoder: give runs of contrastive cells that are finished.")
    return settings


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9})
    return plt


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    _pyplot().close(figure)
    return path


def soft_and_hard(folder: Path) -> list[Path]:
    """Return finished runs of soft and of hard sampling with the same temperature, 0.1 if it is there, as the paper shows."""
    runs = sorted(path.parent for path in folder.rglob(ENCODER))
    found = {(s.strategy, s.upstream.temperature): run for run in reversed(runs) for s in [_settings(run)]}
    shared = sorted((t for strategy, t in found if strategy == "soft" and ("hard", t) in found), key=lambda t: (t != 0.1, t))
    return [found["soft", shared[0]], found["hard", shared[0]]] if shared else []
