"""``compress report``: what was measured, as a page to show."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from compressor.cli.options import JsonOpt


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Artifact folders, and documents of commands (--json, --save): {result}.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write.", show_default=False)
    ] = None,
    form: Annotated[
        Literal["html", "md", "csv"] | None,
        typer.Option("--format", help="By the ending of -o; md and csv are printed without one."),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Heading of the page.")] = "What was measured",
    json: JsonOpt = False,
) -> None:
    """Show RESULTS: verdict, speed-up, rounds, layers, widths, accuracy, machine.

    The HTML page is one file that loads nothing: pictures, their tables and the documents are in it.

    Examples: compress report bench.json gate.json half -o report.html;
    compress report profile.json bench.json --format md
    """
    from compressor.cli.report_run import Request, run

    run(Request(results=tuple(results), output=output, form=form, title=title, json=json))
