"""Options of what is found by name: the fields of its dataclass, checked."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from compressor.base.errors import UsageError
from compressor.base.registry import unknown_name

T = TypeVar("T")


def with_options(kind: type[T], name: str, options: Mapping[str, object], seed: int) -> T:
    """Return a dataclass filled with options; one that has a seed gets it, unless an option says another.

    Args:
        kind: the dataclass.
        name: what it is called, for messages.
        options: values of its fields.
        seed: of what is random.

    Raises:
        UsageError: an option does not exist or has the wrong type.
    """
    fields: Any = kind
    known = {field.name for field in dataclasses.fields(fields)}
    for key in options:
        if key not in known:
            raise unknown_name(f"option of {name}", key, sorted(known))
    values = {**({"seed": seed} if "seed" in known else {}), **options}
    try:
        made: T = TypeAdapter(kind).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"option {first['loc'][0]} of {name} is {first['input']!r}", f"{first['msg'].lower()}."
        ) from error
    return made
