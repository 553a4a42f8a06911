"""The rules of the house, enforced: layers, sizes, a light ``--help``, nothing swallowed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("compressor", "detection", "export", "bench")
SOURCES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))

# From the ground up: a module may import modules of its own line or of lines above it.
LAYERS = [
    ["compressor", "compressor.errors", "compressor.registry", "compressor.modes", "compressor.modules"],
    ["compressor.types", "compressor.scores", "compressor.base.documents"],
    ["compressor.data"],
    ["compressor.tasks"],
    ["compressor.channels", "compressor.similarity"],
    ["compressor.cost", "compressor.steps"],
    ["compressor.plan"],
    ["compressor.criteria", "compressor.methods", "compressor.rates", "compressor.shrink"],
    ["compressor.zoo"],
    [
        "compressor.prune",
        "compressor.weights",
        "compressor.card",
        "compressor.vetting",
        "compressor.artifact",
    ],
    ["compressor.align"],
    ["compressor.sensitivity", "compressor.plot"],
    ["compressor.training"],
    ["detection"],
    ["export"],
    ["bench"],
    ["compressor.pipeline"],
    ["compressor.cli", "compressor.__main__"],
]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> int:
    found = [
        (len(name), level)
        for level, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    assert found, f"{module} has no layer"
    return max(found)[1]


def imports(path: Path) -> list[str]:
    """Return the modules of ours that a file imports at run time."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [
                n if (ROOT / n.replace(".", "/")).with_suffix(".py").exists() else node.module for n in names
            ]
    return [name for name in found if name.split(".")[0] in PACKAGES]


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_go_one_way(path: Path) -> None:
    own = module_name(path)
    upwards = [name for name in imports(path) if layer(name) > layer(own)]
    assert upwards == []


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            assert node.end_lineno - first <= 40, f"{node.name} is too long"


@pytest.mark.parametrize("command", [["--help"], ["prune", "--help"], ["bench", "--help"], ["--version"]])
def test_help_imports_neither_torch_nor_a_runtime(command: list[str]) -> None:
    code = (
        "import sys\nfrom compressor.cli import app\n"
        f"try:\n    app({command!r})\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'torchvision', 'onnxruntime', 'onnx', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
