"""Simulated rooms beside measured ones: spectra of T30, early against late decay, clarity, spread over positions.

Each set of simulated rooms is a preset as a user gets it, or a dataset on disk. Ratios are per response, all that a room has;
their quantiles stand beside those of measured rooms, and goals say how near is near enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.decay_statistics import APART, BANDS_HZ, QUANTILES, Decays, decays_of, judge, ratios, relative_spectra
from bench.effort import Effort
from bench.measured_rooms import PUBLISHED, measured_rows, published_rows
from roomgen.acoustics.engine import get_engine
from roomgen.acoustics.labels.measure import measure
from roomgen.datasets.rooms.family import scene_of
from roomgen.datasets.rooms.plan import RoomsPlan
from roomgen.datasets.rooms.presets import load_settings
from roomgen.datasets.rooms.settings import DatasetSettings
from roomgen.errors import RoomgenError
from roomgen.store.dataset import Dataset
from roomgen.text import table

SETS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("mixed", "mixed", {}),
    ("goetz", "goetz", {}),
    ("goetz, measured walls", "goetz", {"walls.model": "measured"}),
    ("mvsd", "mvsd", {}),
)
"""Title, preset and settings of the simulated rooms."""

GOALS = (
    ("T30 at 125 Hz over T_mid, median", "t30_125_over_mid", 0.9, 1.6),
    (f"octaves apart by more than {APART:g}, share of responses", "share_apart", None, 0.1),
    ("EDT over T30 at 1 kHz, median", "edt_over_t30_1k", 0.7, 1.0),
    ("C50 at 125 Hz less at 1 kHz in dB, median", "c50_tilt_db", -5.0, None),
)
"""What is asked, of which figure, at least and at most."""

_LINES = (
    ("T_mid s", "t_mid", 2),
    ("T30 125 Hz / mid", "t30_125_over_mid", 2),
    ("T30 8 kHz / mid", "t30_8k_over_mid", 2),
    ("octaves 125–4k, max / min", "apart", 2),
    ("EDT / T30, 1 kHz", "edt_over_t30_1k", 2),
    ("EDT / T30, broadband", "edt_over_t30", 2),
    ("C50 125 Hz − 1 kHz dB", "c50_tilt_db", 1),
    ("T30 1 kHz over positions %", "position_spread", 1),
    ("  ISO 3382-2, diffuse %", "diffuse_spread", 1),
)
_PERCENT = ("position_spread", "diffuse_spread")
_MOST_READ = 2000  # responses of a dataset, whole rooms evenly chosen: quantiles of more are the same


def run(effort: Effort, *, root: Path | None = None, data: Path | None = None) -> dict[str, Any]:
    """Return the figures of measured and of simulated rooms, and whether the goals are met.

    Args:
        root: a folder of measured responses; None: the published T30 of nine rooms.
        data: a dataset of rooms to judge in place of the presets.

    Raises:
        RoomgenError: a folder without responses, or a dataset without rooms.
    """
    rows, failed = (published_rows(), []) if root is None else measured_rows(root)
    measured = decays_of(rows)
    if data is None:
        titles, sets = [title for title, _, _ in SETS], [_preset(effort, name, changes) for _, name, changes in SETS]
    else:
        titles, sets = [str(data)], [_dataset(data)]
    return {
        "bands_hz": list(BANDS_HZ),
        "quantiles": list(QUANTILES),
        "measured_from": "published values" if root is None else str(root),
        "not_labelled": failed,
        "measured": {
            **judge(measured),
            "spectra": [[_plain(v) for v in line] for line in relative_spectra(measured)],
            "edt_over_t30_1k_each": [_plain(v) for v in ratios(measured)["edt_over_t30_1k"]],
        },
        "simulated": [
            {"title": title, **judge(found), "goals": goals_met(judge(found))} for title, found in zip(titles, sets, strict=True)
        ],
    }


def goals_met(figures: dict[str, Any]) -> dict[str, bool | None]:
    """Tell for each figure of :data:`GOALS` whether it lies within its limits; None: it is not known."""
    return {name: _within(_found(figures, name), least, most) for _, name, least, most in GOALS}


def text(result: dict[str, Any]) -> str:
    """Return the figures as a table, then the goals."""
    measured, sets = result["measured"], result["simulated"]
    columns = [(f"{measured['rooms']} measured", measured), *((one["title"], one) for one in sets)]
    rows = [[title, *(_three(figures[name], digits, name) for _, figures in columns)] for title, name, digits in _LINES]
    shares = ["–" if figures["share_apart"] is None else f"{100 * figures['share_apart']:.0f}" for _, figures in columns]
    rows.insert(4, [f"  beyond {APART:g}, % of responses", *shares])
    counts = ", ".join(f"{one['title']} {one['responses']} responses in {one['rooms']} rooms" for one in sets)
    parts = [
        f"10 / 50 / 90 % of responses; measured: {_source(result)}; simulated: {counts}",
        table(["", *(name for name, _ in columns)], rows),
    ]
    for title, name, least, most in GOALS:
        verdicts = [f"{one['title']} {_verdict(_found(one, name), one['goals'][name])}" for one in sets]
        parts.append(f"goal: {title}, {_limits(least, most)}: {'; '.join(verdicts)}")
    return "\n".join(parts)


def _preset(effort: Effort, preset: str, changes: dict[str, Any]) -> Decays:
    rooms, positions = effort.realism_rooms, effort.positions
    settings = load_settings(preset, {"rooms.count": rooms, "place.rirs_per_room": positions, "seed": 1, **changes})
    return decays_of(list(_labelled(settings, positions)))


def _labelled(settings: DatasetSettings, positions: int) -> Iterator[dict[str, Any]]:
    """Yield the labels of every response of a plan: those of the manifest and EDT per band, which it does not have."""
    plan, engine = RoomsPlan(settings), get_engine(settings.engine.name, settings.engine.device)
    for room in range(settings.rooms.count):
        for position in range(positions):
            row = plan.row("train", room, position)
            rir = next(engine.simulate([scene_of(settings, row)])).rir[0, 0]
            labels = measure(rir, fs_hz=settings.signal.fs_hz, onset_s=float(row["direct_delay_s"]), noise="none")
            yield {"room_id": row["room_id"], **labels.as_dict()}


def _dataset(root: Path) -> Decays:
    """Return the decays of a dataset's first channels: labels from its manifest, EDT per band from its responses."""
    dataset = Dataset(root)
    if dataset.info["settings"].get("family", "rooms") != "rooms" or not len(dataset):
        raise RoomgenError(f"--data {root} holds no rooms: make one with `roomgen rooms`.")
    _, room = np.unique(dataset.table(["room_id"])["room_id"].to_numpy(dtype=str), return_inverse=True)
    return decays_of([_with_edt(dataset, number) for number in whole_rooms(room, _MOST_READ)])


