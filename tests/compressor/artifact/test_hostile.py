"""Artifacts that somebody made to do harm: digests are right, since anybody can recompute them.

Every one must be refused with three parts; nothing that it names is imported, run or written.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from compressor.artifact import Artifact
from compressor.base.documents import digest
from compressor.base.errors import CompressError
from compressor.methods import prune
from compressor.methods.ranked import Ranked
from compressor.rates import PruneRequest, Share
from compressor.steps.plan import plan_from_json
from compressor.zoo import Trust, find

Manifest = dict[str, Any]
Edit = Callable[[Manifest], object]
_MOST_BYTES = 200 * 2**20


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An honest artifact of a pruned ResNet-20."""
    torch.manual_seed(0)
    dense = Artifact.dense(find("resnet20_cifar"))
    small = prune(dense, PruneRequest(target=Share(0.5)), Ranked.by("l1", {}, 0), words="l1")
    folder = tmp_path_factory.mktemp("good") / "artifact"
    small.save(folder)
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy in a folder that also holds a module which tells when it is imported."""
    shutil.copytree(good, tmp_path / "artifact")
    canary = f"from pathlib import Path\nPath({str(tmp_path / 'imported')!r}).touch()\n"
    for name in ("canary.py", "evil.py"):
        (tmp_path / name).write_text(f"{canary}def build(**kwargs): return None\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "artifact"


def forge(folder: Path, edit: Edit) -> None:
    """Change the manifest and make its digest right again."""
    data = json.loads((folder / "manifest.json").read_text())
    data.pop("digest")
    edit(data)
    write(folder, data)


def write(folder: Path, data: Manifest) -> None:
    data = {**data, "digest": digest(data)}
    (folder / "manifest.json").write_text(json.dumps(data))


def arch(name: str, /, **kwargs: object) -> Edit:
    return lambda m: m.update(arch=name, arch_kwargs=kwargs)


def kwargs(**given: object) -> Edit:
    return lambda m: m["arch_kwargs"].update(given)


def inputs(**given: object) -> Edit:
    return lambda m: m["input"].update(given)


def step(**given: object) -> Edit:
    return lambda m: m["plan"]["steps"][0].update(given)


def cut(**given: object) -> Edit:
    return lambda m: m["plan"]["steps"][0]["changes"][0].update(given)


def first_change(m: Manifest) -> Any:
    return m["plan"]["steps"][0]["changes"][0]


def keeps(*positions: object) -> Edit:
    return lambda m: m["plan"]["steps"][0]["takes"].__setitem__(0, list(positions))


def side(**given: object) -> Edit:
    def edit(m: Manifest) -> None:
        found = next(c for c in m["plan"]["steps"][0]["changes"] if ":" in c["tensor"])
        found.update(given)

    return edit


HUGE = 2**63
FACTORIES: dict[str, Edit] = {
    "a shell command": arch("os:system", command="touch imported"),
    "a process": arch("subprocess:check_output", args=["touch", "imported"]),
    "a removal": arch("shutil:rmtree", path="artifact"),
    "a pickle": arch("torch:load", f="evil.pt", weights_only=False),
    "a module of this folder": arch("canary:build"),
    "one in a package": arch("os.path:join", a="x"),
    "an evaluation": arch("builtins:eval", source="__import__('os').system('touch imported')"),
    "an execution": arch("builtins:exec", source="open('imported', 'w')"),
    "an import": arch("importlib:import_module", name="canary"),
    "a write": arch("pathlib:Path.touch", self="imported"),
    "a module of ours": arch("compressor.artifact.store:write_artifact"),
    "a colon alone": arch(":"),
    "no module": arch(":system"),
    "no name": arch("os:"),
    "escape codes": arch("os\x1b[2J:system"),
}
ARGUMENTS: dict[str, Edit] = {
    "weights to download": arch("resnet18", weights="DEFAULT"),
    "weights of the backbone": arch("fcn_resnet50", weights_backbone="DEFAULT", num_classes=3),
    "progress": arch("resnet18", progress=True),
    "a norm layer by name": arch("resnet18", norm_layer="os:system"),
    "a detector's weights": arch("fasterrcnn_resnet50_fpn", weights="DEFAULT"),
    "boxes without end": arch("fasterrcnn_resnet50_fpn", rpn_post_nms_top_n_test=HUGE),
    "another depth": kwargs(depth=10**6 + 2),
    "no classes": kwargs(num_classes=0),
    "negative classes": kwargs(num_classes=-1),
    "a billion classes": kwargs(num_classes=10**9),
    "2**63 classes": kwargs(num_classes=HUGE),
    "true classes": kwargs(num_classes=True),
    "classes as text": kwargs(num_classes="10"),
    "an unknown architecture": arch("resnet20_cifar\nos"),
    "an argument with a path": kwargs(**{"../../x": 1}),
}
INPUTS: dict[str, Edit] = {
    "no shapes": inputs(shapes=[]),
    "an empty shape": inputs(shapes=[[]]),
    "a negative shape": inputs(shapes=[[3, -1, 32]]),
    "a zero shape": inputs(shapes=[[0, 32, 32]]),
    "a huge shape": inputs(shapes=[[3, 10**9, 10**9]]),
    "2**63 pixels": inputs(shapes=[[3, HUGE, 1]]),
    "a thousand inputs": inputs(shapes=[[3, 32, 32]] * 1000),
    "a deep shape": inputs(shapes=[[1] * 100]),
    "a deviation of zero": inputs(std=[0.0]),
    "no batch": inputs(max_batch=0),
}
PLANS: dict[str, Edit] = {
    "an unknown step": step(kind="os:system"),
    "an unknown tensor": cut(tensor="conv9.weight"),
    "a tensor with a path": cut(tensor="../../etc/passwd"),
    "no such axis": cut(axis=7),
    "a negative axis": cut(axis=-1),
    "another size": cut(size=17),
    "a huge size": cut(size=HUGE),
    "a list beyond the lists": cut(take=10**6),
    "a negative list": cut(take=-1),
    "no positions": keeps(),
    "positions twice": keeps(0, 0, 1),
    "positions beyond": keeps(0, 10**9),
    "a negative position": keeps(-1, 2),
    "a position of 2**63": keeps(0, HUGE),
    "positions in disorder": keeps(3, 1),
    "positions that are text": keeps("0", "1"),
    "the same axis twice": lambda m: m["plan"]["steps"][0]["changes"].append(
        m["plan"]["steps"][0]["changes"][0]
    ),
    "the same step twice": lambda m: m["plan"]["steps"].append(m["plan"]["steps"][0]),
    "an unknown side": side(tensor="layer2.0.shortcut:__class__"),
    "a side of a module that has none": side(tensor="conv1:in"),
    "a side of nothing": side(tensor="nothing:in"),
    "a step that is a list": lambda m: m["plan"].update(steps=[[]]),
    "steps that are a number": lambda m: m["plan"].update(steps=3),
    "an unknown field": step(more=1),
    "another version": lambda m: m["plan"].update(schema_version=2),
}
WHOLE: dict[str, Edit] = {
    "another version": lambda m: m.update(schema_version=0),
    "an unknown field": lambda m: m.update(run="os:system"),
    "negative parameters": lambda m: m["cost_after"].update(params="many"),
    "another digest": lambda m: m.update(sha256="0" * 64),
    "a digest that is a path": lambda m: m.update(sha256="../x\x1b[2J"),
    "a missing field": lambda m: m.pop("weights_from"),
    "a recipe without sense": lambda m: m.update(recipe={"epochs": -1}),
    "a list of metrics": lambda m: m.update(metrics=[1]),
}
EDITS = [
    pytest.param(edit, id=f"{kind}: {name}")
    for kind, edits in {
        "code": FACTORIES,
        "arguments": ARGUMENTS,
        "input": INPUTS,
        "plan": PLANS,
        "whole": WHOLE,
    }.items()
    for name, edit in edits.items()
]


def refused(folder: Path) -> CompressError:
    """Load an artifact; return how it was refused, memory and files watched."""
    before = set(folder.parent.rglob("*"))
    tracemalloc.start()
    try:
        with pytest.raises(CompressError) as caught:
            Artifact.load(folder)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < _MOST_BYTES
    assert caught.value.hint
    assert set(folder.parent.rglob("*")) == before
    assert not {"canary", "evil"} & set(sys.modules)
    return caught.value


@pytest.mark.parametrize("edit", EDITS)
def test_a_forged_manifest_is_refused(folder: Path, edit: Edit) -> None:
    forge(folder, edit)
    error = refused(folder)
    assert "\x1b" not in str(error)
    assert error.exit_code in (1, 2)


def test_there_are_enough_of_them() -> None:
    assert len(EDITS) >= 60


def _texts() -> dict[str, bytes]:
    return {
        "nested": b"[" * 10**6,
        "a long number": b'{"schema_version": ' + b"9" * 10**5 + b"}",
        "not a number": b'{"schema_version": NaN}',
        "a key twice": b'{"schema_version": 1, "schema_version": 1}',
        "no text": bytes(range(256)),
        "nothing": b"",
        "20 MB": b'"' + b"x" * 20 * 2**20 + b'"',
    }


@pytest.mark.parametrize("name", _texts())
def test_a_manifest_that_is_none_is_refused(folder: Path, name: str) -> None:
    (folder / "manifest.json").write_bytes(_texts()[name])
    refused(folder)


@pytest.mark.parametrize("file", ["manifest.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "link to nothing"])
def test_what_is_no_file_is_refused(folder: Path, file: str, kind: str) -> None:
    path = folder / file
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/nowhere/at/all")
    refused(folder)


def _weights(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    forge(folder, lambda m: m.update(sha256=hashlib.sha256(content).hexdigest()))


@pytest.mark.parametrize(
    "header",
    [
        {"conv1.weight": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4]}},
        {"conv1.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**62]}},
        {"conv1.weight": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}},
        {"conv1.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        {"conv1.weight\x1b[2J": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        {"__class__": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
    ],
)
def test_weights_that_do_not_fit_are_refused(folder: Path, header: dict[str, object]) -> None:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    _weights(folder, len(text).to_bytes(8, "little") + text + b"\0" * 8)
    assert "\x1b" not in str(refused(folder))


@pytest.mark.parametrize("size", [2**62, 2**30, 0])
def test_a_header_that_lies_about_its_size_is_refused(folder: Path, size: int) -> None:
    _weights(folder, size.to_bytes(8, "little") + b"{}")
    refused(folder)


def test_the_command_says_what_would_be_imported_and_imports_nothing(folder: Path) -> None:
    forge(folder, arch("canary:build"))
    words = [sys.executable, "-m", "compressor", "eval", "artifact", "--data", "digits"]
    done = subprocess.run(words, cwd=folder.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "it would import canary and call build" in done.stderr
    assert "--trust-code" in done.stderr
    assert not (folder.parent / "imported").exists()


def test_a_factory_that_is_named_is_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder.parent)
    forge(folder, arch("evil:build"))
    with pytest.raises(CompressError):
        Artifact.load(folder, trust=Trust.of(["other:build"]))
    assert not (folder.parent / "imported").exists()
    with pytest.raises(AttributeError):  # it returns None, which is no module
        Artifact.load(folder, trust=Trust.of(["evil:build"]))
    assert (folder.parent / "imported").exists()
    del sys.modules["evil"]


def test_a_manifest_of_other_costs_is_not_saved(good: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    honest = Artifact.load(good)
    manifest = honest.manifest
    for field in ("params", "macs"):
        wrong = replace(manifest.cost_after, **{field: getattr(manifest.cost_after, field) - 1})
        with pytest.raises(CompressError, match="the manifest says"):
            replace(honest, manifest=replace(manifest, cost_after=wrong)).save(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_plans_come_back_as_they_went(good: Path) -> None:
    plan = json.loads((good / "manifest.json").read_text())["plan"]
    assert plan_from_json(plan).digest() == Artifact.load(good).manifest.plan.digest()
