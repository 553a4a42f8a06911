"""Foreign text is shown and does not act."""

import pytest

from compressor.base.text import foreign, is_one_line, markdown, plain, shown


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("conv1.weight", "conv1.weight"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("a\u202eb\u2028", "a\\u202eb\\u2028"),
        ("\udcff", "\\udcff"),
        ("größe 图像", "größe 图像"),
    ],
)
def test_a_name_is_one_line_without_control(name: str, line: str) -> None:
    assert foreign(name) == line


def test_long_names_end() -> None:
    assert len(foreign("x" * 10_000)) == 200


def test_text_keeps_its_lines_only() -> None:
    assert shown("a\n\tb\x1b[2J\x9b") == "a\n\tb\\x1b[2J\\x9b"


def test_no_markup_on_pages() -> None:
    assert markdown("# a](x)<b>|\n|") == "\\# a\\]\\(x\\)\\<b\\>\\|\\\\x0a\\|"


@pytest.mark.parametrize(
    ("name", "line"),
    [("- x", r"\- x"), ("+ x", r"\+ x"), ("12. x", r"12\. x"), ("   ---", r"\---"), ("==", r"\==")],
)
def test_no_list_and_no_rule_on_pages(name: str, line: str) -> None:
    assert markdown(name) == line


def test_no_formula_in_a_plot() -> None:
    assert plain("a$x^2$\n\x1b") == r"a\$x^2\$\x0a\x1b"


@pytest.mark.parametrize("name", ["", "a\nb", "a\r", "\x1b[2J", "a\u2028b", "a\u2029b", "a\x85b", "\udcff"])
def test_what_is_no_line_of_a_file(name: str) -> None:
    assert not is_one_line(name)


@pytest.mark.parametrize(
    "name", ["cat", "a \"b\" 'c'", "größe 图像", "\u0645\u06cc\u200c\u062e", "\U0001f469\u200d\U0001f680"]
)
def test_what_is_a_line_of_a_file(name: str) -> None:
    """Persian needs a character without width, and so do emojis."""
    assert is_one_line(name)
