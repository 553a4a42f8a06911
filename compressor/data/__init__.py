"""Data sets by name: ``kind:argument`` in, three splits of normalised image batches out.

A kind is one file of this package: a function from (argument, input of the model) to a ``Source``, that is
raw uint8 images and their labels, registered in ``DATASETS``. Everything else happens here, once for all
kinds: checks, the validation split, shuffling, augmentation, normalisation.

The validation split chooses the best epoch, so it is held out of *train*; *test* is only ever reported. It
is drawn with a seed of its own, not the recipe's, so that every command holds out the same images.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from compressor.base.errors import UsageError
from compressor.base.files import named
from compressor.base.registry import Registry
from compressor.base.text import foreign
from compressor.data.images import Batch, Drawing, ImageSet, IndexedSet, NoImages
from compressor.data.sources import ArrayPixels, Labelled, PixelSource, Source
from compressor.zoo.architecture import USUAL_TASK
from compressor.zoo.inputs import InputSpec

__all__ = [
    "DATASETS",
    "ArrayPixels",
    "Batch",
    "DataSplits",
    "Drawing",
    "ImageSet",
    "Labelled",
    "PixelSource",
    "Source",
    "SourceBuilder",
    "check_labels",
    "open_data",
]

SourceBuilder: TypeAlias = Callable[[str, InputSpec], Source]

DATASETS: Registry[SourceBuilder] = Registry("dataset", "compressor.data")

_VALIDATION_SHARE = 0.1
_VALIDATION_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSplits:
    """A data set, ready for one model.

    Attributes:
        name: what to call it in reports.
        spec: what the user typed.
        classes: number of classes that the labels speak of.
        synthetic: whether images and labels are random, so that no accuracy on them means anything.
        task: name of the task that its batches are for.
        summary: what was left out and why, in words; may be empty.
        train: images to learn from.
        val: held out of the source's train split; chooses the best epoch. Empty, the last epoch counts.
        test: the source's own test split; only reported.
        held_out: whether ``val`` was held out of the source's train split by this program.
        test_name: what the data set itself calls its test split.
    """

    name: str
    spec: str
    classes: int
    synthetic: bool
    train: ImageSet
    val: ImageSet
    test: ImageSet
    task: str = USUAL_TASK
    summary: str = ""
    held_out: bool = True
    test_name: str = "test"

    def unvalidated(self) -> "DataSplits":
        """Return the same data without a validation split, for training that has no epoch to choose.

        Where training prepares a cut, it is what the weights have become at the end that counts.
        """
        return replace(self, val=NoImages())

    def images(self, split: str) -> ImageSet:
        """Return a split by its name for users: ``test``, ``val``, or ``holdout``, held out of train.

        ``val`` is what the data set calls so, if it does: an image folder without ``test`` has test images
        there. Otherwise it is the validation split.

        Raises:
            UsageError: nothing is held out, because the data set has a validation split of its own.
        """
        if split == "holdout" and not self.held_out:
            raise UsageError(f"{self.name} has a validation split of its own", "give --split val.")
        return self.test if split in ("test", self.test_name) else self.val

    def caution(self, split: str) -> str:
        """Return what a reader of a figure on ``split`` must know; "" where there is nothing."""
        if not self.held_out or split in ("test", self.test_name):
            return ""
        return (
            f"these images are held out of {self.name}'s train split by this program: a checkpoint that was "
            "trained elsewhere has seen them"
        )

    @property
    def val_caution(self) -> str:
        """What a reader of a figure on ``val`` must know, whatever users call that split; "" for nothing."""
        return self.caution("holdout")


def open_data(spec: str, inputs: InputSpec, *, classes: int | None = None) -> DataSplits:
    """Open the data set ``spec`` for a model that takes ``inputs``.

    Args:
        spec: ``kind`` or ``kind:argument``, for instance ``digits`` or ``npz:faces.npz``.
        inputs: image size and normalisation of the model.
        classes: number of the model's outputs; labels beyond it are refused. None takes the data's.

    Raises:
        UsageError: there is no such kind, its files are missing or malformed, it has no images, an image does
            not fit the model, or a label is out of range.
    """
    kind, _, argument = spec.partition(":")
    build = DATASETS.get(kind)
    _check_inputs(inputs)
    with named(spec):
        source = build(argument, inputs)
    for split, data in (("train", source.train), ("test", source.test), ("val", source.val)):
        if data is None:
            continue
        where = f"{source.name}, split {split}"
        _check_images(data, inputs, where)
        check_labels(data.labels, source.classes if classes is None else classes, where=where)
    _check_outputs(source, classes)
    learned, val = _validation(source)
    return DataSplits(
        name=source.name,
        spec=spec,
        classes=source.classes,
        synthetic=source.synthetic,
        train=IndexedSet(data=source.train, indices=learned, inputs=inputs),
        val=IndexedSet(data=source.val or source.train, indices=val, inputs=inputs),
        test=IndexedSet(data=source.test, indices=_all(source.test), inputs=inputs),
        held_out=source.val is None,
        test_name=source.test_name,
    )


def _validation(source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions that are learned from, and those of the validation split."""
    if source.val is not None:
        return _all(source.train), _all(source.val)
    return _hold_out(len(source.train.labels), source.name)


