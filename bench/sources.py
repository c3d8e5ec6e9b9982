"""Recordings to sources, against reading, resampling and encoding them with soundfile and soxr alone, in memory.

Ours also plans and divides splits, measures levels, drops what is silent, and writes shards with hashes and Parquet rows.
"""

from __future__ import annotations

import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.effort import Effort
from bench.timing import best_s
from roomgen.text import table

FS_HZ = 16000
SEGMENT_S = 4.0
RECORDED_FS_HZ = 44_100
RECORDED_S = 30.0


def run(effort: Effort) -> dict[str, Any]:
    """Return how many times faster than real time one core is."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_recordings(root / "corpus", effort.recordings)
        ours_s, peer_s = best_s(effort.repeats, lambda: make(root / "corpus", root / "ours"), lambda: _plain(root / "corpus"))
    audio_s = effort.recordings * RECORDED_S
    return {
        "recordings": effort.recordings,
        "audio_s": audio_s,
        "ours_times_real_time": audio_s / ours_s,
        "peer_times_real_time": audio_s / peer_s,
        "ratio": peer_s / ours_s,
    }


def text(result: dict[str, Any]) -> str:
    """Return the speeds as a table."""
    rows = [
        [
            "sources dataset (splits, levels, tar, sha256, Parquet)",
            f"{result['ours_times_real_time']:.0f}",
            f"{result['ratio']:.2f}",
        ],
        ["soundfile and soxr alone, in memory", f"{result['peer_times_real_time']:.0f}", "1.00"],
    ]
    title = (
        f"{result['recordings']} FLAC files of {RECORDED_S:g} s at {RECORDED_FS_HZ} Hz to segments of {SEGMENT_S:g} s "
        f"at {FS_HZ} Hz, one process"
    )
    return f"{title}\n{table(['', 'times real time', 'times peer'], rows)}"


def write_recordings(folder: Path, count: int) -> None:
    """Write recordings of noise whose level comes and goes as that of speech does: neither silent nor easy to compress."""
    import soundfile

    folder.mkdir()
    times_s = np.arange(round(RECORDED_S * RECORDED_FS_HZ)) / RECORDED_FS_HZ
    for number in range(count):
        noise = np.random.default_rng(number).standard_normal(len(times_s))
        audio = 0.1 * noise * (0.55 + 0.45 * np.sin(2.0 * np.pi * (3.0 * times_s + number / 7.0)))
        soundfile.write(folder / f"{number:04d}.flac", np.clip(audio, -1.0, 1.0), RECORDED_FS_HZ)


def make(corpus: Path, out: Path) -> None:
    """Make the dataset of sources anew."""
    from roomgen.datasets.sources.family import sources_settings
    from roomgen.run.generate import generate

    overrides = {"fs_hz": FS_HZ, "segment_s": SEGMENT_S, "short": "drop", "splits.shares": {"train": 1.0}}
    settings, inputs = sources_settings("folder", corpus, overrides)
    generate(settings, out, workers=0, overwrite=True, progress=False, inputs=inputs)


def _plain(corpus: Path) -> None:
    """Do what any program must: read, resample, and encode to memory."""
    import soundfile
    import soxr

    length = round(SEGMENT_S * FS_HZ)
    for path in sorted(corpus.iterdir()):
        audio, fs_hz = soundfile.read(path, dtype="float32")
        audio = soxr.resample(audio, fs_hz, FS_HZ, quality="HQ")
        for start in range(0, len(audio) - length + 1, length):
            steps = np.clip(np.rint(audio[start : start + length] * 32768.0), -32768, 32767).astype(np.int16)
            soundfile.write(io.BytesIO(), steps, FS_HZ, format="FLAC")
