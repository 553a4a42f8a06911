"""Accuracy at equal latency: ``python -m bench.studies.equal_latency.run --shared FOLDER``.

Networks with published weights are cut to shares of their dense latency in ONNX Runtime in several ways. Each
is searched for the network whose latency by one table is nearest to the share; then all are measured beside
the dense one in one interleaved run. Part ``cut`` scores them as they are and after repair without training;
part ``trained`` after ten epochs over ten thousand images, the same for all. Test images are scored and
nothing is chosen by them. Every finished cell is written at once, and a study that is started again goes on
with the first one missing.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from bench.candidates import Candidate, candidate
from bench.document import report_to_json
from bench.environment import environment
from bench.layers.here import here
from bench.layers.make import measured_table
from bench.layers.names import own_names
from bench.layers.price import Latency
from bench.measure import MeasureSettings
from bench.run import bench
from bench.studies.common.cells import Kept, Row, say
from bench.studies.common.cifar import Subject, fast, opened
from bench.studies.common.exported import exported
from bench.studies.common.results import results_of
from bench.studies.equal_latency.ways import WAYS, Found, Ground, at, found
from compressor.artifact import Artifact
from compressor.channels import trace
from compressor.channels.cost import macs_of
from compressor.data import DataSplits
from compressor.data.images import IndexedSet
from compressor.methods.ranked import Ranked
from compressor.repairing import RepairSettings, repair
from compressor.repairing.images import repair_images
from compressor.tasks.recipe import Recipe
from compressor.tasks.task import calibration
from compressor.training import evaluate, fine_tune
from export.backends import BACKENDS, SessionOptions

RESULTS: Final = results_of("equal_latency")
SCHEMA_VERSION: Final = 1
MODELS: Final = ("resnet20_cifar", "resnet56_cifar")
SHARES: Final = (0.5, 0.7)
SEEDS: Final = (0, 1, 2)
BACKEND: Final = "onnxruntime"
THREADS: Final = 1
RECIPE: Final = Recipe(epochs=10, lr=0.02, batch_size=128, weight_decay=5e-4)
IMAGES: Final = 10_000
_REPAIR_IMAGES: Final = 512
_SECONDS: Final = 10.0
_SUBSET_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """All ways to one share of a model's latency."""

    part: str
    model: str
    share: float


@dataclass(frozen=True, slots=True)
class Trained:
    """One network of a cut, trained."""

    part: str
    model: str
    share: float
    way: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What all cells of a model share.

    Attributes:
        subject: the network and its data.
        ground: the network, traced and priced.
        before: it as a file.
    """

    subject: Subject
    ground: Ground
    before: Candidate

    def cut(self, share: float) -> Row:
        """Make all ways' networks, measure them together, and score them."""
        made = {}
        for name, way in WAYS.items():
            say(f"searching: {name}")
            made[name] = found(self.ground, way, share)
        with tempfile.TemporaryDirectory() as folder:
            files = [
                exported(name, one.module, self.ground.dense, Path(folder)) for name, one in made.items()
            ]
            report = bench(
                [self.before, *files], backend=BACKEND, options=SessionOptions(threads=THREADS),
                batches=(1,), settings=MeasureSettings(budget_s=_SECONDS),
            )  # fmt: skip
        return {
            "ways": {name: self._row(one) for name, one in made.items()},
            "measured": {row["model"]: _measured(row) for row in report_to_json(report)["results"]},
        }

    def trained(self, cell: Trained, level: float) -> Row:
        """Train the network of a way and score it."""
        model = fast(at(self.ground, WAYS[cell.way], level).module)
        fine_tune(model, _fewer(self.subject.data), replace(RECIPE, seed=cell.seed))
        return {"top1": self._top1(model)}

    def _row(self, one: Found) -> Row:
        whole = self.ground.dense.manifest.cost_after.macs
        row: Row = {
            "level": one.level,
            "predicted": one.predicted,
            "macs_share": macs_of(one.module, self.ground.dense.example()) / whole,
            "units": " ".join(map(str, self.ground.units(one.module))),
            "top1": self._top1(one.module),
        }
        return {**row, "top1_repaired": self._repaired(one.artifact)} if one.artifact else row

    def _repaired(self, artifact: Artifact) -> float:
        images = repair_images(self.subject.data, _REPAIR_IMAGES)
        settings = RepairSettings(images=_REPAIR_IMAGES)
        return self._top1(repair(self.ground.dense, artifact, images, settings=settings, say=say).module)

    def _top1(self, module: nn.Module) -> float:
        score = evaluate(fast(module), self.subject.data.test, batch_size=250)
        return float(asdict(score)["top1"])


