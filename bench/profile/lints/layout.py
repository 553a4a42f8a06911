"""Convolutions that leave the blocked layout."""

from bench.profile.alignment import QUARTER
from bench.profile.graph import Layer
from bench.profile.lints import LINTS, Lint, Subject


@LINTS.register("layout")
def layout(subject: Subject) -> list[Lint]:
    """Name every convolution that runs outside of the layout because of its channels."""
    if not subject.blocked:
        return []
    saved = subject.aligned.saved_ms if subject.aligned else {}
    found = []
    for node in subject.nodes:
        reason = _reason(node.layer, subject.block) if node.layer and not node.blocked else ""
        if reason:
            gain = saved.get(node.name)
            what = f"{reason}: it leaves the blocked layout here and takes {node.ms:.3g} ms"
            step = f"give the layers before it a width in multiples of {subject.block}."
            ms = max(gain, 0.0) if gain is not None else None
            found.append(Lint(kind="layout", module=node.module, ms=ms, what=what, next=step))
    return found


def _reason(layer: Layer, block: int) -> str:
    """Return why a convolution cannot stay, "" where it can."""
    if layer.operator != "Conv":
        return ""
    into = layer.in_channels
    if layer.depthwise:
        return f"{into} channels of a depthwise convolution are no multiple of {QUARTER}" * (
            into % QUARTER > 0
        )
    if layer.groups > 1:
        sides = (into // layer.groups, layer.out_channels // layer.groups)
        words = f"{sides[0]} and {sides[1]} channels a group are not both multiples of {block}"
        return words * any(side % block for side in sides)
    return f"{into} input channels are no multiple of {QUARTER}" * (into >= block and into % QUARTER > 0)
