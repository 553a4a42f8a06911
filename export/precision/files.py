"""Reading ONNX graphs for another precision."""

from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, NameFixPass, ShapeInferencePass

from export.onnx_reader import reading
from export.quiet import captured_output

PRECISION = "compress.precision"
"""Property of a file that says what its layers compute in; absent from fp32 files."""


def read_graph(path: Path) -> ir.Model:
    """Return a model with every value typed, every node named, and constants among the initialisers.

    Raises:
        UsageError: the file cannot be read.
    """
    with reading(path):
        model = ir.load(path)
    with captured_output():
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        ShapeInferencePass()(model)
        NameFixPass()(model)
    return model
