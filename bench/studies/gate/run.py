"""How often the gate is wrong: ``python -m bench.studies.gate.run``.

The same file is held against itself, and against a network with an extra layer that costs about a tenth of
its time, whose slowdown is measured separately. Every other gate runs beside a process that keeps one core
busy. The rule, its limits and its processes are those of ``compress gate``. After a kill the same command
goes on: gates that were made are kept in the folder of ``--work`` until all are there.
"""

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from bench.candidates import file_candidate
from bench.environment import environment
from bench.gate.judge import judge
from bench.gate.rounds import Pair, rounds_in_turn
from bench.gate.rule import Limits
from bench.measure import MeasureSettings
from bench.run import bench
from bench.studies.common.results import results_of
from compressor.base.documents import read_json, write_json
from compressor.zoo import find
from export.backends import BACKENDS, SessionOptions
from export.to_onnx import export_onnx

RESULTS: Final = results_of("gate")
KINDS: Final = ("same", "slower")
EXTRA: Final = 96
"""Channels of the extra layer, 3 x 3 to and fro at 32 x 32: about a tenth of the time."""

SPIN: Final = """
import math, os
parent, x = os.getppid(), 1.0
while os.getppid() == parent:
    for _ in range(10**6):
        x = math.sin(x) + 1
"""
"""Keeps one core busy until its parent ends it, or is gone."""


class Slowed(nn.Module):
    """A network behind a layer that costs time and does little."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.added = nn.Sequential(nn.Conv2d(3, EXTRA, 3, padding=1), nn.Conv2d(EXTRA, 3, 3, padding=1))
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Compute what the body makes of a slightly changed image."""
        logits: Tensor = self.body(x + 1e-3 * self.added(x))
        return logits


def main() -> None:
    """Make the gates that are missing, and write the results when all are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, default=100, help="of each kind")
    parser.add_argument("--work", type=Path, default=Path("runs/gate"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    paths, progress = _files(arguments.work), arguments.work / "progress.json"
    document = read_json(progress) if progress.exists() else _begun(paths, arguments.threads)
    for number, kind in itertools.product(range(arguments.gates), KINDS):
        if (kind, number) not in {(gate["kind"], gate["number"]) for gate in document["gates"]}:
            gate = _gate(kind, paths, busy=bool(number % 2), threads=arguments.threads)
            document["gates"].append({"kind": kind, "number": number, **gate})
            write_json(progress, document)
            print(document["gates"][-1], flush=True)
    write_json(RESULTS, document)
    progress.unlink()
    for kind in KINDS:
        print(kind, Counter(gate["verdict"] for gate in document["gates"] if gate["kind"] == kind))


def _begun(paths: dict[str, Path], threads: int) -> dict[str, Any]:
    slowdown = _slowdown(paths, threads)
    print("slower by", slowdown, flush=True)
    return {"slowdown": slowdown, "threads": threads, "environment": environment(), "gates": []}


def _files(folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"same": folder / "same.onnx", "slower": folder / "slower.onnx"}
    torch.manual_seed(0)
    arch = find("resnet56_cifar")
    body = arch.build()
    for kind, model in (("same", body), ("slower", Slowed(body).eval())):
        if not paths[kind].exists():
            export_onnx(model, arch.input, paths[kind], metadata={})
    return paths


def _slowdown(paths: dict[str, Path], threads: int) -> dict[str, float]:
    """Return how much slower the second file is, measured by ``bench``, with its interval."""
    inputs = find("resnet56_cifar").input.shapes
    backend = BACKENDS.get("onnxruntime")
    models = [file_candidate(path, backend, inputs) for path in paths.values()]
    options = SessionOptions(threads=threads)
    report = bench(
        models, backend="onnxruntime", options=options, batches=(1,), settings=MeasureSettings(budget_s=10)
    )
    found = report.comparisons[0].speedup
    return {"value": 1 / found.value - 1, "low": 1 / found.high - 1, "high": 1 / found.low - 1}


def _gate(kind: str, paths: dict[str, Path], *, busy: bool, threads: int) -> dict[str, Any]:
    inputs = find("resnet56_cifar").input
    pair = Pair(
        baseline=paths["same"], candidate=paths[kind], inputs=inputs, backend="onnxruntime", threads=threads
    )
    start, load = time.monotonic(), os.getloadavg()[0]
    with _busy() if busy else contextlib.nullcontext():
        judged = judge(partial(rounds_in_turn, pair), Limits(), on_open="fail")["p50"]
    decision = judged.decision
    return {
        "verdict": "undecided" if judged.weak else judged.verdict, "busy": busy,
        "change": round(decision.change, 5), "low": round(decision.low, 5), "high": round(decision.high, 5),
        "rounds": decision.rounds, "seconds": round(time.monotonic() - start, 1), "load": round(load, 2),
    }  # fmt: skip


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
