"""Foreign text: names out of files, paths, messages of libraries. It is shown as text and never acts.

A terminal obeys escape sequences, a page obeys line breaks and markup, and a reader is misled by characters
that turn the direction of writing. Such characters are shown by their number instead.
"""

import re
import unicodedata
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode's control, format, private, surrogate and separator categories."""

_BREAKING: Final = _HIDDEN - {"Cf", "Co"}
"""What ends a line for some reader, moves a terminal's cursor, or cannot be written in UTF-8."""

_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>()#|~!&])")

_LEADING: Final = re.compile(r"^(\d*)([-+=.])")
"""What begins a list, a rule or an underlined heading, where a line begins with it."""


def shown(text: object) -> str:
    """Return text whose control characters are written by number; line breaks and tabs stay.

    Everything that reaches a terminal goes through here.
    """
    return "".join(c if c in "\n\t" else _visible(c) for c in str(text))


def foreign(name: object, limit: int = 200) -> str:
    """Return a name from outside as one line of at most ``limit`` characters, for messages and cells."""
    line = "".join(_visible(c) for c in str(name)[: limit + 1])
    return line if len(line) <= limit else f"{line[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


def markdown(name: object, limit: int = 200) -> str:
    """Return a name from outside for a page in Markdown: one line, no markup, no HTML.

    It may stand at the beginning of a line or of an item, where it begins neither a list nor a rule.
    """
    return _LEADING.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", foreign(name, limit).strip()))


def plain(name: object, limit: int = 200) -> str:
    """Return a name from outside for matplotlib: one line, whose dollar signs begin no formula."""
    return foreign(name, limit).replace("$", r"\$")


def writable(text: str) -> str:
    """Return text that UTF-8 can hold: bytes of a file's name that are none of it are written by number."""
    return text.encode(errors="backslashreplace").decode()


def is_one_line(name: str) -> bool:
    """Say whether a name can be a line of a text file: not empty, no control character, no line break.

    Format characters are allowed: scripts and emojis need some of them to be written right.
    """
    return bool(name) and not any(unicodedata.category(c) in _BREAKING for c in name)


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
