"""Print what a module of bindings offers, as JSON: names, kinds, and signatures as pybind11 writes them.

Run with ``python -S describe.py tensorrt_bindings`` in a process of its own: nothing but the standard library
is needed, and a crash of the bindings stays there.
"""

import importlib
import inspect
import json
import sys
from types import ModuleType


def described(module: ModuleType) -> dict[str, dict]:
    """Return dotted name -> {"kind": class, callable, property or value, "text": docstring or signature}."""
    found: dict[str, dict] = {}
    for name, value in vars(module).items():
        if inspect.isclass(value):
            _describe_class(name, value, found)
        else:
            found[name] = _described_member(name, value)
    return found


def _describe_class(path: str, kind: type, found: dict[str, dict]) -> None:
    found[path] = {"kind": "class", "text": ""}
    for name in dir(kind):
        value = inspect.getattr_static(kind, name)
        nested = getattr(kind, name, None)
        if inspect.isclass(nested) and not name.startswith("_"):
            if f"{path}.{name}" not in found and nested is not kind:
                _describe_class(f"{path}.{name}", nested, found)
        else:
            found[f"{path}.{name}"] = _described_member(name, value)


def _described_member(name: str, value: object) -> dict:
    if isinstance(value, property):
        return {"kind": "property", "settable": value.fset is not None, "text": ""}
    if not callable(value):
        return {"kind": "value", "settable": True, "text": str(value)}
    return {"kind": "callable", "text": _signature(name, value)}


def _signature(name: str, value: object) -> str:
    text = getattr(value, "__doc__", None) or ""
    if f"{name}(" in text:
        return text
    try:
        return f"{name}{inspect.signature(value)}"
    except (TypeError, ValueError):
        return ""


if __name__ == "__main__":
    print(json.dumps(described(importlib.import_module(sys.argv[1]))))
