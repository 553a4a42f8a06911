from pathlib import Path

import pytest

from bench.page import page, sections

PAGE = """
from bench.section import Section

SECTION = Section(order={order}, text="## {{}}\\n".format)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a package of three studies: the last in name comes first, one was never run."""
    root = tmp_path / "studies_of_test_page"
    for name, order, results in (("a", 2, '"A"'), ("b", 1, None), ("c", 1, '"C"')):
        study = root / name
        study.mkdir(parents=True)
        (study / "__init__.py").touch()
        (study / "page.py").write_text(PAGE.format(order=order))
        if results:
            (study / "results.json").write_text(results)
    (root / "without_a_page").mkdir()
    (root / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return root.name


def test_sections_come_in_their_order_then_by_name(package: str) -> None:
    assert [study.name for study in sections(package)] == ["b", "c", "a"]


def test_only_results_that_exist_are_shown(package: str) -> None:
    _, shown = page(package).split("machine: read the ratios.\n")
    assert shown == "\n## C\n\n## A\n"


def test_timed_studies_can_be_run() -> None:
    timed = [study for study, section in sections().items() if section.timed]
    assert timed
    assert all((study / "run.py").exists() for study in timed)
