"""What a backbone makes of one canvas: shapes, found by running it once."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from compressor.base.modes import evaluation
from detection.static.settings import StaticSettings


def features_of(backbone: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return the feature maps by name; a backbone with a single map calls it ``0``, as torchvision does."""
    features = backbone(images)
    return dict(features) if isinstance(features, Mapping) else {"0": features}


def probe(detector: GeneralizedRCNN, settings: StaticSettings) -> dict[str, Tensor]:
    """Return the feature maps (1, C, h, w) of an empty canvas, for their shapes and device."""
    device = next(detector.parameters()).device
    with evaluation(detector), torch.no_grad():
        return features_of(
            detector.backbone, torch.zeros(1, 3, settings.height, settings.width, device=device)
        )
