"""Foreign text is shown and does not act."""

import pytest

from compressor.base.text import foreign, markdown, shown


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
