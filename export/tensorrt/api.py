"""TensorRT itself, imported when the first of its names is used.

``from export.tensorrt import api as trt`` costs nothing and works where TensorRT is missing. Type checkers
see ``api.pyi`` instead of this file: it lists the names that every supported version has, so that using
another one is an error of types, here and now, and not an AttributeError on somebody's server.
"""

import importlib


def __getattr__(name: str) -> object:
    if name.startswith("__") and name != "__version__":
        raise AttributeError(name)
    return getattr(importlib.import_module("tensorrt"), name)
