"""Pooling from the atlas is torchvision's multi-scale RoIAlign."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign

from compressor.base.errors import UsageError
from detection.static.atlas import AtlasLayout, AtlasPool
from detection.static.boxes import inverse, take

HEIGHT, WIDTH = 192, 256
STRIDES = {"four": (4, 8, 16, 32), "two": (16, 32), "one": (32,), "equal": (32, 32)}


def pyramid(strides: tuple[int, ...]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        str(level): torch.randn(2, 5, HEIGHT // stride, WIDTH // stride, generator=generator)
        for level, stride in enumerate(strides)
    } | {"pool": torch.zeros(2, 5, 3, 4)}


def boxes_of_every_kind() -> Tensor:
    """Return (2, N, 4): any size, and slivers of every level's cell at all borders and corners."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(2, 400, 2, 2, generator=generator) * torch.tensor([WIDTH, HEIGHT])
    large = torch.cat([corners.amin(dim=2), corners.amax(dim=2)], dim=-1)
    exact = torch.tensor([[0.0, 0, 112, 112], [0, 0, 224, 192], [0, 0, WIDTH, HEIGHT], [0, 0, 0, 0]])
    slivers = []
    for length in (0.01, 0.7, 3.0, 60.0, 150.0):
        for thin in (0.02, 0.5, 2.0, 7.0, 20.0):
            slivers += [[WIDTH - thin, 10, WIDTH, 10 + length], [10, HEIGHT - thin, 10 + length, HEIGHT]]
            slivers += [[0, 10, thin, 10 + length], [10, 0, 10 + length, thin]]
            slivers += [[WIDTH - thin, HEIGHT - length, WIDTH, HEIGHT], [0, 0, length, thin]]
            slivers += [[WIDTH - length, HEIGHT - thin, WIDTH, HEIGHT], [WIDTH - length, 0, WIDTH, thin]]
    fixed = torch.cat([exact, torch.tensor(slivers)]).expand(2, -1, -1)
    return torch.cat([large, fixed], dim=1)


@pytest.mark.parametrize("strides", STRIDES.values(), ids=STRIDES)
@pytest.mark.parametrize("size", [7, 14])
def test_equals_multi_scale_roi_align(strides: tuple[int, ...], size: int) -> None:
    features, boxes = pyramid(strides), boxes_of_every_kind()
    pool = MultiScaleRoIAlign(featmap_names=["0", "1", "2", "3"], output_size=size, sampling_ratio=2)
    expected = pool(features, list(boxes), [(HEIGHT, WIDTH)] * 2)
    layout = AtlasLayout(pool, features, HEIGHT)
    found = AtlasPool(pool, layout)(layout(features), boxes)
    # Coordinates reach 256 and move within the atlas, which rounds them by up to 3e-5 cells.
    torch.testing.assert_close(found, expected, atol=5e-5, rtol=1e-5)
    assert (found - expected).abs().mean() < 1e-6


def test_slivers_at_the_far_border_have_samples_outside() -> None:
    """Without the share of samples inside, the test above could not fail for them."""
    features = {name: torch.ones_like(level) for name, level in pyramid((4, 8, 16, 32)).items()}
    pool = MultiScaleRoIAlign(featmap_names=["0", "1", "2", "3"], output_size=7, sampling_ratio=2)
    layout = AtlasLayout(pool, features, HEIGHT)
    sliver = torch.tensor([[[WIDTH - 0.5, 10.0, WIDTH, 12.0]], [[10.0, HEIGHT - 0.5, 12.0, HEIGHT]]])
    found = AtlasPool(pool, layout)(layout(features), sliver)
    inside = found.amax(dim=(1, 2, 3))
    assert inside.tolist() == pytest.approx([1.0, 1.0])
    assert found[0, 0, 0, -1] == 0
    assert found[1, 0, -1, 0] == 0


def test_levels_that_skip_a_stride_are_refused() -> None:
    pool = MultiScaleRoIAlign(featmap_names=["0", "1"], output_size=7, sampling_ratio=2)
    with pytest.raises(UsageError, match=r"strides \[8, 32\]"):
        AtlasLayout(pool, pyramid((8, 32)), HEIGHT)


def test_sampling_that_depends_on_the_box_is_refused() -> None:
    pool = MultiScaleRoIAlign(featmap_names=["0", "1"], output_size=7, sampling_ratio=0)
    layout = AtlasLayout(pool, pyramid((16, 32)), HEIGHT)
    with pytest.raises(UsageError, match="sampling ratio 0"):
        AtlasPool(pool, layout)


def test_order_walks_the_atlas_in_bands_from_left_to_right() -> None:
    features, boxes = pyramid((4, 8, 16, 32)), boxes_of_every_kind()
    pool = MultiScaleRoIAlign(featmap_names=["0", "1", "2", "3"], output_size=7, sampling_ratio=2)
    layout = AtlasLayout(pool, features, HEIGHT)
    order = AtlasPool(pool, layout).order(boxes)
    rows, cells = layout.place(take(boxes, order)[1])
    band, left = torch.floor((cells[:, 1] + rows[:, 1]) / 16), cells[:, 0]
    assert len(band.unique()) > 3
    assert (band.diff() >= 0).all()
    assert (left.diff()[band.diff() == 0] >= -1e-2).all()  # the key is a float32


def test_inverse_undoes_a_permutation() -> None:
    rows = torch.randn(2, 1000, 4)
    order = torch.stack([torch.randperm(1000), torch.randperm(1000)])
    assert torch.equal(take(take(rows, order), inverse(order)), rows)
