"""Torchvision's detectors learn from these batches."""

import pytest
import torch
import torchvision

from compressor.tasks.recipe import Recipe
from detection.coco import open_coco

DETECTORS = {
    "boxes": ("fasterrcnn_resnet50_fpn", {"num_classes": 3}),
    "masks": ("maskrcnn_resnet50_fpn", {"num_classes": 3}),
    "keypoints": ("keypointrcnn_resnet50_fpn", {"num_classes": 2}),
}
FEW = {
    "rpn_post_nms_top_n_train": 20,
    "box_batch_size_per_image": 8,
}  # proposals: heads take most of the time


@pytest.mark.parametrize("task", DETECTORS)
def test_a_detector_computes_its_losses(coco, cpu, task):
    name, settings = DETECTORS[task]
    torch.manual_seed(0)
    detector = getattr(torchvision.models.detection, name)(
        weights=None, weights_backbone=None, min_size=64, max_size=96, **FEW, **settings
    ).train()
    data = open_coco(coco(keypoints=task == "keypoints"), task, classes=settings["num_classes"])
    recipe = Recipe(batch_size=2)
    batch = next(data.train.training_batches(recipe, epoch=0, rank=0, world=1, device=cpu))
    losses = detector(list(batch.images), list(batch.targets))
    extra = {"boxes": set(), "masks": {"loss_mask"}, "keypoints": {"loss_keypoint"}}[task]
    assert extra <= losses.keys()
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    sum(losses.values()).backward()
