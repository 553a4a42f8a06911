"""Which number formats a GPU computes in: an engine is strongly typed, and would fail late or emulate."""

from collections.abc import Mapping
from typing import Final

from onnx import TensorProto

from compressor.base.errors import UsageError
from export.tensorrt.device import GpuFacts
from export.tensorrt.source import OnnxSource

_NEEDED: Final[Mapping[int, tuple[str, tuple[int, int], str]]] = {
    TensorProto.BFLOAT16: ("BF16", (8, 0), "Ampere"),
    TensorProto.FLOAT8E4M3FN: ("FP8", (8, 9), "Ada"),
    TensorProto.FLOAT8E5M2: ("FP8", (8, 9), "Ada"),
    TensorProto.FLOAT4E2M1: ("FP4", (10, 0), "Blackwell"),
}
"""Type of a tensor -> its name, and the first compute capability and generation with units for it."""


def require_support(source: OnnxSource, gpu: GpuFacts) -> None:
    """Refuse a graph with a number format that the GPU has no units for.

    Raises:
        UsageError: it has one; the message names it.
    """
    has = tuple(int(number) for number in gpu.compute_capability.split("."))
    for kind in sorted(source.element_types & _NEEDED.keys()):
        name, needed, generation = _NEEDED[kind]
        if has < needed:
            raise UsageError(
                f"{source.path} holds {name} tensors; {gpu.name} has compute capability"
                f" {gpu.compute_capability}, {name} needs {needed[0]}.{needed[1]} ({generation})",
                "export with --precision fp16 or int8, which every GPU from Turing on computes in",
            )
