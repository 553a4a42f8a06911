"""Repair without training: ``python -m bench.studies.repair.run --shared FOLDER``.

ResNet-56 with the published weights, cut by two strings in CORING's layout, and repaired on a few hundred
training images whose labels nobody looks at. Nothing is chosen on test images: the usual strength of the
ridge, the number of sweeps and everything else were fixed on training images that the fit did not see.
Every finished cell is written at once; a study that is started again goes on with the first one missing.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import torch

from bench.environment import environment
from bench.studies.common.cifar import Subject, opened
from bench.studies.common.results import results_of
from compressor.methods import method_of, prune
from compressor.rates import PruneRequest, Published
from compressor.repairing import RepairSettings, repair
from compressor.repairing.images import repair_images
from compressor.tasks.task import calibration
from compressor.training import evaluate

RESULTS: Final = results_of("repair")
RATES: Final = ("[0.]+[0.18]*29", "[0.]+[0.15]*2+[0.4]*27")
CRITERIA: Final = ("surgeon", "l1", "coring", "hrank")
IMAGES: Final = (512, 128, 2048)
STRENGTHS: Final = (0.01, None)
SCHEMA_VERSION: Final = 1

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """One point: what was cut by what, and how it was repaired; a strength of None is chosen per layer."""

    rates: str
    criterion: str
    images: int
    strength: float | None


def cells(wanted: argparse.Namespace) -> Iterator[Cell]:
    """Return the cells in the order of work."""
    for strength, images, criterion, rates in product(
        wanted.strengths, wanted.images, wanted.criteria, RATES
    ):
        yield Cell(rates, criterion, images, strength)


def main() -> None:
    """Run what is not finished."""
    args = _arguments()
    torch.set_num_threads(1)
    document: Row = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"cells": []}
    with tempfile.TemporaryDirectory() as folder:
        subject = opened(args.shared / "data", Path(folder) / "cifar10.npz")
        if "dense" not in document:
            document["dense"] = asdict(evaluate(subject.dense.module, subject.data.test))
        for cell in cells(args):
            if not any(row["cell"] == asdict(cell) for row in document["cells"]):
                document["cells"].append(run(subject, cell, document["cells"]))
                print(document["cells"][-1], flush=True)
            head = {"schema_version": SCHEMA_VERSION, "threads": 1, "environment": environment()}
            RESULTS.write_text(json.dumps({**document, **head}, indent=1) + "\n")


def run(subject: Subject, cell: Cell, finished: list[Row]) -> Row:
    """Cut, repair, and score both; the cut alone is scored once for all numbers of images."""
    request = PruneRequest(target=Published(cell.rates, "coring"))
    method = method_of(cell.criterion, {}, 0)
    batches = calibration(subject.data) if method.looks else None
    small = prune(subject.dense, request, method, batches, words="a study")
    key = (cell.rates, cell.criterion)
    known = [row for row in finished if (row["cell"]["rates"], row["cell"]["criterion"]) == key]
    pruned = known[0]["pruned"] if known else asdict(evaluate(small.module, subject.data.test))
    settings = RepairSettings(images=cell.images, strength=cell.strength)
    start = time.perf_counter()
    made = repair(subject.dense, small, repair_images(subject.data, cell.images), settings=settings)
    seconds = time.perf_counter() - start
    assert made.manifest.repair is not None
    return {
        "cell": asdict(cell),
        "pruned": pruned,
        "repaired": asdict(evaluate(made.module, subject.data.test)),
        "seconds": round(seconds, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "images": made.manifest.repair.images,
    }


def _strength(text: str) -> float | None:
    return None if text == "chosen" else float(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--criteria", nargs="+", choices=CRITERIA, default=list(CRITERIA))
    parser.add_argument("--images", nargs="+", type=int, choices=IMAGES, default=list(IMAGES))
    parser.add_argument("--strengths", nargs="+", type=_strength, default=list(STRENGTHS), metavar="S|chosen")
    return parser.parse_args()


if __name__ == "__main__":
    main()
