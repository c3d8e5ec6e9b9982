"""Responses per second at default settings: a room of 105 m³ with an RT60 of 0.5 s, one CPU thread, or a GPU."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.effort import Effort
from bench.machine import gpu_name
from bench.scenes import labelled, typical_room
from bench.timing import best_s
from roomgen.acoustics.images.sources import image_source
from roomgen.acoustics.reference import reference
from roomgen.acoustics.scene import ImageOptions
from roomgen.text import table

TAIL_AFTER_S = 0.15
_MICS = (1, 4)


def run(effort: Effort) -> dict[str, Any]:
    """Return responses per second of every engine, alone and with labels; "gpu" is None where torch finds none."""
    room = typical_room()
    rows = []
    for mics in _MICS:
        exact, fast = room.scene(mics), room.scene(mics, options=ImageOptions(tail_after_s=TAIL_AFTER_S))
        times = best_s(
            effort.repeats,
            partial(image_source, exact, parts=False),
            partial(labelled, image_source, exact),
            partial(image_source, fast, parts=False),
            partial(labelled, image_source, fast),
        )
        slow = best_s(1, partial(reference, exact), partial(labelled, reference, exact))
        for name, (alone_s, labelled_s) in {"image": times[:2], "image, fast mode": times[2:], "reference": slow}.items():
            rows.append(
                {
                    "engine": name,
                    "mics": mics,
                    "rirs_per_s": mics / alone_s,
                    "labelled_rirs_per_s": mics / labelled_s,
                    "ratio": slow[0] / alone_s,
                    "labelled_ratio": slow[1] / labelled_s,
                }
            )
    return {"tail_after_s": TAIL_AFTER_S, "duration_s": exact.n_samples / exact.fs_hz, "engines": rows, "gpu": _gpu(effort)}


def text(result: dict[str, Any]) -> str:
    """Return the speeds as a table."""
    rows = [
        [
            f"{row['engine']}, {row['mics']} mic{'s' if row['mics'] > 1 else ''}",
            *(f"{row[name]:.1f}" for name in ("rirs_per_s", "ratio", "labelled_rirs_per_s", "labelled_ratio")),
        ]
        for row in result["engines"]
    ]
    head = ["engine", "RIRs/s", "times reference", "with labels RIRs/s", "times reference"]
    title = (
        f"105 m³, predicted RT60 0.5 s, {result['duration_s']:.2f} s long, all images, one thread "
        f"(fast mode: images up to {result['tail_after_s']:g} s)"
    )
    gpu = result["gpu"]
    line = (
        "GPU: none found by torch, not measured"
        if gpu is None
        else f"GPU {gpu['name']}: {gpu['rirs_per_s']:.0f} RIRs/s in chunks of {gpu['chunk']}, without labels"
    )
    return f"{title}\n{table(head, rows)}\n{line}"


def _gpu(effort: Effort) -> dict[str, Any] | None:
    name = gpu_name()
    if name is None:
        return None
    from roomgen.acoustics.images.sources_gpu import simulate_batch

    scenes = [typical_room().scene(1)] * effort.gpu_chunk
    (seconds,) = best_s(effort.repeats, partial(simulate_batch, scenes, device="cuda"))
    return {"name": name, "chunk": len(scenes), "rirs_per_s": len(scenes) / seconds}
