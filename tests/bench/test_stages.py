from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

from bench.stages import OTHER, stage_of, stage_times
from compressor.zoo.inputs import InputSpec
from export.to_onnx import export_onnx


class Small(nn.Module):
    """Convolutions where a detector has its own."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({"body": nn.Conv2d(3, 16, 3), "fpn": nn.Conv2d(16, 16, 3)})
        self.last = nn.Conv2d(16, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.backbone["fpn"](self.backbone["body"](x)))


def test_every_kernel_has_its_stage(tmp_path: Path) -> None:
    inputs = InputSpec(shapes=((3, 32, 32),))
    file = export_onnx(Small().eval(), inputs, tmp_path / "small.onnx", metadata={})
    feed = {"input": np.zeros((1, 3, 32, 32), np.float32)}
    times_ms = stage_times(file.path, feed, threads=1, calls=3)
    assert list(times_ms) == ["backbone", "FPN", OTHER]
    assert all(0 < time_ms < 1000 for time_ms in times_ms.values())


@pytest.mark.parametrize(
    ("scopes", "stage"),
    [
        (["", "backbone", "backbone.body", "backbone.body.conv1"], "backbone"),
        (["", "rpn", "rpn.head"], "RPN head"),
        (["", "rpn"], "proposals and NMS"),
        (["", "boxes", "boxes.pool"], "RoIAlign"),
        (["", "bodyguard"], OTHER),
        ([], OTHER),
    ],
)
def test_the_longest_path_decides(scopes: list[str], stage: str) -> None:
    assert stage_of(scopes) == stage
