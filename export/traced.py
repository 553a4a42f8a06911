"""The older exporter, which traces: for modules whose shapes depend on data, for instance through NMS."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import onnx
import onnx_ir
import torch
from torch import Tensor, nn

from compressor.base.files import scratch
from export.model_io import named_outputs


@runtime_checkable
class Traced(Protocol):
    """A module that the exporter of ``torch.export`` cannot write.

    Attributes:
        traced_axes: axes of outputs whose length depends on data: name of the output -> axis -> its name.
            Outputs that the module does not have may be listed.
    """

    traced_axes: Mapping[str, Mapping[int, str]]


def traced(
    model: nn.Module, example: tuple[Tensor, ...], names: tuple[str, ...], opset: int
) -> onnx_ir.Model:
    """Return the graph of one run on ``example``, whose batch size stays fixed."""
    assert isinstance(model, Traced)
    outputs = tuple(named_outputs(model(*example)))
    axes = {name: dict(model.traced_axes[name]) for name in outputs if name in model.traced_axes}
    with scratch() as folder:
        path = folder / "traced.onnx"
        torch.onnx.export(
            model,
            example,
            path,
            dynamo=False,
            opset_version=opset,
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes=axes,
        )
        exported: onnx_ir.Model = onnx_ir.from_proto(onnx.load(path))
    return exported
