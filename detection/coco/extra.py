"""Libraries of the optional extra ``coco``."""

import importlib
from types import ModuleType

from compressor.base.errors import BackendMissingError


def require(module: str) -> ModuleType:
    """Import a module of the extra.

    Raises:
        BackendMissingError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(module.partition(".")[0], str(error)) from error


def missing(package: str, why: str) -> BackendMissingError:
    """Return the error for a package of the extra that cannot be used."""
    return BackendMissingError(
        f"COCO masks and average precision need {package}: {why}", "pip install 'compress-cnn[coco]'"
    )
