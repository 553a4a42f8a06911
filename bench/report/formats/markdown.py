"""A report as Markdown: tables without pictures, for comments on pull requests."""

from bench.report.content import Banner, Note, Part, Plot, Report, Section, Table
from compressor.base.text import markdown

_LONG = 2000


def markdown_page(report: Report) -> str:
    """Return the page; nothing in a name is markup."""
    return "\n".join([f"# {markdown(report.title)}\n", *(_section(one) for one in report.sections)])


def _section(section: Section) -> str:
    parts = "\n".join(_part(part) for part in section.parts)
    return f"## {section.title}\n\n{section.lead}\n\n{parts}"


def _part(part: Part) -> str:
    if isinstance(part, Banner):
        return f"**{markdown(part.word)}** {markdown(part.text, _LONG)}, {markdown(part.detail)}\n"
    if isinstance(part, Note):
        return f"> {markdown(part.text, _LONG)}\n"
    if isinstance(part, Plot):
        return _table(part.table)
    return _table(part)


def _table(table: Table) -> str:
    heads = [markdown(column.heading) for column in table.columns]
    rules = ["---:" if table.numeric(index) else "---" for index in range(len(heads))]
    lines = [heads, rules]
    for cells, row in zip(table.cells, table.rows, strict=True):
        lines.append(
            [markdown(t, _LONG) if isinstance(c, str) else t for t, c in zip(cells, row, strict=True)]
        )
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**{markdown(table.title, _LONG)}**\n\n{body}\n"
