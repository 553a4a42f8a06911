"""The heads that look at boxes: classes and refined boxes, masks, keypoints."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads

from compressor.base.errors import UsageError
from detection.static.atlas import AtlasLayout, AtlasPool
from detection.static.boxes import at_least, best, clip, decode, inverse, take
from detection.static.proposals import Proposals
from detection.static.settings import StaticSettings
from detection.static.suppression import suppression

_MIN_SIDE = 1e-2  # torchvision removes detections that are smaller, in pixels


class Found(NamedTuple):
    """Detections, best first, padded with zeros.

    Attributes:
        boxes: (B, D, 4).
        scores: (B, D).
        labels: (B, D) int64.
        exact: (B,) bool, neither suppression nor a cap could have changed the result.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    exact: Tensor


class StaticBoxHead(nn.Module):
    """Classify proposals and keep the best boxes of each class, as torchvision's ``RoIHeads``.

    Args:
        heads: torchvision's, whose sub-modules are shared.
        layout: of the pyramid.
        proposals: boxes per image that come in.
        settings: sizes.

    Raises:
        UsageError: the predictor is not built as torchvision's.
    """

    def __init__(
        self, heads: RoIHeads, layout: AtlasLayout, proposals: int, settings: StaticSettings
    ) -> None:
        super().__init__()
        self.pool = AtlasPool(heads.box_roi_pool, layout)
        self.head = heads.box_head
        self.predictor = heads.box_predictor
        self.coder = heads.box_coder
        self.score_thresh = max(float(heads.score_thresh), 0.0)
        self.classes = _outputs(heads.box_predictor) - 1  # without the background
        pairs = proposals * self.classes
        self.candidates = min(settings.candidates, pairs)
        self.capped = self.candidates < pairs
        self.detections = min(settings.detections, self.candidates)
        self.suppress = suppression((self.candidates,), heads.nms_thresh, settings)

    def forward(self, scores: Tensor, codes: Tensor, proposals: Proposals, sizes: Tensor) -> Found:
        """Detect in images of ``sizes`` (B, 2), from scores (B, N, classes) without the background.

        ``codes`` are those that were `predicted` of their proposals.
        """
        batch = proposals.boxes.shape[0]
        # Padding proposals score 0, which is never above the threshold.
        score, index = best((scores * proposals.valid[..., None]).flatten(1), self.candidates)
        proposal = torch.div(index, self.classes, rounding_mode="floor")
        labels = index - proposal * self.classes + 1
        code = take(codes.reshape(batch, -1, 4), proposal * (self.classes + 1) + labels)
        boxes = clip(decode(self.coder, code, take(proposals.boxes, proposal)), sizes)
        return self._survivors(boxes, score, labels)

    def predicted(self, atlas: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (B, N, classes) and codes (B, N, 4 * classes), both with the background."""
        order = self.pool.order(boxes)
        outputs = self.predictor(self.head(self.pool(atlas, take(boxes, order))))
        # Back to the order by score: torchvision prefers the earlier of two boxes with equal scores.
        back = inverse(order)
        logits, codes = (take(output.view(*order.shape, -1), back) for output in outputs)
        return logits, codes

    def _survivors(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Found:
        above = scores > self.score_thresh
        valid = (above & at_least(boxes, _MIN_SIDE)).to(scores.dtype)
        apart = _apart(boxes, valid, labels)
        keep, settled = self.suppress(apart[:, None], valid[:, None])
        keep = keep[:, 0]
        score, index = best(scores * keep, self.detections)
        real = (score > 0).to(boxes.dtype)
        # Pairs beyond the cap score less than all candidates: a list that is full does not depend on them.
        full = keep.sum(dim=1) >= self.detections
        enough = full | ~above[:, -1] if self.capped else torch.ones_like(full)
        return Found(
            boxes=take(boxes, index) * real[..., None],
            scores=score,
            labels=labels.gather(1, index) * real.to(labels.dtype),
            exact=settled & enough,
        )


class StaticMaskHead(nn.Module):
    """Masks of the detections: the logits of the other classes are never computed.

    The last layer is a 1 x 1 convolution to one map per class, so the map of class c is a product with row c
    of its weights.

    Raises:
        UsageError: the predictor ends otherwise.
    """

    def __init__(self, heads: RoIHeads, layout: AtlasLayout) -> None:
        super().__init__()
        self.pool = AtlasPool(heads.mask_roi_pool, layout)
        self.head = heads.mask_head
        *trunk, self.logits = heads.mask_predictor.children()
        self.trunk = nn.Sequential(*trunk)
        if not isinstance(self.logits, nn.Conv2d) or self.logits.kernel_size != (1, 1):
            raise UsageError(
                f"the mask predictor ends with {type(self.logits).__name__}",
                "let it end with a 1 x 1 convolution to one map per class, as torchvision's does",
            )

    def forward(self, atlas: Tensor, boxes: Tensor, labels: Tensor) -> tuple[Tensor]:
        """Return (B, D, m, m) logits of boxes (B, D, 4) with their labels (B, D)."""
        features = self.trunk(self.head(self.pool(atlas, boxes)))
        label = labels.flatten()
        weight = self.logits.weight.flatten(1)[label][:, None]
        maps = weight @ features.flatten(2) + self.logits.bias[label][:, None, None]
        return (maps.view(*labels.shape, *features.shape[-2:]),)


class StaticKeypointHead(nn.Module):
    """One heat map per keypoint of the detections."""

    def __init__(self, heads: RoIHeads, layout: AtlasLayout) -> None:
        super().__init__()
        self.pool = AtlasPool(heads.keypoint_roi_pool, layout)
        self.head = heads.keypoint_head
        self.predictor = heads.keypoint_predictor

    def forward(self, atlas: Tensor, boxes: Tensor, labels: Tensor) -> tuple[Tensor]:
        """Return (B, D, K, m, m) logits of boxes (B, D, 4) with their labels (B, D)."""
        maps: Tensor = self.predictor(self.head(self.pool(atlas, boxes)))
        return (maps.view(*labels.shape, *maps.shape[1:]),)


def _outputs(predictor: nn.Module) -> int:
    scores = getattr(predictor, "cls_score", None)
    if not isinstance(scores, nn.Linear):
        raise UsageError(
            f"the box predictor is a {type(predictor).__name__} without a linear layer cls_score",
            "give it the parts of torchvision's FastRCNNPredictor",
        )
    return scores.out_features


def _apart(boxes: Tensor, valid: Tensor, labels: Tensor) -> Tensor:
    """Move the boxes of each class where no box of another class is.

    By torchvision's own offset, the largest coordinate plus one per label, so that IoUs round as its do.
    """
    furthest = (boxes * valid[..., None]).amax(dim=(1, 2))
    return boxes + (labels.to(boxes.dtype) * (furthest[:, None] + 1))[..., None]
