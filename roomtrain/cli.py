"""The command line of roomtrain. Parsing, printing and exit codes only; torch is imported by the commands that need it.

Exit codes: 0 done (or stopped on request, and saved), 1 something failed (it is named), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys

import typer

from roomgen.errors import RoomgenError
from roomtrain.commands import bench, evaluate, export, report, train
from roomtrain.commands.common import complain

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train the models of room-acoustics papers on datasets of roomgen, and put their results beside the papers' own.",
)

for command in (
    train.train,
    evaluate.evaluate,
    evaluate.embed,
    evaluate.probe,
    evaluate.compare,
    export.export,
    report.table,
    report.figures,
    report.config,
    bench.bench,
    bench.gpu,
):
    app.command()(command)


@app.callback()
def _root() -> None:
    pass


def main() -> None:
    """Run the command line: every expected failure is one line on stderr and an exit code."""
    try:
        app()
    except RoomgenError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "lightning_fabric", "safetensors", "tensorboard", "sklearn", "umap"):
            raise
        complain(f"{error.name} is not installed: pip install 'roomgen[train]'.")
        sys.exit(1)
    except KeyboardInterrupt:
        complain("interrupted. The last checkpoint is kept; the same command goes on from it.")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
