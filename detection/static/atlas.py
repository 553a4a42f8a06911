"""RoIAlign over a pyramid as one RoIAlign over one map.

Torchvision sends every box to one level, by the box's area, and pools each level's boxes separately; how many
there are depends on the image. Here the levels are laid below each other in one map, the *atlas*, and a box
is moved to where its level lies. What RoIAlign (``aligned=False``) does at a level's border has to be
rebuilt, since inside the atlas there is no border:

* up to one cell beyond the last column (row), a sample reads that column: levels are continued by copies;
* a sample at a coordinate beyond the level's size counts as 0. Boxes lie inside the image, so only a box
  that is narrower than one cell, and which RoIAlign widens to one, has such samples. All samples of such a
  bin read the same column; hence the pooled value times the share of samples inside is the exact result.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign, roi_align

from compressor.base.errors import UsageError
from detection.static.boxes import best

_GUTTER = 2  # a sample within one cell beyond the border interpolates between the next two columns
_BAND = 16  # rows of the atlas; with 32 it is as fast, with 8 a little slower
_LEVEL_EPSILON = 1e-6  # torchvision's, so that a box of exactly 112 x 112 goes to the finer level's successor


class Placement(NamedTuple):
    """Where a level lies in the atlas, in cells.

    Attributes:
        scale: cells per pixel.
        top: first row.
        limit_y: coordinate within the level beyond which a sample counts as 0.
        limit_x: likewise, horizontally.
    """

    scale: float
    top: float
    limit_y: float
    limit_x: float


class AtlasLayout(nn.Module):
    """Lay the pyramid levels that a ``MultiScaleRoIAlign`` reads below each other.

    Args:
        pool: torchvision's, for the names of its levels and the sizes of boxes that each is for.
        example: feature maps (1, C, h, w) of one canvas, by name.
        height: rows of the canvas in pixels.

    Raises:
        UsageError: the levels skip a scale, which torchvision pools as zeros.
    """

    table: Tensor
    areas: Tensor

    def __init__(self, pool: MultiScaleRoIAlign, example: Mapping[str, Tensor], height: int) -> None:
        super().__init__()
        scales = {name: _scale(example[name], height) for name in example if name in pool.featmap_names}
        octaves = [-round(math.log2(scale)) for scale in scales.values()]
        reachable = 1 if len(octaves) == 1 else octaves[-1] - octaves[0] + 1
        if not 1 <= reachable <= len(octaves):
            raise UsageError(
                f"pyramid levels {', '.join(scales)} lie at strides {[2**o for o in octaves]}",
                "give every stride between the first and the last its level",
            )
        self.names = tuple(scales)[:reachable]
        shapes = [(example[name].shape[-2], example[name].shape[-1]) for name in self.names]
        self.width = _atlas_width([width for _, width in shapes])
        device = next(iter(example.values())).device
        placements = _placements([scales[name] for name in self.names], shapes, self.width)
        self.register_buffer("table", torch.tensor(placements, device=device), persistent=False)
        areas = [
            (pool.canonical_scale * 2.0 ** (octaves[0] + level - pool.canonical_level - _LEVEL_EPSILON)) ** 2
            for level in range(1, reachable)
        ]
        self.register_buffer("areas", torch.tensor(areas, device=device), persistent=False)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the atlas (B, C, height, width) of feature maps (B, C, h, w)."""
        levels = [features[name] for name in self.names]
        if len(levels) == 1:
            return levels[0]
        rows = [_widened(level, self.width) for level in levels]
        return torch.cat([part for level in rows for part in (level, *[level[:, :, -1:]] * _GUTTER)], dim=2)

    def place(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows of ``table`` for boxes (N, 4), and the boxes in cells of their own level."""
        if len(self.areas) == 0:
            rows = self.table.expand(boxes.shape[0], -1)
        else:
            area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
            rows = self.table[(area[:, None] >= self.areas).sum(dim=1)]
        return rows, boxes * rows[:, :1]


class AtlasPool(nn.Module):
    """Pool boxes from an atlas, as the ``MultiScaleRoIAlign`` of a head pools them from its levels.

    Raises:
        UsageError: the pooling chooses its number of samples by box, so it has no static shape.
    """

    def __init__(self, pool: MultiScaleRoIAlign, layout: AtlasLayout) -> None:
        super().__init__()
        if pool.sampling_ratio < 1:
            raise UsageError(
                f"RoIAlign has sampling ratio {pool.sampling_ratio}, which means one that depends on the box",
                "build the detector with a fixed one; torchvision's use 2",
            )
        self.size = tuple(pool.output_size)
        self.samples = int(pool.sampling_ratio)
        self.layout = layout

    def order(self, boxes: Tensor) -> Tensor:
        """Return index (B, N) that puts boxes (B, N, 4) next to those that lie near them in the atlas.

        Boxes by score jump across the atlas, and every jump misses the cache: on a CPU, RoIAlign takes about
        half as long when they come in horizontal bands, each from left to right.
        """
        rows, cells = self.layout.place(boxes.flatten(0, 1))
        band = torch.floor((cells[:, 1] + rows[:, 1]) / _BAND)
        key = band * self.layout.width + cells[:, 0]
        return best(-key.view(-1, boxes.shape[1]), boxes.shape[1])[1]

    def forward(self, atlas: Tensor, boxes: Tensor) -> Tensor:
        """Return (B * N, C, *size) for boxes (B, N, 4) in pixels."""
        batch, count, _ = boxes.shape
        rows, cells = self.layout.place(boxes.flatten(0, 1))
        image = torch.arange(batch, device=boxes.device).to(boxes.dtype)[:, None].expand(-1, count)
        down = rows[:, 1:2] * cells.new_tensor([0.0, 1.0, 0.0, 1.0])
        rois = torch.cat([image.reshape(-1, 1), cells + down], dim=1)
        pooled: Tensor = roi_align(atlas, rois, self.size, spatial_scale=1.0, sampling_ratio=self.samples)
        if len(self.layout.names) == 1:
            return pooled
        inside_y = self._inside(cells[:, 1::2], rows[:, 2:3], self.size[0])
        inside_x = self._inside(cells[:, 0::2], rows[:, 3:4], self.size[1])
        return pooled * (inside_y[:, :, None] * inside_x[:, None, :])[:, None]

    def _inside(self, span: Tensor, limit: Tensor, bins: int) -> Tensor:
        """Return (N, bins): the share of a bin's samples that lie within the level, along one axis."""
        start = span[:, :1]
        cell = (span[:, 1:] - start).clamp(min=1) / bins
        index = torch.arange(bins * self.samples, device=span.device)
        whole = torch.div(index, self.samples, rounding_mode="floor").to(span.dtype)
        part = (index % self.samples).to(span.dtype) + 0.5
        within = start + whole * cell + part * cell / self.samples <= limit
        return within.to(span.dtype).view(-1, bins, self.samples).mean(dim=2)


def _scale(level: Tensor, height: int) -> float:
    """Return cells per pixel, a power of two, by torchvision's rule."""
    return float(2.0 ** round(math.log2(level.shape[-2] / height)))


def _atlas_width(widths: Sequence[int]) -> int:
    """Return columns: a level as wide as the atlas has the atlas's own border, others need a gutter."""
    return max([widths[0], *(width + _GUTTER for width in widths[1:])])


def _placements(
    scales: Sequence[float], shapes: Sequence[tuple[int, int]], width: int
) -> list[tuple[float, ...]]:
    placements, top = [], 0
    for scale, (rows, columns) in zip(scales, shapes, strict=True):
        # RoIAlign itself ends a level that is as wide as the atlas: no sample is to be counted twice.
        limit_x = columns if columns < width else columns + _GUTTER
        placements.append(tuple(Placement(scale, top, rows, limit_x)))
        top += rows + _GUTTER
    return placements


def _widened(level: Tensor, width: int) -> Tensor:
    missing = width - level.shape[-1]
    if missing == 0:
        return level
    return nn.functional.pad(level, (0, missing, 0, 0), mode="replicate")
