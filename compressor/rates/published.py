"""Widths from a published rate string."""

from collections.abc import Mapping

from compressor.base.errors import UsageError
from compressor.channels.components import Ids
from compressor.channels.cost import kept_units
from compressor.channels.graph import ChannelGraph
from compressor.rates.families import Units
from compressor.rates.layout import Layout, check_length
from compressor.rates.prices import PRICES
from compressor.rates.rounding import channels
from compressor.rates.strings import parse_rates
from compressor.rates.targets import Published


def published(
    graph: ChannelGraph, target: Published, layouts: Mapping[str, Layout], arch: str, settled: Units
) -> Ids:
    """Return the units that each group keeps, (groups,); all of those that the string says nothing of.

    Args:
        graph: the traced model.
        target: the string, and whose it is.
        layouts: the architecture's rate layouts by name.
        arch: its name, for messages.
        settled: group -> units that it keeps whatever the string says.

    Raises:
        UsageError: there is no such layout, or the string does not fit it or the model.
    """
    name, layout = _layout(target, layouts, arch)
    layout, rates = target.read(layout), parse_rates(target.text)
    check_length(layout, rates, arch, name)
    kept = kept_units(graph)
    kept[list(settled)] = list(settled.values())
    chosen: dict[int, tuple[str, int]] = {}
    sizes = {path: channels(graph, i) * graph.groups[i].size for path, i in graph.by_producer.items()}
    for path, width in layout.widths(rates, sizes).items():
        index = graph.by_producer[path]
        other, before = chosen.setdefault(index, (path, width))
        if before != width:
            raise UsageError(
                f"{arch}: the rates give {other} {before} and {path} {width} channels, but both feed one sum",
                "give layers of one residual stage the same rate.",
            )
        if index not in settled:
            kept[index] = _whole_units(graph, index, width, path)
    return kept


def _whole_units(graph: ChannelGraph, index: int, width: int, path: str) -> int:
    units = width // channels(graph, index)
    if units < 1:
        raise UsageError(f"the rates leave {path} no channels", "lower its rate.")
    return units


def _others() -> str:
    *names, last = (f"--{name}" for name in ("rate", *PRICES))
    return f"use {', '.join(names)} or {last}."


def _layout(target: Published, layouts: Mapping[str, Layout], arch: str) -> tuple[str, Layout]:
    if not layouts:
        raise UsageError(f"{arch} has no published rate layout", _others())
    name = target.layout or next(iter(layouts))
    if name not in layouts:
        raise UsageError(f"{arch} has no layout {name!r}", f"layouts: {', '.join(layouts)}.")
    return name, layouts[name]
