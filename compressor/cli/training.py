"""Training options: a recipe file, overridden by --epochs, --seed and --set."""

import dataclasses
import tomllib
from collections.abc import Sequence
from pathlib import Path

from compressor.errors import UsageError
from compressor.types import Recipe


def resolve_recipe(
    file: Path | None, epochs: int | None, settings: Sequence[str], default: Recipe | None = None
) -> Recipe:
    """Return the recipe that a command trains by.

    Raises:
        UsageError: the file or a setting is malformed.
    """
    from compressor.training import recipe_from_table, recipe_from_toml

    recipe = recipe_from_toml(file) if file else default or Recipe()
    changes: dict[str, object] = {} if epochs is None else {"epochs": epochs}
    for setting in settings:
        key, _, value = setting.partition("=")
        changes[key] = _value(value, setting)
    return recipe_from_table({**dataclasses.asdict(recipe), **changes}, where="--set")


def _value(text: str, setting: str) -> object:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        if text.isidentifier():
            return text
        raise UsageError(f"cannot read --set {setting}", "write key=value, for instance lr=0.05.") from None
