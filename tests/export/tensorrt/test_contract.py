"""Does TensorRT have what we use, in every version that we support?

Three steps, none of which needs a GPU or NVIDIA's libraries:

* the type checker (``make lint``) refuses names, methods and keywords that ``export/tensorrt/api.pyi`` lacks;
* here, that list is compared with the real bindings of 10.13, 10.16 and 11.4, loaded over empty libraries;
* and so is the fake that the other tests run against.

The wheels are small (1.3 MB) and proprietary: fetched from PyPI into the user's cache, never committed.
"""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import export.tensorrt

VERSIONS = ("10.13.3.9", "10.16.1.11", "11.4.0.106")
PACKAGE = Path(export.tensorrt.__file__).parent
STUB = PACKAGE / "api.pyi"
BACKENDS = PACKAGE.parent / "backends"
SOURCES = sorted({*PACKAGE.glob("*.py"), *BACKENDS.glob("*tensorrt.py")} - {PACKAGE / "api.py"})

# Names of the stub that the bindings have in another form.
ELSEWHERE = {
    "Dims.__iter__": "iterates through __len__ and __getitem__",
    "IHostMemory.__buffer__": "the buffer protocol is a slot of the type, and a name only from Python 3.12",
}
# Names that only some versions have. Each would need a guard in the source and a reason here; there is none.
OPTIONAL: frozenset[str] = frozenset()

SYMBOLS = [
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "getBuilderPluginRegistry",
    "getPluginRegistry",
    "initLibNvInferPlugins",
    "getNvOnnxParserVersion",
]


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stub_members(text: str) -> dict[str, ast.stmt]:
    """Return every dotted name that a stub declares, with its declaration."""
    found: dict[str, ast.stmt] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found[prefix + node.name] = node
            elif isinstance(node, ast.AnnAssign):
                found[prefix + ast.unparse(node.target)] = node
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")

    visit(ast.parse(text).body, "")
    return found


def breaches(stub: str, bindings: dict[str, dict]) -> list[str]:
    """Return what a stub promises and the bindings do not have."""
    found = []
    for path, node in stub_members(stub).items():
        if path in ELSEWHERE or path in OPTIONAL:
            continue
        if path not in bindings:
            found.append(f"{path} does not exist")
            continue
        wrong = kind_error(node, bindings[path]) or call_error(path, node, bindings[path]["text"])
        if wrong:
            found.append(f"{path} {wrong}")
    return found


def kind_error(node: ast.stmt, real: dict) -> str | None:
    if isinstance(node, ast.ClassDef):
        return None if real["kind"] == "class" else "is no class"
    if isinstance(node, ast.AnnAssign):
        return None if real.get("settable") else "cannot be set"
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        return None if real["kind"] in ("property", "value") else "is no property"
    return None if real["kind"] == "callable" else "cannot be called"


def call_error(path: str, node: ast.stmt, text: str) -> str | None:
    name = path.rpartition(".")[2]
    special = name.startswith("__") and name != "__init__"
    if not isinstance(node, ast.FunctionDef) or node.decorator_list or special:
        return None
    wanted = [argument.arg for argument in node.args.args if argument.arg != "self"]
    signatures = [parsed(line, name) for line in text.splitlines() if re.match(rf"(\d+\. )?{name}\(", line)]
    fitting = [returns for names, defaults, returns in signatures if fits(wanted, names, defaults)]
    if not fitting:
        return f"is not called with {wanted}: {text.splitlines()[:3]}"
    promised = normal(ast.unparse(node.returns)) if node.returns else ""
    if not any(returns in (None, promised) for returns in fitting):
        return f"returns {fitting}, not {promised}"
    return None


def fits(wanted: list[str], names: list[str], defaults: set[str]) -> bool:
    return names[: len(wanted)] == wanted and set(names[len(wanted) :]) <= defaults


def parsed(line: str, name: str) -> tuple[list[str], set[str], str | None]:
    """Return parameters, those with a default, and the return type of a signature as pybind11 writes it."""
    match = re.match(rf"(?:\d+\. )?{name}\((.*)\)(?: -> (.*))?$", line.strip())
    assert match is not None, line
    parts = [part.strip() for part in re.split(r",\s*(?![^\[<]*[\]>])", match[1]) if part.strip()]
    names = {re.split(r"[:=]", part)[0].strip(): "=" in part for part in parts if part != "/"}
    names.pop("self", None)
    defaults = {name for name, has_default in names.items() if has_default}
    return list(names), defaults, normal(match[2]) if match[2] else None


def normal(annotation: str) -> str:
    """Return a type without modules, without None, in the spelling of today."""
    bare = re.sub(r"[\w:]+(?:\.|::)(?=\w)", "", annotation.replace(" | None", "")).replace("List[", "list[")
    return {"IParserError": "ParserError"}.get(bare, bare)  # a C++ name that pybind11 left in


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with TensorRT's libraries, all functions of which return 0."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler for the empty libraries that the bindings load")
    folder = tmp_path_factory.mktemp("libraries")
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in SYMBOLS))
    for library in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        for major in {version.split(".")[0] for version in VERSIONS}:
            name = f"lib{library}.so.{major}"
            flags = ["-shared", "-fPIC", f"-Wl,-soname,{name}"]
            subprocess.run([compiler, *flags, source, "-o", folder / name], check=True)
    return folder


