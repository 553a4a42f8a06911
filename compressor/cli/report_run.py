"""What ``compress report`` does: read every result, write the report down."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bench.report.content import Report, Section, tables_of
from bench.report.formats import FORMATS
from bench.report.making import make_report
from bench.report.reading import read_result
from compressor.base.documents import Json
from compressor.base.errors import UsageError
from compressor.base.files import require_free, write_whole
from compressor.base.locks import owned
from compressor.base.text import foreign
from compressor.cli import output

_ENDINGS: Final = {".html": "html", ".htm": "html", ".md": "md", ".csv": "csv"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One ``compress report``, as typed."""

    results: tuple[Path, ...]
    output: Path | None
    form: Literal["html", "md", "csv"] | None
    title: str
    json: bool


def run(request: Request) -> None:
    """Carry out a request: write the report, or print it.

    Raises:
        UsageError: the file exists, or no format was asked for.
    """
    form = _form(request)
    if request.output:
        require_free(request.output)
    report = make_report([read_result(path) for path in request.results], request.title)
    with owned(request.output) if request.output else nullcontext():
        if request.output:
            write_whole(request.output, FORMATS[form](report))
    if request.json:
        output.print_json(_document(request, report))
    elif request.output:
        output.say(f"written: {request.output}")
    else:
        sys.stdout.write(FORMATS[form](report))


def _form(request: Request) -> str:
    """Return the format: what was asked for, or what the ending of the file says."""
    if request.form == "html" or (request.form is None and not request.json):
        known = request.output is not None and (request.form or request.output.suffix in _ENDINGS)
        if not known:
            raise UsageError(
                f"nothing says how to write {foreign(request.output or 'the report')}",
                "give -o report.html, or --format md or csv.",
            )
    suffix = request.output.suffix if request.output else ""
    return request.form or _ENDINGS.get(suffix, "html")


def _document(request: Request, report: Report) -> Json:
    return {
        "title": report.title,
        "written": str(request.output) if request.output else None,
        "results": [{"where": one.where, "kind": one.kind, "sha256": one.sha256} for one in report.results],
        "sections": [_section(section) for section in report.sections],
    }


def _section(section: Section) -> Json:
    return {
        "name": section.name,
        "title": section.title,
        "tables": [
            {
                "title": table.title,
                "columns": [{"name": column.name, "unit": column.unit} for column in table.columns],
                "rows": [list(row) for row in table.rows],
            }
            for table in tables_of(section)
        ],
    }