def whole_rooms(room: NDArray[np.intp], most: int) -> list[int]:
    """Return which responses to read so that all positions of evenly chosen rooms are among them, and about ``most`` at most.

    Args:
        room: (response,) number of its room, from 0.
    """
    count = int(room.max()) + 1
    kept = max(int(count * min(most / len(room), 1.0)), 1)
    chosen = np.linspace(0, count - 1, kept).astype(int)
    return [int(number) for number in np.flatnonzero(np.isin(room, chosen))]


def _with_edt(dataset: Dataset, number: int) -> dict[str, Any]:
    item = dataset[number]
    onset_s = float(item.row["direct_delay_s"]) if item.row["n_channels"] == 1 else None  # an array's is that of its centre
    labels = measure(item.audio[0], fs_hz=item.fs_hz, onset_s=onset_s, noise="none")
    return {**item.row, "edt_bands_s": np.asarray(labels.edt_bands_s).tolist()}


def _found(figures: dict[str, Any], name: str) -> float | None:
    value: float | list[float] | None = figures[name]
    return value[QUANTILES.index(0.5)] if isinstance(value, list) else value


def _within(value: float | None, least: float | None, most: float | None) -> bool | None:
    if value is None:
        return None
    return (least is None or value >= least) and (most is None or value <= most)


def _verdict(found: float | None, met: bool | None) -> str:
    return "not known" if found is None else f"{found:.2f} {'met' if met else 'MISSED'}"


def _limits(least: float | None, most: float | None) -> str:
    if least is None:
        return f"≤ {most:g}"
    return f"≥ {least:g}" if most is None else f"{least:g}…{most:g}"


def _three(values: list[float] | None, digits: int, name: str) -> str:
    factor = 100.0 if name in _PERCENT else 1.0
    return "–" if values is None else " / ".join(f"{factor * value:.{digits}f}" for value in values)


def _source(result: dict[str, Any]) -> str:
    if result["measured_from"] == "published values":
        return f"published T30 of {len(PUBLISHED)} rooms, which leave open what needs a response (give --root FOLDER)"
    failed = f"; {len(result['not_labelled'])} files could not be labelled" if result["not_labelled"] else ""
    return f"first channel of each file in {result['measured_from']}{failed}"


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
