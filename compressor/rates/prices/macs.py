"""Multiply-adds of convolutions and linear layers for one image."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from compressor.channels.cost import cost_model
from compressor.channels.graph import ChannelGraph
from compressor.rates.prices import PRICES, PriceOf


@dataclass(frozen=True, slots=True)
class Macs:
    """The analytic count, exact."""

    unit: ClassVar[str] = "MACs"

    def of(self, graph: ChannelGraph) -> PriceOf:
        """Return widths -> MACs."""
        count = cost_model(graph).macs
        return lambda kept: count(kept).astype(np.float64)


MACS = PRICES.register("macs")(Macs())
