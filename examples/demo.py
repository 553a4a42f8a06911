"""The whole way on real data, in about two minutes on two cores.

Train ResNet-20 on scikit-learn's handwritten digits, prune it to half of its MACs, fine-tune, save, export to
ONNX, compare with PyTorch, and measure both files with ONNX Runtime. Everything it writes is in one folder.
"""

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from bench.comparison import BenchReport
from bench.document import report_to_json
from bench.run import Candidate, bench
from bench.statistics import throughput_per_s
from bench.table import describe
from compressor.artifact import Manifest, load_artifact, save_artifact
from compressor.cost import measure
from compressor.criteria import CRITERIA
from compressor.data import DataSplits, open_data
from compressor.plan import PrunePlan
from compressor.prune import make_plan
from compressor.scores import Accuracy
from compressor.shrink import shrink
from compressor.tasks.recipe import Recipe
from compressor.training import evaluate, fine_tune
from compressor.types import Cost, RateSpec
from compressor.zoo import Architecture, find
from export.backends import SessionOptions
from export.deploy import deploy

BATCHES = (1, 8)
TRAIN = Recipe(epochs=15, batch_size=64, lr=0.05, warmup_epochs=1)
TUNE = Recipe(epochs=8, batch_size=64, lr=0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One of the two networks, as far as it has come."""

    name: str
    cost: Cost
    accuracy: Accuracy
    candidate: Candidate
    megabytes: float


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/demo"))
    folder: Path = parser.parse_args().output
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    arch = find("resnet20_cifar")
    data = open_data("digits", arch.input)
    dense = _trained(arch.build(), data, folder)
    planned = make_plan(dense, arch, RateSpec(target="macs", fraction=0.5, round_to=8), CRITERIA.get("l1")())
    _say(
        f"pruned to at most half of the MACs; oracle difference {planned.oracle.max_relative_difference:.0e}"
    )
    small = shrink(dense, planned.plan)
    fine_tune(small, data, TUNE, run_dir=folder / "pruned.run")
    made = [
        _finished(dense, arch, PrunePlan(arch=arch.name, steps=()), data, folder / "dense"),
        _finished(small, arch, planned.plan, data, folder / "pruned"),
    ]
    _say("measuring with ONNX Runtime")
    report = bench(
        [m.candidate for m in made], backend="onnxruntime", options=SessionOptions(threads=2), batches=BATCHES
    )
    (folder / "bench.json").write_text(json.dumps(report_to_json(report), indent=1))
    Console(width=110).print(_table(made, report))
    print(f"accuracy: {len(data.test)} test images that chose nothing; speed-up: 95 % interval in brackets")
    print("written:", *sorted(str(p) for p in folder.iterdir()), sep="\n  ")


def _trained(model: nn.Module, data: DataSplits, folder: Path) -> nn.Module:
    _say(f"training on {len(data.train)} digits, {TRAIN.epochs} epochs")
    fine_tune(model, data, TRAIN, run_dir=folder / "dense.run")
    return model


def _finished(model: nn.Module, arch: Architecture, plan: PrunePlan, data: DataSplits, folder: Path) -> Made:
    """Score, save, reload and export a network; the reloaded one is what counts from here."""
    cost = measure(model, arch.example())
    accuracy = evaluate(model, data.test)
    manifest = Manifest(
        arch=arch.name, arch_kwargs=dict(arch.kwargs), input=arch.input, plan=plan,
        method="l1, half of the MACs" if plan.steps else "dense",
        cost_before=measure(arch.build(), arch.example()), cost_after=cost,
        weights_from="trained from random initialisation", data=data.spec,
        metrics={"test": accuracy}, recipe=TUNE if plan.steps else TRAIN,
    )  # fmt: skip
    save_artifact(model, manifest, folder)
    reloaded, manifest = load_artifact(folder)
    deployed = deploy(reloaded, manifest, folder.with_suffix(".onnx"))
    file, parity = deployed.file, deployed.parity
    _say(f"{file.path}: differs from PyTorch by at most {parity.max_relative_difference:.0e}")
    candidate = Candidate(name=folder.name, path=file.path, inputs=arch.input, digest=file.sha256)
    return Made(
        name=folder.name, cost=cost, accuracy=accuracy, candidate=candidate, megabytes=file.bytes / 1e6
    )


def _table(made: list[Made], report: BenchReport) -> Table:
    table = Table("", *(m.name for m in made), title="ResNet-20 on handwritten digits", title_justify="left")
    table.add_row("top-1 %", *(f"{m.accuracy.top1:.2f}" for m in made))
    table.add_row("parameters", *(f"{m.cost.params:,}" for m in made))
    table.add_row("MACs", *(f"{m.cost.macs:,}" for m in made))
    table.add_row("ONNX file, MB", *(f"{m.megabytes:.2f}" for m in made))
    for batch in BATCHES:
        results = [r for r in report.results if r.settings.batch == batch]
        fps = (f"{throughput_per_s(r.samples_ms, batch):,.0f}" for r in results)
        table.add_row(f"images/s, batch {batch}", *fps)
        comparison = next(c for c in report.comparisons if c.batch == batch)
        table.add_row("  speed-up", "1", describe(comparison))
    return table


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
