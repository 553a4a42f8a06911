"""Criteria compared by accuracy: ``python -m bench.studies.criteria_accuracy.run --shared FOLDER``.

ResNet-56 with its published weights on CIFAR-10, at two of CORING's published rates; accuracy before and
after a short fine-tuning, three seeds. On one CPU thread an epoch of all 45 000 training images takes ten
minutes, too long for dozens of cells. All cells therefore learn from one fixed random part of the training
split and are scored on one of the test split. The figures after fine-tuning compare criteria under equal
means; they are far from what full fine-tuning would reach.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch
from torch import nn

from bench.environment import environment
from bench.studies.common.accuracy import Cell, Method, Row, Study, WorkFile, run_cells, some_of, summary
from bench.studies.common.published import CHECKPOINTS
from bench.studies.common.results import results_of
from compressor.artifact.weights import load_weights
from compressor.channels.cost import measure
from compressor.data import open_data
from compressor.data.images import IndexedSet
from compressor.rates import PruneRequest, Published
from compressor.tasks.recipe import Recipe
from compressor.training import evaluate
from compressor.zoo import find

RESULTS: Final = results_of("criteria_accuracy")
SCHEMA_VERSION: Final = 1
RATES: Final = ("[0.]+[0.18]*29", "[0.]+[0.15]*2+[0.4]*27")
METHODS: Final = MappingProxyType(
    {
        "coring": Method(criterion="coring"),
        "coring, compat": Method(criterion="coring", options={"compat": True}),
        "l1": Method(criterion="l1"),
        "l2": Method(criterion="l2"),
        "fpgm": Method(criterion="fpgm"),
        "hrank": Method(criterion="hrank", calibration_images=128),
        "chip": Method(criterion="chip", calibration_images=64),
        "taylor": Method(criterion="taylor", calibration_images=512),
        "random": Method(criterion="random"),
    }
)
RECIPE: Final = Recipe(epochs=5, lr=0.01, batch_size=32, weight_decay=5e-4)
_PART_SEED: Final = 0
_UNUSED_VALIDATION: Final = 32


def main() -> None:
    """Run what is not finished and write the results."""
    args = _arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        cifar = Path(folder) / "cifar10.npz"
        data: Path = args.shared / "data"
        subprocess.run([sys.executable, str(data / "unpack_cifar10.py"), str(cifar)], check=True)
        recipe = replace(RECIPE, epochs=args.epochs)
        study = resnet56(data, cifar, recipe, images=args.images, test_images=args.test_images)
        document = compared(study, study.cells(args.seeds), args.work)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--images", type=int, default=256, help="training images to learn from")
    parser.add_argument("--test-images", type=int, default=2000, help="test images to score on, 5000 at most")
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs, help="epochs over these images")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions")
    parser.add_argument(
        "--work", type=Path, default=Path("criteria_accuracy.jsonl"), help="finished cells are kept here"
    )
    return parser.parse_args()


def resnet56(data: Path, cifar: Path, recipe: Recipe, *, images: int, test_images: int) -> Study:
    """Return the study of ResNet-56 on fixed parts of CIFAR-10's training and test images."""
    arch = find("resnet56_cifar")
    model = arch.build()
    load_weights(model, data / "weights" / CHECKPOINTS[arch.name][0], arch)
    splits = open_data(f"npz:{cifar}", arch.input)
    train, test = splits.train, splits.test
    assert isinstance(train, IndexedSet)
    assert isinstance(test, IndexedSet)
    part = some_of(train, images, _PART_SEED)
    # The trainer insists on scoring validation images after every epoch; nothing here depends on them.
    unused = some_of(part, _UNUSED_VALIDATION, _PART_SEED)
    return Study(
        arch=arch,
        model=model,
        data=replace(
            splits, spec="cifar10", train=part, val=unused, test=some_of(test, test_images, _PART_SEED)
        ),
        calibration=train,
        methods=METHODS,
        rates={rates: PruneRequest(target=Published(rates, "coring")) for rates in RATES},
        recipe=recipe,
    )


def compared(study: Study, cells: Sequence[Cell], work: Path) -> Row:
    """Run the cells and return the document of results."""
    file = WorkFile(work, study.settings())
    dense = asdict(evaluate(study.model, study.data.test))
    rows = run_cells(cells, file, study.run)
    return {
        "schema_version": SCHEMA_VERSION,
        "settings": study.settings() | {"threads": torch.get_num_threads()},
        "dense": {"accuracy": dense, "cost": asdict(measure(study.model, study.arch.example()))},
        "cost": {rate: _cost(study, rate) for rate in study.rates},
        "weights_left": {rate: _weights_left(study, rate) for rate in study.rates},
        "summary": summary(rows),
        "cells": list(rows),
        "environment": environment(),
    }


def _cost(study: Study, rate: str) -> Row:
    """Return the cost at a rate, which is the same whatever is chosen."""
    cheap = next(name for name, method in study.methods.items() if not method.calibration_images)
    small, _ = study.pruned(Cell(method=cheap, rate=rate, seed=0))
    return asdict(measure(small, study.arch.example()))


def _weights_left(study: Study, rate: str) -> dict[str, float]:
    """Return, by method, the share of the squared convolution weights that survives pruning (seed 0)."""
    dense = _squared_weights(study.model)
    cells = {name: Cell(method=name, rate=rate, seed=0) for name in study.methods}
    return {name: _squared_weights(study.pruned(cell)[0]) / dense for name, cell in cells.items()}


def _squared_weights(model: nn.Module) -> float:
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    return sum(float(module.weight.detach().double().square().sum()) for module in convolutions)


if __name__ == "__main__":
    main()
