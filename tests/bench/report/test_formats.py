"""The page without a browser: balanced, alone, nothing in a name acts; and the other formats."""

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace

import pytest

from bench.report.content import tables_of
from bench.report.facts import Result
from bench.report.formats import FORMATS
from bench.report.formats.html import MOST_RAW_BYTES, WIDTHS
from bench.report.making import make_report
from tests.bench.report import examples
from tests.bench.report.conftest import Read
from tests.bench.report.pages import Page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\x1b[31m\u202e.onnx"


@pytest.fixture
def page(results: list[Result]) -> str:
    return FORMATS["html"](make_report(results, "ResNet-20"))


def hostile(read: Read) -> list[Result]:
    profile = examples.profile(HOSTILE, HOSTILE, layers=3)
    profile["models"][1]["lints"][0] |= {"what": HOSTILE, "next": HOSTILE, "kind": HOSTILE}
    profile["environment"] = {HOSTILE: HOSTILE}
    study = examples.inspection(HOSTILE)
    study["groups"][0]["name"] = HOSTILE
    gate = examples.gate(HOSTILE, HOSTILE)
    gate["checks"][0] |= {"name": HOSTILE, "words": HOSTILE}
    bench = examples.bench({"dense": 2, HOSTILE: 1}, (1,))
    bench["notes"] = [HOSTILE]
    named = [bench, gate, profile, study, examples.scores(HOSTILE), examples.scores("dense", data=HOSTILE)]
    return [replace(read(document), where=HOSTILE) for document in named]


def test_the_page_is_balanced_and_complete(page: str) -> None:
    root = Page(page).root
    assert page.startswith("<!doctype html>\n<html lang=")
    assert next(one.text for one in root.all("title")) == "ResNet-20"
    assert len(root.all("style")) == 1
    assert len(root.all("h1")) == 1
    every = root.all("section", "title", "desc", "script")
    ids = Counter(one.about["id"] for one in every if "id" in one.about)
    assert set(ids.values()) == {1}
    links = {one.about["href"] for one in root.all("a")}
    assert links == {f"#{one.about['id']}" for one in root.all("section")}


def test_the_page_asks_nobody_for_anything(page: str) -> None:
    assert not re.search(r"(?:https?:)?//[a-z]", page)
    assert "url(" not in page
    root = Page(page).root
    assert {one.about.get("type") for one in root.all("script")} == {"application/json"}
    every = root.all("link", "a", "img", "iframe", "object", "use", "image", "form", "source")
    assert {one.about.get("href", "")[:5] for one in every if one.tag != "a"} == {"data:"}
    policy = next(one for one in root.all("meta") if one.about.get("http-equiv") == "Content-Security-Policy")
    assert policy.about["content"].startswith("default-src 'none'")


def test_every_picture_is_described_and_has_its_table(page: str) -> None:
    figures = Page(page).root.all("figure")
    assert len(figures) >= 8
    for figure in figures:
        pictures = figure.all("svg")
        assert [picture.about["class"] for picture in pictures] == [f"plot {look}" for look in WIDTHS]
        for picture in pictures:
            title, desc = picture.children[:2]
            assert (title.tag, desc.tag, picture.about["role"]) == ("title", "desc", "img")
            assert picture.about["aria-labelledby"] == f"{title.about['id']} {desc.about['id']}"
            assert title.text
            assert desc.text
        (table,) = figure.all("table")
        assert len(table.all("tr")) > 1
        assert table.all("caption")[0].text


def test_light_and_dark_say_the_same(page: str) -> None:
    style = Page(page).root.all("style")[0].text
    light, dark, *_ = (
        set(re.findall(r"(--[\w]+):", part)) for part in style.split("@media (prefers-color-scheme: dark)")
    )
    assert light
    assert light <= dark
    used = set(re.findall(r"var\((--\w+)\)", style))
    assert used <= light


def test_colour_is_never_alone(page: str) -> None:
    root = Page(page).root
    for banner in (one for one in root.all("p") if "banner" in one.about.get("class", "")):
        assert banner.all("strong")[0].text
    marks = [one for one in root.all("polygon", "circle") if "mark" in one.about["class"]]
    shapes = {one.about["class"]: one.tag for one in marks}
    assert shapes["mark good"] == shapes["mark bad"] == "polygon"
    corners = {one.about["class"]: one.about["points"].count(",") for one in root.all("polygon")}
    assert corners["mark c1"] == 4  # a square beside the circles of the first model


def test_names_are_text(read: Read) -> None:
    page = FORMATS["html"](make_report(hostile(read), HOSTILE))
    root = Page(page).root
    assert len(root.all("script")) == 1
    assert root.all("img") == []
    assert not [c for c in "\x1b\u202e" if c in page]
    seen = root.all("th", "td", "p", "h1", "figcaption")
    assert {one.tag for one in seen if "alert(1)" in one.text} == {"th", "td", "p", "h1", "figcaption"}
    assert HOSTILE.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e") in root.text


def test_the_documents_are_in_the_page(page: str, results: list[Result]) -> None:
    (script,) = Page(page).root.all("script")
    inside = json.loads(script.text)
    assert [one["document"] for one in inside] == [result.document for result in results]
    assert [one["sha256"] for one in inside] == [result.sha256 for result in results]


def test_documents_too_large_for_a_page_are_named(read: Read) -> None:
    large = replace(read(examples.scores()), where="large.json", document={"x": "y" * MOST_RAW_BYTES})
    page = FORMATS["html"](make_report([large, read(examples.scores("b"))], "x"))
    root = Page(page).root
    assert len(json.loads(root.all("script")[0].text)) == 1
    assert "large.json" in root.all("footer")[0].text
    assert len(page) < MOST_RAW_BYTES


def test_markdown_has_every_table_and_no_markup_in_names(results: list[Result], read: Read) -> None:
    report = make_report(results, "x")
    text = FORMATS["md"](report)
    heads = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert heads == [one.title for one in report.sections]
    assert text.count("| --- |") >= sum(len(tables_of(one)) for one in report.sections)
    named = FORMATS["md"](make_report(hostile(read), HOSTILE)).replace("\n> ", "")
    assert not re.search(r"(?<!\\)[<>]", named)


def test_csv_has_a_figure_a_line(results: list[Result]) -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](make_report(results, "x")))))
    found = {(row["section"], row["item"], row["figure"], row["unit"]): row["value"] for row in rows}
    assert float(found["accuracy", "half.onnx", "top-1", "%"]) == 91.2
    assert found["speed-up", "half.onnx", "verdict", ""] == "faster"
    assert float(found["widths", "layer3.0.conv1", "achieved", ""]) == 35
    assert {row["section"] for row in rows} == {one.name for one in make_report(results, "x").sections}


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", '=HYPERLINK("http://x")'])
def test_no_name_is_a_formula(name: str, read: Read) -> None:
    text = FORMATS["csv"](make_report([read(examples.scores(name))], "x"))
    assert f"'{name[:2]}" in text
    assert not re.search(rf"(^|,)\"?{re.escape(name[:2])}", text, re.MULTILINE)
