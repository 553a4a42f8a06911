"""Pipeline files: what is understood, what is refused and how, and the way back to TOML."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from compressor.base.errors import UsageError
from compressor.chain.files import (
    pipeline_from_tables,
    pipeline_to_toml,
    read_tables,
    with_changes,
)
from compressor.rates import Budget, Published, Share, Target

FULL = """
[model]
arch = "resnet50"
weights = "r50.pth"
classes = 7
input = [3, 64, 64]

[prune]
method = "coring"
options = { metric = "cosine", rank = 2, compat = false }
macs = 0.5
scope = "global"
round_to = 8
keep = ["layer1*", "fc"]
rate_of = { "layer2*" = 0.25 }
max_rate = 0.8
shots = 4
calibration_epochs = 10
undo = true

[between]
epochs = 2

[data]
spec = "imagefolder:images"

[training]
epochs = 3
milestones = [1, 2]
schedule = "step"
lr = 1e-3

[export]
onnx = false

[expect]
params = 12_345
"""
SMALL: dict[str, Any] = {"model": {"arch": "resnet20_cifar"}, "prune": {"rate": 0.5}}


def test_what_is_written_reads_back_the_same() -> None:
    pipeline = pipeline_from_tables(tomllib.loads(FULL), where="full")
    assert pipeline.prune.options == {"metric": "cosine", "rank": 2, "compat": False}
    assert pipeline.model.input == (3, 64, 64)
    assert pipeline.prune.keep == ("layer1*", "fc")
    assert pipeline.training.milestones == (1, 2)
    text = pipeline_to_toml(pipeline)
    assert pipeline_from_tables(tomllib.loads(text), where="again") == pipeline


def test_two_tables_are_enough() -> None:
    pipeline = pipeline_from_tables(SMALL, where="small")
    assert pipeline.data is None
    assert pipeline.export.onnx
    assert pipeline_from_tables(tomllib.loads(pipeline_to_toml(pipeline)), where="again") == pipeline


def test_the_request_is_the_one_that_the_options_of_prune_would_make() -> None:
    spec = pipeline_from_tables(tomllib.loads(FULL), where="full").prune.request()
    assert (spec.target, spec.scope, spec.round_to) == (Budget("macs", fraction=0.5), "global", 8)
    assert spec.protect == ("layer1*", "fc")
    assert spec.own_rates == (("layer2*", 0.25),)
    assert spec.max_rate == 0.8
    string = {**SMALL, "prune": {"rates": "[0.]", "layout": "coring"}}
    spec = pipeline_from_tables(string, where="string").prune.request()
    assert spec.target == Published("[0.]", layout="coring")


@pytest.mark.parametrize(
    ("prune", "target"),
    [
        ({"rate": 0.25}, Share(0.25)),
        ({"macs": 1}, Budget("macs", fraction=1.0)),
        ({"macs": 2.05e9}, Budget("macs", absolute=2.05e9)),
        ({"params": 12_000_000}, Budget("params", absolute=1.2e7)),
        ({"budget": {"macs": 0.5}}, Budget("macs", fraction=0.5)),
    ],
)
def test_every_target_can_be_written(prune: dict[str, Any], target: Target) -> None:
    pipeline = pipeline_from_tables({**SMALL, "prune": prune}, where="target")
    assert pipeline.prune.request().target == target
    assert pipeline_from_tables(tomllib.loads(pipeline_to_toml(pipeline)), where="again") == pipeline


def test_changes_reach_any_table_and_leave_the_original_alone() -> None:
    changes = {"lr": 0.5, "prune.options.metric": "cosine", "data.spec": "digits"}
    changed = with_changes(SMALL, changes)
    assert changed["training"] == {"lr": 0.5}
    assert changed["prune"] == {"rate": 0.5, "options": {"metric": "cosine"}}
    assert changed["data"] == {"spec": "digits"}
    assert SMALL == {"model": {"arch": "resnet20_cifar"}, "prune": {"rate": 0.5}}
    with pytest.raises(UsageError, match=r"model\.arch\.x: arch is no table"):
        with_changes(SMALL, {"model.arch.x": 1})


WRONG = {
    "unknown table": ({"prun": {}}, "unknown table 'prun'", "did you mean prune"),
    "unknown key": ({"prune": {"metod": "l1", "rate": 0.5}}, r"\[prune\]: unknown key 'metod'", "method"),
    "unknown training key": ({"training": {"epoch": 1}}, r"\[training\].*'epoch'", "did you mean epochs"),
    "table that is none": ({"prune": 0.5}, "prune is 0.5", r"\[prune\]"),
    "missing key": ({"model": {"classes": 3}}, r"\[model\]: arch is missing", "required"),
    "text for a number": ({"prune": {"rate": "half"}}, r"\[prune\]: rate is 'half'", "valid number"),
    "number for a text": ({"model": {"arch": 50}}, r"\[model\]: arch is 50", "valid string"),
    "text for a truth value": ({"export": {"onnx": "yes"}}, r"\[export\]: onnx is 'yes'", "boolean"),
    "fraction of a parameter": ({"expect": {"params": 0.5}}, r"\[expect\]: params is 0.5", "integer"),
    "unknown scope": (
        {"prune": {"rate": 0.5, "scope": "all"}},
        "scope is 'all'",
        "'global', 'uniform' or 'worth'",
    ),
    "list for a text": ({"data": {"spec": [1]}}, "spec is", "valid string"),
    "empty input": (
        {"model": {"arch": "resnet50", "input": [3, 0, 64]}},
        r"input is \[3, 0, 64\]",
        "channels",
    ),
    "nothing to remove": ({"prune": {}}, "nothing given", "rates, rate, latency, macs, params"),
    "two amounts": ({"prune": {"rate": 0.5, "macs": 0.5}}, "rate and macs given", "one of"),
    "two prices": ({"prune": {"params": 0.5, "budget": {"macs": 0.5}}}, "params and macs given", "one of"),
    "no share": ({"prune": {"macs": -0.5}}, r"macs -0.5 is not in \(0, 1\]", "share"),
    "layout alone": ({"prune": {"rate": 0.5, "layout": "coring"}}, "layout reads rates", "give rates"),
    "no shots": ({"prune": {"rate": 0.5, "shots": 0}}, "shots is 0", "from 1"),
    "shots without epochs": ({"prune": {"rate": 0.5, "shots": 3}}, "shots is 3", "go together"),
    "epochs without shots": (
        {"prune": {"rate": 0.5, "calibration_epochs": 3}},
        "calibration_epochs is 3",
        "go together",
    ),
    "training out of range": ({"training": {"lr": -1.0}}, r"\[training\].*lr is -1", "positive"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_named_with_its_place_and_a_way_out(case: str) -> None:
    tables, message, hint = WRONG[case]
    with pytest.raises(UsageError, match=message) as caught:
        pipeline_from_tables({**SMALL, **tables}, where="my.toml")
    assert caught.value.message.startswith("my.toml: ")
    assert re.search(hint, caught.value.hint), caught.value.hint


@pytest.mark.parametrize("missing", ["model", "prune"])
def test_model_and_prune_are_needed(missing: str) -> None:
    tables = {name: table for name, table in SMALL.items() if name != missing}
    with pytest.raises(UsageError, match=rf"there is no \[{missing}\]"):
        pipeline_from_tables(tables, where="my.toml")


def test_files_that_are_no_toml_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[model\n")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for name in ("broken.toml", "binary.toml", "absent.toml"):
        with pytest.raises(UsageError, match=f"cannot read recipe .*{name}"):
            read_tables(tmp_path / name)
