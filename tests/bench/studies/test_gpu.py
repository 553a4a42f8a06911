"""The GPU study in its small form, on a machine that has nothing but PyTorch, torchvision and four wheels."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.measure import Measurement, MeasureSettings, measure
from bench.studies.gpu.calls import Timed
from bench.studies.gpu.cells import Cell, all_cells, tiny_cells
from bench.studies.gpu.files import missing
from bench.studies.gpu.page import text
from bench.studies.gpu.parity import judged
from bench.studies.gpu.record import MEASURED, Record
from bench.studies.gpu.run import OutOfTimeError, attempt, ending_at
from bench.studies.gpu.subjects import REQUESTS
from compressor.base.errors import UsageError

ROOT = Path(__file__).parents[3]

THERE = (
    "torch", "torchvision", "torchgen", "functorch", "triton", "nvidia", "cuda", "numpy", "pillow", "PIL",
    "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec", "filelock", "typing_extensions",
    "setuptools", "pydantic", "annotated_types", "typing_inspection",
)  # fmt: skip
"""How packages begin, or their metadata: PyTorch, torchvision, what these need, and the study's wheels."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of packages in which this project is not installed, and little else is."""
    folder = tmp_path_factory.mktemp("bare")
    for path in Path(torch.__file__).parents[1].iterdir():
        if path.name.lower().startswith(tuple(map(str.lower, THERE))):
            (folder / path.name).symlink_to(path)
    return folder


def study(bare: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", "-m", "bench.studies.gpu.run", "--device", "cpu", "--tiny", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(bare)}
    return subprocess.run(
        [*command, "--seconds", "0.02"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def results(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gpu") / "results.json"
    done = study(bare, "--output", str(path))
    assert done.returncode == 0, done.stderr
    return path


def test_it_runs_on_a_bare_machine(results: Path) -> None:
    document = json.loads(results.read_text())
    assert [*document["cells"]] == [cell.key for cell in tiny_cells()]
    assert [seen["moment"] for seen in document["clocks"]] == ["before", "after"]
    check_cells(document)
    assert results.with_suffix(".md").read_text() == text(document)


def check_cells(document: dict[str, Any]) -> None:
    for cell in document["cells"].values():
        dense, half = cell["forms"].values()
        assert cell["status"] == MEASURED
        assert 1.5 < dense["macs"] / half["macs"] < 2.5
        assert half["wall"]["speedup"]["low"] <= half["wall"]["speedup"]["value"]
        assert len(dense["wall"]["blocks_ms"]) == len(half["wall"]["blocks_ms"]) >= 5
        assert dense["gpu"] is None  # a CPU has no such clock
        parity = half["parity"]
        assert (parity is None) == (cell["work"] == "training")
        assert parity is None or parity["passed"]


def test_results_of_two_machines_are_not_mixed(results: Path) -> None:
    document = json.loads(results.read_text())
    machine, settings = document["machine"], document["settings"]
    Record.opened(results, machine, settings)
    with pytest.raises(UsageError, match="results of another machine"):
        Record.opened(results, {**machine, "device": "NVIDIA T4"}, settings)
    with pytest.raises(UsageError, match="results of another settings"):
        Record.opened(results, machine, {**settings, "seconds": 9.0})


def test_what_may_take_longer_than_what_is_left_is_left_out(tmp_path: Path) -> None:
    record = Record.opened(tmp_path / "r.json", {"device": "cpu", "torch": "2"}, {})
    cell = tiny_cells()[0]
    attempt(cell, torch.device("cpu"), record, 1.0, time.monotonic() + 5)
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["cells"][cell.key]["status"] == "left out"
    assert f"* {cell.key}: left out, it may take 25 s, and 5 s were left" in text(document)


def test_the_clock_ends_what_no_estimate_foresaw() -> None:
    with pytest.raises(OutOfTimeError), ending_at(time.monotonic() + 0.05):
        time.sleep(10)


def test_what_is_measured_is_not_measured_again(results: Path) -> None:
    document = json.loads(results.read_text())
    record = Record.opened(results, document["machine"], document["settings"])
    assert record.todo(tiny_cells()) == []
    del record.document["cells"][tiny_cells()[1].key]
    assert record.todo(tiny_cells()) == [tiny_cells()[1]]


def test_what_failed_is_tried_again_last(tmp_path: Path) -> None:
    record = Record.opened(tmp_path / "r.json", {}, {})
    first, second, third = tiny_cells()
    record.put(first, "failed", 1.0, reason="a driver")
    record.put(second, MEASURED, 7.0, forms={})
    assert record.todo(tiny_cells()) == [third, first]
    assert record.expected_s(first) == 7.0


class Event:
    """Takes as long, on the GPU's clock, as the number of calls so far."""

    count = 0

    def __init__(self, *, enable_timing: bool) -> None: ...

    def record(self) -> None: ...

    def elapsed_time(self, end: "Event") -> float:
        Event.count += 1
        return float(Event.count)


def test_the_gpus_times_are_of_the_calls_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    settings = MeasureSettings(budget_s=0.01, min_blocks=5, max_blocks=5, max_runs=3, gap_s=0)
    call = Timed(lambda: None, torch.device("cuda"))
    call()  # before it is warmed up
    found: Measurement = measure({"a": call}, settings)["a"]
    before = 1 + found.warmup_runs
    assert call.gpu_blocks_ms(found, settings) == tuple(
        tuple(float(before + 5 * block + 2 + run) for run in (1, 2, 3)) for block in range(5)
    )


def test_every_cell_has_a_model_and_is_named_once() -> None:
    cells = all_cells()
    assert len({cell.key for cell in cells}) == len(cells)
    assert {cell.model for cell in cells} <= set(REQUESTS)
    assert {cell.engine for cell in cells} == {"eager", "compiled", "graph", "onnxruntime", "tensorrt"}


def test_what_is_not_there_is_named() -> None:
    cpu = torch.device("cpu")
    assert missing(Cell(model="resnet50", engine="graph"), cpu) == "CUDA graphs need CUDA"
    assert missing(Cell(model="resnet50", engine="onnxruntime"), cpu) is None
    assert missing(Cell(model="resnet50", engine="tensorrt"), cpu)


def test_parity_has_the_limit_of_its_precision() -> None:
    one, other = torch.ones(4), torch.ones(4) * 1.001
    assert not judged([one], [other], Cell(model="m")).passed
    assert judged([one], [other], Cell(model="m", precision="fp16")).passed
    broken = judged([one], [one * float("nan")], Cell(model="m"))
    assert (broken.relative_difference, broken.passed) == (None, False)
