"""A report as one HTML file that asks nobody for anything: style, pictures and data are in it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import compressor
from bench.report.content import Plot, Report
from bench.report.facts import Result
from compressor.base.text import foreign

WIDTHS: Final = {"wide": 920, "middling": 640, "narrow": 350}
"""Pictures are drawn for desks, tablets and phones: text that shrinks with its picture cannot be read."""

MOST_RAW_BYTES: Final = 400_000
"""Documents beyond this stay out of the page, the largest first, and are named."""

_TEMPLATES: Final = Path(__file__).parent.parent / "templates"
_LONG: Final = 4000


def html(report: Report) -> str:
    """Return the page; every name in it is text."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, finalize=_shown, trim_blocks=True,
        lstrip_blocks=True, undefined=StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    environment.globals["pictures"] = _Pictures().draw
    kept, left = _bounded(report.results)
    page = environment.get_template("page.html.j2")
    style = Markup((_TEMPLATES / "style.css").read_text())  # noqa: S704 - a file of ours
    return page.render(
        report=report, style=style, raw=_raw(kept), left=left,
        version=compressor.__version__,
    )  # fmt: skip


def _shown(value: object) -> object:
    """Return text whose control characters are visible; what is markup already stays as it is."""
    return foreign(value, _LONG) if isinstance(value, str) and not isinstance(value, Markup) else value


class _Pictures:
    """Draws plots, and numbers them: an id occurs once in a page."""

    def __init__(self) -> None:
        self._drawn = 0

    def draw(self, plot: Plot) -> list[Markup]:
        """Return the picture for every width."""
        return [self._drawing(plot, look, width) for look, width in WIDTHS.items()]

    def _drawing(self, plot: Plot, look: str, width: int) -> Markup:
        self._drawn += 1
        picture = plot.draw(width=width)
        names = f"t{self._drawn}", f"d{self._drawn}"
        picture.attrib |= {"role": "img", "aria-labelledby": " ".join(names), "class": f"plot {look}"}
        _describe(picture, plot, names)
        return Markup(tostring(picture, encoding="unicode"))  # noqa: S704 - escaped by ElementTree


def _describe(picture: Element, plot: Plot, names: Sequence[str]) -> None:
    for index, (tag, text) in enumerate((("title", plot.title), ("desc", plot.words))):
        element = SubElement(picture, tag, {"id": names[index]})
        element.text = foreign(text, _LONG)
        picture.remove(element)
        picture.insert(index, element)


def _bounded(results: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """Return results whose documents fit into the page, and those whose do not."""
    sizes = {id(result): len(_compact(result.document)) for result in results}
    kept, left = list(results), []
    while kept and sum(sizes[id(result)] for result in kept) > MOST_RAW_BYTES:
        largest = max(kept, key=lambda result: sizes[id(result)])
        kept.remove(largest)
        left.append(largest)
    return kept, left


def _raw(results: Sequence[Result]) -> Markup:
    """Return documents as JSON in which no tag can begin or end."""
    rows = [
        {"where": one.where, "kind": one.kind, "sha256": one.sha256, "document": one.document}
        for one in results
    ]
    return Markup(_compact(rows))  # noqa: S704 - "<" is written by its number


def _compact(document: object) -> str:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")
