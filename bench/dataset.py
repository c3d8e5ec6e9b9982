"""A dataset from end to end, as a user makes it: the real command with one worker and with two."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.effort import Effort
from bench.process import run_python
from roomgen.text import table

_WORKERS = (1, 2)
_STARTS = 5


def run(effort: Effort) -> dict[str, Any]:
    """Return responses per second (of the whole command, and without its start), memory, and the start of ``--help``."""
    rows = []
    with TemporaryDirectory() as folder:
        for workers in _WORKERS:
            out = Path(folder) / f"workers{workers}"
            command = ["rooms", "--n", str(effort.dataset_rooms), "--workers", str(workers), "--out", str(out), "--json"]
            ran = run_python(["-m", "roomgen.cli", *command])
            summary = json.loads(ran.stdout)
            rows.append(
                {
                    "workers": workers,
                    "seconds": ran.seconds,
                    "rirs_per_s": summary["samples"] / ran.seconds,
                    "working_rirs_per_s": summary["samples"] / summary["seconds"],
                    "parent_peak_mb": ran.peak_mb,
                    "bytes": summary["bytes"],
                }
            )
    one, two = rows
    return {
        "rooms": effort.dataset_rooms,
        "samples": summary["samples"],
        "audio_s": summary["audio_s"],
        "runs": rows,
        "ratio": two["rirs_per_s"] / one["rirs_per_s"],
        "working_ratio": two["working_rirs_per_s"] / one["working_rirs_per_s"],
        "help_s": min(run_python(["-m", "roomgen.cli", "--help"]).seconds for _ in range(_STARTS)),
    }


def text(result: dict[str, Any]) -> str:
    """Return the runs as a table."""
    rows = [
        [
            str(row["workers"]),
            f"{row['seconds']:.1f}",
            f"{row['rirs_per_s']:.1f}",
            f"{row['working_rirs_per_s']:.1f}",
            "?" if row["parent_peak_mb"] is None else f"{row['parent_peak_mb']:.0f}",
        ]
        for row in result["runs"]
    ]
    head = ["workers", "seconds", "RIRs/s", "without start RIRs/s", "memory of parent MB"]
    title = f"roomgen rooms --n {result['rooms']}: {result['samples']} RIRs, {result['audio_s']:.0f} s of audio"
    return (
        f"{title}\n{table(head, rows)}\ntwo workers over one: {result['ratio']:.2f} times "
        f"({result['working_ratio']:.2f} without start); roomgen --help: {result['help_s']:.2f} s"
    )
