"""One split of a COCO-format data set, in batches.

Data-parallel training must compute what one process computes. Everything random depends on the recipe's
seed, the epoch and the image, never on the worker: a global batch is drawn first, and worker r of w takes
every w-th image of it, starting with its r-th.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from compressor.base.errors import UsageError
from compressor.data import Drawing
from detection.coco.batches import DetectionBatch, Sample, batch_of, draw_batches, shape_groups
from detection.coco.layout import Finds
from detection.coco.prefetch import in_order
from detection.coco.records import ImageRecord
from detection.coco.targets import mirrored_target, target_of
from detection.coco.truth import GroundTruth

_ORDER, _AUGMENTATION = 0, 1  # two independent random streams per epoch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CocoSet:
    """Some images of a stored split.

    Attributes:
        folder: where the images are.
        truth: the images of this set, and what is in them.
        indices: position of every image in the stored split, in increasing order.
        stored: number of images in the stored split.
        task: what the targets hold besides boxes.
        swap: for every keypoint, the position of its mirror image; empty without keypoints.
    """

    folder: Path
    truth: GroundTruth
    indices: NDArray[np.int64]
    stored: int
    task: Finds
    swap: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.indices)

    def batches(
        self, batch_size: int, *, device: torch.device, rank: int = 0, world: int = 1
    ) -> Iterator[DetectionBatch]:
        """Yield images rank, rank + world, ... in stored order, unchanged; the last batch may be smaller.

        Raises:
            UsageError: an image cannot be read, or is not of the size that the annotations say.
        """
        mine = np.arange(len(self))[rank::world]
        shards = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]
        return self._read(shards, np.zeros(len(self), dtype=np.bool_), device)

    def training_batches(
        self, recipe: Drawing, *, epoch: int, rank: int, world: int, device: torch.device
    ) -> Iterator[DetectionBatch]:
        """Yield this worker's share of every global batch of ``recipe.batch_size`` images of similar shape.

        Where the recipe augments and flips, half of the images are mirrored; they are not shifted. There are
        ``steps_in_epoch`` batches.

        Raises:
            UsageError: an image cannot be read, or is not of the size that the annotations say.
        """
        ratios = np.array([image.width / image.height for image in self.truth.images])
        size = min(recipe.batch_size, len(self))
        drawn = draw_batches(shape_groups(ratios), size, _generator(recipe.seed, epoch, _ORDER))
        mirrored = np.zeros(len(self), dtype=np.bool_)
        if recipe.augment and recipe.flip:
            mirrored = _generator(recipe.seed, epoch, _AUGMENTATION).random(self.stored)[self.indices] < 0.5
        seed = int(np.random.SeedSequence([recipe.seed, epoch]).generate_state(1)[0])
        return self._read([batch[rank::world] for batch in drawn], mirrored, device, seed)

    def sample(self, position: int, *, mirrored: bool = False) -> Sample:
        """Read the image at a position of this set, 0 <= position < len.

        Raises:
            UsageError: it cannot be read, or is not of the size that the annotations say.
        """
        image = self.truth.images[position]
        pixels = _pixels(self.folder / image.file_name, image)
        target = target_of(self.truth, image, self.task, points=len(self.swap))
        if mirrored:
            pixels = pixels[:, ::-1].copy()
            target = mirrored_target(target, image.width, self.swap)
        return Sample(pixels=pixels, target=target, id=image.id)

    def _read(
        self,
        shards: Sequence[NDArray[np.int64]],
        mirrored: NDArray[np.bool_],
        device: torch.device,
        seed: int = 0,
    ) -> Iterator[DetectionBatch]:
        def load(position: int) -> Sample:
            return self.sample(position, mirrored=bool(mirrored[position]))

        samples = in_order(load, chain.from_iterable(shard.tolist() for shard in shards))
        with closing(samples):
            for shard in shards:
                yield batch_of(list(islice(samples, len(shard))), device, seed)


def _pixels(path: Path, image: ImageRecord) -> NDArray[np.uint8]:
    """Return uint8 (height, width, 3). Rotation flags of cameras are ignored, as COCO's annotations do."""
    try:
        with Image.open(path) as file:
            pixels = np.array(file.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(
            f"cannot read image {path}: {error}",
            "restore the file, or take the image out of the annotation file",
        ) from error
    height, width, _ = pixels.shape
    if (width, height) != (image.width, image.height):
        raise UsageError(
            f"image {path} is {width}x{height}, but its annotations say {image.width}x{image.height}",
            "annotate the image as it is stored; rotation flags of cameras are ignored",
        )
    return pixels


def _generator(seed: int, epoch: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, epoch, stream])
