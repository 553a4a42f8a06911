"""``npz:FILE``: a NumPy archive with x_train, y_train, x_test, y_test, and x_val, y_val if there are any.

Images are uint8 of shape (n, height, width, channels), labels integers of shape (n,). One more array,
``classes``, a single integer, says how many classes there are where the labels do not show the last ones.
Archives that hold pickled objects are refused: reading those would run code.
"""

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from compressor.base.bounds import require_memory
from compressor.base.errors import UsageError
from compressor.base.text import foreign
from compressor.data import DATASETS
from compressor.data.sources import ArrayPixels, Labelled, Source, require_argument
from compressor.zoo.inputs import InputSpec

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_OWN = ("x_val", "y_val", "classes")
_BOMB_BYTES, _BOMB_RATIO = 2**30, 50
_LAYOUT = f"an archive of numpy.savez with {', '.join(_KEYS)}; x uint8 (n, height, width, channels), y (n,)"


@DATASETS.register("npz")
def npz(argument: str, inputs: InputSpec) -> Source:
    """Return the archive's splits; without ``classes``, their number is the largest label plus one.

    Raises:
        UsageError: the file is missing or damaged, lacks an array, or one has the wrong type or shape.
    """
    del inputs
    path = Path(require_argument(argument, "npz:FILE"))
    arrays = _arrays(path)
    train = _split(arrays, "train", path)
    test = _split(arrays, "test", path)
    val = _split(arrays, "val", path) if "x_val" in arrays else None
    return Source(
        name=path.stem,
        classes=_classes(arrays, path) if "classes" in arrays else _seen_classes(train, test),
        train=train,
        test=test,
        val=val,
        widened="store their number as `classes` in the archive where its labels are the model's own",
    )


def _classes(arrays: dict[str, NDArray[np.generic]], path: Path) -> int:
    said = arrays["classes"]
    if said.dtype.kind not in "iu" or said.size != 1 or int(said.item()) < 1:
        raise UsageError(
            f"{path}: classes is {said.dtype} of shape {said.shape}", "store it as one integer from 1"
        )
    return int(said.item())


def _seen_classes(*splits: Labelled) -> int:
    """Return how many classes the labels show; none at all, or negative ones, are refused elsewhere."""
    return max([1, *(int(split.labels.max()) + 1 for split in splits if split.labels.size)])


def _arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", f"npz:FILE needs {_LAYOUT}")
    try:
        _check_headers(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            wanted = (*_KEYS, "y_val") if "x_val" in archive else _KEYS
            missing = [key for key in wanted if key not in archive]
            if missing:
                raise UsageError(f"{path} lacks {', '.join(missing)}", f"npz:FILE needs {_LAYOUT}")
            return {key: archive[key] for key in (*_KEYS, *_OWN) if key in archive}
    except (
        OSError,
        ValueError,
        EOFError,
        TypeError,
        AttributeError,
        KeyError,
        RuntimeError,  # an entry says that it is encrypted, or is packed in an unknown way
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UsageError(
            f"{path} is not a readable archive of plain arrays: {foreign(error)}", _LAYOUT
        ) from error


def _check_headers(path: Path) -> None:
    """Refuse a file before NumPy allocates what its headers claim.

    Raises:
        UsageError: its arrays do not fit into memory, or unpack to far more than images do.
        ValueError: it is no archive, or the header of an array claims another size than is stored.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        unpacked, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
        hint = "store it with numpy.savez, or give fewer images"
        require_memory(unpacked, f"{foreign(path)} unpacked", hint)
        if unpacked > max(_BOMB_BYTES, _BOMB_RATIO * packed):
            raise UsageError(
                f"{foreign(path)} would unpack to {unpacked / 2**30:.1f} GiB from {packed:,} bytes", hint
            )
        for entry in entries:
            with archive.open(entry) as stream:
                claimed = _claimed_bytes(stream)
            if claimed != entry.file_size:
                raise ValueError(
                    f"{foreign(entry.filename)} claims {claimed:,} bytes, stored are {entry.file_size:,}"
                )


def _claimed_bytes(stream: IO[bytes]) -> int:
    """Return how many bytes an array in NumPy's format takes by its header, the header included."""
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"an array is stored in format {version}, which plain arrays do not need")
    shape, _, kind = read(stream)
    if kind.hasobject:
        raise ValueError("an array holds Python objects")
    return stream.tell() + math.prod(shape) * kind.itemsize


def _split(arrays: dict[str, NDArray[np.generic]], split: str, path: Path) -> Labelled:
    images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    if images.dtype != np.uint8 or images.ndim != 4:
        raise UsageError(
            f"{path}: x_{split} is {images.dtype} of shape {images.shape}",
            "store images as uint8 of shape (n, height, width, channels), 0..255",
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise UsageError(
            f"{path}: y_{split} is {labels.dtype} of shape {labels.shape}, for {len(images)} images",
            f"store labels as integers of shape ({len(images)},)",
        )
    return Labelled(pixels=ArrayPixels(images.astype(np.uint8, copy=False)), labels=labels.astype(np.int64))
