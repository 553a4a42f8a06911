"""Batches of images of different sizes, drawn so that those of one batch have similar shapes.

A detector pads the images of a batch to a common size, so wide and tall ones are kept apart, as in
torchvision's reference training: width over height is sorted into bins between 1/2 and 2, three to an octave.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compressor.data.images import steps_in_epoch
from detection.coco.targets import Target

_BINS_PER_OCTAVE = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One image as it was read.

    Attributes:
        pixels: uint8 of shape (height, width, 3).
        target: what is in it.
        id: the image's id in the annotation file.
    """

    pixels: NDArray[np.uint8]
    target: Target
    id: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectionBatch:
    """Images with their targets, as torchvision's detectors take them.

    Attributes:
        images: float32 of shape (3, height, width) each, 0..1.
        targets: for each image ``boxes``, ``labels``, ``image_id`` and, by task, ``masks`` or ``keypoints``;
            shapes as in ``detection.coco.targets.Target``.
        ids: of the images in the annotation file.
        seed: of whatever a model draws at random for these images, in this epoch.
    """

    images: tuple[Tensor, ...]
    targets: tuple[dict[str, Tensor], ...]
    ids: tuple[int, ...]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of every image in pixels."""
        return tuple((image.shape[-2], image.shape[-1]) for image in self.images)

    def split(self, parts: int) -> list["DetectionBatch"]:
        """Cut into at most ``parts`` batches of at least one image, as evenly as ``torch.tensor_split``."""
        parts = max(1, min(parts, len(self)))
        smallest, larger = divmod(len(self), parts)
        edges = np.cumsum([0, *(smallest + (part < larger) for part in range(parts))])
        return [
            DetectionBatch(
                images=self.images[start:end],
                targets=self.targets[start:end],
                ids=self.ids[start:end],
                seed=self.seed,
            )
            for start, end in pairwise(edges.tolist())
        ]


def batch_of(samples: Sequence[Sample], device: torch.device, seed: int = 0) -> DetectionBatch:
    """Put samples on a device as one batch; pixels become float32 there."""
    return DetectionBatch(
        images=tuple(_image(sample.pixels, device) for sample in samples),
        targets=tuple(
            {name: torch.from_numpy(values).to(device) for name, values in sample.target.items()}
            for sample in samples
        ),
        ids=tuple(sample.id for sample in samples),
        seed=seed,
    )


def shape_groups(ratios: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of every width over height: 0 below 1/2, 1 up to 2 ** (-2/3), ..., 7 from 2 on."""
    edges = 2.0 ** (np.arange(-_BINS_PER_OCTAVE, _BINS_PER_OCTAVE + 1) / _BINS_PER_OCTAVE)
    return np.searchsorted(edges, ratios, side="right").astype(np.int64)


def draw_batches(
    groups: NDArray[np.int64], batch_size: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Draw one epoch of global batches.

    Every group is shuffled and cut into full batches; what is left over is cut in the order of the groups, so
    that neighbours share a batch. There are ``steps_in_epoch`` batches, in random order.

    Args:
        groups: group of every image.
        batch_size: images per batch.
        generator: of everything random here.

    Returns:
        Positions of the images of each batch.
    """
    order = generator.permutation(len(groups))
    full: list[NDArray[np.int64]] = []
    rest: list[NDArray[np.int64]] = []
    for group in np.unique(groups):
        members = order[groups[order] == group]
        cut = len(members) - len(members) % batch_size
        full += np.split(members[:cut], cut // batch_size) if cut else []
        rest.append(members[cut:])
    left_over = np.concatenate(rest)
    missing = steps_in_epoch(len(groups), batch_size) - len(full)
    full += [left_over[step * batch_size : (step + 1) * batch_size] for step in range(missing)]
    return [full[step] for step in generator.permutation(len(full))]


def _image(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    return torch.from_numpy(pixels).to(device).permute(2, 0, 1).contiguous().float().div_(255)
