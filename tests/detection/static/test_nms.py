"""Iterated suppression is greedy NMS, and says when it is not."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import nms

from detection.static.nms import IteratedSuppression
from detection.static.settings import StaticSettings


def suppression(counts: tuple[int, ...], threshold: float = 0.5, **rounds: int) -> IteratedSuppression:
    return IteratedSuppression(counts, threshold, StaticSettings(height=32, width=32, **rounds))


def greedy(boxes: Tensor, threshold: float) -> Tensor:
    """Return (K,) float, with torchvision's implementation; boxes come best first."""
    keep = torch.zeros(len(boxes))
    keep[nms(boxes, torch.arange(len(boxes), 0, -1.0), threshold)] = 1
    return keep


def crowded(rows: int, count: int, spread: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(rows, count, 2, generator=generator) * spread
    return torch.cat([corner, corner + 20 + 60 * torch.rand(rows, count, 2, generator=generator)], dim=-1)


@pytest.mark.parametrize("block", [16, 100, 128, 300])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_equals_greedy_suppression(block: int, threshold: float) -> None:
    counts = (300, 290, 40)
    boxes = torch.stack([crowded(3, 300, 150, seed) for seed in (0, 1)])
    valid = (torch.rand(2, 3, 300, generator=torch.Generator().manual_seed(2)) > 0.1).float()
    for row, count in enumerate(counts):
        valid[:, row, count:] = 0
    module = suppression(counts, threshold, nms_block=block, nms_iterations=16)
    keep, settled = module(boxes, valid)
    assert settled.tolist() == [True, True]
    for image, row in [(i, r) for i in range(2) for r in range(3)]:
        which = valid[image, row] > 0
        assert torch.equal(keep[image, row][which], greedy(boxes[image, row][which], threshold))
        assert not keep[image, row][~which].any()
    assert 0 < keep.sum() < valid.sum()


def chain(count: int) -> Tensor:
    """Return boxes of which each overlaps only its neighbours by more than half: the deepest chain."""
    left = torch.arange(count) * 3.0
    return torch.stack([left, torch.zeros(count), left + 10, torch.full((count,), 10.0)], dim=1)


@pytest.mark.parametrize(("iterations", "exact"), [(4, False), (31, True)])
def test_says_when_a_chain_is_deeper_than_the_rounds(iterations: int, exact: bool) -> None:
    boxes = torch.stack([chain(30), torch.arange(30.0)[:, None] * 100 + torch.tensor([0.0, 0, 10, 10])])
    module = suppression((30,), nms_block=32, nms_iterations=iterations)
    keep, settled = module(boxes[:, None], torch.ones(2, 1, 30))
    assert settled.tolist() == [exact, True]
    assert torch.equal(keep[0, 0], greedy(boxes[0], 0.5)) == exact
    assert greedy(boxes[0], 0.5).tolist() == [1.0, 0.0] * 15
    assert keep[1].all()


def test_blocks_cut_chains_short() -> None:
    boxes = chain(64)[None, None]
    keep, settled = suppression((64,), nms_block=8, nms_iterations=8)(boxes, torch.ones(1, 1, 64))
    assert settled.all()
    assert torch.equal(keep[0, 0], greedy(boxes[0, 0], 0.5))


@pytest.mark.parametrize(("threshold", "survives"), [(0.5, True), (0.3, False)])
def test_an_overlap_equal_to_the_threshold_is_judged_as_by_torchvision(
    threshold: float, survives: bool
) -> None:
    # float32(0.3) lies above 0.3, so a box whose IoU rounds to it goes; 0.5 is exact, so its box stays.
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10 * threshold, 10]])
    keep, _ = suppression((2,), threshold)(boxes[None, None], torch.ones(1, 1, 2))
    assert torch.equal(keep[0, 0], greedy(boxes, threshold))
    assert bool(keep[0, 0, 1]) == survives
