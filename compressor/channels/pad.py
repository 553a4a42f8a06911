"""ChannelPad: a shortcut that changes the number of channels without weights, and can be shrunk.

The option-A shortcut of CIFAR ResNets (He et al., 2015, section 4.2) pads channels with zeros. Written with
a fixed amount of padding it ties the widths of two stages together. Here the pairing of channels is data:
for each output channel, the input channel that feeds it, or -1 for zero. Removing channels on either side
edits the pairing and nothing else.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compressor.base.errors import ArtifactError
from compressor.base.text import foreign
from compressor.channels.ledger import HiddenCost
from compressor.channels.tracer import Tracer


class ChannelPad(nn.Module):
    """Select and zero-pad channels: output channel o is input channel ``source[o]``, or zero for -1.

    A fresh module centres the inputs among the outputs, floor((out - in) / 2) zeros in front.

    Attributes:
        in_channels: width of the input.
        source: one entry per output channel.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        front = (out_channels - in_channels) // 2
        self.source = tuple(o - front if 0 <= o - front < in_channels else -1 for o in range(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, ...) to (batch, out_channels, ...)."""
        run = _contiguous(self.source)
        if run is None:
            index = torch.tensor([i if i >= 0 else self.in_channels for i in self.source], device=x.device)
            return torch.cat([x, torch.zeros_like(x[:, :1])], dim=1).index_select(1, index)
        first, start, length = run
        behind = len(self.source) - first - length
        if length == self.in_channels and not first and not behind:
            return x
        return F.pad(x[:, start : start + length], (0, 0) * (x.ndim - 2) + (first, behind))

    def trace_channels(self, tracer: Tracer, x: Tensor, out: Tensor) -> None:
        """Tell the tracer that the input's channels end here and the output's begin here."""
        tracer.consume(self, "in", x, axis=1)
        tracer.produce(self, "out", out, axis=1)

    def hidden_costs(self, x: Tensor, out: Tensor) -> Sequence[HiddenCost]:
        """Return nothing: values are moved, not multiplied."""
        return ()

    def change_channels(self, side: str, take: Sequence[int], into: Sequence[int]) -> None:
        """Make one side (``in`` or ``out``) anew: take its channels from old ones, read where they went.

        Raises:
            ArtifactError: there is no such side, or it does not have the channels.
        """
        widths = {"in": self.in_channels, "out": len(self.source)}
        if side not in widths or len(into) != widths[side] or not _within(take, into):
            raise ArtifactError(
                f"a ChannelPad of {self.in_channels} to {len(self.source)} channels cannot change those of "
                f"side {foreign(side)} so",
                "apply a plan to the architecture it was made for.",
            )
        if side == "out":
            self.source = tuple(self.source[o] for o in take)
            return
        self.source = tuple(into[i] if i >= 0 else -1 for i in self.source)
        self.in_channels = len(take)

    def mask_channels(self, side: str, take: Sequence[int], into: Sequence[int]) -> None:
        """Read the old channels that stand for those that are gone, or zeros; the widths stay."""
        if side == "in":
            self.source = tuple(take[into[i]] if i >= 0 and into[i] >= 0 else -1 for i in self.source)

    def extra_repr(self) -> str:
        """Return the widths on both sides."""
        return f"{self.in_channels}, {len(self.source)}"


def _within(take: Sequence[int], into: Sequence[int]) -> bool:
    return all(0 <= old < len(into) for old in take) and all(-1 <= new < len(take) for new in into)


def _contiguous(source: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return (first output, first input, length) if one run of inputs feeds one run of outputs."""
    fed = [o for o, i in enumerate(source) if i >= 0]
    if not fed:
        return None
    first, start, length = fed[0], source[fed[0]], fed[-1] + 1 - fed[0]
    whole = source[first : first + length] == tuple(range(start, start + length))
    return (first, start, length) if whole else None