def main() -> None:
    """Run what is not finished."""
    args = _arguments()
    torch.set_num_threads(1)
    kept = Kept(RESULTS, {
        "schema_version": SCHEMA_VERSION, "environment": environment(), "recipe": asdict(RECIPE),
        "images": IMAGES, "repair_images": _REPAIR_IMAGES,
    })  # fmt: skip
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            _run(kept, _study(model, args.shared / "data", Path(folder)), model, args)


def _run(kept: Kept, study: Study, model: str, args: argparse.Namespace) -> None:
    kept.document.setdefault("dense", {})[model] = study._top1(study.ground.dense.module)
    cuts = [Cut("cut", model, share) for share in args.shares]
    kept.finish(cuts, lambda cell: study.cut(cell.share))
    if "trained" not in args.parts:
        return

    def trained(cell: Trained) -> Row:
        row = kept.of(Cut("cut", cell.model, cell.share))
        assert row is not None
        return study.trained(cell, row["ways"][cell.way]["level"])

    kept.finish(list(_trained(model, args)), trained)


def _trained(model: str, args: argparse.Namespace) -> Iterator[Trained]:
    for seed, share, way in product(args.seeds, args.shares, args.ways):
        yield Trained("trained", model, share, way, seed)


def _study(model: str, data: Path, folder: Path) -> Study:
    subject = opened(data, folder / "cifar10.npz", model)
    before = candidate("dense", subject.dense, BACKENDS.get(BACKEND), folder, threads=THREADS, say=say)
    where = here(BACKEND, threads=THREADS, batch=1)
    table = measured_table(model, before, where, own_names(subject.dense), say=say)
    graph = trace(subject.dense.view, subject.dense.example())
    ground = Ground(
        dense=subject.dense, graph=graph, price=Latency(table=table), methods=_ranked(subject)
    )  # fmt: skip
    return Study(subject=subject, ground=ground, before=before)


def _measured(row: Row) -> Row:
    return {"p50_ms": row["p50_ms"], "speedup": row["speedup"]}


def _ranked(subject: Subject) -> dict[str, Ranked]:
    """Return the criteria with their rankings, which all cuts of the network share."""
    dense, images = subject.dense, list(calibration(subject.data))
    l1, surgeon = Ranked.by("l1", {}, 0), Ranked.by("surgeon", {}, 0)
    return {
        "l1": l1.having_ranked(dense, None, worth=False),
        "l1 on images": l1.having_ranked(dense, images, worth=True),
        "surgeon on images": surgeon.having_ranked(dense, images, worth=True),
    }


def _fewer(data: DataSplits) -> DataSplits:
    """Return the same with a part of the training images, and none to choose by."""
    train: Any = data.train
    assert isinstance(train, IndexedSet)
    order = np.random.default_rng(_SUBSET_SEED).permutation(train.indices)[:IMAGES]
    return replace(data.unvalidated(), train=replace(train, indices=np.sort(order)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--shares", nargs="+", type=float, default=list(SHARES))
    parser.add_argument("--parts", nargs="+", choices=("cut", "trained"), default=["cut", "trained"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
