"""How alike channels are: the correlation of their feature maps, averaged over images.

For channels i and j of one image, with maps flattened,

    +1   both maps are constant, or both sum to 0
    -1   otherwise, exactly one sums to 0
     r   otherwise, Pearson's correlation; 0 where exactly one map is constant

The last clause is ours: the released program divides by zero there. With every map centred and scaled to
length 1, and to 0 where a guard decides, the sum of r over images is one matrix product Z Z^T; the guards are
products of (channels, images) tables of zeros and ones. All of it is float64.
"""

from typing import Final

import torch
from torch import Tensor

from compressor.base.errors import UsageError

_CHUNK_ELEMENTS: Final = 2**22
"""Elements of the maps that are looked at together: 32 MiB of float64."""


@torch.no_grad()
def similarity(maps: Tensor) -> Tensor:
    """Return the mean similarity of every pair of channels.

    Memory beside the argument is bounded by one image's maps or 32 MiB, and by channels squared.

    Args:
        maps: feature maps of a batch of images, (n, c, h, w); any number of axes after the second will do.

    Returns:
        (c, c) in [-1, 1], float64, symmetric, ones on the diagonal.

    Raises:
        UsageError: there are no maps, or they hold NaN or infinity.
    """
    if maps.ndim < 2 or not maps.numel():
        raise UsageError(
            f"feature maps of shape {tuple(maps.shape)} have no similarity",
            "give (images, channels, height, width), at least one of each.",
        )
    flat = maps.detach().flatten(2) if maps.ndim > 2 else maps.detach()[..., None]
    total = flat.new_zeros(flat.shape[1], flat.shape[1], dtype=torch.float64)
    for some in flat.split(max(1, _CHUNK_ELEMENTS // flat[0].numel())):
        total += _summed(some.double())
    mean = (total + total.T) / (2 * len(flat))  # matrix products may round i, j and j, i differently
    return mean.clamp_(-1, 1).fill_diagonal_(1)


def _summed(maps: Tensor) -> Tensor:
    """Return the similarities summed over images, (n, c, positions) -> (c, c)."""
    if not torch.isfinite(maps).all():
        raise UsageError(
            "feature maps hold NaN or infinity",
            "check the checkpoint and the images; nothing can be said of such channels.",
        )
    unit, constant = _standardised(maps)
    silent = maps.sum(dim=2) == 0
    unit.masked_fill_((constant | silent)[..., None], 0)
    rows = unit.transpose(0, 1).flatten(1)
    return rows @ rows.T + _guarded(constant.T.double(), silent.T.double())


def _standardised(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return maps of mean 0 and length 1, and which are constant and therefore have none, (n, c)."""
    low, high = maps.aminmax(dim=2)
    # Scaled to a span of 1 before squares are taken, which would underflow for faint maps.
    spread = maps - maps.mean(dim=2, keepdim=True)
    spread = spread / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)[..., None]
    length = spread.norm(dim=2, keepdim=True)
    return spread / length.clamp_min(torch.finfo(maps.dtype).tiny), low == high


def _guarded(constant: Tensor, silent: Tensor) -> Tensor:
    """Return what the guards add, from (channels, images) tables of ones and zeros -> (c, c)."""
    both, heard = constant * silent, 1 - silent
    alike = constant @ constant.T + silent @ silent.T - both @ both.T
    # One silent, the other not; less the pairs in which both are constant, which are counted above.
    apart = silent @ heard.T - both @ (constant * heard).T
    return alike - apart - apart.T
