"""The text form of protocol buffers, as far as a configuration needs it.

Triton's generated classes come with its client, which a machine that only exports does not need; the text
form is small enough to write by hand. Source: protobuf.dev, "Text Format Language Specification".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.text_encoding import CEscape


@dataclass(frozen=True, slots=True)
class Symbol:
    """A value of an enumeration, which is written without quotes."""

    name: str


Message: TypeAlias = "Mapping[str, Field]"
Element: TypeAlias = "str | int | Symbol | Message"
Field: TypeAlias = "Element | Sequence[Element]"


def to_pbtxt(message: Message) -> str:
    """Return the fields in their order; a sequence is a repeated field."""
    return "".join(f"{line}\n" for line in _lines(message))


def _lines(message: Message) -> Iterator[str]:
    for name, value in message.items():
        if isinstance(value, Mapping):
            yield from _block(name, value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield from _repeated(name, value)
        else:
            yield f"{name}: {_scalar(value)}"


def _repeated(name: str, values: Sequence[Element]) -> Iterator[str]:
    messages = [value for value in values if isinstance(value, Mapping)]
    if messages:
        for message in messages:
            yield from _block(name, message)
    else:
        yield f"{name}: [{', '.join(_scalar(v) for v in values if not isinstance(v, Mapping))}]"


def _block(name: str, message: Message) -> Iterator[str]:
    yield f"{name} {{"
    yield from (f"  {line}" for line in _lines(message))
    yield "}"


def _scalar(value: str | int | Symbol) -> str:
    if isinstance(value, Symbol):
        return value.name
    if isinstance(value, bool):
        return str(value).lower()
    # everything but printable ASCII by number: names come from foreign files, and people print this one
    return f'"{CEscape(value, as_utf8=False)}"' if isinstance(value, str) else str(value)
