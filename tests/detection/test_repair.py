"""A whole detector repaired: heads that run on several levels, frozen norms, boxes instead of images."""

import torch

from compressor.artifact import Artifact
from compressor.methods import method_of, prune
from compressor.rates import PruneRequest, Share
from compressor.repairing import RepairSettings, repair
from compressor.steps.shrink import perturb_norms
from compressor.zoo import find
from detection.coco import DetectionBatch


def batch(count: int, seed: int) -> DetectionBatch:
    generator = torch.Generator().manual_seed(seed)
    images = tuple(torch.rand(3, 64, 96, generator=generator) for _ in range(count))
    return DetectionBatch(images=images, targets=({},) * count, ids=tuple(range(count)))


def test_a_whole_detector_is_repaired() -> None:
    torch.manual_seed(0)
    arch = find("fasterrcnn_mobilenet_v3_large_fpn").with_options(
        {"num_classes": 3, "rpn_post_nms_top_n_test": 20}, ((3, 64, 96),)
    )
    dense = Artifact.dense(arch)
    perturb_norms(dense.module)
    small = prune(dense, PruneRequest(target=Share(0.3)), method_of("l1", {}, 0), words="l1")
    settings = RepairSettings(images=6, rows=512, strength=0.01)
    made = repair(dense, small, [batch(4, 0), batch(4, 1)], settings=settings)
    report = made.manifest.repair
    assert report is not None
    assert report.images == 6
    fitted = {layer.layer for layer in report.layers}
    assert {"rpn.head.conv.0.0", "rpn.head.cls_logits", "roi_heads.box_head.fc6"} <= fitted
    assert {"backbone.fpn.layer_blocks.0.0", "roi_heads.box_predictor.bbox_pred"} <= fitted
    assert all(layer.after <= layer.before for layer in report.layers)
    seen = batch(4, 0)
    with torch.no_grad():
        expected, cut, fixed = (
            torch.cat([out.flatten() for out in artifact.view(seen.images)])
            for artifact in (dense, small, made)
        )
    assert (fixed - expected).norm() < 0.5 * (cut - expected).norm()
