"""`roomgen devices`: impulse responses of microphones and recording devices."""

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
    print_result,
    run_dataset,
    shares,
)

FLAGS = {
    "fs_hz": "--fs",
    "count": "--n",
    "compress": "--compress",
    "pattern": "--pattern",
    "splits.shares": "--splits",
    "seed": "--seed",
    "shard_size": "--shard-size",
}


def devices(
    kind: Annotated[
        str, typer.Argument(metavar="[microphones|generated|recorders|folder|multi-angle]", help="where responses come from")
    ],
    root: Annotated[Path | None, typer.Option(help="folder of measured responses (folder, multi-angle)")] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="RUN", help="folder of `roomtrain train icl --cell generated` (generated)")
    ] = None,
    out: OutOption = None,
    n: Annotated[int | None, typer.Option("--n", help="number of microphones (microphones, generated)  [default: 25]")] = None,
    compress: Annotated[
        float | None, typer.Option(metavar="SHARE", help="share of these microphones that compress too  [default: 0]")
    ] = None,
    fs: Annotated[int | None, typer.Option(help="sampling rate in Hz  [default: 32000]")] = None,
    pattern: Annotated[str | None, typer.Option(help="regular expression with groups mic, angle, distance (multi-angle)")] = None,
    csv: Annotated[Path | None, typer.Option(help="list of files and what they are, in place of --pattern")] = None,
    splits: SplitsOption = None,
    figures: Annotated[Path | None, typer.Option(metavar="DIR", help="also draw quantile bands and polar pictures there")] = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    shard_size: ShardSizeOption = None,
    max_broken: MaxBrokenOption = 0.01,
    set_: SetOption = None,
    dry_run: DryRunOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make or import device responses: microphones by formulas or by a trained network, recorders, folders of measured ones."""
    from roomgen.datasets.devices.family import DevicesPlan, devices_settings

    values: dict[str, Any] = {
        "count": n,
        "compress": compress,
        "fs_hz": fs,
        "pattern": pattern,
        "splits.shares": None if splits is None else shares(splits),
        "seed": seed,
        "shard_size": shard_size,
    }
    overrides = {key: value for key, value in values.items() if value is not None}
    settings, inputs = devices_settings(kind, root, {**overrides, **assignments(set_)}, csv=csv, model=model, flags=FLAGS)
    if dry_run:
        print_result(DevicesPlan(settings, inputs).listing(), as_json, _listing_text)
        return
    run_dataset(settings, out, workers=workers, overwrite=overwrite, as_json=as_json, inputs=inputs, max_broken=max_broken)
    if figures is not None and out is not None:
        from roomgen.report.device_figures import write_figures

        for path in write_figures(out, figures):
            if not as_json:
                print(f"drawn      {path}")


def _listing_text(listing: dict[str, Any]) -> str:
    lines = [f"{entry['file'] or entry['key']}: {entry['what']}" for entry in listing["responses"]]
    shown = lines[:40] + ([f"… and {len(lines) - 40} more"] if len(lines) > 40 else [])
    unmatched = [f"not read: {name}" for name in listing["unmatched"][:20]]
    return "\n".join([*shown, *unmatched, f"{len(lines)} responses, {len(listing['unmatched'])} files not read"])
