"""What a detector minimises: torchvision's losses, and imitation of a teacher's feature pyramid."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from compressor.base.errors import CompressError
from detection.coco import DetectionBatch

_TINY: Final = 1e-30  # squares of an untrained network's features are far below the usual 1e-12


def batch_loss(model: nn.Module, batch: DetectionBatch, distill: float, taught: object | None) -> Tensor:
    """Return (1 - d) * torchvision's losses + d * imitation, times the number of images.

    Torchvision draws anchors and proposals at random; here the draw depends on the epoch and the image, so
    that it is the same on one worker and on several.

    Args:
        model: a torchvision R-CNN, or a data-parallel wrapper around one.
        batch: images with targets.
        distill: d.
        taught: the teacher's maps, from `attention_maps`, or None.
    """
    detector = unwrapped(model)
    seen: list[dict[str, Tensor]] = []
    watch = detector.get_submodule("backbone").register_forward_hook(lambda *call: seen.append(call[-1]))
    images, targets = list(batch.images), [dict(target) for target in batch.targets]
    try:
        with _learning(detector), _drawn_for(batch):
            losses: dict[str, Tensor] = model(images, targets)
    finally:
        watch.remove()
    hard = torch.stack(list(losses.values())).sum()
    if taught is None:
        return hard * len(batch)
    assert isinstance(taught, list)
    return ((1 - distill) * hard + distill * imitation(attention(seen[-1]), taught)) * len(batch)


def attention_maps(teacher: nn.Module, batch: DetectionBatch) -> list[Tensor]:
    """Return the attention of a teacher's feature pyramid on the images of a batch."""
    images, _ = teacher.transform(list(batch.images))  # type: ignore[operator]
    return attention(teacher.backbone(images.tensors))  # type: ignore[operator]


def attention(features: Mapping[str, Tensor]) -> list[Tensor]:
    """Return one map (n, positions) of unit length per level: the mean square over channels.

    It does not depend on the number of channels, so a student of any width can be compared (Zagoruyko and
    Komodakis, Paying More Attention to Attention, 2017, equation 2).
    """
    squares = (level.float().pow(2).mean(dim=1).flatten(1) for level in features.values())
    return [F.normalize(level, dim=1, eps=_TINY) for level in squares]


def imitation(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Return the sum over levels of the mean distance between attention maps, in units of the losses.

    Raises:
        CompressError: the pyramids differ in shape.
    """
    if [level.shape for level in student] != [level.shape for level in teacher]:
        raise CompressError(
            "teacher and student see feature pyramids of different shapes",
            "distil from the same architecture with the same --input",
        )
    gaps = [(a - b).norm(dim=1).mean() for a, b in zip(student, teacher, strict=True)]
    return torch.stack(gaps).sum()


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the detector itself."""
    return model.module if isinstance(model, DistributedDataParallel) else model


@contextmanager
def _learning(detector: nn.Module) -> Iterator[None]:
    """Make a detector return losses, whatever the mode of its norms."""
    parts = (detector, *(detector.get_submodule(name) for name in ("transform", "rpn", "roi_heads")))
    before = [part.training for part in parts]
    for part in parts:
        part.training = True
    try:
        yield
    finally:
        for part, mode in zip(parts, before, strict=True):
            part.training = mode


@contextmanager
def _drawn_for(batch: DetectionBatch) -> Iterator[None]:
    device = batch.images[0].device
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        seed = np.random.SeedSequence([batch.seed, batch.ids[0]]).generate_state(1, np.uint32)
        torch.manual_seed(int(seed[0]))
        yield
