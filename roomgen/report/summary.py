"""What the command line prints for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roomgen.text import duration, pairs, size, spread, table


def summary_text(summary: Mapping[str, Any]) -> str:
    """Return the end of `roomgen rooms`."""
    made, seconds = summary["made"], summary["seconds"]
    work = f"{made} in {duration(seconds)} ({made / seconds:.3g} RIRs/s)" if made else "none: the dataset was complete"
    return pairs({"dataset": summary["out"], "made now": work, **_totals(summary)})


def dataset_text(info: Mapping[str, Any]) -> str:
    """Return the summary of `roomgen inspect DIR`."""
    settings = info["settings"]
    head = {
        "preset": f"{settings['preset']}, seed {settings['seed']}, roomgen {info['roomgen_version']}",
        "engine": " ".join(f"{k}={v}" for k, v in settings["engine"].items() if v not in (None, 0.0)),
        "settings": info["settings_hash"],
    }
    return pairs({**head, **_totals(info["totals"]), "shards": len(info["shards"])})


def _totals(totals: Mapping[str, Any]) -> dict[str, str]:
    return {
        "rooms": f"{totals['rooms']}",
        "RIRs": f"{totals['rirs']} ({', '.join(f'{name} {count}' for name, count in totals['splits'].items())})",
        "audio": duration(totals["audio_s"]),
        "size": size(totals["bytes"]),
        "RT60": spread(totals["rt60_s"], "s"),
        "C50": spread(totals["c50_db"], "dB"),
        "volume": spread(totals["volume_m3"], "m³"),
    }


def estimate_text(estimate: Mapping[str, Any]) -> str:
    """Return what `roomgen rooms --dry-run` says."""
    splits = ", ".join(f"{name} {count}" for name, count in estimate["splits"].items())
    return pairs(
        {
            "rooms": estimate["rooms"],
            "samples": f"{estimate['samples']} ({splits})",
            "shards": estimate["shards"],
            "audio": f"{estimate['hours']:.3g} h",
            "size": size(estimate["bytes"]),
            "time": f"{duration(estimate['expected_s'])} with {estimate['workers']} workers "
            f"({estimate['ms_per_sample']:.3g} ms a sample, measured on {estimate['calibrated_samples']})",
            "memory": f"{estimate['peak_memory_mb']:.0f} MB in this process",
            "settings": estimate["settings_hash"],
        }
    )


def row_text(row: Mapping[str, Any]) -> str:
    """Return one sample's row, a line each."""
    return pairs({name: _value(value) for name, value in row.items()})


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return ", ".join(_value(v) for v in value)
    return str(value)


def materials_text(materials: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of `roomgen materials`."""
    centers = sorted({hz for bands in materials.values() for hz in bands}, key=int)
    rows = [[name, *(f"{bands[hz]:.2f}" if hz in bands else "" for hz in centers)] for name, bands in materials.items()]
    return table(["absorption at Hz", *centers], rows)