def unpacked_wheel(version: str) -> Path:
    """Return a folder with the bindings, from the user's cache or from PyPI."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "compress-tests"
    folder = base / f"tensorrt_cu13_bindings-{version}-py{sys.version_info.major}{sys.version_info.minor}"
    if folder.is_dir():
        return folder
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    try:
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=base) as draft:
            what = f"tensorrt-cu13-bindings=={version}"
            subprocess.run([*command, "-d", draft, what], check=True, capture_output=True, timeout=120)
            (wheel,) = Path(draft).glob("*.whl")
            zipfile.ZipFile(wheel).extractall(Path(draft) / "content")
            (Path(draft) / "content").rename(folder)
    except (OSError, subprocess.SubprocessError) as error:
        if not folder.is_dir():  # else another worker was faster
            pytest.skip(f"needs the bindings of TensorRT {version} from PyPI: {error}")
    return folder


@pytest.fixture(scope="module", params=VERSIONS)
def bindings(request: pytest.FixtureRequest, libraries: Path) -> dict[str, dict]:
    wheel = unpacked_wheel(request.param)
    script = Path(__file__).with_name("describe.py")
    done = subprocess.run(
        [sys.executable, "-S", script, "tensorrt_bindings"],
        env={"PYTHONPATH": str(wheel), "LD_LIBRARY_PATH": str(libraries)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def fake_described() -> dict[str, dict]:
    return loaded("describe").described(loaded("fake_tensorrt"))


def test_every_version_has_what_the_stub_lists(bindings: dict[str, dict]) -> None:
    assert breaches(STUB.read_text(), bindings) == []


def test_every_version_has_what_the_fake_has(bindings: dict[str, dict]) -> None:
    fake = loaded("fake_tensorrt")
    own = {
        name: value
        for name, value in vars(fake).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "") == "fake_tensorrt"
        and name != "Script"
    }
    members = {
        f"{name}.{member}"
        for name, value in own.items()
        if isinstance(value, type)
        for member in getattr(value, "__members__", vars(value))
        if not member.startswith("_")
    }
    assert "Builder.create_network" in members
    assert "BuilderFlag.TF32" in members
    assert sorted(({*own} | members) - {*bindings} - {"script"}) == []


def test_the_fake_keeps_the_contract(fake_described: dict[str, dict]) -> None:
    kept = {path: {**real, "settable": True} for path, real in fake_described.items()}
    assert breaches(STUB.read_text(), kept) == []


def test_names_of_one_version_only_are_caught(bindings: dict[str, dict]) -> None:
    """The precision flags exist in 10 and are gone in 11: the reason for all this."""
    flag = "class BuilderFlag:\n    FP16: ClassVar[BuilderFlag]\n"
    gone = "BuilderFlag.FP16 does not exist"
    assert (gone in breaches(flag, bindings)) is bindings["__version__"]["text"].startswith("11.")
    assert breaches(
        "class Builder:\n    def create_network(self, flag: int) -> INetworkDefinition: ...", bindings
    )
    assert breaches(
        "class Builder:\n    def create_network(self, flags: int) -> IBuilderConfig: ...", bindings
    )
    assert breaches("class Builder:\n    @property\n    def create_network(self) -> int: ...", bindings)
    assert breaches("class OnnxParser:\n    num_errors: int", bindings)
    assert not breaches("class Builder:\n    def create_network(self) -> INetworkDefinition: ...", bindings)


def chains(source: str) -> set[str]:
    """Return the dotted names that a source uses on the module ``trt``, without the prefix."""
    tree = ast.parse(source)
    found = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {text.removeprefix("trt.") for text in found if re.fullmatch(r"trt(\.\w+)+", text)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_sources_use_what_the_stub_lists(path: Path) -> None:
    assert chains(path.read_text()) - {*stub_members(STUB.read_text())} - OPTIONAL == set()


def test_a_flag_that_is_gone_would_be_found_in_a_source() -> None:
    assert chains("if fp16:\n    config.set_flag(trt.BuilderFlag.FP16)") == {
        "BuilderFlag",
        "BuilderFlag.FP16",
    }
    assert "BuilderFlag.FP16" not in stub_members(STUB.read_text())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_hides_from_the_type_checker(path: Path) -> None:
    text = path.read_text()
    assert not re.search(
        r"\b(getattr|setattr|hasattr|cast)\(|type: ignore|import tensorrt\b|from tensorrt\b", text
    )
    used = chains(text)
    assert ("from export.tensorrt import api as trt" in text) is bool(used)


def test_nothing_is_listed_that_no_source_uses() -> None:
    nodes = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text()))]
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}  # what TensorRT calls
    listed = {path.rpartition(".")[2] for path in stub_members(STUB.read_text()) if "." in path}
    special = {name for name in listed if name.startswith("__")}
    assert listed - special - used == set()


def test_the_type_checker_refuses_methods_and_keywords_that_are_not_listed(tmp_path: Path) -> None:
    shutil.copy(STUB, tmp_path / "trt.pyi")
    (tmp_path / "snippet.py").write_text(
        "import trt\n"
        "def configure(builder: trt.Builder) -> None:\n"
        "    config = builder.create_builder_config()\n"
        "    assert config is not None\n"
        "    config.clear_flag(trt.BuilderFlag.TF32)\n"
        "    config.set_flag(trt.BuilderFlag.FP16)\n"
        "    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size=1)\n"
        "    config.int8_calibrator = None\n"
        "    builder.platform_has_fast_fp16\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--follow-imports=skip",
            "--cache-dir",
            tmp_path,
            "snippet.py",
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    lines = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert lines == {6, 7, 8, 9}, done.stdout + done.stderr
