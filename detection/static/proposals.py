"""Region proposals: torchvision's RPN with static shapes.

Per level the best k anchors are decoded and clipped; levels are padded to one length and suppressed side by
side; the best of all levels are the proposals. Where fewer survive, the rest is padding.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork

from detection.static.boxes import at_least, best, clip, decode, take
from detection.static.settings import StaticSettings
from detection.static.suppression import suppression


class Proposals(NamedTuple):
    """Candidate objects, best first.

    Attributes:
        boxes: (B, P, 4).
        valid: (B, P) float of 0 and 1.
        settled: (B,) bool, the suppression was exact.
    """

    boxes: Tensor
    valid: Tensor
    settled: Tensor


class StaticProposals(nn.Module):
    """The RPN of a detector on one canvas size.

    Args:
        rpn: torchvision's, whose head is shared.
        example: feature maps (1, C, h, w) of this canvas, by name.
        settings: sizes.
    """

    def __init__(
        self, rpn: RegionProposalNetwork, example: Mapping[str, Tensor], settings: StaticSettings
    ) -> None:
        super().__init__()
        self.head = rpn.head
        self.coder = rpn.box_coder
        self.score_thresh = float(rpn.score_thresh)
        self.min_size = float(rpn.min_size)
        anchors = _anchors(rpn, example, settings)
        for level, rows in enumerate(anchors):
            self.register_buffer(f"anchors_{level}", rows, persistent=False)
        self.counts = tuple(min(settings.pre_nms, len(rows)) for rows in anchors)
        self.proposals = min(settings.proposals, sum(self.counts))
        self.suppress = suppression(self.counts, rpn.nms_thresh, settings)

    def candidates(
        self, logits: Sequence[Tensor], codes: Sequence[Tensor], sizes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return scores (B, L, K) and boxes (B, L * K, 4) of the best anchors of every level.

        ``logits`` and ``codes`` are what ``head`` makes of the feature maps of images of ``sizes`` (B, 2).
        """
        levels = [self._best(i, *level) for i, level in enumerate(zip(logits, codes, strict=True))]
        scores = torch.sigmoid(torch.stack([level[0] for level in levels], dim=1))  # (B, L, K)
        boxes = torch.stack([level[1] for level in levels], dim=1)  # (B, L, K, 4)
        return scores, clip(boxes.flatten(1, 2), sizes)

    def forward(self, scores: Tensor, boxes: Tensor) -> Proposals:
        """Return the candidates that suppression leaves, the best of all levels first."""
        valid = at_least(boxes, self.min_size).view_as(scores) & (scores >= self.score_thresh)
        keep, settled = self.suppress(boxes.view(*scores.shape, 4), valid.to(scores.dtype))
        # Sigmoids are not negative, so -1 sorts padding and victims behind every survivor.
        score, index = best((scores * keep + (keep - 1)).flatten(1), self.proposals)
        return Proposals(boxes=take(boxes, index), valid=(score >= 0).to(boxes.dtype), settled=settled)

    def _best(self, level: int, logits: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, K) and boxes (B, K, 4) of a level's best anchors, padded to the common length."""
        count, padding = self.counts[level], max(self.counts) - self.counts[level]
        anchors: Tensor = getattr(self, f"anchors_{level}")
        logit, index = _per_anchor(logits, 1).flatten(1).topk(count)
        boxes = decode(self.coder, take(_per_anchor(codes, 4), index), anchors[index])
        if padding == 0:
            return logit, boxes
        # A padding box has no area, so it is never valid.
        return nn.functional.pad(logit, (0, padding)), nn.functional.pad(boxes, (0, 0, 0, padding))


def _per_anchor(maps: Tensor, values: int) -> Tensor:
    """Reorder (B, anchors * values, h, w) to (B, h * w * anchors, values), the order of the anchors."""
    batch, channels, height, width = maps.shape
    split = maps.view(batch, channels // values, values, height, width)
    return split.permute(0, 3, 4, 1, 2).reshape(batch, channels // values * height * width, values)


def _anchors(
    rpn: RegionProposalNetwork, example: Mapping[str, Tensor], settings: StaticSettings
) -> list[Tensor]:
    """Return one (N, 4) tensor per level, made by the detector's own generator."""
    maps = list(example.values())
    canvas = ImageList(
        maps[0].new_zeros(1, 3, settings.height, settings.width), [(settings.height, settings.width)]
    )
    per_location = rpn.anchor_generator.num_anchors_per_location()
    counts = [m.shape[-2] * m.shape[-1] * n for m, n in zip(maps, per_location, strict=True)]
    return list(rpn.anchor_generator(canvas, maps)[0].split(counts))
