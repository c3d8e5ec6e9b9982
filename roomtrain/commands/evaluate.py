"""Commands on trained runs: what they are worth, what they hear in anybody's recordings, what their embeddings know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from roomgen.text import pairs
from roomtrain.commands.common import DataOption, DeviceOption, JsonOption, RunArgument, print_result, start_fabric
from roomtrain.errors import RoomtrainError

_UNITS = {"rt60": "s", "rt60_mid": "s", "c50": "dB"}
_TITLES = {"rt60": "RT60", "rt60_mid": "RT60 (500, 1000 Hz)", "c50": "C50", "volume": "above 160 m³"}


def evaluate(
    run: RunArgument,
    data: DataOption = None,
    rirs: Annotated[Path | None, typer.Option(help="folder of measured responses: evaluate on these")] = None,
    speech: Annotated[Path | None, typer.Option(help="folder of dry speech for --rirs")] = None,
    windows: Annotated[int, typer.Option(help="with --rirs: windows of 4 s of speech", min=1, max=10_000)] = 64,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Evaluate a run: on its test set (--data), or on speech through measured responses (--rirs, --speech)."""
    from roomtrain.papers.goetz.run import read_claim

    read_claim(run)
    if (rirs is None) != (speech is None):
        raise RoomtrainError("--rirs and --speech belong together: a folder of responses, and one of dry speech.")
    if rirs is not None and speech is not None:
        from roomtrain.papers.goetz.listen import Listener
        from roomtrain.papers.goetz.measured import evaluate_measured

        fabric = start_fabric(device, "32-true")
        result = evaluate_measured(Listener(run, device=fabric.device), rirs, speech, windows=windows)
        print_result(result, as_json, _measured_text(result))
        return
    result = _on_test_set(run, data, device)
    from roomtrain.commands.train import result_text

    print_result(result, as_json, result_text(result))


def embed(
    run: RunArgument,
    files: Annotated[list[Path], typer.Argument(metavar="WAV…", help="recordings of any rate and length")],
    protocol: Annotated[str | None, typer.Option(help="which heads: room or sample  [default: room]")] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Say what a run hears in recordings: RT60, C50, the size of the room, and (with --json) the embedding."""
    from roomtrain.papers.goetz.listen import Listener, as_plain

    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise RoomtrainError(f"no such file: {', '.join(missing[:5])}.")
    fabric = start_fabric(device, "32-true")
    listener = Listener(run, split_by=protocol, device=fabric.device)
    heard = [listener.hear(path) for path in files]
    text = "\n".join(
        pairs({path.name: ""} | _lines(item.estimates, item.spread, item.windows)) for path, item in zip(files, heard, strict=True)
    )
    print_result([as_plain(item) for item in heard], as_json, text)


def probe(
    run: RunArgument,
    data: Annotated[Path, typer.Option(help="folder that `roomgen paper` wrote")],
    protocol: Annotated[str, typer.Option(help="sample or room")] = "sample",
    as_json: JsonOption = False,
) -> None:
    """Say what a run's embeddings know: every label of the responses, read from them by one regression, the same for all."""
    from roomtrain.papers.goetz import probe as probing

    result = probing.probe(run, data, split_by=protocol)
    print_result(result, as_json, probing.text(result))


def compare(
    run: RunArgument,
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="folder of the run to compare with it")],
    as_json: JsonOption = False,
) -> None:
    """Say by how much OTHER differs from RUN on the same test samples, with intervals of a paired bootstrap over rooms."""
    from roomtrain.papers.goetz import compare as comparing

    result = comparing.compare(run, other)
    print_result(result, as_json, comparing.text(result))


def _lines(estimates: dict[str, float], spread: dict[str, float], windows: int) -> dict[str, Any]:
    lines = {}
    for target, value in estimates.items():
        if target == "volume":
            lines[f"  {_TITLES[target]}"] = f"{100 * value:.0f} % likely"
        else:
            around = f" ± {spread[target]:.2f} over {windows} windows of 4 s" if windows > 1 else " (one window of 4 s)"
            lines[f"  {_TITLES[target]}"] = f"{value:.2f} {_UNITS[target]}{around}"
    return lines


def _on_test_set(run: Path, data: Path | None, device: str) -> dict[str, Any]:
    """Return the results of a finished run, measured anew where data is given."""
    from roomtrain.papers.goetz.evaluate import RESULTS, read_results, train_and_measure
    from roomtrain.papers.goetz.run import Training, read_claim
    from roomtrain.papers.goetz.settings import GoetzSettings

    if not (run / RESULTS).is_file():
        raise RoomtrainError(f"{run} is not finished: run the `roomtrain train` that began it again, and it goes on.", exit_code=1)
    if data is None:
        return read_results(run / RESULTS)
    settings = GoetzSettings.model_validate(read_claim(run)["settings"])
    fabric = start_fabric(device, "32-true")
    training = Training(settings, data, run, fabric=fabric, stop=None)
    return train_and_measure(training)


def _measured_text(result: dict[str, Any]) -> str:
    lines = [f"{result['speech_windows']} windows of speech through each response; heads of the protocol {result['protocol']!r}"]
    for response in result["responses"]:
        lines.append(response["file"])
        for target, heard in response["heard"].items():
            if target == "volume":
                lines.append(f"  {_TITLES[target]:<20} heard {100 * heard['mean']:.0f} % likely")
                continue
            true = response["true"].get(target)
            shown = "not measurable" if true is None else f"true {true:.2f}"
            lines.append(f"  {_TITLES[target]:<20} {shown}, heard {heard['mean']:.2f} ± {heard['std']:.2f} {_UNITS[target]}")
    for target, error in result["error"].items():
        lines.append(
            f"{_TITLES[target]}: mean absolute error {error['mean_absolute']:.2f} {_UNITS[target]}, bias {error['bias']:+.2f}, "
            f"over {error['responses']} responses"
        )
    return "\n".join(lines)
