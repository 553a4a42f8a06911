"""Reading ONNX graphs for another precision."""

from pathlib import Path

import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes.common import LiftConstantsToInitializersPass, NameFixPass, ShapeInferencePass

from compressor.errors import UsageError
from export.quiet import captured_output

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
