"""Training options: a recipe file, overridden by --epochs, --seed and --set."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from compressor.base.documents import parse_toml
from compressor.base.errors import UsageError
from compressor.tasks.recipe import Recipe


def resolve_recipe(
    file: Path | None, epochs: int | None, settings: Sequence[str], default: Recipe | None = None
) -> Recipe:
    """Return the recipe that a command trains by.

    Raises:
        UsageError: the file or a setting is malformed.
    """
    from compressor.tasks.recipe import recipe_from_table, recipe_from_toml

    recipe = recipe_from_toml(file) if file else default or Recipe()
    changes: dict[str, object] = {} if epochs is None else {"epochs": epochs}
    changes |= dict(parse_setting(setting, "--set") for setting in settings)
    return recipe_from_table({**dataclasses.asdict(recipe), **changes}, where="--set")


def parse_setting(setting: str, option: str) -> tuple[str, object]:
    """Return key and value of ``key=value``; values are written as in TOML, words need no quotes.

    Raises:
        UsageError: it is not of that form.
    """
    key, _, text = setting.partition("=")
    try:
        return key, parse_toml(f"x = {text}", option, "")["x"]
    except UsageError:
        if text.isidentifier():
            return key, text
        raise UsageError(
            f"cannot read {option} {setting}", "write key=value, for instance lr=0.05."
        ) from None
