"""Elements of all parameters."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from compressor.channels.cost import cost_model
from compressor.channels.graph import ChannelGraph
from compressor.rates.prices import PRICES, PriceOf


@dataclass(frozen=True, slots=True)
class Params:
    """The analytic count, exact; parameters that the trace never met are included."""

    unit: ClassVar[str] = "parameters"

    def of(self, graph: ChannelGraph) -> PriceOf:
        """Return widths -> parameters."""
        count = cost_model(graph).params
        return lambda kept: count(kept).astype(np.float64)


PARAMS = PRICES.register("params")(Params())
