"""Detectors cut to half of their MACs: ``python -m bench.studies.repair_detectors.run --shared FOLDER``.

Each detector has learned eight images by heart (`bench.studies.common.learned`), is cut whole to half of its
MACs by the L1 norm of its filters, and is repaired without training: on COCO images that it has never seen,
without a label. Scored is what it finds of the eight again. Detectors are made in the order of the command,
and every finished one is written at once; a study that is started again goes on with the first one missing.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from bench.environment import environment
from bench.studies.common.cells import Kept, Row, say
from bench.studies.common.learned import Learned, learned
from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.methods import method_of, prune
from compressor.rates import Budget, PruneRequest
from compressor.repairing import RepairSettings, repair
from detection.coco import CocoSet
from detection.task import DETECTION

RESULTS: Final = results_of("repair_detectors")
SCHEMA_VERSION: Final = 1
DETECTORS: Final = (
    "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn",
    "keypointrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn_v2",
)  # fmt: skip
HALF: Final = PruneRequest(target=Budget("macs", fraction=0.5))
IMAGES: Final = 64


@dataclass(frozen=True, slots=True)
class Cell:
    """One detector, and whether the images that repair it are ``others`` or its own eight, ``own``."""

    model: str
    images: str


def main() -> None:
    """Run what is not finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--work", type=Path, default=Path("runs/precision"), help="what was trained, kept")
    parser.add_argument("--models", nargs="+", choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument("--images", nargs="+", choices=("others", "own"), default=["others", "own"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    kept = Kept(RESULTS, {"schema_version": SCHEMA_VERSION, "threads": 1, "environment": environment()})
    cells = [Cell(name, images) for images, name in product(args.images, args.models)]
    kept.finish(cells, lambda cell: run(cell, args.shared / "data" / "coco_small", args.work))


def run(cell: Cell, coco: Path, work: Path) -> Row:
    """Make the detector if need be, cut, repair, and score."""
    start = time.perf_counter()
    known = learned(cell.model, coco, work)
    made_s = time.perf_counter() - start
    small = prune(known.artifact, HALF, method_of("l1", {}, 0), words="a study")
    start, computed = time.perf_counter(), time.process_time()
    made = repair(known.artifact, small, seen(cell, known, coco), settings=_settings(), say=say)
    report = made.manifest.repair
    assert report is not None
    return {
        "macs": [known.artifact.manifest.cost_after.macs, small.manifest.cost_after.macs],
        "dense": _scored(known.artifact, known),
        "pruned": _scored(small, known),
        "repaired": _scored(made, known),
        "images": report.images,
        "made_seconds": round(made_s),
        "seconds": round(time.perf_counter() - start),
        "cpu_seconds": round(time.process_time() - computed),
        "layers": [asdict(layer) for layer in report.layers],
        "left": report.left,
    }


def _settings() -> RepairSettings:
    return RepairSettings(images=IMAGES)


def seen(cell: Cell, known: Learned, coco: Path) -> Iterator[Any]:
    """Return the images that repair a detector: its own, or training images that it has not learned."""
    size, cpu = DETECTION.data.batch_size, torch.device("cpu")
    if cell.images == "own":
        return known.images.batches(size, device=cpu)
    arch, model = known.artifact.arch, known.artifact.module
    train = DETECTION.data.open(f"coco:{coco}", arch.input, model).train
    assert isinstance(train, CocoSet)
    own = set(known.images.indices.tolist())
    return others(train, own).batches(size, device=cpu)


def others(train: CocoSet, own: set[int]) -> CocoSet:
    """Return the images that are not among ``own``, positions in the stored split."""
    left = [p for p, stored in enumerate(train.indices.tolist()) if stored not in own]
    truth = replace(train.truth, images=tuple(train.truth.images[p] for p in left))
    return replace(train, truth=truth, indices=train.indices[np.array(left)])


def _scored(artifact: Artifact, known: Learned) -> Row:
    return asdict(DETECTION.scoring.score(artifact.module, known.images))


if __name__ == "__main__":
    main()
