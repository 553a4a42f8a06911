"""The whole way on real data, in about two minutes on two cores.

Train ResNet-20 on scikit-learn's handwritten digits, prune it to half of its MACs, fine-tune, save, export to
ONNX, compare with PyTorch, and measure both files with ONNX Runtime. Everything it writes is in one folder.
"""

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import compressor
from bench.comparison import BenchReport
from bench.document import report_to_json
from bench.statistics import throughput_per_s
from compressor.base.documents import write_json
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Score

BATCHES = (1, 8)
TRAIN = Recipe(epochs=15, batch_size=64, lr=0.05, warmup_epochs=1)
TUNE = Recipe(epochs=8, batch_size=64, lr=0.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One of the two networks, as far as it has come."""

    model: compressor.Model
    score: Score
    file: Path


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/demo"))
    folder: Path = parser.parse_args().output
    shutil.rmtree(folder, ignore_errors=True)
    _say(f"training on digits, {TRAIN.epochs} epochs")
    dense = compressor.load("resnet20_cifar").fine_tune("digits", recipe=TRAIN, run_dir=folder / "dense.run")
    small = dense.prune(macs=0.5, round_to=8)
    proof = small.manifest.oracle
    assert proof is not None
    _say(f"pruned to at most half of the MACs; oracle difference {proof.max_relative_difference:.0e}")
    small = small.fine_tune("digits", recipe=TUNE, run_dir=folder / "pruned.run")
    made = {"dense": _finished(dense, folder / "dense"), "pruned": _finished(small, folder / "pruned")}
    _say("measuring with ONNX Runtime")
    report = compressor.bench({name: one.file for name, one in made.items()}, batches=BATCHES, threads=2)
    write_json(folder / "bench.json", report_to_json(report))
    Console(width=110).print(_table(made, report))
    images = made["dense"].score.images
    print(f"accuracy: {images} test images that chose nothing; speed-up: 95 % interval in brackets")
    print("written:", *sorted(str(p) for p in folder.iterdir()), sep="\n  ")


def _finished(model: compressor.Model, folder: Path) -> Made:
    """Score, save, reload and export a network; the reloaded one is what counts from here."""
    score = model.evaluate("digits")
    model.save(folder)
    reloaded = compressor.load(folder)
    deployed = reloaded.export(folder.with_suffix(".onnx"), align=1)
    difference = deployed.parity.max_relative_difference
    _say(f"{deployed.file.path}: differs from PyTorch by at most {difference:.0e}")
    return Made(model=reloaded, score=score, file=deployed.file.path)


def _table(made: dict[str, Made], report: BenchReport) -> Table:
    table = Table("", *made, title="ResNet-20 on handwritten digits", title_justify="left")
    costs = [one.model.manifest.cost_after for one in made.values()]
    table.add_row("top-1 %", *(f"{one.score.quality:.2f}" for one in made.values()))
    table.add_row("parameters", *(f"{cost.params:,}" for cost in costs))
    table.add_row("MACs", *(f"{cost.macs:,}" for cost in costs))
    table.add_row("ONNX file, MB", *(f"{one.file.stat().st_size / 1e6:.2f}" for one in made.values()))
    for batch in BATCHES:
        results = [r for r in report.results if r.settings.batch == batch]
        fps = (f"{throughput_per_s(r.samples_ms, batch):,.0f}" for r in results)
        table.add_row(f"images/s, batch {batch}", *fps)
        comparison = next(c for c in report.comparisons if c.batch == batch)
        table.add_row("  speed-up", "1", comparison.describe())
    return table


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
