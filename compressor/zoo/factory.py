"""Models of the user's own: ``package.module:factory``, any callable that returns a module."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

from compressor.errors import UsageError
from compressor.types import InputSpec
from compressor.zoo.architecture import Architecture


def from_factory(name: str) -> Architecture:
    """Return an architecture around a user's factory; its input is 3x224x224 unless it says otherwise.

    The factory may carry an attribute ``input_shapes``: one (channels, height, width) per input.

    Raises:
        UsageError: the module or the factory does not exist.
    """
    path, _, attribute = name.partition(":")
    factory = _imported(path, attribute, name)
    shapes = getattr(factory, "input_shapes", ((3, 224, 224),))
    spec = InputSpec(shapes=tuple(tuple(int(n) for n in shape) for shape in shapes))
    return Architecture(name=name, constructor=factory, input=spec)


def _imported(path: str, attribute: str, name: str) -> Callable[..., nn.Module]:
    here = str(Path.cwd())
    sys.path.insert(0, here)  # a script's own folder, as `python -m` has it
    try:
        factory = getattr(importlib.import_module(path), attribute)
    except ImportError as error:
        raise UsageError(
            f"{name}: {error}", "run from the folder that holds the module, or install it."
        ) from error
    except AttributeError as error:
        raise UsageError(
            f"{name}: {error}", "the part after the colon is a callable of that module."
        ) from error
    finally:
        sys.path.remove(here)
    if not callable(factory):
        raise UsageError(f"{name} is not callable", "name a function or class that returns a model.")
    found: Callable[..., nn.Module] = factory
    return found
