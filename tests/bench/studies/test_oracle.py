"""The oracle over torchvision, one model of each kind; ``python -m bench.studies.oracle.run`` checks all."""

import pytest
from torchvision.models import get_model_builder

from bench.studies.oracle.run import oracle_row, torchvision_names

NORMS_OVER_CHANNELS = ("convnext", "swin", "vit", "maxvit")

KINDS = (
    "alexnet", "convnext_tiny", "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50", "densenet121",
    "efficientnet_b0", "efficientnet_v2_s", "fcn_resnet50", "googlenet", "inception_v3",
    "lraspp_mobilenet_v3_large", "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small",
    "regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnet50", "resnext50_32x4d", "shufflenet_v2_x0_5",
    "squeezenet1_0", "swin_t", "swin_v2_t", "vgg11", "vgg11_bn", "vit_b_32",
)  # fmt: skip
"""The smallest model of every kind of block; larger ones repeat them."""


@pytest.mark.parametrize("name", KINDS)
def test_torchvisions_models_shrink_to_what_their_masks_compute(name: str) -> None:
    row = oracle_row(name)
    assert row.refused is None
    assert row.max_relative_difference is not None
    assert 0 < row.max_relative_difference <= 1e-4
    assert row.params_share < 0.72
    if name.startswith(NORMS_OVER_CHANNELS):
        assert "layer norm over channels" in row.kept_whole
    else:
        assert row.kept_whole == {}


def test_every_module_of_torchvision_has_a_model_among_them() -> None:
    every, chosen = (
        {get_model_builder(name).__module__ for name in names} for names in (torchvision_names(), KINDS)
    )
    assert chosen == every
