"""The command line: one command per noun. Parsing, progress and exit codes only; the work is done where it is imported from.

Exit codes: 0 done, 1 something failed (it is named), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from roomgen import __version__
from roomgen.commands import datasets, papers, stored, tools
from roomgen.commands.common import complain
from roomgen.errors import RoomgenError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Simulate rooms, microphones and what they hear; write it, with labels, as WebDataset shards and a Parquet manifest.",
)

for command in (
    datasets.rooms,
    datasets.arrays,
    datasets.devices,
    datasets.sources,
    datasets.render,
    papers.paper,
    stored.verify,
    stored.inspect,
    stored.replay,
    tools.label,
    tools.config,
    tools.materials,
    tools.corpora,
    tools.bench,
):
    app.command()(command)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False
) -> None:
    if version:
        print(f"roomgen {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line: every expected failure is one line on stderr and an exit code."""
    try:
        app()
    except RoomgenError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
