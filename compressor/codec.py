"""Frozen dataclasses to JSON and back, validated on the way in."""

import dataclasses
import hashlib
import json
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from compressor.errors import ArtifactError

T = TypeVar("T")
Json = dict[str, Any]


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
        return TypeAdapter(kind).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "top level"
        raise ArtifactError(
            f"{where}: {place}: {first['msg']}",
            "the file is damaged or was written by another version of compress; write it again.",
        ) from error


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
