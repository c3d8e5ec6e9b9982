"""The paper's figures 1 and 2 with our data: how device responses are spread, and how one microphone's change with direction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.magnitude import magnitude_db
from roomgen.store.dataset import Dataset
from roomtrain import figures
from roomtrain.datasets import open_part
from roomtrain.papers.icl import looks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_PARTS = {"vintage DIRs": "vintage-dirs", "multi DIRs": "multi-dirs", "many DIRs": "many-dirs"}
_BANDS = ((0.0, 1.0, "100 %", "#dbe9f6"), (0.1, 0.9, "80 %", "#9ac8e0"), (0.25, 0.75, "50 %", "#4a98c9"))
_MEAN = "#08306b"
_RANGE_HZ = (50.0, 16_000.0)
_PER_OCTAVE = 24
_TICKS_HZ = (100, 1000, 10_000)
_LOWEST_DB, _MARGIN_DB = -50.0, 3.0
_DISTANCE_M = 0.5
_THEIR_MICROPHONE = "nt2"


def draw_responses(data: Path | None, out: Path) -> list[Path | None]:
    """Draw the spread of the responses of each dataset, and those of one microphone of the multi DIRs by angle.

    Raises:
        DatasetError: a dataset is damaged.
    """
    datasets = (
        {} if data is None else {title: open_part(data, n, family="devices") for title, n in _PARTS.items() if (data / n).is_dir()}
    )
    if not datasets:
        why = "it needs data (--data)." if data is None else f"{data} has none of {', '.join(_PARTS.values())}."
        looks.left_out("responses", why)
        looks.left_out("responses-by-angle", why)
        return [None, None]
    frequencies_hz = _frequencies_hz()
    levels_db = {title: _levels_db(dataset, frequencies_hz) for title, dataset in datasets.items()}
    drawn: list[Path | None] = [_draw_spread(datasets, levels_db, frequencies_hz, out)]
    title = "multi DIRs"
    chosen = None if title not in datasets else turned(datasets[title].table())
    if chosen is None:
        looks.left_out("responses-by-angle", "no microphone of the multi DIRs is heard from several angles.")
        return drawn
    return [*drawn, _draw_angles(datasets[title], chosen, levels_db[title][chosen], frequencies_hz, out)]


def _frequencies_hz() -> NDArray[np.float64]:
    low, high = _RANGE_HZ
    return np.geomspace(low, high, int(np.log2(high / low) * _PER_OCTAVE) + 1)


def _levels_db(dataset: Dataset, frequencies_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (response, frequency) levels, each the mean power within a sixth of an octave; NaN above a response's own range."""
    return np.stack([_level_db(item.audio[0], frequencies_hz, item.fs_hz) for item in dataset])


def _level_db(response: NDArray[np.floating], frequencies_hz: NDArray[np.float64], fs_hz: int) -> NDArray[np.float64]:
    return np.where(frequencies_hz <= fs_hz / 2, magnitude_db(response, frequencies_hz, fs_hz=fs_hz), np.nan)


