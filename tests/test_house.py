"""The rules of the house, enforced: layers, sizes, a light ``--help``, nothing swallowed."""

import ast
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from setuptools import find_namespace_packages

ROOT = Path(__file__).parent.parent
PACKAGES = ("compressor", "detection", "export", "bench")
SOURCES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))

# From the ground up: a module may import modules of its own line or of lines above it.
LAYERS = [
    ["compressor", "compressor.base"],
    ["compressor.channels"],
    ["compressor.steps"],
    ["compressor.rates"],
    ["compressor.zoo"],
    ["compressor.criteria"],
    ["compressor.data"],
    ["compressor.tasks"],
    ["compressor.training"],
    ["compressor.artifact"],
    ["compressor.repairing"],
    ["compressor.methods"],
    ["compressor.inspection"],
    ["detection"],
    ["export"],
    ["bench"],
    ["compressor.chain"],
    ["compressor.api"],
    ["compressor.cli"],
    ["compressor.__main__"],
    ["bench.studies.common"],
    ["bench.studies"],
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
    """Return the modules of ours that a file imports, wherever in it and for whatever purpose."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if name in FILES else node.module for name in names]
    return [name for name in found if name in FILES]


FILES = {module_name(path): path for path in SOURCES}


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {name: set(imports(path)) - {name} for name, path in FILES.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises an error that names the circle
    assert sorted(order) == sorted(FILES)


def test_a_room_is_a_folder() -> None:
    """A loose file at the top of the package is a sign that a room is missing."""
    loose = {path.name for path in (ROOT / "compressor").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_go_one_way(path: Path) -> None:
    own = module_name(path)
    upwards = [name for name in imports(path) if layer(name) > layer(own)]
    assert upwards == []


def studies(modules: list[str]) -> set[str]:
    """Return the studies, and ``common``, that modules are of; for what lies beside them, its own name."""
    parts = [module.split(".") for module in modules]
    return {".".join(p[2:3]) or "bench.studies" for p in parts if p[:2] == ["bench", "studies"]}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_studies_stand_alone(path: Path) -> None:
    own = studies([module_name(path)])
    assert studies(imports(path)) <= (own | {"common"} if own else set())


def test_tests_and_examples_use_a_study_only_where_it_is_tested() -> None:
    outside = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]
    users = {path for path in outside if studies(imports(path)) - {"common"}}
    assert users
    assert all(path.is_relative_to(ROOT / "tests" / "bench" / "studies") for path in users)


def test_studies_are_not_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    installed = set(find_namespace_packages(str(ROOT), **settings))
    ours = {module_name(path) for path in SOURCES if path.name == "__init__.py"}
    assert installed & ours == {name for name in ours if not name.startswith("bench.studies")}
    assert not [name for name in installed if name.startswith("bench.studies")]


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
