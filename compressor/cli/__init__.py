"""The command line: parse, call one function, print. One file per command.

Nothing here imports torch before a command runs, so that ``compress --help`` answers at once. Exit codes:
0 ok, 1 internal error, 2 usage, 3 regression gate failed, 4 parity or accuracy below its limit, 5 backend or
device missing, 130 interrupted.
"""

import contextlib
import logging
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from compressor import __version__
from compressor.base.errors import CompressError
from compressor.base.launcher import end_with_launcher
from compressor.base.text import shown
from compressor.cli.bench import bench
from compressor.cli.detect import detect
from compressor.cli.doctor import doctor
from compressor.cli.evaluate import evaluate
from compressor.cli.export import export
from compressor.cli.finetune import finetune
from compressor.cli.gate import gate
from compressor.cli.inspect import inspect
from compressor.cli.listing import Listing
from compressor.cli.models import models
from compressor.cli.process import (
    Interrupted,
    check_workers,
    farewell,
    interruptible,
    last_words,
    take_own_packages,
)
from compressor.cli.profile import profile
from compressor.cli.prune import prune
from compressor.cli.repair import repair
from compressor.cli.report import report
from compressor.cli.run import run

app = typer.Typer(
    name="compress",
    help="Prune a trained CNN until it is really faster: prune, finetune, eval, export, bench.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("models", cls=Listing)(models)
app.command("inspect", cls=Listing)(inspect)
app.command("prune", cls=Listing)(prune)
app.command("repair", cls=Listing)(repair)
app.command("finetune", cls=Listing)(finetune)
app.command("eval", cls=Listing)(evaluate)
app.command("export", cls=Listing)(export)
app.command("bench", cls=Listing)(bench)
app.command("gate", cls=Listing)(gate)
app.command("profile", cls=Listing)(profile)
app.command("report", cls=Listing)(report)
app.command("detect", cls=Listing)(detect)
app.command("run", cls=Listing)(run)
app.command("doctor", cls=Listing)(doctor)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show details, and tracebacks of errors.")
    ] = False,
) -> None:
    check_workers(context.invoked_subcommand)
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr, format="%(message)s"
    )


def main() -> None:
    """Run the command line and exit; errors end in a message and an exit code, not in a traceback."""
    end_with_launcher()
    try:
        with interruptible():
            take_own_packages()
            app()
    except CompressError as error:
        _end(f"Error: {error}", error.exit_code)
    except (Interrupted, KeyboardInterrupt):
        _end(farewell(sys.argv[1:]), 130)
    except OSError as error:
        _end(f"Error: {error}\nHint: free some space, or check the path and its permissions.", 1)
    except Exception as error:  # the last resort: a bug of ours must not end in a page of frames
        if _is_memory(error):
            _end("Error: there is not enough memory\nHint: ask for smaller inputs, batches or models.", 1)
        words = f"Internal error: {type(error).__name__}: {error}"
        _end(f"{words}\nHint: run again as `compress --verbose ...` and report what it prints.", 1)


def _is_memory(error: Exception) -> bool:
    """Say whether memory ran out; PyTorch, not imported here, has its own error, and on a CPU only words."""
    kind = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return kind or "DefaultCPUAllocator" in str(error)


def _end(words: str, code: int) -> NoReturn:
    """Say how it ended, once whatever the number of workers, and exit."""
    if {"-v", "--verbose"} & set(sys.argv[1:3]):
        traceback.print_exc()
    with last_words() as mine, contextlib.suppress(OSError):  # nobody listens
        if mine:
            typer.secho(shown(words), err=True)
    sys.exit(code)
