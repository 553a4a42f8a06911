"""What a report is made of, before anybody decides how it looks: banners, notes, tables and plots."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Literal, Protocol, TypeAlias
from xml.etree.ElementTree import Element

from bench.report.facts import Result
from bench.statistics import significant

Cell: TypeAlias = str | int | float | None
Show = Callable[[float], str]
Mood = Literal["good", "bad", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        name: its heading.
        unit: of its figures; "" for none.
        show: from a figure to what people read.
        code: whether letters matter one by one, as in digests.
    """

    name: str
    unit: str = ""
    show: Show = significant
    code: bool = False

    @property
    def heading(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    def text(self, cell: Cell) -> str:
        """Return what people read; nothing where there is no figure."""
        if cell is None:
            return ""
        return cell if isinstance(cell, str) else self.show(cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Figures with names; a cell is text, a figure, or None.

    Attributes:
        title: what it shows.
        columns: their headings.
        rows: one cell per column.
        folded: whether a page may show it on demand only.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False
    kind: Literal["table"] = "table"

    @property
    def cells(self) -> list[list[str]]:
        """Rows as people read them."""
        return [
            [column.text(cell) for column, cell in zip(self.columns, row, strict=True)] for row in self.rows
        ]

    def numeric(self, index: int) -> bool:
        """Say whether a column holds figures."""
        return not any(isinstance(row[index], str) for row in self.rows)


class Draw(Protocol):
    """Draws at a width."""

    def __call__(self, width: int) -> Element:
        """Return an ``svg`` element of a width in pixels."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A picture, with what it shows in words and, for those who want figures, in a table.

    Attributes:
        title: one line.
        words: what is to be seen, for those who do not see it.
        draw: draws it.
        table: the same figures.
    """

    title: str
    words: str
    draw: Draw
    table: Table
    kind: Literal["plot"] = "plot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """A verdict.

    Attributes:
        word: in one word or two: ``PASS``, ``1.62x``.
        text: a sentence.
        detail: under which conditions, and how sure it is.
        mood: good, bad, or open; never shown by colour alone.
    """

    word: str
    text: str
    detail: str
    mood: Mood
    kind: Literal["banner"] = "banner"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence that a reader must not miss."""

    text: str
    kind: Literal["note"] = "note"


Part: TypeAlias = Table | Plot | Banner | Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One question and its answer.

    Attributes:
        name: short, of letters and hyphens; where links lead.
        title: heading.
        lead: how to read it, in a sentence or two.
        parts: in order.
    """

    name: str
    title: str
    lead: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that is written down.

    Attributes:
        title: of the page.
        subtitle: where it was measured; "" where that is unknown.
        sections: those that have something to say.
        results: what it was made from.
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    results: tuple[Result, ...]


def tables_of(section: Section) -> list[Table]:
    """Return all tables of a section, those of its plots included."""
    parts = (part.table if isinstance(part, Plot) else part for part in section.parts)
    return [part for part in parts if isinstance(part, Table)]


def filled(table: Table) -> Table:
    """Return a table without the columns in which nothing stands; the first one stays."""
    stays = [
        not index or any(row[index] not in ("", None) for row in table.rows)
        for index in range(len(table.columns))
    ]
    return replace(
        table,
        columns=tuple(compress(table.columns, stays)),
        rows=tuple(tuple(compress(row, stays)) for row in table.rows),
    )


def text_columns(*names: str) -> tuple[Column, ...]:
    """Return columns of text."""
    return tuple(Column(name=name) for name in names)


def whole(value: float) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """Return a share as a percentage."""
    return f"{value:.1%}"


def signed_percent(value: float) -> str:
    """Return a change as a percentage with its sign."""
    return f"{value:+.1%}"


def decimals(count: int) -> Show:
    """Return what shows a figure with a number of decimals."""
    return lambda value: f"{value:,.{count}f}"


def milliseconds(value: float) -> str:
    """Return a time, a saving or a loss with three significant digits."""
    if value == 0:
        return "0"
    return significant(value) if value > 0 else f"-{significant(-value)}"


def bullets(rows: Sequence[str]) -> tuple[Note, ...]:
    """Return a note for each sentence, none twice."""
    return tuple(Note(text) for text in dict.fromkeys(rows))
