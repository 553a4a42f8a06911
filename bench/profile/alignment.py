"""What a network would cost if its widths were multiples of the block, predicted layer by layer.

ONNX Runtime keeps activations in blocks of 16 channels with AVX-512 and of 8 below. A convolution whose
input is no multiple of 4 channels leaves that layout, and with it the additions and activations around it,
which are fused into convolutions otherwise; every way out and back is a reorder. Within the layout a begun
block costs as much as a whole one.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench.profile.graph import Layer
from bench.profile.nodes import Node
from bench.profile.probes import Probes, Trial
from compressor.base.system import cpu_flags

QUARTER: Final = 4
"""Input channels that a convolution in the layout takes in multiples of."""

_FUSED: Final = frozenset({"Add", "Relu", "Clip", "Sum"})
_IMAGE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """The prediction.

    Attributes:
        total_ms: of all nodes, with widths at the nearest multiples.
        saved_ms: by name of node: what each layer would take less, negative where more.
        odd: layers with a width that is no multiple.
    """

    total_ms: float
    saved_ms: dict[str, float]
    odd: tuple[Node, ...]


def block_of() -> int:
    """Return the channels of a block on this machine; 0 where there is no such layout."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return 0
    return 16 if "avx512f" in cpu_flags() else 8


def odd_width(layer: Layer, block: int) -> bool:
    """Say whether a width of a plain convolution is no multiple; the few channels of an image are fine."""
    if layer.operator != "Conv" or layer.groups > 1:
        return False
    return any(width % block for width in (layer.in_channels, layer.out_channels) if width > block)


def predict(nodes: Sequence[Node], block: int, probes: Probes) -> Aligned | None:
    """Return what the network would take with aligned widths; None where none is odd, or all are too much.

    Layers are measured by themselves at the nearest multiples. Reorders are taken to vanish, and additions
    and activations on odd widths to be fused into the convolutions before them.
    """
    odd = tuple(n for n in nodes if n.layer and odd_width(n.layer, block) and n.inputs)
    measured = probes.convolutions([_trial(node, block) for node in odd])
    if measured is None:
        return None
    saved = {node.name: node.ms - ms for node, ms in zip(odd, measured, strict=True)}
    gone = sum(node.ms for node in nodes if node.layer is None and _vanishes(node, block))
    total_ms = sum(node.ms for node in nodes)
    return Aligned(total_ms=total_ms - gone - sum(saved.values()), saved_ms=saved, odd=odd)


def nearest(width: int, block: int) -> int:
    """Return the nearest multiple, at least one; widths below a block stay."""
    return width if width < block else max(1, int(width / block + 0.5)) * block


def _trial(node: Node, block: int) -> Trial:
    assert node.layer is not None
    out, into, *kernel = node.layer.weight
    weight = (nearest(out, block), nearest(into, block), *kernel)
    batch, _, *spatial = node.inputs[0]
    return Trial(layer=replace(node.layer, weight=weight), taken=(batch, weight[1], *spatial))


def _vanishes(node: Node, block: int) -> bool:
    if node.reorders:
        return True
    odd = len(node.inputs[0]) == _IMAGE and node.inputs[0][1] % block if node.inputs else 0
    return bool(node.kind in _FUSED and odd and not node.blocked)
