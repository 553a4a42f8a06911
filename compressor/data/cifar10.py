"""``cifar10:DIR``: CIFAR-10 in the folder layout of its Python version, as torchvision unpacks it.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. The files are Python
pickles, and a pickle may name any function to be called. The reader here resolves only the few names from
which NumPy rebuilds an array, so a file can hold data and nothing else.
"""

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from compressor.base.errors import UsageError
from compressor.data import DATASETS
from compressor.data.sources import ArrayPixels, Labelled, Source, require_argument
from compressor.zoo.inputs import InputSpec

_FOLDER = "cifar-10-batches-py"
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = ("test_batch",)
_IMAGE = (3, 32, 32)


@DATASETS.register("cifar10")
def cifar10(argument: str, inputs: InputSpec) -> Source:
    """Return CIFAR-10 from ``cifar-10-batches-py`` or the folder that contains it.

    Raises:
        UsageError: a file is missing, damaged, or tries to be more than data.
    """
    del inputs
    given = Path(require_argument(argument, "cifar10:DIR"))
    folder = given / _FOLDER if (given / _FOLDER).is_dir() else given
    return Source(name="cifar10", classes=10, train=_read(folder, _TRAIN), test=_read(folder, _TEST))


def _read(folder: Path, names: tuple[str, ...]) -> Labelled:
    parts = [_read_batch(folder / name) for name in names]
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    return Labelled(pixels=ArrayPixels(images), labels=labels)


def _read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if not path.is_file():
        raise UsageError(
            f"there is no file {path}",
            f"cifar10:DIR is the folder {_FOLDER} or its parent, with {', '.join((*_TRAIN, *_TEST))}",
        )
    batch = _unpickled(path)
    try:
        rows = np.asarray(batch["data"])
        labels = np.asarray(batch["labels"], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(path, f"no usable data and labels ({error})") from error
    if rows.dtype != np.uint8 or rows.shape != (len(labels), int(np.prod(_IMAGE))) or labels.ndim != 1:
        raise _malformed(
            path, f"data is {rows.dtype} of shape {rows.shape}, labels have shape {labels.shape}"
        )
    # stored channels first; np.ascontiguousarray once is cheaper than strided reads in every batch
    return np.ascontiguousarray(rows.reshape(-1, *_IMAGE).transpose(0, 2, 3, 1)), labels


def _unpickled(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = _ArrayUnpickler(file).load()
    except UsageError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise _malformed(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(content, dict):
        raise _malformed(path, f"it holds a {type(content).__name__}, not a dictionary")
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): content[key] for key in content}


def _malformed(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path} is not a batch of CIFAR-10's Python version: {why}", "download and unpack it again"
    )


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, with which Python 3 writes bytes for Python 2 readers."""
    if encoding != "latin1":
        raise ValueError(f"encoding {encoding!r}")
    return text.encode("latin1")


def _array_names() -> dict[tuple[str, str], Any]:
    """Return what a pickled array may refer to, under the names that NumPy 1 and 2 write."""
    # asking an array how it pickles itself avoids NumPy's private module paths, which moved between versions
    empty = np.empty(0)
    reconstruct, from_buffer = empty.__reduce__()[0], empty.__reduce_ex__(5)[0]
    names: dict[tuple[str, str], Any] = {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = reconstruct
        names[f"{core}.numeric", "_frombuffer"] = from_buffer
    names["_codecs", "encode"] = _latin1
    return names


class _ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers, strings, bytes and NumPy arrays; refuses everything else."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="latin1")
        self._where = file.name
        self._allowed = _array_names()

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in self._allowed:
            raise UsageError(
                f"{self._where} refers to {module_name}.{global_name}, which is code and not data",
                "do not open this file with Python's pickle; get CIFAR-10 from its authors",
            )
        return self._allowed[module_name, global_name]
