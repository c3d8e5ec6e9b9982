"""The pictures of benchmarks: speed, accuracy and RT60 in one; simulated beside measured rooms in another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from roomgen.report.canvas import new_figure
from roomgen.store.folder import writing

_OURS, _PEER, _BOTH = "#1f6fb4", "#e07b28", "#6b7280"


def write_plot(results: dict[str, Any], path: Path) -> None:
    """Draw the results of the benchmarks "engines" and "rt60" as a PNG."""
    figure = new_figure(figsize=(13, 4.2))
    left, middle, right = figure.subplots(1, 3)
    _draw_times(left, results["engines"]["cases"])
    _draw_errors(middle, results["engines"]["accuracy"])
    _draw_rt60(right, results["rt60"])
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    with writing(path):
        figure.savefig(path, dpi=150, format="png")


def _draw_times(axes: Any, cases: list[dict[str, Any]]) -> None:
    single = [case for case in cases if case["mics"] == 1]
    for name, label, color in (("peer_ms", "pyroomacoustics", _PEER), ("ours_ms", "roomgen, with all labels", _OURS)):
        rooms = [room for case in single for room in case["rooms"]]
        axes.scatter([r["images"] for r in rooms], [r[name] for r in rooms], s=14, color=color, alpha=0.35, linewidths=0)
        medians = sorted((case["images"], case[name]) for case in single)
        axes.plot(*zip(*medians, strict=True), "o-", color=color, markersize=7, linewidth=1.2, label=label)
    rt = next(case for case in single if case["order"] == "rt")
    axes.annotate(
        f"{rt['ratio']:.0f}×", (rt["images"], np.sqrt(rt["ours_ms"] * rt["peer_ms"])), ha="center", va="center", color="0.25"
    )
    axes.set(xscale="log", yscale="log", xlabel="image sources per response", ylabel="ms per response")
    axes.set_title("Same images, 7 octave bands, one thread")
    axes.legend(frameon=False, loc="upper left")


def _draw_errors(axes: Any, accuracy: dict[str, list[float]]) -> None:
    shown = (
        ("roomgen_db", "roomgen against float64 sum", _OURS),
        ("pyroomacoustics_db", "pyroomacoustics against float64 sum", _PEER),
        ("difference_db", "roomgen against pyroomacoustics", _BOTH),
    )
    every = np.concatenate([accuracy[name] for name, _, _ in shown])
    bins = np.arange(np.floor(every.min()) - 1.0, np.ceil(every.max()) + 2.0, 1.0)
    for name, label, color in shown:
        outline = name == "difference_db"
        axes.hist(
            accuracy[name], bins=bins, label=label, color=color, histtype="step" if outline else "stepfilled",
            linewidth=1.5, alpha=1.0 if outline else 0.75,
        )  # fmt: skip
    axes.set(xlabel="energy of the error relative to the response in dB", ylabel="rooms", title="Accuracy")
    axes.set_ylim(0, 1.45 * axes.get_ylim()[1])  # room for the legend
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="upper center")


def _draw_rt60(axes: Any, rt60: dict[str, Any]) -> None:
    asked = np.array(rt60["asked_s"])
    shown = (
        ("inverse_sabine, mean over the room", "inverse_sabine", _PEER),
        ("roomgen, mean over the room", "roomgen", _OURS),
    )
    highest = 1.05 * asked.max()
    for name, label, color in shown:
        method = rt60["methods"][name]
        obtained = np.array(method["obtained_s"], dtype=np.float64)
        highest = max(highest, 1.05 * np.nanmax(obtained, initial=0.0))
        median = label if method["median_error"] is None else f"{label} (median error {100 * method['median_error']:.0f} %)"
        axes.scatter(asked, obtained, s=14, color=color, alpha=0.55, linewidths=0, label=median)
    axes.plot([0, highest], [0, highest], color="0.4", linewidth=0.8, zorder=0)
    axes.set(
        xlim=(0, 1.05 * asked.max()),
        ylim=(0, 1.2 * highest),
        xlabel="RT60 asked in s",
        ylabel="T30 obtained in s, mean over the room",
    )
    axes.set_title("RT60 asked and obtained")
    axes.legend(frameon=False, loc="upper left", fontsize="small")


def write_realism_plot(results: dict[str, Any], path: Path) -> None:
    """Draw the results of the benchmark "realism" as a PNG: spectra of T30 of each set under those of measured rooms, and EDT."""
    realism = results["realism"]
    sets = realism["simulated"]
    figure = new_figure(figsize=(2.2 * len(sets) + 3.6, 3.6))
    *spectra, early = figure.subplots(1, len(sets) + 1, width_ratios=[*[1.0] * len(sets), 1.2])
    for axes, one in zip(spectra, sets, strict=True):
        _draw_spectra(axes, realism, one)
        axes.sharey(spectra[0])
    spectra[0].set_ylabel("T30 / mean of 500 and 1000 Hz")
    spectra[0].legend(frameon=False, loc="upper right", fontsize="small")
    for axes in spectra[1:]:
        axes.tick_params(labelleft=False)
    _draw_early(early, realism)
    for axes in (*spectra, early):
        axes.spines[["top", "right"]].set_visible(False)
    with writing(path):
        figure.savefig(path, dpi=150, format="png")


def _draw_spectra(axes: Any, realism: dict[str, Any], one: dict[str, Any]) -> None:
    bands = np.array(realism["bands_hz"])
    band = np.array([[np.nan] * 3 if values is None else values for values in one["spectrum"]])
    axes.fill_between(bands, band[:, 0], band[:, 2], color=_OURS, alpha=0.25, linewidth=0, label="simulated, 10 to 90 %")
    axes.plot(bands, band[:, 1], color=_OURS, linewidth=2.0, label="simulated, median")
    for number, line in enumerate(realism["measured"]["spectra"]):
        values = np.array(line, dtype=np.float64)
        axes.plot(bands, values, color=_PEER, linewidth=0.9, alpha=0.9, label=None if number else "measured rooms")
    ticks = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    axes.set(xscale="log", yscale="log", xlabel="octave in Hz", title=_wrapped(one["title"]), ylim=(0.2, 12.0))
    axes.set_xticks(bands, ["125", "", "500", "", "2k", "", "8k"])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def _draw_early(axes: Any, realism: dict[str, Any]) -> None:
    columns = [(_wrapped(one["title"]), one["edt_over_t30_1k"], _OURS) for one in realism["simulated"]]
    columns.insert(0, ("measured", realism["measured"]["edt_over_t30_1k"], _PEER))
    for place, (_, values, color) in enumerate(columns):
        if values is not None:
            axes.plot([values[0], values[2]], [place, place], color=color, linewidth=7, alpha=0.35, solid_capstyle="butt")
            axes.plot(values[1], place, "o", color=color, markersize=7)
        elif place == 0:
            axes.annotate("needs responses (--root)", (0.1, 0), va="center", color="0.4", fontsize="small")
    each = [value for value in realism["measured"]["edt_over_t30_1k_each"] if value is not None]
    axes.plot(each, [0.0] * len(each), "|", color=_PEER, markersize=12)
    axes.axvline(1.0, color="0.5", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(columns)), [title for title, _, _ in columns])
    axes.set(ylim=(len(columns) - 0.5, -0.5), xlim=(0, 1.6), xlabel="EDT / T30 at 1 kHz", title="Early and late decay")


def _wrapped(title: str) -> str:
    """Return a title whose second half stands on a line of its own."""
    return title.replace(", ", ",\n")
