"""Settings that people write, tables of recipes and options, as the dataclass that they describe.

No value is read loosely, and every mistake ends in a sentence that names the key. Documents that programs
write are read by `compressor.base.documents.decode`.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from compressor.base.errors import UsageError
from compressor.base.registry import unknown_name

T = TypeVar("T")


def from_table(kind: type[T], table: Mapping[str, object], where: str, word: str = "key") -> T:
    """Return one table as the dataclass that it describes.

    Args:
        kind: the dataclass; what it refuses by a ``UsageError`` is refused here.
        table: name of a field -> value.
        where: origin of the table, which begins every message.
        word: what a key of it is called.

    Raises:
        UsageError: a key is unknown (close ones are suggested) or missing, or a value has the wrong type or
            is out of range.
    """
    try:
        _check_keys(table, _fields(kind), word)
        return _validated(kind, table, str)
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", error.hint) from error


def with_options(kind: type[T], name: str, options: Mapping[str, object], seed: int) -> T:
    """Return a dataclass filled with options; one that has a seed gets it, unless an option says another.

    Args:
        kind: the dataclass.
        name: what it is called, for messages.
        options: values of its fields.
        seed: of what is random.

    Raises:
        UsageError: an option does not exist or has a wrong value.
    """
    known = _fields(kind)
    _check_keys(options, known, f"option of {name}")
    values = {**({"seed": seed} if "seed" in known else {}), **options}
    return _validated(kind, values, lambda place: f"option {place} of {name}")


def _fields(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _check_keys(table: Mapping[str, object], known: list[str], word: str) -> None:
    for key in table:
        if key not in known:
            raise unknown_name(word, key, known)


def _validated(kind: type[T], table: Mapping[str, object], said: Callable[[str], str]) -> T:
    """Return the dataclass; ``said`` makes words of a place in the table."""
    try:
        # Through JSON, whose strict mode takes an array for a tuple and nothing else loosely; what TOML has
        # and JSON has not, dates, has no field and fails as text.
        return TypeAdapter(kind).validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        given = "missing" if first["type"] == "missing" else repr(first["input"])
        words = first["msg"]
        raise UsageError(
            f"{said(_place(first['loc'], table))} is {given}", f"{words[0].lower()}{words[1:]}."
        ) from error


def _place(path: Iterable[int | str], value: Any) -> str:
    """Return where in a table an error is: pydantic's path, without the types of a union that it tried."""
    parts: list[str] = []
    for part in path:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return ".".join(parts or [str(part)])
        parts.append(str(part))
    return ".".join(parts)
