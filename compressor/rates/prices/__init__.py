"""Prices: what a vector of kept units costs. One file each, found by name.

A price need not fall with every unit that is removed: kernels work on blocks, so that 63 channels may take
longer than 64. Whoever searches by price looks at every candidate.
"""

from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from compressor.base.registry import Registry
from compressor.channels.components import Ids
from compressor.channels.cost import kept_units
from compressor.channels.graph import ChannelGraph

PriceOf = Callable[[Ids], NDArray[np.float64]]
"""Units kept per group, one network a row, (n, groups) -> what each network costs, (n,)."""


class Price(Protocol):
    """A way to say what a network costs; pure.

    Attributes:
        unit: of the numbers, in words that follow one: ``12 MACs``.
    """

    unit: ClassVar[str]

    def of(self, graph: ChannelGraph) -> PriceOf:
        """Return the price of any widths of a traced network, in ``unit``.

        Whatever is the same for all widths is worked out here, once; the function is called with thousands
        of rows.
        """


PRICES: Registry[Price] = Registry("price", "compressor.rates.prices")


def whole_price(price: Price, graph: ChannelGraph) -> float:
    """Return what a traced network costs as it is."""
    return float(price.of(graph)(kept_units(graph)[None])[0])
