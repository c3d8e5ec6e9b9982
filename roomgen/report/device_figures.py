"""Two pictures of a dataset of device responses: how they are spread over frequency, and how one changes with direction.

They are those of P. Schmidt and N. Peters (DCASE Workshop 2023): Fig. 1, mean and quantile bands of all magnitude responses, and
Fig. 2, the responses of one cardioid from front to back at the shortest distance, beside which stands its polar pattern.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from roomgen.errors import DatasetError
from roomgen.store.dataset import Dataset
from roomgen.store.folder import writing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BANDS = ((0.0, 1.0, "100 %"), (0.1, 0.9, "80 %"), (0.25, 0.75, "50 %"))
_SHADES = ("#dbe9f6", "#9ac8e0", "#4a98c9")
_LINE = "#08306b"
_POLAR_HZ = (250.0, 1000.0, 4000.0, 10000.0)
_PER_OCTAVE = 24
_SMOOTHING_OCTAVES = 1.0 / 6.0
_LOWEST_HZ = 50.0
_POLAR_FLOOR_DB = -30.0
_TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)


def write_figures(dataset_dir: Path, out_dir: Path) -> list[Path]:
    """Draw both pictures of a dataset of devices, as PNG and PDF, and return their paths.

    The second needs a microphone that was heard from at least five directions; without one only the first is drawn.

    Args:
        dataset_dir: a finished dataset of the family "devices".
        out_dir: folder for ``devices-responses`` and ``devices-angles``; made where it is missing.

    Raises:
        DatasetError: no finished dataset of devices there.
    """
    dataset = Dataset(dataset_dir)
    if dataset.info["settings"].get("family") != "devices":
        raise DatasetError(f"{dataset_dir} is no dataset of devices: these figures are of device responses.")
    if not len(dataset):
        raise DatasetError(f"{dataset_dir} is empty: there is nothing to draw.")
    table = dataset.table(["microphone", "directivity", "transducer", "diaphragm_size", "angle_deg", "distance_m", "fs_hz"])
    fs_hz = int(table["fs_hz"].iloc[0])
    frequencies_hz = _frequencies(fs_hz)
    levels_db = np.stack([magnitude_db(item.audio[0], frequencies_hz, fs_hz=fs_hz) for item in dataset])
    figures = {"devices-responses": _spread_figure(levels_db, frequencies_hz, n_devices=table["microphone"].nunique())}
    chosen = _turned_microphone(table)
    if chosen is not None:
        rows = np.flatnonzero((table["microphone"] == chosen[0]) & (table["distance_m"] == chosen[1]))
        rows = rows[np.argsort(table["angle_deg"].to_numpy()[rows], kind="stable")]
        angles_deg = table["angle_deg"].to_numpy()[rows].astype(np.float64)
        first = table.iloc[rows[0]]
        kind = " ".join(text.replace("_", " ") for text in (first["directivity"], first["transducer"]) if text)
        title = f"{chosen[0]}{f' ({kind})' if kind else ''}" + (f" at {chosen[1]:g} m" if np.isfinite(chosen[1]) else "")
        figures["devices-angles"] = _angle_figure(levels_db[rows], angles_deg, frequencies_hz, title)
    paths = []
    with writing(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            for ending in ("png", "pdf"):
                path = out_dir / f"{name}.{ending}"
                # No date in the file: the same dataset gives the same picture.
                figure.savefig(path, dpi=200, metadata={"CreationDate": None} if ending == "pdf" else None)
                paths.append(path)
    return paths


def magnitude_db(response: NDArray[np.floating], frequencies_hz: NDArray[np.float64], *, fs_hz: int) -> NDArray[np.float64]:
    """Return the level of a response (time,) at (frequency,) frequencies in dB: its power, averaged over a sixth of an octave."""
    n_fft = 1 << max(int(np.ceil(np.log2(4 * len(response)))), 13)
    power = np.abs(np.fft.rfft(response.astype(np.float64), n_fft)) ** 2
    cumulated = np.concatenate([[0.0], np.cumsum(power)])
    half = 2.0 ** (_SMOOTHING_OCTAVES / 2.0)
    # Between bins the sum is a straight line: bands narrower than a bin are its value.
    edges = np.arange(len(cumulated)) - 0.5
    low, high = (np.interp(frequencies_hz * factor * n_fft / fs_hz, edges, cumulated) for factor in (1.0 / half, half))
    width = np.minimum(frequencies_hz * half * n_fft / fs_hz, edges[-1]) - frequencies_hz / half * n_fft / fs_hz
    return np.asarray(10.0 * np.log10(np.maximum((high - low) / width, 1e-12)))


def _frequencies(fs_hz: int) -> NDArray[np.float64]:
    highest = 0.97 * fs_hz / 2.0
    count = int(np.log2(highest / _LOWEST_HZ) * _PER_OCTAVE)
    return np.asarray(_LOWEST_HZ * (highest / _LOWEST_HZ) ** (np.arange(count + 1) / count))


def _turned_microphone(table: pd.DataFrame) -> tuple[str, float] | None:
    """Return the name of the microphone to draw and its shortest distance: a large cardioid condenser, as in the paper.

    None where no microphone was heard from five directions.
    """
    best: tuple[tuple[float, ...], str, float] | None = None
    for (name, distance_m), rows in table.groupby(["microphone", "distance_m"], observed=True, dropna=False):
        angles = rows["angle_deg"].dropna().nunique()
        if angles < 5:
            continue
        first = rows.iloc[0]
        alike = (first["directivity"] == "cardioid", first["transducer"] == "condenser", first["diaphragm_size"] == "large")
        rank = (float(sum(alike)), float(angles), -float(distance_m))
        if best is None or rank > best[0]:
            best = (rank, str(name), float(distance_m))
    return None if best is None else best[1:]


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _frequency_axis(axes: Axes, frequencies_hz: NDArray[np.float64]) -> None:
    from matplotlib.ticker import NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(frequencies_hz[0], frequencies_hz[-1])
    ticks = [tick for tick in _TICKS_HZ if frequencies_hz[0] <= tick <= frequencies_hz[-1]]
    axes.set_xticks(ticks, [f"{tick // 1000}k" if tick >= 1000 else str(tick) for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="frequency in Hz", ylabel="magnitude in dB")
    axes.grid(True, which="major", color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _spread_figure(levels_db: NDArray[np.float64], frequencies_hz: NDArray[np.float64], *, n_devices: int) -> Figure:
    figure = _new_figure(6.2, 3.4)
    axes = figure.subplots()
    for (low, high, label), shade in zip(_BANDS, _SHADES, strict=True):
        below, above = np.quantile(levels_db, [low, high], axis=0)
        axes.fill_between(frequencies_hz, below, above, color=shade, linewidth=0, label=f"{label} of them")
    axes.plot(frequencies_hz, levels_db.mean(axis=0), color=_LINE, linewidth=1.6, label="mean")
    _frequency_axis(axes, frequencies_hz)
    low, high = np.quantile(levels_db, [0.001, 0.999])
    axes.set_ylim(max(10.0 * np.floor((low - 2.0) / 10.0), -60.0), 10.0 * np.ceil((high + 2.0) / 10.0))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize="small", columnspacing=1.4)
    figure.suptitle(f"{len(levels_db)} responses of {n_devices} devices", fontsize="medium")
    return figure


def _angle_figure(
    levels_db: NDArray[np.float64], angles_deg: NDArray[np.float64], frequencies_hz: NDArray[np.float64], title: str
) -> Figure:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.projections.polar import PolarAxes

    figure = _new_figure(9.6, 3.9)
    grid = figure.add_gridspec(1, 2, width_ratios=[1.4, 1.0], wspace=0.06)
    axes, polar = figure.add_subplot(grid[0]), figure.add_subplot(grid[1], projection="polar")
    assert isinstance(polar, PolarAxes)
    shades, scale = colormaps["coolwarm"], Normalize(0.0, 180.0)
    for angle, level in zip(angles_deg, levels_db, strict=True):
        if angle <= 180.0:
            axes.plot(frequencies_hz, level, color=shades(scale(angle)), linewidth=0.9)
    _frequency_axis(axes, frequencies_hz)
    front = angles_deg <= 180.0
    axes.set_ylim(max(10.0 * np.floor(levels_db[front].min() / 10.0), -50.0), 10.0 * np.ceil((levels_db[front].max() + 1) / 10.0))
    bar = figure.colorbar(ScalarMappable(scale, shades), ax=axes, pad=0.02, aspect=30)
    bar.set_label("angle of incidence in °", labelpad=7)
    bar.set_ticks([0, 45, 90, 135, 180])

    nearest = int(np.argmin(np.minimum(angles_deg, 360.0 - angles_deg)))
    around = np.concatenate([angles_deg, angles_deg[:1] + 360.0]) if _whole_circle(angles_deg) else angles_deg
    usable = [hz for hz in _POLAR_HZ if hz < frequencies_hz[-1]]
    for hz, shade in zip(usable, colormaps["viridis"](np.linspace(0.0, 0.88, len(usable))), strict=True):
        index = int(np.argmin(np.abs(frequencies_hz - hz)))
        relative = np.maximum(levels_db[:, index] - levels_db[nearest, index], _POLAR_FLOOR_DB)
        closed = relative[np.arange(len(around)) % len(relative)]
        polar.plot(
            np.deg2rad(around), closed, color=shade, linewidth=1.5, label=f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz:g} Hz"
        )
    polar.set_theta_zero_location("N")
    polar.set_thetagrids(range(0, 360, 45))
    polar.set_rlim(_POLAR_FLOOR_DB, 6.0)
    polar.set_rgrids([-30, -20, -10, 0], ["−30", "−20", "−10", "0 dB"], angle=157.5, fontsize="x-small", color="0.35")
    polar.grid(True, color="0.85", linewidth=0.6)
    polar.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=len(usable), frameon=False, fontsize="small", columnspacing=1.0
    )
    figure.suptitle(title, fontsize="medium")
    return figure


def _whole_circle(angles_deg: NDArray[np.float64]) -> bool:
    gaps = np.diff(np.concatenate([angles_deg, angles_deg[:1] + 360.0]))
    return bool(gaps.max() <= 1.5 * np.median(gaps))
