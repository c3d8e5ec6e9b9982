"""Sources heard through rooms, against ``scipy.signal.fftconvolve`` in a loop over the same audio.

Once the sound alone (convolution, alignment, level), in memory as the peer; and once the dataset, which reads sources and
responses from their shards, measures, and writes FLAC and Parquet.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.effort import Effort
from bench.timing import best_s
from roomgen.text import table

FS_HZ = 16000
SOURCE_S = 10.0
RIR_S = 0.5
_ROOMS = 5


def run(effort: Effort) -> dict[str, Any]:
    """Return how many times faster than real time one core is, with and without files."""
    from scipy.signal import fftconvolve

    from roomgen.datasets.renders.family import render, renders_settings
    from roomgen.run.generate import generate
    from roomgen.store.dataset import Dataset

    with TemporaryDirectory() as folder:
        root = Path(folder)
        inputs = {"sources": root / "sources", "rirs": root / "rirs"}
        _make_inputs(root, effort.renders)
        settings = renders_settings(inputs, {"match_splits": False})
        sources, rirs = list(Dataset(inputs["sources"])), list(Dataset(inputs["rirs"]))
        pairs = [(source, rirs[number % len(rirs)]) for number, source in enumerate(sources)]

        def whole() -> None:
            generate(settings, root / "renders", workers=0, overwrite=True, progress=False, inputs=inputs)

        def alone() -> None:
            for number, (source, rir) in enumerate(pairs):
                render(settings, source, rir, None, number=number)

        def peer() -> None:
            for source, rir in pairs:
                fftconvolve(source.audio[0], rir.audio[0])

        whole_s, alone_s, peer_s = best_s(effort.repeats, whole, alone, peer)
    audio_s = len(pairs) * SOURCE_S
    return {
        "renders": len(pairs),
        "audio_s": audio_s,
        "dataset_times_real_time": audio_s / whole_s,
        "dataset_ratio": peer_s / whole_s,
        "render_times_real_time": audio_s / alone_s,
        "render_ratio": peer_s / alone_s,
        "peer_times_real_time": audio_s / peer_s,
    }


def text(result: dict[str, Any]) -> str:
    """Return the speeds as a table."""
    rows = [
        [name, f"{result[f'{what}_times_real_time']:.0f}", f"{result[f'{what}_ratio']:.2f}"]
        for name, what in (
            ("renders dataset (FLAC read and written, tar, sha256, Parquet)", "dataset"),
            ("render() in memory (aligned, levelled, measured)", "render"),
        )
    ]
    rows.append(["scipy.signal.fftconvolve in memory", f"{result['peer_times_real_time']:.0f}", "1.00"])
    title = f"{result['renders']} sources of {SOURCE_S:g} s through responses of {RIR_S:g} s at {FS_HZ} Hz, one process"
    return f"{title}\n{table(['', 'times real time', 'times peer'], rows)}"


def _make_inputs(root: Path, count: int) -> None:
    import soundfile

    from roomgen.datasets.rooms.presets import load_settings
    from roomgen.datasets.sources.family import sources_settings
    from roomgen.run.generate import generate

    (root / "corpus").mkdir()
    for number in range(count):
        noise = 0.1 * np.random.default_rng(number).standard_normal(round(SOURCE_S * FS_HZ))
        soundfile.write(root / "corpus" / f"{number:04d}.flac", noise, FS_HZ)
    settings, inputs = sources_settings("folder", root / "corpus", {"fs_hz": FS_HZ, "splits.shares": {"train": 1.0}})
    generate(settings, root / "sources", workers=0, progress=False, inputs=inputs)
    rooms = {
        "rooms.count": _ROOMS,
        "place.rirs_per_room": 2,
        "signal.fs_hz": FS_HZ,
        "signal.duration": RIR_S,
        "walls.absorption": 0.3,
        "splits.shares": {"train": 1.0},
    }
    generate(load_settings("goetz", rooms), root / "rirs", workers=0, progress=False)
