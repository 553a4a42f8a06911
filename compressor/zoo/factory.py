"""Models of the user's own: ``package.module:factory``, any callable that returns a module.

A factory is code. It is imported where the user names it, on the command line or in a call, and never
because a file says so: see `compressor.base.trust`.
"""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from torch import nn

from compressor.base.errors import UsageError
from compressor.base.packages import RENAME, own_package, shadowed
from compressor.base.text import foreign
from compressor.zoo.architecture import Architecture
from compressor.zoo.inputs import InputSpec


def from_factory(name: str) -> Architecture:
    """Return an architecture around a user's factory; its input is 3x224x224 unless it says otherwise.

    The factory may carry an attribute ``input_shapes``: one (channels, height, width) per input.

    Raises:
        UsageError: the module or the factory does not exist, cannot be imported, or has a name of ours.
    """
    path, _, attribute = name.partition(":")
    if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", name):
        raise UsageError(f"{foreign(name)} names no factory", "write package.module:factory.")
    factory = _imported(path, attribute, name)
    shapes = getattr(factory, "input_shapes", ((3, 224, 224),))
    spec = InputSpec(shapes=tuple(tuple(int(n) for n in shape) for shape in shapes))
    return Architecture(name=name, constructor=factory, input=spec)


def _imported(path: str, attribute: str, name: str) -> Callable[..., nn.Module]:
    package = own_package(path)
    if package:
        raise UsageError(f"{foreign(name)} lies in a package of compress itself", RENAME.format(name=package))
    try:
        factory = getattr(_module(path, name), attribute)
    except AttributeError as error:
        raise UsageError(
            f"{foreign(name)}: {foreign(error)}", "the part after the colon is a callable of that module."
        ) from error
    if not callable(factory):
        raise UsageError(f"{foreign(name)} is not callable", "name a function or class that returns a model.")
    found: Callable[..., nn.Module] = factory
    return found


def _module(path: str, name: str) -> ModuleType:
    here = str(Path.cwd())
    sys.path.insert(0, here)  # a script's own folder, as `python -m` has it
    try:
        return importlib.import_module(path)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{foreign(name)}: {foreign(error)}", _import_hint(error)) from error
    finally:
        sys.path.remove(here)


def _import_hint(error: ImportError | AttributeError) -> str:
    package = shadowed(error)
    if package:
        return RENAME.format(name=package)
    if isinstance(error, ImportError):
        return "run from the folder that holds the module, or install it."
    return "the module itself fails when it is imported: correct it."
