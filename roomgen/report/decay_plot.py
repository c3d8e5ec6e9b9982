"""A room impulse response as a picture: its pressure, and its energy decay per octave band."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roomgen.acoustics.bands import fft_band_weights, octave_centers
from roomgen.report.canvas import new_figure
from roomgen.store.dataset import Item

_FLOOR_DB = -70.0


def energy_decay_db(rir: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the Schroeder curve in dB below its beginning: (…, time) to (…, time)."""
    energy = np.cumsum(rir[..., ::-1].astype(np.float64) ** 2, axis=-1)[..., ::-1]
    return np.asarray(10.0 * np.log10(np.maximum(energy / np.maximum(energy[..., :1], 1e-300), 1e-30)))


def draw_decay(item: Item, path: Path) -> None:
    """Write the picture as PNG."""
    figure = new_figure(figsize=(9, 6.2))
    from matplotlib import colormaps

    row, rir = item.row, item.audio[0]
    time_ms = 1000.0 * np.arange(len(rir)) / item.fs_hz
    centers = octave_centers(item.fs_hz)
    n_fft = 2 * len(rir)
    bands = np.fft.irfft(np.fft.rfft(rir, n_fft) * fft_band_weights(n_fft, item.fs_hz), n_fft)[:, : len(rir)]

    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    top.plot(time_ms, rir, linewidth=0.6, color="0.2")
    top.set_ylabel("pressure in Pa")
    top.set_title(
        f"{item.key}   {row['room_type']} {row['length_m']:.2f} × {row['width_m']:.2f} × {row['height_m']:.2f} m, "
        f"source at {row['distance_m']:.2f} m"
    )
    shades = colormaps["viridis"](np.linspace(0.0, 0.92, len(centers)))  # octaves have an order: dark is low
    for index, (center, curve) in enumerate(zip(centers, energy_decay_db(bands), strict=True)):
        rt60 = row["rt60_bands_s"][index]
        label = f"{center:g} Hz: {rt60:.2f} s" if np.isfinite(rt60) else f"{center:g} Hz: not measurable"
        bottom.plot(time_ms, curve, linewidth=1, color=shades[index], label=label)
    bottom.plot(time_ms, energy_decay_db(rir), linewidth=2, color="black", label=f"broadband: {row['rt60_s']:.2f} s")
    for level in (-5, -35):
        bottom.axhline(level, color="0.8", linewidth=0.8, zorder=0)
    bottom.set(xlabel="time after emission in ms", ylabel="energy to come in dB", ylim=(_FLOOR_DB, 3), xlim=(0, time_ms[-1]))
    bottom.legend(title=f"RT60, C50 {row['c50_db']:.1f} dB", loc="upper right", fontsize="small", frameon=False)
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
