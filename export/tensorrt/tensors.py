"""Inputs and outputs of an engine: names, element types, and the range of shapes it was tuned for."""

from __future__ import annotations  # types of a module that may not be installed

from dataclasses import dataclass
from typing import Any

import numpy as np

from compressor.base.errors import CompressError
from export.session import Taken
from export.tensorrt import api as trt
from export.tensorrt.device import Shape
from export.tensorrt.sidecar import TensorRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTensor:
    """An input or output.

    Attributes:
        name: as in the ONNX file.
        dtype: element type.
        smallest: shape at the smallest batch; of an output, its shape with -1 where it depends on the input.
        largest: shape at the largest batch, likewise.
    """

    name: str
    dtype: np.dtype[Any]
    smallest: Shape
    largest: Shape

    def record(self) -> TensorRecord:
        """Return it as the sidecar has it."""
        return TensorRecord(
            name=self.name, dtype=self.dtype.name, smallest=self.smallest, largest=self.largest
        )

    def taken(self) -> Taken:
        """Return it as a session's input."""
        return Taken(name=self.name, dtype=self.dtype, smallest=self.smallest, largest=self.largest)


def engine_inputs(engine: trt.ICudaEngine) -> tuple[EngineTensor, ...]:
    """Return the inputs, in the order of the ONNX file.

    Raises:
        CompressError: one has a type that numpy does not know.
    """
    return tuple(_tensor(engine, name) for name in _names(engine) if _is_input(engine, name))


def engine_outputs(engine: trt.ICudaEngine) -> tuple[EngineTensor, ...]:
    """Return the outputs, in the order of the ONNX file; see `engine_inputs`."""
    return tuple(_tensor(engine, name) for name in _names(engine) if not _is_input(engine, name))


def _names(engine: trt.ICudaEngine) -> list[str]:
    return [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]


def _is_input(engine: trt.ICudaEngine, name: str) -> bool:
    return engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT


def _tensor(engine: trt.ICudaEngine, name: str) -> EngineTensor:
    shape = tuple(engine.get_tensor_shape(name))
    smallest = largest = shape
    if _is_input(engine, name) and -1 in shape:
        smallest, _, largest = (tuple(dims) for dims in engine.get_tensor_profile_shape(name, 0))
    return EngineTensor(name=name, dtype=_dtype(engine, name), smallest=smallest, largest=largest)


def _dtype(engine: trt.ICudaEngine, name: str) -> np.dtype[Any]:
    try:
        return np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
    except TypeError as error:
        raise CompressError(
            f"{name} has a type that numpy does not have: {error}",
            "export with inputs and outputs in FP32 or FP16",
        ) from error
