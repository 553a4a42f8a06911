"""What two layers share that cost the same at the same widths."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from bench.profile.graph import Layer
from bench.profile.nodes import Node
from bench.profile.probes import Trial

_SETTINGS: Final = ("strides", "pads", "dilations")
"""Of a convolution, those that decide its time."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Signature:
    """A convolution without its widths.

    Attributes:
        kernel: its size.
        settings: ``strides``, ``pads`` and ``dilations`` where they are not the usual ones.
        taken: positions of its input: height, width.
        batch: samples per call.
        depthwise: whether every channel has a filter of its own; its input is then as wide as its output.
    """

    kernel: tuple[int, ...]
    settings: tuple[tuple[str, tuple[int, ...]], ...]
    taken: tuple[int, ...]
    batch: int
    depthwise: bool = False

    @classmethod
    def of(cls, node: Node) -> Self | None:
        """Return the signature of a node as it ran; None of what is no convolution, or one in groups."""
        layer = node.layer
        if layer is None or layer.operator != "Conv" or not node.inputs:
            return None
        if layer.groups > 1 and not _depthwise(layer):
            return None
        batch, _, *taken = node.inputs[0]
        return cls(
            kernel=tuple(layer.weight[2:]), settings=_settings(layer), taken=tuple(taken), batch=batch,
            depthwise=layer.groups > 1,
        )  # fmt: skip

    def trial(self, into: int, out: int) -> Trial:
        """Return the layer at some widths, ready to be measured."""
        weight = (out, 1 if self.depthwise else into, *self.kernel)
        layer = Layer(
            operator="Conv", weight=weight, groups=out if self.depthwise else 1, settings=dict(self.settings)
        )
        return Trial(layer=layer, taken=(self.batch, out if self.depthwise else into, *self.taken))

    def describe(self) -> str:
        """Return it in words: ``3x3 on 28x28``."""
        kind = "depthwise " if self.depthwise else ""
        return f"{kind}{_sizes(self.kernel)} on {_sizes(self.taken)}"


def _depthwise(layer: Layer) -> bool:
    return layer.depthwise and layer.out_channels == layer.in_channels


def _settings(layer: Layer) -> tuple[tuple[str, tuple[int, ...]], ...]:
    given = ((name, tuple(layer.settings.get(name, ()))) for name in _SETTINGS)
    return tuple((name, sizes) for name, sizes in given if sizes)


def _sizes(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
