"""``imagefolder:DIR``: one folder per class in ``DIR/train`` and ``DIR/val``, as ImageNet is usually stored.

Images are decoded when they are needed, resized so that the shorter side is 1/0.875 of the model's input,
and cropped in the middle: 256 and 224 for ImageNet, as in torchvision's reference evaluation.

Where there is a folder ``DIR/test``, it is the test split and ``val`` the validation split. Without one,
``val`` is the *test* split, as ImageNet is used, and the validation split is held out of ``train``.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from compressor.base.errors import UsageError
from compressor.base.text import foreign
from compressor.data import DATASETS
from compressor.data.sources import Labelled, Source, require_argument
from compressor.zoo.inputs import InputSpec

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
_CROP_SHARE = 0.875
_SERIAL_BELOW = 256  # starting workers costs more than decoding this many images
_MOST_WORKERS = 8
_MODES = {1: "L", 3: "RGB"}


@DATASETS.register("imagefolder")
def imagefolder(argument: str, inputs: InputSpec) -> Source:
    """Return the folders as splits; classes are the folder names of ``train`` in alphabetical order.

    Raises:
        UsageError: a folder is missing or empty, a class occurs only in ``val`` or ``test``, or the model
            takes neither gray nor colour images. Reading raises it for a damaged image.
    """
    root = Path(require_argument(argument, "imagefolder:DIR"))
    channels, height, width = inputs.image
    if channels not in _MODES:
        raise UsageError(
            f"the model takes images of {channels} channels", "imagefolder has gray and colour images: 1 or 3"
        )
    classes = _classes(root / "train")
    own = (root / "test").is_dir()
    for split in ("val", "test") if own else ("val",):
        unknown = sorted(set(_classes(root / split)) - set(classes))
        if unknown:
            names = ", ".join(map(foreign, unknown))
            raise UsageError(f"{root}: classes in {split} but not in train: {names}", "compare the folders")
    shape = (height, width, channels)
    return Source(
        name=root.resolve().name,
        classes=len(classes),
        train=_labelled(root / "train", classes, shape),
        test=_labelled(root / ("test" if own else "val"), classes, shape),
        val=_labelled(root / "val", classes, shape) if own else None,
        widened="give a folder that has all classes of the model",
        test_name="test" if own else "val",
    )


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {folder}",
            "imagefolder:DIR needs DIR/train and DIR/val with one folder per class",
        )
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())


def _labelled(folder: Path, classes: list[str], shape: tuple[int, int, int]) -> Labelled:
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            continue  # a test split need not show every class
        found = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in _SUFFIXES)
        if not found:
            raise UsageError(
                f"{folder / name} has no images", f"known endings: {' '.join(sorted(_SUFFIXES))}"
            )
        paths += found
        labels += [label] * len(found)
    return Labelled(pixels=FolderPixels(tuple(paths), shape), labels=np.array(labels, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class FolderPixels:
    """Image files, decoded to one shape (height, width, channels) as they are read."""

    paths: tuple[Path, ...]
    shape: tuple[int, int, int]

    def read(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[NDArray[np.uint8]]:
        """Yield each batch of positions as decoded images, ahead of need in worker processes.

        Raises:
            UsageError: an image cannot be decoded; the message names its file.
        """
        images = sum(len(batch) for batch in batches)
        loader: DataLoader[_Decoded] = DataLoader(
            _Files(self.paths, self.shape),
            batch_sampler=[batch.tolist() for batch in batches],
            num_workers=0 if images < _SERIAL_BELOW else min(_MOST_WORKERS, _usable_cores()),
            collate_fn=_stacked,
        )
        for decoded in loader:
            if isinstance(decoded, _Unreadable):
                raise UsageError(
                    f"cannot read image {decoded.path}: {decoded.why}", "replace or delete the file"
                )
            yield decoded.permute(0, 2, 3, 1).contiguous().numpy()


def _usable_cores() -> int:
    """Return how many cores this process may run on, which containers limit; not every system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """Why a file could not be decoded: exceptions lose their type on the way out of a worker."""

    path: Path
    why: str


_Decoded = Tensor | _Unreadable


class _Files(Dataset[_Decoded]):
    def __init__(self, paths: tuple[Path, ...], shape: tuple[int, int, int]) -> None:
        self._paths = paths
        self._mode = _MODES[shape[2]]
        self._fit = _fit_to(shape[0], shape[1])

    def __getitem__(self, index: int) -> _Decoded:
        from PIL import Image

        path = self._paths[index]
        try:
            with Image.open(path) as file:
                return self._fit(file.convert(self._mode))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            return _Unreadable(path, str(error))


def _fit_to(height: int, width: int) -> Callable[..., Tensor]:
    """Return the function from a PIL image to uint8 (channels, height, width)."""
    from torchvision.transforms import v2

    shorter = round(max(height, width) / _CROP_SHARE)
    steps = [v2.Resize(shorter), v2.CenterCrop((height, width)), v2.PILToTensor()]
    transform: Callable[..., Tensor] = v2.Compose(steps)
    return transform


def _stacked(decoded: list[_Decoded]) -> _Decoded:
    """Stack in the worker: one block of shared memory per batch, not one per image."""
    for image in decoded:
        if isinstance(image, _Unreadable):
            return image
    return torch.stack([image for image in decoded if isinstance(image, Tensor)])
