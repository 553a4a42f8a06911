"""A report as CSV: one figure a line, all tables in one file, for whoever wants to go on with them."""

import csv
import io
from collections.abc import Iterator
from typing import Final

from bench.report.content import Cell, Report, tables_of
from compressor.base.text import foreign

COLUMNS: Final = ("section", "table", "row", "item", "figure", "unit", "value")
"""``row`` counts the rows of a table from 1; ``item`` is the first cell of the row."""

_FORMULA: Final = tuple("=+-@\t\r")
"""What makes a spreadsheet take text for a formula."""


def csv_rows(report: Report) -> str:
    """Return the lines; text that a spreadsheet would calculate has an apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_lines(report))
    return file.getvalue()


def _lines(report: Report) -> Iterator[list[object]]:
    for section in report.sections:
        for table in tables_of(section):
            for number, row in enumerate(table.rows, start=1):
                head = [section.name, _text(table.title), number, _text(row[0])]
                for column, cell in zip(table.columns, row, strict=True):
                    if cell is not None:
                        yield [*head, column.name, column.unit, _text(cell)]


def _text(cell: Cell) -> object:
    if not isinstance(cell, str):
        return cell
    line = foreign(cell, 2000)
    return f"'{line}" if line.startswith(_FORMULA) else line
