"""`roomtrain export`: a finished run as a folder for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from roomgen.text import pairs, size
from roomtrain.commands.common import JsonOption, ProtocolOption, RunArgument, print_result


def export(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option(help="folder of the export  [default: RUN-export, beside the run]")] = None,
    protocol: ProtocolOption = None,
    onnx: Annotated[
        bool | None, typer.Option("--onnx/--no-onnx", help="write ONNX as well  [default: where its packages are installed]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="write over an export that is there")] = False,
    license_id: Annotated[str, typer.Option("--license", metavar="ID", help="of the weights, as the Hub calls it")] = "mit",
    as_json: JsonOption = False,
) -> None:
    """Write a finished run as a folder that the Hub takes: weights, a card with its numbers and limits, and ONNX.

    `roomtrain.load` and `roomtrain embed` take it as they take the run; no data is needed.
    """
    from roomtrain.export import folder as exporting
    from roomtrain.export.onnx import OPSET, TOLERANCE

    done = exporting.export(run, out=out, protocol=protocol, onnx=onnx, overwrite=overwrite, license_id=license_id)
    plain = {
        "folder": str(done.folder),
        "files": done.files,
        "protocol": done.protocol,
        "onnx": done.onnx,
        "without_onnx": done.without_onnx,
    }
    lines = {name: size(count) for name, count in done.files.items()}
    if done.onnx is None:
        note = f"no ONNX: {done.without_onnx}"
    else:
        note = (
            f"ONNX: opset {OPSET}; at most {max(done.onnx.values()):.1e} from torch on seeded noise, {TOLERANCE:g} would be allowed"
        )
    print_result(plain, as_json, f"{done.folder}, heads of the protocol {done.protocol}\n{pairs(lines)}\n{note}")
