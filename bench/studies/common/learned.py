"""Detectors that have learned a handful of images by heart: weights with something to lose, made in minutes.

Random weights cannot tell whether a file in fewer bits still finds things: their scores are nearly tied and
rounding decides. Trained detectors of all six kinds are nowhere to be had offline, so each learns the same
few images: what it finds of them again says, file by file, what a precision costs.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn
from torchvision.models.mobilenetv3 import InvertedResidual
from torchvision.models.resnet import Bottleneck

from bench.studies.common.accuracy import tuned
from compressor.artifact import Artifact
from compressor.data import DataSplits
from compressor.tasks.recipe import Recipe
from compressor.tasks.scores import Moment
from compressor.zoo import Architecture, find
from detection.coco import CocoSet
from detection.task import DETECTION

CANVAS: Final = (160, 160)
"""Square, so that upright images are laid on it as large as torchvision makes them."""

BOXES: Final = {
    "rpn_post_nms_top_n_train": 100,
    "rpn_pre_nms_top_n_train": 300,
    "rpn_post_nms_top_n_test": 100,
    "box_batch_size_per_image": 24,
    "box_detections_per_img": 20,
    "num_classes": 91,
}
PEOPLE: Final = {"num_classes": 2}
RECIPE: Final = Recipe(
    epochs=100, batch_size=8, lr=0.005, warmup_epochs=5, nesterov=False, weight_decay=0, augment=False
)
RESIDUAL: Final = 0.2
"""Size of a residual branch at the start, as a share of what it adds to: deep stacks learn sooner so."""

_IMAGES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A detector and what it has learned.

    Attributes:
        artifact: it.
        images: all that it has seen.
    """

    artifact: Artifact
    images: CocoSet


def learned(name: str, coco: Path, work: Path) -> Learned:
    """Return a detector after training, from ``work`` where it has been trained before.

    Whoever changes the recipe removes the folder there.
    """
    people = PEOPLE if name.startswith("keypoint") else {}
    arch = find(name).with_options({**BOXES, **people}, ((3, *CANVAS),))
    torch.manual_seed(0)
    model = arch.build()
    data = few_images(DETECTION.data.open(f"coco:{coco}", arch.input, model))
    assert isinstance(data.train, CocoSet)
    if not (work / name).exists():
        _trained(model, arch, data).save(work / name)
    return Learned(artifact=Artifact.load(work / name), images=data.train)


def few_images(data: DataSplits) -> DataSplits:
    """Return at most eight training images to learn and to be tested on, and one of them to validate."""
    assert isinstance(data.train, CocoSet)
    few, one = (large_objects(data.train, count) for count in (_IMAGES, 1))
    return replace(data, train=few, val=one, test=few)


def large_objects(images: CocoSet, count: int) -> CocoSet:
    """Return the first images of one to three objects that each fill a sixth of it."""
    large = []
    for position, image in enumerate(images.truth.images):
        areas = [found.bbox[2] * found.bbox[3] for found in images.truth.learnable(image)]
        if 1 <= len(areas) <= 3 and min(areas) > image.width * image.height / 6:
            large.append(position)
    chosen = large[:count]
    truth = replace(images.truth, images=tuple(images.truth.images[p] for p in chosen))
    return replace(images, truth=truth, indices=images.indices[np.array(chosen)])


def _trained(model: nn.Module, arch: Architecture, data: DataSplits) -> Artifact:
    _damp(model)
    losses = tuned(model, data, RECIPE)
    score = DETECTION.scoring.score(model, data.test)
    print(f"{arch.name}: loss {losses[0]:.2f} to {losses[-1]:.3f}, {score.describe()}", flush=True)
    trained = Artifact.of(model, arch, "a handful of images learned by heart")
    trained = replace(trained, manifest=replace(trained.manifest, recipe=RECIPE))
    return trained.scored(Moment("train"), score, data.spec)


def _damp(model: nn.Module) -> None:
    """Make residual branches small."""
    ends = [block.bn3 for block in model.modules() if isinstance(block, Bottleneck)]
    blocks = [block for block in model.modules() if isinstance(block, InvertedResidual)]
    ends += [list(block.modules())[-1] for block in blocks if block.use_res_connect]
    for norm in ends:
        norm.weight.data.mul_(RESIDUAL)
