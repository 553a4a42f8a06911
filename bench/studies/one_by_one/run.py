"""What CORING should do with 1x1 convolutions: ``python -m bench.studies.one_by_one.run --shared FOLDER``.

Two of the three factors of a 1x1 filter have one element, whose variance is undefined. The authors' program
then keeps filters by index (``compat``); ours leaves such factors out. SqueezeNet 1.1 on ImageNet images says
what that is worth: only groups made by 1x1 convolutions are pruned. The images are parted once: the network
may learn from 400 of them and is scored on the other 250. That is little data, and the images are easy ones:
compare methods, trust no level. Three parts:

* ``together``: all groups at one rate, no training. SqueezeNet has no norms and soon breaks down.
* ``alone``: a quarter of one group at a time, no training, so that every layer is a comparison of its own.
* ``trained``: all groups at one rate, before and after a short fine-tuning.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from torch import nn

from bench.environment import environment
from bench.studies.common.accuracy import Method, Row, Study, WorkFile, run_cells, summary
from bench.studies.common.imagenet import all_images
from bench.studies.common.imagenet import squeezenet as published
from bench.studies.common.results import results_of
from compressor.data import DataSplits
from compressor.data.images import IndexedSet
from compressor.rates import PruneRequest, Share
from compressor.tasks.recipe import Recipe
from compressor.training import evaluate

RESULTS: Final = results_of("one_by_one")
SCHEMA_VERSION: Final = 1
RATES: Final = (0.02, 0.05, 0.1, 0.2)
ALONE: Final = 0.25
METHODS: Final = MappingProxyType(
    {
        "coring": Method(criterion="coring"),
        "coring, compat": Method(criterion="coring", options={"compat": True}),
        "coring, euclidean": Method(criterion="coring", options={"metric": "euclidean"}),
        "l1": Method(criterion="l1"),
    }
)
CHANCE: Final = MappingProxyType({"random": Method(criterion="random")})
RECIPE: Final = Recipe(epochs=1, lr=1e-3, batch_size=8, weight_decay=5e-4)
_SEEDS: Final = MappingProxyType({"together": 3, "alone": 1, "trained": 1})
_TRAIN_IMAGES: Final = 400
_PART_SEED: Final = 0


def main() -> None:
    """Run what is not finished; the results are written after every part."""
    args = _arguments()
    torch.set_num_threads(1)
    document: Row = {"schema_version": SCHEMA_VERSION, "threads": 1, "environment": environment()}
    studies = parts(squeezenet(args.shared / "data"))
    for name in args.parts:
        study = studies[name]
        work = WorkFile(args.work / f"{name}.jsonl", study.settings())
        rows = run_cells(study.cells(_SEEDS[name]), work, study.run)
        document[name] = {"settings": study.settings(), "summary": summary(rows), "cells": list(rows)}
        document["dense"] = asdict(evaluate(study.model, study.data.test))
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--parts", nargs="+", choices=_SEEDS, default=list(_SEEDS), help="in this order")
    parser.add_argument("--work", type=Path, default=Path("one_by_one"), help="folder for finished cells")
    return parser.parse_args()


def parts(study: Study) -> dict[str, Study]:
    """Return the three parts by name, made from the study of all groups together."""
    once = replace(study, recipe=replace(RECIPE, epochs=0))
    return {
        "together": replace(once, methods=METHODS | CHANCE),
        "alone": replace(once, rates=one_at_a_time(study.model)),
        "trained": study,
    }


def squeezenet(data: Path) -> Study:
    """Return the study of SqueezeNet 1.1 on two parts of the images."""
    model, arch = published(data)
    splits = parted(all_images(data / "imagenet_val650", arch.input), _TRAIN_IMAGES)
    train = splits.train
    assert isinstance(train, IndexedSet)
    _, others = convolutions(model)
    return Study(
        arch=arch,
        model=model,
        data=splits,
        calibration=train,
        methods=METHODS,
        rates={f"{rate:g}": PruneRequest(target=Share(rate), protect=others) for rate in RATES},
        recipe=RECIPE,
    )


def parted(images: IndexedSet, train_images: int) -> DataSplits:
    """Part the images at random, once and for all; ``val`` repeats one of ``train`` and decides nothing."""
    order = np.random.default_rng(_PART_SEED).permutation(images.indices)
    train = replace(images, indices=np.sort(order[:train_images]))
    return DataSplits(
        name="ImageNet validation images",
        spec="imagenet_val650",
        classes=int(images.data.labels.max()) + 1,
        synthetic=False,
        train=train,
        val=replace(train, indices=train.indices[:1]),
        test=replace(images, indices=np.sort(order[train_images:])),
    )


def convolutions(model: nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the 1x1 convolutions, and of all others."""
    found = {name: m.kernel_size for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    pointwise = tuple(name for name, size in found.items() if tuple(size) == (1, 1))
    return pointwise, tuple(name for name in found if name not in pointwise)


def one_at_a_time(model: nn.Module) -> dict[str, PruneRequest]:
    """Return one request per prunable 1x1 convolution: a part of its filters, nothing else."""
    pointwise, others = convolutions(model)
    *prunable, classifier = pointwise  # its filters are the classes
    return {
        name: PruneRequest(
            target=Share(ALONE),
            protect=(*others, classifier, *(other for other in prunable if other != name)),
        )
        for name in prunable
    }


if __name__ == "__main__":
    main()
