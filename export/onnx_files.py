"""Writing ONNX graphs: written whole and checked, or not at all."""

from pathlib import Path
from typing import Final

import onnx
import onnx_ir

from compressor.base.errors import CompressError, UsageError
from compressor.base.files import drafts, exists, publish
from export.quiet import captured_output

ONE_FILE_BYTES: Final = 2**31 - 2**20
"""Protocol buffers end at 2 GiB; a megabyte is left for the graph around the weights."""


def require_free(path: Path) -> None:
    """Refuse a path that is taken, before any work is done.

    Raises:
        UsageError: ``path`` exists or its folder does not.
    """
    if exists(path):
        raise UsageError(f"{path} exists", "remove it or choose another name.")
    if not path.parent.is_dir():
        raise UsageError(f"folder {path.parent} does not exist", "create it first.")


def write_onnx(model: onnx_ir.Model, path: Path) -> tuple[Path, ...]:
    """Write a model beside ``path``, check it in full, and move it there; nothing is left where that fails.

    Weights beyond 2 GiB go to ``<name>.data``; they are moved first, the graph last.

    Returns:
        The graph, and the weights if they have a file of their own.

    Raises:
        UsageError: ``path`` exists or its folder does not.
        CompressError: the graph does not pass the ONNX checker.
    """
    require_free(path)
    weights = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value)
    data = f"{path.name}.data" if weights > ONE_FILE_BYTES else None
    with drafts(path) as folder:
        draft = folder / path.name
        with captured_output():
            onnx_ir.save(model, draft, external_data=data)
        _check(draft)
        written = sorted(folder.iterdir(), key=lambda file: file == draft)
        for file in written:
            publish(file, path.parent / file.name)
    return tuple(path.parent / file.name for file in reversed(written))


def _check(draft: Path) -> None:
    try:
        onnx.checker.check_model(str(draft), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise CompressError(
            f"the graph written for {draft.name} does not pass the ONNX checker: {error}",
            "this is a fault of the export, not of the model: report it; fp32 may work meanwhile.",
        ) from error
