"""Commands on trained runs: what they are worth, what they hear in anybody's recordings, what their embeddings know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from roomtrain.claims import claimed
from roomtrain.commands.common import DataOption, DeviceOption, JsonOption, ProtocolOption, RunArgument, complain, print_result
from roomtrain.errors import RoomtrainError
from roomtrain.results import RESULTS, read_results, results_text


def evaluate(
    run: RunArgument,
    data: DataOption = None,
    out: Annotated[Path | None, typer.Option(help="with --data: folder of the evaluation  [default: in RUN/evaluations/]")] = None,
    rirs: Annotated[Path | None, typer.Option(help="folder of measured responses: evaluate on these")] = None,
    speech: Annotated[Path | None, typer.Option(help="folder of dry speech for --rirs")] = None,
    windows: Annotated[int, typer.Option(help="with --rirs: windows of speech", min=1, max=10_000)] = 64,
    protocol: ProtocolOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show what a run is worth; or evaluate it on other data (--data), or on speech through measured responses (--rirs, --speech).

    Nothing is trained, and the run's own results stay as they are.
    """
    paper, _, _ = claimed(run)
    if (rirs is None) != (speech is None):
        raise RoomtrainError("--rirs and --speech belong together: a folder of responses, and one of dry speech.")
    if rirs is not None and speech is not None:
        from roomtrain.fabric import start_fabric
        from roomtrain.listen import load_model
        from roomtrain.measured import evaluate_measured, measured_text

        if data is not None:
            raise RoomtrainError("--data and --rirs exclude each other: give one after the other.")
        model = load_model(run, protocol=protocol, device=start_fabric(device).device)
        found = evaluate_measured(model, rirs, speech, windows=windows, run=run)
        print_result(found, as_json, measured_text(model, found))
        return
    if data is None:
        if not (run / RESULTS).is_file():
            raise RoomtrainError(
                f"{run} is not finished: run the `roomtrain train` that began it again, and it goes on.", exit_code=1
            )
        result = read_results(run / RESULTS, paper)
    else:
        from roomtrain.fabric import start_fabric
        from roomtrain.run import Command
        from roomtrain.run import evaluate as evaluate_run

        folder, result = evaluate_run(run, data, out=out, command=Command(start_fabric(device)))
        complain(f"written to {folder}")
    print_result(result, as_json, results_text(paper, result))


def embed(
    run: RunArgument,
    files: Annotated[list[Path], typer.Argument(metavar="WAV…", help="recordings of any rate and length")],
    protocol: ProtocolOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Say what a run hears in recordings, such as RT60 and C50, and (with --json) the embedding."""
    from roomtrain.fabric import start_fabric
    from roomtrain.listen import as_plain, files_text, load_model

    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise RoomtrainError(f"no such file: {', '.join(missing[:5])}.")
    model = load_model(run, protocol=protocol, device=start_fabric(device).device)
    heard = [model.hear_file(path) for path in files]
    plain = [as_plain(path, one) for path, one in zip(files, heard, strict=True)]
    print_result(plain, as_json, files_text(model, files, heard))


def probe(
    run: RunArgument,
    data: Annotated[Path, typer.Option(help="folder that `roomgen paper` wrote")],
    protocol: Annotated[str | None, typer.Option(help="one of the paper's  [default: the paper's own]")] = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Say what a run's embeddings know: every label of the responses, read from them by one regression, the same for all."""
    from roomtrain import probe as probing

    result = probing.probe(run, data, protocol=protocol, device=device)
    print_result(result, as_json, probing.probe_text(result))


def compare(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="folder that `roomtrain train` wrote")] = None,
    other: Annotated[Path | None, typer.Argument(metavar="OTHER", help="folder of the run to compare with it")] = None,
    runs: Annotated[Path | None, typer.Option(help="in place of RUN and OTHER: folder of runs of several seeds")] = None,
    cell: Annotated[list[str] | None, typer.Option(metavar="NAME", help="with --runs: a cell, and again, the other")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say by how much OTHER differs from RUN on the same test samples, with intervals of a paired bootstrap over rooms.

    With --runs and two --cell it is the second cell against the first, in the mean over all seeds that both are trained with.
    """
    from roomtrain import compare as comparing

    cells = cell or []
    if runs is not None and len(cells) == 2 and run is None:
        result = comparing.compare_cells(runs, *cells)
    elif run is not None and other is not None and runs is None and not cells:
        paper, _, _ = claimed(run)
        claimed(other)
        result = comparing.compare(paper, run, other)
    else:
        raise RoomtrainError("give RUN and OTHER, or --runs DIR --cell NAME --cell OTHER.")
    print_result(result, as_json, comparing.compare_text(result))
