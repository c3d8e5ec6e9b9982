"""`roomtrain bench` and `roomtrain gpu`: where the time of a step goes, and all that a GPU must show, in ten minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from roomtrain.commands.common import DataOption, DeviceOption, JsonOption, PaperArgument, PresetOption, print_result
from roomtrain.paper import get_paper


def bench(
    paper: PaperArgument,
    data: DataOption = None,
    device: DeviceOption = "auto",
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed")] = "32-true",
    preset: PresetOption = "paper",
    steps: Annotated[int, typer.Option(help="training steps that are timed", min=3, max=10_000)] = 40,
    as_json: JsonOption = False,
) -> None:
    """Measure where the time of a paper's training step goes, and its fast paths against plain torch."""
    from roomtrain import bench as benching

    result = get_paper(paper).bench(data, device=device, precision=precision, steps=steps, preset=preset)
    print_result(result, as_json, benching.bench_text(result))


def gpu(
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON that all results are written to, after every item")] = Path(
        "gpu.json"
    ),
    minutes: Annotated[float, typer.Option(help="most that all of it may take", min=0.1, max=1440)] = 10.0,
    data: Annotated[
        Path | None, typer.Option(help="folder with a folder of `roomgen paper` for each paper  [default: small ones are made]")
    ] = None,
    rehearse: Annotated[bool, typer.Option("--rehearse", help="do all of it on the CPU, at tiny sizes: does it run?")] = False,
) -> None:
    """Measure and check on a GPU all that only a GPU can show; without one, say what would be done."""
    from roomgen.beside import find_benchmarks

    find_benchmarks()
    from roomtrain.gpu.items import Setup, chosen_items
    from roomtrain.gpu.runner import found_gpu, run
    from roomtrain.gpu.text import plan_text, text

    items = chosen_items(rehearsal=rehearse)
    if not rehearse and not found_gpu():
        print(plan_text(items, minutes))
        return
    result = run(items, Setup("cpu" if rehearse else "cuda", rehearsal=rehearse, data=data), out, minutes=minutes)
    print(text(result))
    if any("error" in item for item in result["items"].values()):
        raise typer.Exit(1)
