"""`roomgen sources` and `roomgen render`: recordings of a corpus, and what becomes of them in rooms, devices and noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from roomgen.commands.common import (
    DryRunOption,
    JsonOption,
    MaxBrokenOption,
    OutOption,
    OverwriteOption,
    SeedOption,
    SetOption,
    ShardSizeOption,
    SplitsOption,
    WorkersOption,
    assignments,
    number_range,
    print_result,
    run_dataset,
    shares,
)

SOURCE_FLAGS = {
    "fs_hz": "--fs",
    "segment_s": "--segment",
    "overlap": "--overlap",
    "short": "--short",
    "channels": "--channels",
    "level": "--level",
    "split_by": "--split-by",
    "split_within": "--split-within",
    "splits.shares": "--splits",
    "corpus_count": "--count",
    "seed": "--seed",
    "shard_size": "--shard-size",
    "subsets": "--subset",
}
RENDER_FLAGS = {
    "snr_db": "--snr",
    "per_source": "--per-source",
    "seed": "--seed",
    "shard_size": "--shard-size",
    "tail": "--tail",
    "level": "--level",
    "bits": "--bits",
}


def sources(
    corpus: Annotated[str, typer.Argument(help="which corpus; `roomgen corpora` lists them; several as one: librispeech+folder")],
    root: Annotated[
        list[Path] | None, typer.Option(help="folder of the corpus, none for embedded ones; of several one each, in their order")
    ] = None,
    out: OutOption = None,
    fs: Annotated[int | None, typer.Option(help="sampling rate in Hz  [default: 16000]")] = None,
    segment: Annotated[
        float | None, typer.Option(metavar="S", help="cut into segments of so many seconds  [default: whole]")
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(metavar="SHARE", help="share of a segment that the next one repeats, such as 0.5  [default: 0]")
    ] = None,
    short: Annotated[str | None, typer.Option(help="pieces shorter than a segment: pad, repeat or drop  [default: pad]")] = None,
    channels: Annotated[str | None, typer.Option(help="mono or keep  [default: mono]")] = None,
    level: Annotated[str | None, typer.Option(help="keep, rms or peak  [default: keep]")] = None,
    subset: Annotated[list[str] | None, typer.Option(metavar="NAME", help="only this part of the corpus; may be repeated")] = None,
    split_by: Annotated[
        str | None, typer.Option(help="group (speakers, places), subset, or fold  [default: the corpus' own way]")
    ] = None,
    split_within: Annotated[
        str | None, typer.Option(metavar="class_name", help="divide the groups of each class on their own: no split lacks a class")
    ] = None,
    splits: SplitsOption = None,
    count: Annotated[int | None, typer.Option(help="recordings that an embedded corpus shall make")] = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    shard_size: ShardSizeOption = None,
    max_broken: MaxBrokenOption = 0.01,
    set_: SetOption = None,
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a corpus into shards: speech, events or scenes, resampled once, cut, split without leaks."""
    from roomgen.datasets.sources.family import sources_settings
    from roomgen.datasets.sources.plan import SourcesPlan

    values = {
        "fs_hz": fs,
        "segment_s": segment,
        "overlap": overlap,
        "short": short,
        "channels": channels,
        "level": level,
        "subsets": subset,
        "split_by": split_by,
        "split_within": split_within,
        "splits.shares": None if splits is None else shares(splits),
        "corpus_count": count,
        "seed": seed,
        "shard_size": shard_size,
    }
    overrides = {key: value for key, value in values.items() if value is not None}
    settings, inputs = sources_settings(corpus, root or (), {**overrides, **assignments(set_)}, flags=SOURCE_FLAGS)
    if dry_run:
        plan = SourcesPlan(settings, inputs)
        broken = [[item.name, item.reason] for item in plan.broken]
        result = {
            "files": plan.files,
            "samples": len(plan),
            "splits": plan.split_sizes,
            "shards": len(plan.shards),
            "broken": broken,
        }
        print_result(result, as_json, _plan_text)
        return
    run_dataset(settings, out, workers=workers, overwrite=overwrite, as_json=as_json, inputs=inputs, max_broken=max_broken)


def render(
    sources: Annotated[Path, typer.Option(help="dataset of sources")],
    out: OutOption = None,
    rirs: Annotated[Path | None, typer.Option(help="dataset of rooms or arrays to hear them in")] = None,
    devices: Annotated[Path | None, typer.Option(help="dataset of devices to record them with")] = None,
    snr: Annotated[str | None, typer.Option(metavar="DB|MIN:MAX", help="add noise at this signal-to-noise ratio")] = None,
    per_source: Annotated[int | None, typer.Option(help="how often each source is heard  [default: 1]")] = None,
    tail: Annotated[str | None, typer.Option(help="cut at the source's end, or keep what sounds on  [default: cut]")] = None,
    level: Annotated[str | None, typer.Option(help="rms or peak (−26 dB; --set level_db=…), or keep  [default: rms]")] = None,
    bits: Annotated[int | None, typer.Option(help="16 or 24  [default: 16]")] = None,
    clean: Annotated[bool, typer.Option("--clean", help="also store the clean source, in time with the render")] = False,
    any_split: Annotated[bool, typer.Option("--any-split", help="let sources meet responses of other splits")] = False,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    shard_size: ShardSizeOption = None,
    set_: SetOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let sources be heard in rooms, through devices and in noise, as audio files with all labels."""
    from roomgen.datasets.renders.family import renders_settings

    values = {
        "snr_db": None if snr is None else number_range(snr, "--snr", "dB"),
        "per_source": per_source,
        "tail": tail,
        "level": level,
        "bits": bits,
        "clean": clean or None,
        "match_splits": False if any_split else None,
        "seed": seed,
        "shard_size": shard_size,
    }
    overrides: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
    given = {"sources": sources, "rirs": rirs, "devices": devices}
    inputs = {name: path for name, path in given.items() if path is not None}
    settings = renders_settings(inputs, {**overrides, **assignments(set_)}, flags=RENDER_FLAGS)
    run_dataset(settings, out, workers=workers, overwrite=overwrite, as_json=as_json, inputs=inputs)


def _plan_text(result: dict[str, Any]) -> str:
    from roomgen.text import pairs

    lines = {
        "files": result["files"],
        "segments": f"{result['samples']} ({', '.join(f'{name} {count}' for name, count in result['splits'].items())})",
        "shards": result["shards"],
    }
    if result["broken"]:
        lines["unreadable"] = "; ".join(f"{name}: {reason}" for name, reason in result["broken"][:10])
    return pairs(lines)