def _all(split: Labelled) -> NDArray[np.int64]:
    return np.arange(len(split.labels), dtype=np.int64)


def _check_outputs(source: Source, classes: int | None) -> None:
    """Refuse a model whose outputs stand for other classes than the data's: it would score 0 in silence.

    Random labels are nobody's classes, so that they fit every model.
    """
    if source.synthetic or classes is None or classes <= source.classes:
        return
    fitting = f"give --classes {source.classes} for a model with that many outputs"
    raise UsageError(
        f"the model has {classes} outputs, but {foreign(source.name)} has {source.classes} classes, "
        "numbered in an order of their own",
        f"{fitting}, or {source.widened}." if source.widened else f"{fitting}.",
    )


def check_labels(labels: NDArray[np.int64], classes: int, *, where: str) -> None:
    """Refuse labels outside 0..classes-1.

    Raises:
        UsageError: naming the first offending label and its position.
    """
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        first = int(bad[0])
        raise UsageError(
            f"{where}: image {first} has label {labels[first]}, but there are {classes} classes",
            f"labels run from 0 to {classes - 1}; use a model with more outputs, or renumber the labels",
        )


def _check_inputs(inputs: InputSpec) -> None:
    if len(inputs.image) != 3:
        raise UsageError(
            f"the model's first input has shape {inputs.image}, which is not an image",
            "data sets of images need a model that takes (channels, height, width)",
        )
    channels = inputs.image[0]
    for name, values in (("mean", inputs.mean), ("std", inputs.std)):
        if len(values) not in {1, channels}:
            raise UsageError(
                f"the model's input has {channels} channels, but its {name} has {len(values)} values",
                f"give one {name} per channel, or one for all",
            )


def _check_images(data: Labelled, inputs: InputSpec, where: str) -> None:
    if not len(data.labels):
        raise UsageError(f"{where}: there are no images", "every split needs at least one image")
    height, width, channels = data.pixels.shape
    wanted = inputs.image
    if (height, width) != wanted[1:] or channels not in {1, wanted[0]}:
        raise UsageError(
            f"{where}: images are {channels}x{height}x{width}, "
            f"but the model takes {'x'.join(str(size) for size in wanted)} (channels x height x width)",
            "resize the images, use a model of their size, or use imagefolder:DIR, which resizes",
        )


def _hold_out(images: int, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split positions 0..images-1 into (learned from, held out), both in increasing order."""
    if images < 2:
        raise UsageError(
            f"{name}: one training image cannot be split into training and validation",
            "give the training split at least two images",
        )
    held_out = max(1, round(_VALIDATION_SHARE * images))
    order = np.random.default_rng(_VALIDATION_SEED).permutation(images).astype(np.int64)
    return np.sort(order[held_out:]), np.sort(order[:held_out])
