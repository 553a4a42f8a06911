"""Reading and writing ONNX graphs: read whole, written whole and checked, or not at all."""

import os
import tempfile
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes.common import LiftConstantsToInitializersPass, NameFixPass, ShapeInferencePass

from compressor.errors import CompressError, UsageError
from export.quiet import captured_output
from export.to_onnx import ONE_FILE_BYTES

PRECISION = "compress.precision"
"""Property of a file that says what its layers compute in; absent from fp32 files."""


def read_graph(path: Path) -> ir.Model:
    """Return a model with every value typed, every node named, and constants among the initialisers.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        model = ir.load(path)
    except (OSError, DecodeError, ValueError) as error:
        raise UsageError(f"{path} is not a readable ONNX file: {error}", "give an .onnx file.") from error
    with captured_output():
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        ShapeInferencePass()(model)
        NameFixPass()(model)
    return model


def write_graph(model: ir.Model, path: Path) -> None:
    """Write a model beside ``path``, check it in full, and move it there; nothing is left where that fails.

    Weights beyond 2 GiB go to ``<name>.data``, as `export.to_onnx` writes them.

    Raises:
        UsageError: ``path`` exists or its folder does not.
        CompressError: the graph does not pass the ONNX checker.
    """
    require_free(path)
    weights = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value)
    data = f"{path.name}.data" if weights > ONE_FILE_BYTES else None
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".precision-") as folder:
        draft = Path(folder) / path.name
        ir.save(model, draft, external_data=data)
        _check(draft)
        for file in sorted(Path(folder).iterdir(), key=lambda file: file == draft):
            os.replace(file, path.parent / file.name)


def require_free(path: Path) -> None:
    """Refuse a path that is taken, before any work is done.

    Raises:
        UsageError: ``path`` exists or its folder does not.
    """
    if path.exists():
        raise UsageError(f"{path} exists", "remove it or choose another name.")
    if not path.parent.is_dir():
        raise UsageError(f"folder {path.parent} does not exist", "create it first.")


def _check(draft: Path) -> None:
    try:
        onnx.checker.check_model(str(draft), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise CompressError(
            f"the converted graph of {draft.name} does not pass the ONNX checker: {error}",
            "this is a fault of the conversion: report it with the model, and export fp32 meanwhile.",
        ) from error
