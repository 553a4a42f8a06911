"""Documents: the one strict reader of JSON and TOML from outside, and the one writer.

A document is bounded before it is parsed (size), while it is parsed (depth, digits, no NaN, no key twice) and
after (``decode``: every field known, present and of its type). Writing refuses what is not JSON.
"""

import dataclasses
import hashlib
import json
import math
import tomllib
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from compressor.base.errors import ArtifactError, CompressError, UsageError
from compressor.base.files import write_whole
from compressor.base.text import foreign

T = TypeVar("T")
Json = dict[str, Any]

MOST_BYTES: Final = 16 * 2**20
"""Documents are small; a larger one is refused unread."""

_OTHER_VERSION: Final = "the file is damaged or was written by another version of compress; write it again."
_DAMAGED: Final = "the file is damaged or not what its name says; write or copy it again."


def read_json(path: Path, hint: str = _DAMAGED) -> Any:
    """Return the content of a JSON file.

    Raises:
        ArtifactError: it cannot be read, is too large, or is no strict JSON.
    """
    return parse_json(read_bounded(path, MOST_BYTES, hint), str(path), hint)


def parse_json(text: str | bytes, where: str, hint: str = _DAMAGED) -> Any:
    """Return what a JSON text says: no NaN, no infinity, no key twice, no depth that ends the interpreter.

    Raises:
        ArtifactError: it is no strict JSON; ``where`` names it.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{where} is no readable JSON: {foreign(_reason(error))}", hint) from error


def read_toml(path: Path, hint: str) -> Json:
    """Return the content of a TOML file, which is a recipe.

    Raises:
        UsageError: it cannot be read, is too large, or is no TOML.
    """
    where = f"recipe {foreign(path)}"
    try:
        text = read_bounded(path, MOST_BYTES, hint).decode()
    except (ArtifactError, UnicodeDecodeError) as error:
        reason = error.message if isinstance(error, ArtifactError) else foreign(error)
        raise UsageError(f"cannot read {where}: {reason}", hint) from error
    return parse_toml(text, where, hint)


def parse_toml(text: str, where: str, hint: str) -> Json:
    """Return what a TOML text says.

    Raises:
        UsageError: it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib's error is a ValueError
        raise UsageError(f"cannot read {where}: {foreign(_reason(error))}", hint) from error


def to_json(document: object, where: str, *, indent: int | None = 1) -> str:
    """Return a document as JSON text, a line break at its end.

    Raises:
        CompressError: a number in it is NaN or infinite; the place is named.
    """
    try:
        return json.dumps(document, indent=indent, allow_nan=False) + "\n"
    except ValueError as error:
        raise CompressError(
            f"{where} would hold a number that is none: {_first_not_finite(document) or error}",
            "the model or the data has NaN or infinite values: check the weights with compress eval.",
        ) from error


def write_json(path: Path, document: object) -> None:
    """Write a document whole, replacing what is there.

    Raises:
        CompressError: it cannot be written, or is no JSON.
    """
    write_whole(path, to_json(document, str(path)))


def read_bounded(path: Path, most_bytes: int, hint: str) -> bytes:
    """Return the content of a file of at most ``most_bytes``.

    Raises:
        ArtifactError: it is larger, is no file, or cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise ArtifactError(f"{foreign(path)} is no file", hint)
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArtifactError(f"{foreign(path)} cannot be read: {foreign(reason)}", hint) from error
    if len(content) > most_bytes:
        raise ArtifactError(f"{foreign(path)} is larger than {most_bytes / 2**20:.0f} MiB", hint)
    return content


def _reason(error: Exception) -> object:
    return "it is nested too deeply" if isinstance(error, RecursionError) else error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return found


def _first_not_finite(value: object, place: str = "") -> str:
    """Return where the first NaN or infinity is, as ``metrics.loss is nan``; "" where there is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{place} is {value}"
    rows = value if isinstance(value, list | tuple) else ()
    items = value.items() if isinstance(value, dict) else enumerate(rows)
    inner = (_first_not_finite(item, f"{place}.{foreign(key)}".lstrip(".")) for key, item in items)
    return next((found for found in inner if found), "")


def encode(value: object) -> Json:
    """Return a dataclass as JSON-able dictionaries and lists, fields in order of declaration."""
    assert dataclasses.is_dataclass(value)
    assert not isinstance(value, type)
    return dataclasses.asdict(value)


def decode(kind: type[T], data: object, where: str) -> T:
    """Rebuild a dataclass from JSON.

    Args:
        kind: the dataclass.
        data: what ``json.loads`` returned.
        where: file or part of it, for the message.

    Raises:
        ArtifactError: fields are missing, unknown or of the wrong type.
    """
    try:
        # Through text, because only JSON mode reads lists as tuples and nothing else loosely.
        value = TypeAdapter(kind).validate_json(json.dumps(data), strict=True)
    except UsageError as error:
        raise ArtifactError(f"{where}: {error.message}", error.hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise ArtifactError(
            f"{where}: {foreign(place)}: {foreign(first['msg'])}",
            _OTHER_VERSION,
        ) from error
    unknown = _unknown(data, encode(value))
    if unknown:
        raise ArtifactError(f"{where}: unknown field {unknown}", _OTHER_VERSION)
    return value


def _unknown(given: object, known: object, place: str = "") -> str:
    """Return where the first key is that was given and not read; "" where there is none."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, item in given.items():
            path = f"{place}.{foreign(key)}".lstrip(".")
            found = _unknown(item, known[key], path) if key in known else path
            if found:
                return found
    if isinstance(given, list) and isinstance(known, list | tuple):
        inner = (_unknown(one, other, place) for one, other in zip(given, known, strict=False))
        return next((found for found in inner if found), "")
    return ""


def check_schema(data: object, expected: int, where: str) -> None:
    """Refuse a document of another schema version.

    Raises:
        ArtifactError: it has another one, or is no document.
    """
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != expected:
        raise ArtifactError(
            f"{where}: schema version {version!r}, this program reads {expected}",
            "write it again with this version of compress, or install the version that wrote it.",
        )


def digest(data: Json) -> str:
    """Return the sha256 of a JSON document in canonical form (sorted keys, no spaces)."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
