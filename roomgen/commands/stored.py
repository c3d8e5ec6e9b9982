"""Commands on a dataset that is there: verify, inspect, replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from roomgen.commands.common import complain, print_result
from roomgen.commands.options import DatasetArgument, JsonOption
from roomgen.errors import RoomgenError, printable

InputOption = Annotated[
    list[str] | None, typer.Option("--input", metavar="NAME=DIR", help="where an input of the dataset lies now; may be repeated")
]


def verify(
    root: DatasetArgument,
    deep: Annotated[bool, typer.Option("--deep", help="also decode all audio; measure and make a sample of rows again")] = False,
    inputs: InputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that a dataset is whole and is what it says."""
    from roomgen.run.verify import verify as check

    problems = check(root, deep=deep, inputs=_folders(inputs))
    if as_json:
        print(json.dumps({"dataset": str(root), "deep": deep, "problems": problems}))
    elif problems:
        print("\n".join(map(printable, problems)))
        complain(f"{root}: {len(problems)} problem{'s' if len(problems) > 1 else ''} found.")
    else:
        print(f"{root}: nothing wrong was found{' (deep)' if deep else ''}.")
    if problems:
        raise typer.Exit(1)


def inspect(
    root: DatasetArgument,
    key: Annotated[str | None, typer.Argument(help="a sample; leave out for a summary of the dataset")] = None,
    out: Annotated[Path, typer.Option(help="folder for the sample's picture and WAV")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Summarize a dataset; or show one sample: its row, its picture as PNG, its WAV."""
    from roomgen.run.summary import dataset_text, row_text
    from roomgen.store.dataset import Dataset

    dataset = Dataset(root)
    if key is None:
        print_result(dataset.info, as_json, dataset_text)
        return
    from roomgen.report.sample import write_sample

    item = dataset[key]
    picture, audio = write_sample(item, out)
    print_result(item.row | {"png": str(picture), "wav": str(audio)}, as_json, row_text)


def replay(
    root: DatasetArgument,
    key: Annotated[str, typer.Argument(help="a sample")],
    inputs: InputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a sample again from its row and compare; exit code 1 if it is not the same."""
    from roomgen.run.replay import compare_again
    from roomgen.store.dataset import Dataset
    from roomgen.store.info import lost_input

    dataset = Dataset(root)
    item, folders = dataset[key], dataset.inputs_at(_folders(inputs))
    try:
        comparison = compare_again(dataset, item, inputs=folders)
    except RoomgenError:
        if lost := lost_input(folders):
            raise RoomgenError(f"sample {key} cannot be made again: {lost}.", exit_code=1) from None
        raise
    result = {
        "key": key,
        "same": comparison.same,
        "identical": comparison.identical,
        "difference_db": None if comparison.identical else comparison.difference_db,
        "labels": comparison.labels,
    }
    print_result(result, as_json, lambda _: f"{key}: {comparison.text}")
    if not comparison.same:
        raise typer.Exit(1)


def _folders(given: list[str] | None) -> dict[str, Path]:
    """Return name to folder of what ``--input NAME=DIR`` says."""
    folders = {}
    for text in given or ():
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise RoomgenError(f"--input {text}: give the name of an input and the folder that it lies in, such as sources=DIR.")
        folders[name] = Path(path)
    return folders
