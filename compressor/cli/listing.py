"""Help texts that list what is registered: read when the help is shown, and nothing of it is imported.

An option says ``{dataset}`` where the names of data sets belong, ``{criterion|method}`` for two kinds.
"""

import re
from typing import Any, Final

from typer.core import TyperArgument, TyperCommand, TyperOption

from compressor.base.registry import listed

PACKAGES: Final = {
    "backend": "export.backends",
    "criterion": "compressor.criteria",
    "dataset": "compressor.data",
    "method": "compressor.methods",
    "mode": "bench.modes",
    "price": "compressor.rates.prices",
    "profiler": "bench.profile.runtimes",
    "result": "bench.report.kinds",
    "projection": "bench.projection.devices",
}
"""Kind of a registry -> the package whose files fill it; the registries themselves import torch."""


class Listing(TyperCommand):
    """A command whose help names what is registered."""

    def format_help(self, *args: Any, **kwargs: Any) -> None:
        """Fill in the names, and show the help."""
        for option in self.params:
            if isinstance(option, TyperArgument | TyperOption) and option.help:
                option.help = filled(option.help)
        super().format_help(*args, **kwargs)


def filled(text: str) -> str:
    """Return a help text with the registered names in it."""
    return re.sub(r"\{([a-z|]+)\}", lambda kinds: ", ".join(_names(kinds[1])), text)


def _names(kinds: str) -> list[str]:
    return sorted(name for kind in kinds.split("|") for name in listed(kind, PACKAGES[kind]).values())
