"""Channel independence (Sui et al., CHIP: CHannel Independence-based Pruning, 2021).

For the matrix A (channels, positions) of one image's feature maps, the independence of channel n is

    ||A||_* - ||A without row n||_*,

the nuclear norm that is lost with it. Nuclear norms are sums of square roots of the eigenvalues of A A^T or
A^T A, whichever is smaller: taking row n out of A deletes row and column n of the first, and subtracts
a_n a_n^T from the second.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from compressor.base.modes import single_threaded
from compressor.criteria import CRITERIA
from compressor.criteria.view import GroupView, Stat, features_of, mean_over

_CHUNK_ELEMENTS: Final = 2**22
"""Elements of the matrices that are decomposed at a time: 32 MiB of float64."""


@CRITERIA.register("chip")
@dataclass(frozen=True, slots=True)
class Chip:
    """Score of a unit: its channel independence, averaged over images and over layers that share it.

    The paper looks at maps after the ReLU that follows convolution and norm. Here maps are read after the
    norm (after the convolution where there is none) and rectified, whatever the model's activation is.
    The work per image and layer grows with channels * min(channels, positions)^3; a few images will do.
    """

    needs: ClassVar[frozenset[Stat]] = frozenset({Stat.ACTIVATIONS})
    comparable: ClassVar[bool] = False

    def reduce(self, features: Tensor) -> Tensor:
        """Return the mean independence of each channel, (batch, channels, h, w) -> (channels,)."""
        maps = features.relu().flatten(2).double()
        with single_threaded():
            return torch.stack([independence(image) for image in maps]).mean(dim=0)

    def __call__(self, group: GroupView) -> Tensor:
        """Return (units,) scores.

        Raises:
            UsageError: feature maps were not collected.
        """
        return mean_over(group.filters, [features_of(m) for m in group.filters], group.size)


def independence(maps: Tensor) -> Tensor:
    """Return the loss of nuclear norm without each row, (channels, positions) -> (channels,); in float64."""
    wide = maps.shape[1] >= maps.shape[0]
    gram = maps @ maps.T if wide else maps.T @ maps
    reduced = _without_each_channel(gram) if wide else _without_each_row(gram, maps)
    return _nuclear_norm(gram) - torch.cat([_nuclear_norm(chunk) for chunk in reduced])


def _without_each_channel(gram: Tensor) -> Iterator[Tensor]:
    """Yield the Gram matrix of channels with row and column n zero, for all n, in chunks."""
    kept = 1 - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for some in torch.split(kept, _chunk(gram)):
        yield gram * some[:, :, None] * some[:, None, :]


def _without_each_row(gram: Tensor, maps: Tensor) -> Iterator[Tensor]:
    """Yield the Gram matrix of positions less what row n adds to it, for all n, in chunks."""
    for some in torch.split(maps, _chunk(gram)):
        yield gram - some[:, :, None] * some[:, None, :]


def _chunk(gram: Tensor) -> int:
    return max(1, _CHUNK_ELEMENTS // gram.numel())


def _nuclear_norm(gram: Tensor) -> Tensor:
    values = torch.linalg.eigvalsh(gram)
    # The root would blow the rounding error of a zero, 1e-16, up to 1e-8.
    noise = values.amax(dim=-1, keepdim=True) * gram.shape[-1] * torch.finfo(gram.dtype).eps
    return torch.where(values > noise, values, 0).sqrt().sum(dim=-1)
