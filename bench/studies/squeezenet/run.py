"""A network without norms on images of ImageNet: ``python -m bench.studies.squeezenet.run --shared FOLDER``.

SqueezeNet 1.1 with its published weights loses a share of every group, by the L1 norm of its filters, and is
repaired on half of 650 validation images and scored on the other half; then the halves change places. No
label is looked at but for the scores, and nothing is chosen. Every finished cell is written at once; a study
that is started again goes on with the first one missing.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import torch

from bench.environment import environment
from bench.studies.common.cells import Kept, Row, say
from bench.studies.common.imagenet import all_images, squeezenet
from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.data.images import IndexedSet
from compressor.methods import method_of, prune
from compressor.rates import PruneRequest, Share
from compressor.repairing import RepairSettings, repair
from compressor.tasks.classification import CLASSIFICATION
from compressor.training import evaluate

RESULTS: Final = results_of("squeezenet")
SCHEMA_VERSION: Final = 1
RATES: Final = (0.05, 0.1, 0.2)
STRENGTHS: Final = (None, 0.01)
_PART_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One point.

    Attributes:
        rate: share of every group that is removed.
        half: which half of the images is scored; the other repairs.
        strength: of the ridge; None is chosen per layer.
    """

    rate: float
    half: int
    strength: float | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is cut, and both halves of the images."""

    dense: Artifact
    halves: Sequence[IndexedSet]


def main() -> None:
    """Run what is not finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    subject = opened(parser.parse_args().shared / "data")
    torch.set_num_threads(1)
    kept = Kept(RESULTS, {"schema_version": SCHEMA_VERSION, "threads": 1, "environment": environment()})
    kept.document["dense"] = [asdict(evaluate(subject.dense.module, half)) for half in subject.halves]
    kept.document["macs"] = subject.dense.manifest.cost_after.macs
    cells = [Cell(rate, half, strength) for strength, half, rate in product(STRENGTHS, (0, 1), RATES)]
    kept.finish(cells, lambda cell: run(subject, cell))


def opened(data: Path) -> Subject:
    """Return the network and the images, parted at random once and for all."""
    model, arch = squeezenet(data)
    images = all_images(data / "imagenet_val650", arch.input)
    order = np.random.default_rng(_PART_SEED).permutation(images.indices)
    parts = (order[: len(order) // 2], order[len(order) // 2 :])
    return Subject(Artifact.of(model, arch), tuple(replace(images, indices=np.sort(part)) for part in parts))


def run(subject: Subject, cell: Cell) -> Row:
    """Cut, repair, and score both."""
    request = PruneRequest(target=Share(cell.rate))
    small = prune(subject.dense, request, method_of("l1", {}, 0), words="a study")
    scored, others = subject.halves[cell.half], subject.halves[1 - cell.half]
    settings = RepairSettings(images=len(others), strength=cell.strength)
    batches = others.batches(CLASSIFICATION.data.batch_size, device=torch.device("cpu"))
    start = time.perf_counter()
    made = repair(subject.dense, small, batches, settings=settings, say=say)
    seconds = time.perf_counter() - start
    assert made.manifest.repair is not None
    return {
        "macs": small.manifest.cost_after.macs,
        "pruned": asdict(evaluate(small.module, scored)),
        "repaired": asdict(evaluate(made.module, scored)),
        "seconds": round(seconds, 1),
        "images": made.manifest.repair.images,
        "layers": [asdict(layer) for layer in made.manifest.repair.layers],
        "left": made.manifest.repair.left,
    }


if __name__ == "__main__":
    main()
