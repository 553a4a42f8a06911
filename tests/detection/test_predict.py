"""A detector that computes no numbers says so, instead of finding nothing."""

import pytest
import torch
from torch import nn

from compressor.base.errors import NotFiniteError
from compressor.zoo import find
from detection.predict import detect, finite_heads


@pytest.fixture(scope="module")
def detector() -> nn.Module:
    arch = find("fasterrcnn_mobilenet_v3_large_fpn").with_options(shapes=((3, 128, 160),))
    torch.manual_seed(0)
    return arch.build().eval()


def test_a_detector_of_numbers_is_left_alone(detector: nn.Module) -> None:
    with finite_heads(detector):
        assert len(detect(detector, [torch.rand(3, 96, 128)])) == 1
    assert not detector.roi_heads.box_predictor._forward_hooks


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_boxes_that_are_no_numbers_are_not_dropped_in_silence(detector: nn.Module, value: float) -> None:
    bias = detector.roi_heads.box_predictor.cls_score.bias
    before = bias.detach().clone()
    with torch.no_grad():
        bias[0] = value
    try:
        with finite_heads(detector), pytest.raises(NotFiniteError, match="box head computes NaN"):
            detect(detector, [torch.rand(3, 96, 128)])
    finally:
        with torch.no_grad():
            bias.copy_(before)


def test_what_is_no_detector_of_torchvision_is_left_alone() -> None:
    plain = nn.Identity()
    with finite_heads(plain):
        assert plain(torch.tensor(float("nan"))).isnan()
        assert not plain._forward_hooks
