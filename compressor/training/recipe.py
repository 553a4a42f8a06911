"""Recipes as TOML files: one ``key = value`` per field of ``Recipe``, all of them optional."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from compressor.base.documents import read_toml
from compressor.errors import UsageError
from compressor.registry import unknown_name
from compressor.types import Recipe


def recipe_from_toml(path: Path) -> Recipe:
    """Return the recipe in the file ``path``.

    Raises:
        UsageError: the file is missing or no TOML, a key is unknown (close ones are suggested), or a value
            has the wrong type or is out of range.
    """
    return recipe_from_table(read_toml(path, "give a TOML file of recipe fields"), where=str(path))


def recipe_from_table(table: Mapping[str, object], *, where: str) -> Recipe:
    """Return the recipe in a parsed TOML table; ``where`` names its origin in errors.

    Raises:
        UsageError: as for ``recipe_from_toml``.
    """
    known = [field.name for field in dataclasses.fields(Recipe)]
    for key in table:
        if key not in known:
            error = unknown_name("recipe field", key, known)
            raise UsageError(f"{where}: {error.message}", error.hint)
    # through JSON, whose strict mode takes an array for a tuple; dates have no field and fail as strings
    text = json.dumps(table, default=str)
    try:
        return TypeAdapter(Recipe).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{where}: {field} is {first['input']!r}", f"{first['msg'][0].lower()}{first['msg'][1:]}"
        ) from error
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", error.hint) from error


def recipe_to_toml(recipe: Recipe) -> str:
    """Return every field of ``recipe`` as TOML, in the order of the class."""
    return "".join(f"{name} = {_toml(value)}\n" for name, value in dataclasses.asdict(recipe).items())


def _toml(value: bool | int | float | str | tuple[int, ...]) -> str:
    # booleans, numbers, strings and arrays of numbers are written alike in JSON and TOML
    return json.dumps(value)
