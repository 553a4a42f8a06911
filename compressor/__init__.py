"""Prune a trained CNN, shrink it physically, fine-tune it, and save it without pickles.

From Python: ``compressor.load``, ``prune``, ``repair``, ``fine_tune``, ``evaluate``, ``deploy`` and
``bench``, which are imported with all they need when they are first asked for.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

__all__ = ["Model", "bench", "deploy", "evaluate", "fine_tune", "load", "prune", "repair"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("compressor.api"), name)
