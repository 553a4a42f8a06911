"""How a report is written down: HTML, Markdown or CSV."""

from collections.abc import Callable, Mapping
from typing import Final

from bench.report.content import Report
from bench.report.formats.html import html
from bench.report.formats.markdown import markdown_page
from bench.report.formats.spreadsheet import csv_rows

FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {"html": html, "md": markdown_page, "csv": csv_rows}
"""Ending of the file -> what writes it."""
