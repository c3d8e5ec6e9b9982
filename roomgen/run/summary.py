"""What the command line prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from roomgen.datasets.family import Family, family_of
from roomgen.errors import DatasetError
from roomgen.text import duration, pairs, printable, size, spread, table


def summary_text(summary: Mapping[str, Any]) -> str:
    """Return the end of a command that makes a dataset."""
    family = family_of(summary["family"])
    made, seconds = summary["made"], summary["seconds"]
    work = f"{made} in {duration(seconds)} ({made / seconds:.3g} {family.unit}s/s)" if made else "none: the dataset was complete"
    return pairs({"dataset": summary["out"], "made now": work, **_totals(summary, family), **_broken(summary["broken_files"])})


def dataset_text(info: Mapping[str, Any]) -> str:
    """Return the summary of `roomgen inspect DIR`.

    Raises:
        DatasetError: ``dataset.json`` does not say what is summed up.
    """
    try:
        settings = info["settings"]
        family = family_of(settings["family"])
        preset = f"{settings['preset']}, " if settings["preset"] else ""
        head = {"family": family.name, "made": f"{preset}seed {settings['seed']}, roomgen {info['roomgen_version']}"}
        if "engine" in settings:
            head["engine"] = " ".join(f"{k}={v}" for k, v in settings["engine"].items() if v not in (None, 0.0))
        if info.get("inputs"):
            head["inputs"] = ", ".join(f"{name} {path}" for name, path in info["inputs"].items())
        head |= {"settings": info["settings_hash"], **_totals(info["totals"], family), "shards": f"{len(info['shards'])}"}
        head |= _broken(info.get("broken", []))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DatasetError(
            f"dataset.json does not say all that a summary does ({type(error).__name__}: {error}): it is damaged, or of another "
            "version. Run `roomgen verify`, or make the dataset again."
        ) from None
    return pairs({name: printable(value) for name, value in head.items()})


def _totals(totals: Mapping[str, Any], family: Family) -> dict[str, str]:
    return {
        **{plural: f"{totals[plural]}" for plural in family.counts.values()},
        f"{family.unit}s": f"{totals['samples']} ({', '.join(f'{name} {count}' for name, count in totals['splits'].items())})",
        "audio": duration(totals["audio_s"]),
        "size": size(totals["bytes"]),
        **{title: spread(totals[name], unit) for name, (title, unit) in family.spreads.items() if name in totals},
    }


def _broken(files: Sequence[Sequence[str]]) -> dict[str, str]:
    if not files:
        return {}
    shown = "; ".join(f"{name}: {reason}" for name, reason in files[:5])
    return {"left out": f"{len(files)} unusable files or pieces: {shown}{' …' if len(files) > 5 else ''}"}


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
    return printable(str(value))


def materials_text(materials: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of `roomgen materials`."""
    centers = sorted({hz for bands in materials.values() for hz in bands}, key=int)
    rows = [[name, *(f"{bands[hz]:.2f}" if hz in bands else "" for hz in centers)] for name, bands in materials.items()]
    return table(["absorption at Hz", *centers], rows)


def written_text(written: Mapping[str, Any]) -> str:
    """Return what is said of a plan that was written."""
    return f"{written['plan']}: {written['rooms']} rooms. `roomgen rooms --plan {written['plan']} --out DIR` makes their dataset."


def listing_text(listing: Mapping[str, Any]) -> str:
    """Return what `roomgen devices --dry-run` says: which file is which response, and what is not read."""
    lines = [f"{entry['file'] or entry['key']}: {entry['what']}" for entry in listing["responses"]]
    shown = lines[:40] + ([f"… and {len(lines) - 40} more"] if len(lines) > 40 else [])
    unmatched = [f"not read: {name}" for name in listing["unmatched"][:20]]
    return "\n".join([*shown, *unmatched, f"{len(lines)} responses, {len(listing['unmatched'])} files not read"])


def segments_text(listing: Mapping[str, Any]) -> str:
    """Return what `roomgen sources --dry-run` says."""
    splits = ", ".join(f"{name} {count}" for name, count in listing["splits"].items())
    lines = {"files": listing["files"], "segments": f"{listing['samples']} ({splits})", "shards": listing["shards"]}
    if listing["broken"]:
        lines["unreadable"] = "; ".join(f"{name}: {reason}" for name, reason in listing["broken"][:10])
    return pairs(lines)
