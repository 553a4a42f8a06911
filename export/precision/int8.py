"""8-bit integers by explicit QuantizeLinear and DequantizeLinear pairs (post-training, static).

A real number r is stored as q with r = scale * (q - zero point) (Jacob et al. 2018, equation 1). Weights have
one scale per output channel and zero point 0. Activations follow the runtime:

* ``cpu``: unsigned with a zero point, biases as 32-bit integers, which ONNX Runtime's integer kernels want;
* ``tensorrt``: signed with zero point 0, biases left float, pairs on inputs only, so that a layer fuses with
  the activation after it; both inputs of a residual addition are quantised.

The first and the last layers stay float unless asked otherwise: they are a small share of the work and the
nearest to pixels and scores. Everything outside the network proper stays float too, as for half precision.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import onnx
import onnx_ir as ir
from onnxruntime.quantization import QDQQuantizer, QuantType, TensorsData

from compressor.base.errors import UsageError
from export.onnx_files import require_free, write_onnx
from export.precision.calibration import Feeds, Method, calibrate
from export.precision.files import PRECISION, read_graph
from export.precision.regions import (
    CARRIERS,
    LAYERS,
    Nodes,
    between,
    carriers_of,
    ends,
    is_constant,
    layers_of,
    matching,
)
from export.precision.saturation import saturates
from export.precision.share import PrecisionReport, precision_report
from export.quiet import captured_output

Runtime = Literal["cpu", "tensorrt"]

_CARRIED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "cpu": frozenset(
            {
                "Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "LeakyRelu",
                "MaxPool", "Mul", "Pad", "Relu", "Reshape", "Resize", "Slice", "Split", "Squeeze",
                "Transpose", "Unsqueeze",
            }
        ),
        "tensorrt": frozenset({"Add", "AveragePool", "GlobalAveragePool", "MaxPool"}),
    }
)  # fmt: skip
"""Operators that compute on integers too, where they stand between quantised layers."""

_OPTIONS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "cpu": {"WeightSymmetric": True},
        "tensorrt": {
            "WeightSymmetric": True,
            "ActivationSymmetric": True,
            "AddQDQPairToWeight": True,
            "QuantizeBias": False,
            "DedicatedQDQPair": True,
            "OpTypesToExcludeOutputQuantization": sorted(LAYERS | _CARRIED["tensorrt"]),
        },
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Settings:
    """How to quantise.

    Attributes:
        runtime: which runtime will read the file.
        method: how ranges follow from calibration images.
        percentile: share of values inside the range, in percent; for the method of that name.
        keep: glob patterns of modules that stay float.
        keep_ends: whether the first and the last layers stay float.

    Raises:
        UsageError: an unknown runtime.
    """

    runtime: Runtime = "cpu"
    method: Method = "minmax"
    percentile: float = 99.99
    keep: tuple[str, ...] = ()
    keep_ends: bool = True

    def __post_init__(self) -> None:
        if self.runtime not in _CARRIED:
            raise UsageError(f"unknown runtime {self.runtime!r}", f"choose one of {', '.join(_CARRIED)}.")


_DEFAULT: Final = Int8Settings()


def to_int8(
    source: Path, target: Path, batches: Iterable[Feeds], settings: Int8Settings = _DEFAULT
) -> PrecisionReport:
    """Write ``source`` with its layers in 8-bit integers to ``target``; inputs and outputs stay fp32.

    Args:
        source: an fp32 ONNX file.
        target: the file to write.
        batches: calibration images, from the training split.
        settings: runtime, calibration method, and what stays float.

    Raises:
        UsageError: a file cannot be read or exists, nothing is left to quantise, or images do not fit.
        CompressError: the result does not pass the ONNX checker.
    """
    require_free(target)
    subject = Subject.read(source, settings)
    return subject.write(target, subject.layers, subject.calibrated(batches))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model to quantise, read once; `export.precision.auto` writes it many times.

    Attributes:
        source: the fp32 file.
        model: its graph, which is not changed.
        settings: how to quantise.
        layers: those that may be quantised, in execution order.
    """

    source: Path
    model: ir.Model
    settings: Int8Settings
    layers: tuple[ir.Node, ...]

    @classmethod
    def read(cls, source: Path, settings: Int8Settings) -> "Subject":
        """Read a file and choose its layers.

        Raises:
            UsageError: it cannot be read, or nothing is left to quantise.
        """
        model = read_graph(source)
        every = layers_of(model.graph)
        kept = matching(every, settings.keep) | (ends(model.graph, every) if settings.keep_ends else set())
        layers = tuple(layer for layer in every if layer not in kept)
        if not layers:
            raise UsageError(
                f"{source} has {len(every)} layers and all of them stay float",
                "quantise the first and the last as well, or keep fewer.",
            )
        return cls(source=source, model=model, settings=settings, layers=layers)

    def calibrated(self, batches: Iterable[Feeds]) -> TensorsData:
        """Return the ranges of the activations; see `export.precision.calibration.calibrate`."""
        operators = LAYERS | _CARRIED[self.settings.runtime]
        return calibrate(self.source, batches, operators, self.settings.method, self.settings.percentile)

    def write(self, target: Path, layers: Collection[ir.Node], ranges: TensorsData) -> PrecisionReport:
        """Quantise some of the layers, and what lies between them, to a new file."""
        nodes = self._region(layers)
        names = [str(node.name) for node in self.model.graph if node in nodes]
        with captured_output():
            quantised = _quantised(ir.to_proto(self.model), names, ranges, self.settings.runtime)
        model = ir.from_proto(quantised)
        model.graph.sort()  # the quantiser appends its nodes at the end
        model.metadata_props.clear()
        model.metadata_props.update({**self.model.metadata_props, PRECISION: "int8"})
        write_onnx(model, target)
        return precision_report(target, "int8")

    def _region(self, layers: Collection[ir.Node]) -> Nodes:
        """Return the layers, what computes on integers between them, and the additions right after them."""
        graph, chosen, integer = self.model.graph, frozenset(layers), _CARRIED[self.settings.runtime]
        inside = between(graph, layers, carriers_of(graph, CARRIERS)) - chosen
        residual = {n for n in graph if n.op_type == "Add" and chosen & set(n.predecessors())}
        carried = {n for n in inside | residual if n.op_type in integer and _mixes_activations(n)}
        return chosen | carried


def _mixes_activations(node: ir.Node) -> bool:
    """Refuse additions of and products with constants: they belong to a layer before them."""
    return node.op_type not in ("Add", "Mul") or not any(is_constant(value) for value in node.inputs)


def _quantised(
    model: onnx.ModelProto, names: Sequence[str], ranges: TensorsData, runtime: Runtime
) -> onnx.ModelProto:
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=runtime == "cpu" and saturates(),
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8 if runtime == "cpu" else QuantType.QInt8,
        tensors_range=ranges,
        nodes_to_quantize=list(names),
        nodes_to_exclude=[],
        op_types_to_quantize=sorted(LAYERS | _CARRIED[runtime]),
        extra_options=dict(_OPTIONS[runtime]),
    )
    quantizer.quantize_model()
    result: onnx.ModelProto = quantizer.model.model
    return result
