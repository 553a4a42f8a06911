"""Greedy non-maximum suppression by the runtime's own operator.

ONNX has NonMaxSuppression; it returns as many rows as survive, so that its output and the ScatterND behind it
are the two nodes of the graph whose sizes depend on data. It is exact however deep the chains of overlaps
are, and cheap where a processor runs it in one loop; runtimes that capture graphs cannot capture it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from onnx import TensorProto
from onnxscript import FLOAT, opset18
from torch import Tensor, nn
from torchvision.ops import nms

from detection.static.nms import Survivors

_OP: Any = opset18  # its types say nothing that a checker could follow
_ENDS = torch.iinfo(torch.int32).max  # for ONNX, "as many as there are"; TensorRT reads 32 bits


@torch.library.custom_op("compress::greedy_nms", mutates_args=())
def greedy_nms(boxes: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """Return (N, K) float, 1 for survivors; boxes (N, K, 4) come best first, ``valid`` is (N, K)."""
    keep = torch.zeros_like(valid)
    order = torch.arange(valid.shape[1], 0, -1, dtype=boxes.dtype, device=boxes.device)
    for row in range(len(valid)):
        real = valid[row].nonzero()[:, 0]
        keep[row, real[nms(boxes[row, real], order[real], threshold)]] = 1
    return keep


@greedy_nms.register_fake
def _(boxes: Tensor, valid: Tensor, threshold: float) -> Tensor:
    return torch.empty_like(valid)


def _as_operator(boxes: FLOAT, valid: FLOAT, threshold: float) -> Any:
    """Write the operator and the scatter that turns its rows of (image, class, box) into a mask."""
    size = _OP.Shape(valid, start=1, end=2)
    falling = _OP.Range(_OP.Squeeze(size), _OP.Constant(value_int=0), _OP.Constant(value_int=-1))
    order = _OP.Cast(falling, to=TensorProto.FLOAT)
    scores = _OP.Unsqueeze(_OP.Mul(valid, order), _OP.Constant(value_ints=[1]))
    rows = _OP.NonMaxSuppression(
        boxes, scores, _OP.Constant(value_ints=[_ENDS]), _OP.Constant(value_floats=[threshold]),
        _OP.Constant(value_floats=[0.5]),
    )  # fmt: skip
    where = _OP.Gather(rows, _OP.Constant(value_ints=[0, 2]), axis=1)
    ones = _OP.Expand(_OP.Constant(value_floats=[1.0]), _OP.Shape(where, start=0, end=1))
    return _OP.ScatterND(_OP.Sub(valid, valid), where, ones)


class OperatorSuppression(nn.Module):
    """Suppress within independent rows; takes and gives what `IteratedSuppression` does.

    Args:
        threshold: a box goes where its IoU with a better survivor exceeds this.
    """

    onnx_translations: ClassVar[Mapping[Callable[..., Any], Callable[..., Any]]] = MappingProxyType(
        {torch.ops.compress.greedy_nms.default: _as_operator}
    )

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, boxes: Tensor, valid: Tensor) -> Survivors:
        """Suppress boxes (B, R, K, 4), best first within each row, of which ``valid`` (B, R, K) count."""
        keep = greedy_nms(boxes.flatten(0, 1), valid.flatten(0, 1), self.threshold).view_as(valid)
        return Survivors(keep=keep, settled=keep.amax(dim=(1, 2)) >= 0)
