"""Greedy non-maximum suppression with static shapes: no loop, no data-dependent size.

Boxes come best first. Whether box j survives is a recurrence over the boxes i < j that overlap it,

    keep_j = valid_j and not any(keep_i and IoU(i, j) > threshold for i < j),

and greedy NMS is its only solution. Iterating ``keep <- valid and not (keep @ over)`` from ``keep = valid``
fixes one more link of every chain of dependencies per round, so it is exact as soon as two rounds agree
("Cluster-NMS", Zheng et al., arXiv:2005.03572). Here boxes are taken in blocks: a block is iterated to its
fixed point, then suppresses everything behind it at once. Chains within a block are short, only the upper
triangle of blocks is ever computed, and a block of b boxes needs at most b rounds whatever the input.

Booleans are floats of 0 and 1, since runtimes multiply floats: ``a and not b`` is relu(a - b).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from detection.static.settings import StaticSettings


class Survivors(NamedTuple):
    """Result of a suppression.

    Attributes:
        keep: (B, R, K) float, 1 for survivors.
        settled: (B,) bool, every block had reached its fixed point, so ``keep`` is exact.
    """

    keep: Tensor
    settled: Tensor


class IteratedSuppression(nn.Module):
    """Suppress within independent rows (for instance one row per pyramid level).

    Args:
        counts: boxes in each row; rows are padded to the longest. Long rows first save work.
        threshold: a box goes where its IoU with a better survivor exceeds this.
        settings: block size and rounds.
    """

    upper: Tensor

    def __init__(self, counts: Sequence[int], threshold: float, settings: StaticSettings) -> None:
        super().__init__()
        self.counts = tuple(counts)
        self.threshold = _float32_below(threshold)
        self.block = settings.nms_block
        self.iterations = settings.nms_iterations
        self.register_buffer("upper", torch.ones(self.block, self.block).triu(1), persistent=False)

    def forward(self, boxes: Tensor, valid: Tensor) -> Survivors:
        """Suppress.

        Args:
            boxes: (B, R, K, 4), best first within each row; K is the longest row.
            valid: (B, R, K) float of 0 and 1; other boxes neither survive nor suppress.
        """
        now, before = [], []
        better, others, alive = _edges(boxes, -1), _edges(boxes, -2), valid[:, :, None]
        for start in range(0, max(self.counts), self.block):
            rows = max(row for row, count in enumerate(self.counts, start=1) if count > start)
            stop = min(start + self.block, max(self.counts))
            over = self._overlaps(
                [edge[:, :rows, start:stop] for edge in better],
                [edge[:, :rows, :, start:] for edge in others],
            )
            alive = alive[:, :rows]
            keep, previous = self._fixed_point(alive[..., : self.block], over[..., : self.block])
            now.append(_with_rows(keep, len(self.counts)))
            before.append(_with_rows(previous, len(self.counts)))
            if stop < max(self.counts):
                alive = torch.relu(alive[..., self.block :] - keep @ over[..., self.block :])
        kept = torch.cat(now, dim=-1)[:, :, 0]
        moved = (kept - torch.cat(before, dim=-1)[:, :, 0]).abs().amax(dim=(1, 2))
        return Survivors(keep=kept, settled=moved < 0.5)

    def _overlaps(self, better: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """Return (B, r, N, M) float: 1 where IoU(better n, other m) exceeds the threshold.

        The order of operations is that of torchvision's CPU kernel, so both round alike.
        """
        left, top, right, bottom, area = better
        other_left, other_top, other_right, other_bottom, other_area = others
        width = torch.relu(torch.minimum(right, other_right) - torch.maximum(left, other_left))
        height = torch.relu(torch.minimum(bottom, other_bottom) - torch.maximum(top, other_top))
        shared = width * height
        return (shared / (area + other_area - shared) > self.threshold).to(area.dtype)

    def _fixed_point(self, alive: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last two rounds, each (B, r, 1, b)."""
        block = alive.shape[-1]
        inside = over * self.upper[:block, :block]
        previous = keep = alive
        for _ in range(self.iterations):
            previous, keep = keep, torch.relu(alive - keep @ inside)
        return keep, previous


def _edges(boxes: Tensor, axis: int) -> list[Tensor]:
    """Return left, top, right, bottom and area of (B, R, K, 4), each with a new axis at ``axis``."""
    left, top, right, bottom = (boxes[..., i].unsqueeze(axis) for i in range(4))
    return [left, top, right, bottom, (right - left) * (bottom - top)]


def _with_rows(keep: Tensor, rows: int) -> Tensor:
    missing = rows - keep.shape[1]
    return nn.functional.pad(keep, (0, 0, 0, 0, 0, missing)) if missing else keep


def _float32_below(threshold: float) -> float:
    """Return the largest float32 t such that ``x > t`` and ``x > threshold`` agree for float32 x."""
    nearest = torch.tensor(threshold, dtype=torch.float32)
    if nearest.item() > threshold:
        nearest = torch.nextafter(nearest, torch.tensor(-torch.inf))
    return float(nearest)
