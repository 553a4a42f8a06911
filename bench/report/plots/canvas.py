"""Elements of a picture, and text that fits into it."""

import unicodedata
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from bench.report.plots.scales import Scale, tick_text
from compressor.base.text import foreign

SIZE: Final = 12
"""Height of letters, px."""

_WIDE: Final = frozenset("WFA")
"""East Asian widths of letters that are as wide as they are high."""


def svg(width: int, height: float) -> Element:
    """Return an empty picture."""
    return Element(
        "svg", {"viewBox": f"0 0 {width} {height:.0f}", "width": str(width), "height": f"{height:.0f}"}
    )


def line(parent: Element, start: tuple[float, float], end: tuple[float, float], look: str) -> None:
    """Draw a straight line."""
    (x1, y1), (x2, y2) = start, end
    SubElement(parent, "line", {"x1": px(x1), "y1": px(y1), "x2": px(x2), "y2": px(y2), "class": look})


def path(parent: Element, points: list[tuple[float, float]], look: str) -> None:
    """Draw straight lines from point to point."""
    words = " ".join(f"{'L' if index else 'M'}{px(x)} {px(y)}" for index, (x, y) in enumerate(points))
    SubElement(parent, "path", {"d": words, "class": look})


def box(parent: Element, corner: tuple[float, float], size: tuple[float, float], look: str) -> None:
    """Draw a filled rectangle."""
    (x, y), (width, height) = corner, size
    about = {
        "x": px(x),
        "y": px(y),
        "width": px(max(width, 0)),
        "height": px(height),
        "class": look,
        "rx": "1.5",
    }
    SubElement(parent, "rect", about)


def words(parent: Element, at: tuple[float, float], text: str, look: str = "", anchor: str = "start") -> None:
    """Write one line of text, whatever it holds; ``at`` is on its base line."""
    x, y = at
    about = {"x": px(x), "y": px(y), "text-anchor": anchor} | ({"class": look} if look else {})
    SubElement(parent, "text", about).text = foreign(text, 500)


def mark(parent: Element, at: tuple[float, float], shape: int, look: str, hint: str = "") -> None:
    """Draw one of six marks that differ in shape, with a hint for the mouse."""
    x, y = at
    outline = _SHAPES[shape % len(_SHAPES)]
    if not outline:
        dot(parent, at, 5, look, hint)
        return
    corners = " ".join(f"{px(x + dx)},{px(y + dy)}" for dx, dy in outline)
    _hinted(SubElement(parent, "polygon", {"points": corners, "class": look}), hint)


def dot(parent: Element, at: tuple[float, float], radius: float, look: str, hint: str) -> None:
    """Draw a disc, with a hint for the mouse."""
    about = {"cx": px(at[0]), "cy": px(at[1]), "r": px(radius), "class": look}
    _hinted(SubElement(parent, "circle", about), hint)


def _hinted(element: Element, hint: str) -> None:
    if hint:
        SubElement(element, "title").text = foreign(hint, 500)


_SHAPES: Final[tuple[tuple[tuple[float, float], ...], ...]] = (
    (),
    ((-4.6, -4.6), (4.6, -4.6), (4.6, 4.6), (-4.6, 4.6)),
    ((0, -6), (5.6, 4.2), (-5.6, 4.2)),
    ((0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0)),
    ((0, 6), (5.6, -4.2), (-5.6, -4.2)),
    (
        (-2, -6),
        (2, -6),
        (2, -2),
        (6, -2),
        (6, 2),
        (2, 2),
        (2, 6),
        (-2, 6),
        (-2, 2),
        (-6, 2),
        (-6, -2),
        (-2, -2),
    ),
)  # fmt: skip
"""Circle, square, triangle, diamond, triangle upside down, cross; by their corners."""


def x_axis(parent: Element, scale: Scale, top: float, bottom: float, title: str) -> None:
    """Draw grid lines from top to bottom, tick labels below them, and what the axis shows below those.

    It ends `axis_height` below ``bottom``.
    """
    for tick in scale.ticks:
        line(parent, (scale(tick), top), (scale(tick), bottom), "grid")
        words(parent, (scale(tick), bottom + 15), tick_text(tick), "tick", "middle")
    axis_title(parent, scale, bottom, title)


def axis_title(parent: Element, scale: Scale, bottom: float, title: str) -> None:
    """Write what an axis shows below its ticks, in as many lines as it takes."""
    for number, text in enumerate(_lines(title, scale)):
        words(parent, ((scale.start + scale.end) / 2, bottom + 33 + 16 * number), text, "axis", "middle")


def axis_height(scale: Scale, title: str) -> float:
    """Return how much of a picture ticks and title of an axis take."""
    return 24.0 + 16 * len(_lines(title, scale))


def _lines(text: str, scale: Scale) -> list[str]:
    """Return a text in lines that are no longer than an axis, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and breadth(longer) > scale.end - scale.start:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def headline(parent: Element, top: float, width: int, label: str, figure: tuple[str, str]) -> None:
    """Write what a row is on its left, and its figure, given with a class, on its right."""
    text, look = figure
    short = fitted(label, width - 24 - breadth(text))
    box(parent, (0, top + 4), (breadth(short) + 4, 17), "backing")
    box(parent, (width - 4 - breadth(text), top + 4), (breadth(text) + 4, 17), "backing")
    words(parent, (2, top + 17), short, "label")
    words(parent, (width - 2, top + 17), text, f"figure {look}", "end")


def y_axis(parent: Element, scale: Scale, left: float, right: float) -> None:
    """Draw grid lines from left to right, and tick labels left of them."""
    for tick in scale.ticks:
        line(parent, (left, scale(tick)), (right, scale(tick)), "grid")
        words(parent, (left - 6, scale(tick) + 4), tick_text(tick), "tick", "end")


def breadth(text: str, size: float = SIZE) -> float:
    """Return about how wide a text is, px; rather too much than too little."""
    ems = (1.0 if unicodedata.east_asian_width(letter) in _WIDE else 0.62 for letter in text)
    return size * sum(ems)


def fitted(text: str, width: float, size: float = SIZE) -> str:
    """Return a name as one line that fits, its middle left out where it does not: ends tell names apart."""
    line_of = foreign(text, 500)
    if breadth(line_of, size) <= width:
        return line_of
    for kept in range(len(line_of) - 1, 1, -1):
        head = (kept + 1) // 2
        short = f"{line_of[:head]}\N{HORIZONTAL ELLIPSIS}{line_of[len(line_of) - (kept - head) :]}"
        if breadth(short, size) <= width:
            return short
    return "\N{HORIZONTAL ELLIPSIS}"


def px(value: float) -> str:
    """Return a coordinate with a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")