def _draw_spread(
    datasets: dict[str, Dataset], levels_db: dict[str, NDArray[np.float64]], frequencies_hz: NDArray[np.float64], out: Path
) -> Path:
    """Draw the paper's Fig. 1: mean and bands of all responses, a panel per dataset."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    title = "Frequency responses of devices: their mean, and bands that hold 50, 80 and 100 % of them"
    figure, body = looks.new_figure(figures.PAGE_IN, 2.6, title, _notes(*datasets.values()))
    axes = body.subplots(1, len(datasets), squeeze=False, sharey=True)[0]
    for axis, (title, dataset) in zip(axes, datasets.items(), strict=True):
        levels = levels_db[title]
        for low, high, _, shade in _BANDS:
            axis.fill_between(frequencies_hz, *np.quantile(levels, [low, high], axis=0), color=shade, linewidth=0)
        axis.plot(frequencies_hz, levels.mean(axis=0), color=_MEAN)
        microphones = dataset.table(["microphone"])["microphone"].nunique()
        axis.set_title(f"{title}\n{_counted(len(levels), 'response')} of {_counted(microphones, 'microphone')}", fontsize=7)
        _frequency_axis(axis)
    low = min(float(np.nanmin(levels)) for levels in levels_db.values())
    high = max(float(np.nanmax(levels)) for levels in levels_db.values())
    axes[0].set(ylabel="level in dB", ylim=(max(low - _MARGIN_DB, _LOWEST_DB), high + _MARGIN_DB))
    handles = [Line2D([], [], color=_MEAN, label="mean"), *(Patch(color=shade, label=label) for *_, label, shade in _BANDS[::-1])]
    body.legend(handles=handles, loc="outside lower center", ncols=4)
    return figures.save(figure, out / "responses.png")


def turned(table: pd.DataFrame) -> NDArray[np.int64] | None:
    """Return the rows of one microphone at the distance nearest to 0.5 m, from 0° to 180°: None where none is turned.

    It is the paper's (Røde NT2-A) where the data have it, else the one that is most like it: a large cardioid condenser.
    """
    table = table.reset_index(drop=True)
    near = table[(table["angle_deg"] >= 0.0) & (table["angle_deg"] <= 180.0)]
    ranks: dict[str, tuple[float, ...]] = {}
    for name, rows in near.groupby("microphone", observed=True):
        first = rows.iloc[0]
        like = (first["directivity"] == "cardioid", first["transducer"] == "condenser", first["diaphragm_size"] == "large")
        theirs = _THEIR_MICROPHONE in str(name).lower().replace("-", "").replace("_", "")
        if rows["angle_deg"].nunique() > 2:
            ranks[str(name)] = (theirs, sum(like), rows["angle_deg"].nunique())
    if not ranks:
        return None
    best = max(sorted(ranks), key=lambda name: ranks[name])
    rows = near[near["microphone"] == best]
    apart = (rows["distance_m"] - _DISTANCE_M).abs()
    if apart.notna().any():
        rows = rows[apart == apart.min()]
    return np.asarray(rows.sort_values("angle_deg", kind="stable").index, dtype=np.int64)


def _draw_angles(
    dataset: Dataset, chosen: NDArray[np.int64], levels_db: NDArray[np.float64], frequencies_hz: NDArray[np.float64], out: Path
) -> Path:
    """Draw the paper's Fig. 2: a line for each angle."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    rows = dataset.table().iloc[chosen]
    first = rows.iloc[0]
    kind = " ".join(str(first[name]).replace("_", "-") for name in ("directivity", "transducer") if str(first[name]))
    where = f" at {first['distance_m']:g} m" if np.isfinite(first["distance_m"]) else ""
    title = f"One microphone from the front to the back:\n{first['microphone']}" + (f" ({kind})" if kind else "") + where
    figure, body = looks.new_figure(figures.COLUMN_IN, 2.5, title, _notes(dataset))
    axis = body.subplots()
    # The map's yellow end would vanish on paper.
    colours = LinearSegmentedColormap.from_list("angle", colormaps["viridis"](np.linspace(0.0, 0.9, 64)))
    scale = Normalize(0.0, 180.0)
    for angle, level in zip(rows["angle_deg"], levels_db, strict=True):
        axis.plot(frequencies_hz, level, color=colours(scale(angle)), linewidth=0.6)
    _frequency_axis(axis)
    low, high = np.nanmin(levels_db), np.nanmax(levels_db)
    axis.set(ylabel="level in dB", ylim=(max(low - _MARGIN_DB, _LOWEST_DB), high + _MARGIN_DB))
    bar = body.colorbar(ScalarMappable(scale, colours), ax=axis, pad=0.02, aspect=30)
    bar.set_label("angle of incidence in °")
    bar.set_ticks([0, 45, 90, 135, 180])
    return figures.save(figure, out / "responses-by-angle.png")


def _frequency_axis(axis: Axes) -> None:
    from matplotlib.ticker import NullFormatter

    axis.set(xscale="log", xlim=_RANGE_HZ, xlabel="frequency in Hz")
    axis.set_xticks(_TICKS_HZ, [f"{tick // 1000}k" if tick >= 1000 else str(tick) for tick in _TICKS_HZ])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(True, color="0.9", linewidth=0.4)
    axis.set_axisbelow(True)


def _notes(*datasets: Dataset) -> list[str]:
    """Return what the datasets say of themselves, and how their levels are to be read."""
    settings = [dataset.info["settings"] for dataset in datasets]
    notes = looks.data_notes(str(one.get("note", "")) for one in settings)
    banded = any(one.get("level") == "band" for one in settings)
    return [*notes, "Each response has a mean power gain of 1 between 0.5 and 10 kHz."] if banded else notes


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
