"""A copy of a detector's file that lets all scores through, so that there is something to compare."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from compressor.base.errors import ParityError

_COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")


def write_without_threshold(source: Path, target: Path, threshold: float) -> Path:
    """Write ``source`` with 0 in place of its score threshold, and return where.

    Raises:
        ParityError: no comparison with the threshold is in the graph.
    """
    model = onnx.load(source)
    compared = {name for node in model.graph.node if node.op_type in _COMPARISONS for name in node.input}
    found = [
        tensor for name, tensor in _constants(model.graph) if name in compared and _is(tensor, threshold)
    ]
    if not found:
        raise ParityError(
            "nothing was detected on noise, and the graph has no score threshold that could be lowered",
            "compare on images in which there is something: give --calib DATA.",
        )
    for tensor in found:
        zero = numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(tensor)), tensor.name)
        tensor.CopyFrom(zero)
    onnx.save(model, target)
    return target


def _constants(graph: onnx.GraphProto) -> list[tuple[str, onnx.TensorProto]]:
    """Return initialisers and constants with the names that nodes know them by."""
    found = [(weight.name, weight) for weight in graph.initializer]
    for node in graph.node:
        if node.op_type == "Constant":
            found += [(node.output[0], a.t) for a in node.attribute if a.HasField("t")]
    return found


def _is(tensor: onnx.TensorProto, threshold: float) -> bool:
    if int(np.prod(tensor.dims)) != 1:
        return False
    value = numpy_helper.to_array(tensor).astype(np.float64).item()
    return bool(np.isclose(value, threshold, rtol=1e-3, atol=0))
