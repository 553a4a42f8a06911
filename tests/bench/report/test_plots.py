"""Pictures: inside their frame, ticks round, names apart, text as text."""

import math
from xml.etree.ElementTree import Element, tostring

import pytest

from bench.report.plots.bars import Bar, bars
from bench.report.plots.canvas import breadth, fitted
from bench.report.plots.intervals import Interval, intervals
from bench.report.plots.scales import linear, log_ticks, logarithmic, tick_text, ticks
from bench.report.plots.scatter import Axes, Point, scatter
from bench.report.plots.series import Series, series

WIDTHS = (350, 640, 920)
HOSTILE = "<script>alert('x')</script>\"&\x1b[31m" + "long " * 60


def texts(picture: Element) -> list[Element]:
    return [one for one in picture.iter("text") if one.text]


def span(text: Element) -> tuple[float, float]:
    size, x = breadth(text.text or ""), float(text.get("x", "0"))
    start = {"start": x, "end": x - size, "middle": x - size / 2}[text.get("text-anchor", "start")]
    return start, start + size


def overlaps(picture: Element) -> list[tuple[str | None, str | None]]:
    found = []
    every = [(one, *span(one), float(one.get("y", "0"))) for one in texts(picture)]
    for index, (one, left, right, base) in enumerate(every):
        for other, start, end, line in every[index + 1 :]:
            if abs(base - line) < 10 and left < end - 1 and start < right - 1:
                found.append((one.text, other.text))
    return found


def check(picture: Element, width: int) -> None:
    *_, height = map(float, picture.get("viewBox", "").split())
    for text in texts(picture):
        left, right = span(text)
        assert left >= -1, text.text
        assert right <= width + 1, text.text
        assert 0 < float(text.get("y", "0")) < height
    for tag, x, y in (("rect", "x", "y"), ("circle", "cx", "cy"), ("line", "x1", "y1"), ("line", "x2", "y2")):
        for one in picture.iter(tag):
            assert 0 <= float(one.get(x, "0")) <= width
            assert 0 <= float(one.get(y, "0")) <= height
    assert overlaps(picture) == []
    assert "\x1b" not in tostring(picture, encoding="unicode")


@pytest.mark.parametrize("width", WIDTHS)
def test_intervals(width: int) -> None:
    rows = [
        Interval(label=label, figure="1.50x faster", value=1.5, low=low, high=1.6, shape=2, look="good")
        for label, low in (("half", 1.4), (HOSTILE, 0.2))
    ]
    picture = intervals(rows, {1.0: "reference", 1.2: "limit"}, "speed-up, times", width)
    check(picture, width)
    assert len([line for line in picture.iter("line") if line.get("class") == "reference"]) == 1
    whiskers = [one for one in picture.iter("line") if one.get("class") == "whisker good-line"]
    lengths = [float(one.get("x2", 0)) - float(one.get("x1", 0)) for one in (whiskers[0], whiskers[3])]
    assert lengths[1] / lengths[0] == pytest.approx(1.4 / 0.2, rel=0.05)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rounds", [1, 6, 36])
def test_series(width: int, rounds: int) -> None:
    values = tuple(1 + 0.01 * (number % 5) for number in range(rounds))
    panels = [
        Series(label=HOSTILE, figure="median 1.020, spread 1.0 %", values=values, middle=1.02, limit=limit)
        for limit in (None, 1.05)
    ]
    picture = series(panels, "candidate over baseline, times; the thick line is what is allowed", width)
    check(picture, width)
    assert len(list(picture.iter("circle"))) == 2 * rounds


@pytest.mark.parametrize("width", WIDTHS)
def test_bars(width: int) -> None:
    rows = [
        Bar(label=HOSTILE, figure="2.00 -> 1.00 ms", values=(2.0, 1.0)),
        Bar(label="b", figure="0", values=(0, 0)),
    ]
    picture = bars(rows, (f"before: {HOSTILE}", "after"), "time per call, ms", width)
    check(picture, width)
    first, second = (
        float(one.get("width", "0"))
        for one in list(picture.iter("rect"))
        if one.get("class") in ("bar0", "bar1")
        and one.get("height") == "8"
        and float(one.get("width", "0")) > 0
    )
    assert first == pytest.approx(2 * second, abs=0.2)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scale", [linear, logarithmic])
def test_scatter(width: int, scale: object) -> None:
    points = [Point(x=1 + 0.01 * n, y=90 + 0.02 * n, label=f"model number {n}", hint="h") for n in range(12)]
    points.append(Point(x=9, y=95, label=HOSTILE, shape=1, hollow=True))
    axes = Axes(x_title="time, ms", y_title="top-1, %", scale=scale)  # type: ignore[arg-type]
    picture = scatter(points, axes, ["ours", HOSTILE], [points[0], points[-1]], width)
    check(picture, width)
    assert len([one for one in picture.iter("text") if (one.text or "").startswith("model number")]) >= 2


def test_a_single_point_is_a_picture() -> None:
    check(scatter([Point(x=1, y=1, label="a")], Axes(x_title="x", y_title="y"), (), (), 350), 350)
    check(scatter([Point(x=0, y=0, label="a")], Axes(x_title="x", y_title="y"), (), (), 350), 350)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, (0, 2, 4, 6, 8, 10)), (0.97, 1.13, (1.0, 1.1)), (-3e-50, 3e-50, (-2e-50, 0, 2e-50))],
)
def test_ticks_are_round(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert ticks(low, high, len(expected) + 1 if expected[0] else 6) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("low", "high"), [(0.3, 7), (1, 1e9), (2.1, 2.9), (1e-60, 1e60)])
def test_logarithmic_ticks_are_few_and_inside(low: float, high: float) -> None:
    found = log_ticks(low, high, 6)
    assert 2 <= len(found) <= 7
    assert all(low <= tick <= high for tick in found)


def test_equal_ratios_are_equal_lengths() -> None:
    scale = logarithmic([1, 100], 0, 100)
    assert scale(10) - scale(1) == pytest.approx(scale(100) - scale(10))
    assert math.isclose(linear([0, 4], 0, 100)(2), 50, abs_tol=5)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.05, "0.05"), (1500, "1500"), (25_000, "25k"), (3e6, "3M"), (2.5e9, "2.5G"), (0, "0")],
)
def test_ticks_are_short(value: float, text: str) -> None:
    assert tick_text(value) == text


def test_a_name_that_does_not_fit_keeps_both_ends() -> None:
    short = fitted("runs/2026/resnet56-pruned.onnx", 120)
    assert short.startswith("runs")
    assert short.endswith("onnx")
    assert breadth(short) <= 120
    assert fitted("a", 120) == "a"
    assert fitted(HOSTILE, -5) == "…"
