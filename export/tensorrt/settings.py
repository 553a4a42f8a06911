"""What `export.tensorrt.build.build_engine` is asked for."""

from dataclasses import dataclass
from typing import Final

from compressor.base.errors import UsageError
from export.tensorrt.precision import PRECISIONS

HIGHEST_LEVEL: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How an engine is built.

    Attributes:
        precision: what the ONNX file has been converted to, ``fp32``, ``fp16`` or ``int8``. It changes
            nothing in the build: it is compared with what the engine computes in afterwards.
        batches: smallest, best tuned and largest batch of an ONNX file with a dynamic one.
        workspace_bytes: limit on the scratch memory of a layer.
        optimization_level: 0..5, how long to search for fast kernels; 3 is TensorRT's default.
        tf32: let FP32 convolutions round their inputs to TF32 on Ampere and later. It is TensorRT's default
            and faster, but the parity limits of FP32 do not hold with it.
        least_share: smallest share of the arithmetic layers that must compute in ``precision``, 0..1. Half
            is a choice, not a measurement: casts at the edges stay FP32, an engine that missed its
            precision has 0.

    Raises:
        UsageError: a value that makes no sense.
    """

    precision: str = "fp32"
    batches: tuple[int, int, int] = (1, 8, 32)
    workspace_bytes: int = 4 * 2**30
    optimization_level: int = 3
    tf32: bool = False
    least_share: float = 0.5

    def __post_init__(self) -> None:
        smallest, tuned, largest = self.batches
        _require(
            self.precision in PRECISIONS, f"precision {self.precision!r}", f"use {', '.join(PRECISIONS)}"
        )
        _require(
            1 <= smallest <= tuned <= largest, f"batches {self.batches}", "give three rising numbers from 1"
        )
        _require(
            self.workspace_bytes > 0, f"a workspace of {self.workspace_bytes} bytes", "give a positive size"
        )
        level = self.optimization_level
        _require(0 <= level <= HIGHEST_LEVEL, f"optimisation level {level}", f"use 0 to {HIGHEST_LEVEL}")
        _require(
            0 <= self.least_share <= 1, f"a least share of {self.least_share}", "give a number from 0 to 1"
        )


def _require(sensible: bool, what: str, hint: str) -> None:
    if not sensible:
        raise UsageError(f"{what} is impossible", hint)
